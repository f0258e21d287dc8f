//! `build-tools COMMAND ...`: the commands as the derivations call them.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: build-tools COMMAND [ARGUMENT...]

commands:
  patch-version  inline the package.json version into a JavaScript module
  strip-refs     remove references to the Nix store from files

`build-tools COMMAND --help` says more. Exit codes: 0 success, 1 findings, 2 could not run.
";

fn main() -> ExitCode {
    run(std::env::args_os().skip(1).collect()).unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
        ExitCode::from(2)
    })
}

fn run(mut arguments: Vec<OsString>) -> Result<ExitCode> {
    if arguments.is_empty() {
        bail!("no command given\n{USAGE}");
    }
    let command = arguments.remove(0);
    match command.to_str() {
        Some("patch-version") => build_tools::patch_version::cli(&arguments),
        Some("strip-refs") => build_tools::strip_refs::cli(&arguments),
        Some("-h" | "--help") => {
            std::io::stdout().lock().write_all(USAGE.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("there is no command `{}`\n{USAGE}", command.display()),
    }
}

//! `cargo xtask setup`: checks this machine's prerequisites, and installs what is missing.

use std::process::ExitCode;

use anyhow::Result;

use crate::machine::elsewhere;
use crate::machine::findings::{Finding, findings, findings_there, is_blocked, packages};
use crate::machine::hooks;
use crate::machine::install::install;
use crate::machine::look::{Machine, look};
use crate::machine::render::{Step, render, render_there};
use crate::machine::requirements::host_tools;
use crate::machine::system::Kind;
use crate::machine::there;
use crate::repo::Repo;
use sys::process::{Interrupted, Processes};
use sys::terminal;

/// Check this machine's prerequisites
///
/// Nothing is installed without `--install`. With it, missing packages that the main job (`cargo xtask
/// test-build client-ts client-go`) or the larger components need are installed with apt on Debian-based
/// systems, through sudo unless run as root; on other systems the remedies are printed. Anything else
/// that is missing is a warning, and is installed only with `--install --optional`. PostgreSQL is
/// installed without a database cluster, by a file in /etc/postgresql-common/createcluster.d, so that no
/// server is started.
///
/// host-pkgs has packages for x86_64-linux only: on another machine, such as a Mac, or one with neither Nix
/// nor apt, that a prerequisite of builds on it is missing is a warning, for `--on HOST` builds elsewhere.
/// `setup --on HOST` looks at that other machine, whether builds there will work; nothing is installed there.
///
/// Whether Nix can isolate builders is tested by building a tiny derivation that has no output. It leaves
/// its `.drv` file and an empty lock file in the store, the same ones each time.
///
/// `--json` prints one JSON object per finding to stdout, and human-readable output to stderr. The keys:
/// what; state (ok, warning, lacking); found; why; `needed_for` (main, host-pkgs, nixpkgs,
/// larger-components, commits, other-machines, vendor-hashes); remedy; package (of Debian). `found`, `remedy` and
/// `package` may be null.
///
/// Exit codes: 0 the main job can run (here, or elsewhere), 1 a prerequisite of it is missing, 2 could not
/// check.
///
/// Example: `cargo xtask setup --install`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// Install missing packages
    #[arg(long, conflicts_with = "on")]
    install: bool,
    /// With `--install`: install optional packages, too
    #[arg(long, requires = "install")]
    optional: bool,
    /// Print one JSON object per finding; with `--install` the state afterwards
    #[arg(long)]
    json: bool,
    /// Look at another machine, HOST or USER@HOST as for ssh
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    /// Install the git hook that runs the checks of .pre-commit-config.yaml, with prek or pre-commit
    #[arg(long, conflicts_with_all = ["install", "json", "on"])]
    install_hooks: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let processes = Processes::new(false)?;
    let repo = Repo::find()?;
    if args.install_hooks {
        return hooks::install(&repo, &processes);
    }
    let tools = host_tools(&repo)?;
    if let Some(host) = args.on.as_deref().filter(|host| *host != "local") {
        let findings = findings_there(&there::look(&processes, &repo, &tools, host)?);
        say(args, &render_there(&findings, host))?;
        return end(args, &findings);
    }
    let kind = Kind::here();
    let debian = kind == Kind::Debian;
    let check = || {
        let machine = look(&processes, &repo, &tools, kind)?;
        let findings = if elsewhere::is_meant(&machine) {
            elsewhere::findings(&machine)
        } else {
            findings(&machine)
        };
        Ok::<_, anyhow::Error>((machine, findings))
    };
    let show = |(machine, findings): &(Machine, Vec<Finding>), step| {
        let text = if elsewhere::is_meant(machine) {
            elsewhere::render(machine, findings, step)
        } else {
            render(findings, step)
        };
        say(args, &text)
    };
    let mut checked = check()?;
    let wanted = packages(&checked.1, args.optional);
    let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    if args.install && !wanted.is_empty() {
        show(&checked, Step::Installing)?;
        terminal::say("");
        if let Err(error) = install(&processes, &wanted, debian, args.json) {
            if error.is::<Interrupted>() {
                return Err(error);
            }
            terminal::say(format!("error: {error:#}\n"));
        }
        checked = check()?;
        show(&checked, Step::Installed)?;
    } else {
        show(&checked, Step::Checked { debian })?;
    }
    end(args, &checked.1)
}

/// Prints the report: to stderr where stdout is for `--json`.
fn say(args: &Args, text: &str) -> Result<()> {
    if args.json {
        terminal::say(text.trim_end());
        return Ok(());
    }
    terminal::emit(text.trim_end())
}

/// The last of what is printed, and the exit code.
fn end(args: &Args, findings: &[Finding]) -> Result<ExitCode> {
    if args.json {
        findings.iter().try_for_each(terminal::emit_json)?;
    }
    Ok(ExitCode::from(u8::from(is_blocked(findings))))
}

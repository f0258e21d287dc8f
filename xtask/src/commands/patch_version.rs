//! `cargo xtask patch-version`: the derivations' `build-tools patch-version`, outside of Nix.

use std::process::ExitCode;

use anyhow::Result;
use build_tools::patch_version::{self, Options};
use camino::Utf8PathBuf;

/// Inline the package.json version into a JavaScript module
///
/// `import Package from "../package.json" with { type: "json" };` is removed, and `Package.version`
/// becomes the version as a string; every other byte stays. The import may have any quotes, attributes,
/// relative depth and name. A module that was patched before gets the new version; with the same one
/// nothing is written.
///
/// These are errors, reported with line and column: no such import, or several; a name that is used for
/// anything but `.version`; a version that does not follow Semantic Versioning.
///
/// Exit codes: 0 success, 1 `--check` found another version or none, 2 could not run.
///
/// Example: `cargo xtask patch-version --dry-run web/packages/core/version/node.js 2026.2.0`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The module; a symbolic link is followed
    file: Utf8PathBuf,
    /// The version, such as 2026.2.0
    version: String,
    /// Change nothing; exit code 1 if the module does not have that version
    #[arg(long)]
    check: bool,
    /// Change nothing; print the lines that would change
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = Options {
        file: args.file.into(),
        version: args.version,
        check: args.check,
        dry_run: args.dry_run,
    };
    patch_version::run(&options, &mut std::io::stdout().lock())
}

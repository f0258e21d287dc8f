//! The tasks of this repository: `cargo xtask <command>`.

mod build_host;
mod clients;
mod commands;
mod completions;
mod compute_vendor_hash;
mod containers;
mod derivation;
mod display;
mod docs_check;
mod docs_move;
mod eval_error;
mod go_error;
mod go_modules;
mod hash;
mod history;
mod hooks;
mod junit;
mod nix;
mod output;
mod patch_version;
mod pins;
mod pkgs;
mod process;
mod quote;
mod remote;
mod repo;
mod report;
mod run_model;
mod scratch;
mod service;
mod setup;
mod shipment;
mod sources;
mod sri;
mod ssh_error;
mod stale;
mod store_path;
mod strip_refs;
mod test_build;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process::Interrupted;

/// The tasks of this repository
///
/// Exit codes: 0 good, 1 findings or a failed build, 2 could not run, 129, 130 or 143 interrupted by
/// SIGHUP, SIGINT or SIGTERM. With `--json` stdout holds JSON lines, and what is for people is on stderr.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(setup::Args),
    TestBuild(test_build::Args),
    Run(commands::run::Args),
    StripRefs(strip_refs::Args),
    PatchVersion(patch_version::Args),
    ComputeVendorHash(compute_vendor_hash::Args),
    DocsCheck(docs_check::Args),
    DocsMove(docs_move::Args),
    Hash(hash::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::TestBuild(args) => test_build::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::StripRefs(args) => strip_refs::run(args),
        Command::PatchVersion(args) => patch_version::run(args),
        Command::ComputeVendorHash(args) => compute_vendor_hash::run(&args),
        Command::DocsCheck(args) => docs_check::run(&args),
        Command::DocsMove(args) => docs_move::run(&args),
        Command::Hash(args) => hash::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            output::say(interrupted.to_string());
            return interrupted.exit_code();
        }
        output::say(format!("error: {error:#}"));
        ExitCode::from(2)
    })
}

//! The tasks of this repository: `cargo xtask <command>`.

mod build;
mod commands;
mod completions;
mod golang;
mod machine;
mod nix;
mod package_set;
mod pins;
mod remote;
mod repo;
mod service;
mod update;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use sys::process::Interrupted;
use sys::terminal;

/// The tasks of this repository
///
/// Exit codes: 0 success, 1 findings or a failed build, 2 could not run, 129, 130 or 143 interrupted by
/// SIGHUP, SIGINT or SIGTERM. With `--json` stdout has JSON lines, and human-readable output is on stderr.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(commands::setup::Args),
    TestBuild(commands::test_build::Args),
    Run(commands::run::Args),
    Update(commands::update::Args),
    StripRefs(commands::strip_refs::Args),
    PatchVersion(commands::patch_version::Args),
    ComputeVendorHash(commands::compute_vendor_hash::Args),
    DocsCheck(commands::docs_check::Args),
    DocsGraph(commands::docs_graph::Args),
    DocsList(commands::docs_list::Args),
    DocsMove(commands::docs_move::Args),
    Hash(commands::hash::Args),
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    // Building it takes longer than parsing, and docs-check asks for it.
    let mut cli = Cli::command();
    let mut matches = cli.get_matches_mut();
    let parsed = Cli::from_arg_matches_mut(&mut matches);
    let outcome = match parsed
        .unwrap_or_else(|error| error.format(&mut cli).exit())
        .command
    {
        Command::Setup(args) => commands::setup::run(&args),
        Command::TestBuild(args) => commands::test_build::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Update(args) => commands::update::run(&args),
        Command::StripRefs(args) => commands::strip_refs::run(args),
        Command::PatchVersion(args) => commands::patch_version::run(args),
        Command::ComputeVendorHash(args) => commands::compute_vendor_hash::run(&args),
        Command::DocsCheck(args) => commands::docs_check::run(&args, cli),
        Command::DocsGraph(args) => commands::docs_graph::run(&args),
        Command::DocsList(args) => commands::docs_list::run(&args),
        Command::DocsMove(args) => commands::docs_move::run(&args),
        Command::Hash(args) => commands::hash::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
    };
    outcome.unwrap_or_else(|error| {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            terminal::say(interrupted.to_string());
            return interrupted.exit_code();
        }
        // Who reads the results has enough, as `head` has: no reason to say anything.
        if terminal::is_closed(&error) {
            return ExitCode::from(128 + 13);
        }
        terminal::say(format!("error: {error:#}"));
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use super::completions::engine::offered;
    use super::*;

    #[test]
    fn the_commands_of_this_program() {
        for (line, expected) in [
            ("test-build ", "COMPONENTS"),
            ("test-build client-ts ", "COMPONENTS"),
            ("test-build --list ", "COMPONENTS"),
            ("test-build --all ", "--pins --pkgs --keep-going"),
            ("test-build --pkgs ", "nixpkgs host"),
            ("compute-vendor-hash --container ", "CONTAINERS"),
            ("test-build --pkgs=ho", "--pkgs=nixpkgs --pkgs=host"),
            ("test-build --source ", "PATHS"),
            ("test-build --pins=", "--pins=PATHS"),
            ("hash ", "PATHS"),
            ("hash -- ", "PATHS"),
            ("setup ", "--install --help -h"),
            ("setup --install ", "--help -h"),
            ("completions ", "bash zsh fish"),
            ("completions bash -- ", ""),
            ("help completions ", ""),
        ] {
            let offered = offered(&Cli::command(), line);
            for word in expected.split(' ') {
                assert!(
                    offered.split(' ').any(|it| it == word),
                    "`{line}`: {offered}"
                );
            }
            if !expected.contains("--") {
                assert_eq!(offered, expected, "`{line}`");
            }
        }
    }

    #[test]
    fn every_command_is_offered_with_all_its_flags() {
        let mut command = Cli::command();
        command.build();
        let commands = offered(&command, "");
        for sub_command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = sub_command.get_name();
            assert!(commands.split(' ').any(|it| it == name), "{commands}");
            let flags = offered(&command, &format!("{name} --"));
            for flag in sub_command.get_arguments().filter_map(clap::Arg::get_long) {
                let flag = format!("--{flag}");
                assert!(flags.split(' ').any(|it| it == flag), "{name}: {flags}");
            }
        }
    }
}

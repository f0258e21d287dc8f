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

use clap::{ArgMatches, CommandFactory as _, FromArgMatches, Parser, Subcommand};

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

/// What is said here stands in the list of commands; each command's own help begins with the same.
#[derive(Debug, Subcommand)]
enum Command {
    /// Check this machine's prerequisites
    Setup(Later<commands::setup::Args>),
    /// Build components with Nix, and run their tests
    TestBuild(Later<commands::test_build::Args>),
    /// Build and start a service, with a database of its own
    Run(Later<commands::run::Args>),
    /// Move a container to a new release: versions and hashes, all of them or none
    Update(Later<commands::update::Args>),
    /// Remove references to the Nix store from files
    StripRefs(Later<commands::strip_refs::Args>),
    /// Inline the package.json version into a JavaScript module
    PatchVersion(Later<commands::patch_version::Args>),
    /// Print the `vendorHash` of a Go module, without Nix
    ComputeVendorHash(Later<commands::compute_vendor_hash::Args>),
    /// Check the cards of docs/: links, anchors, front matter, indexes, names
    DocsCheck(Later<commands::docs_check::Args>),
    /// Draw the cards of docs/ as a graph: folders, links, orphans, links that lead nowhere
    DocsGraph(Later<commands::docs_graph::Args>),
    /// List the backlinks of a card, orphans, links that lead nowhere, dead ends or addresses of docs/
    DocsList(Later<commands::docs_list::Args>),
    /// Rename, move, merge or split cards, other files and folders of docs/, and update every link to them
    DocsMove(Later<commands::docs_move::Args>),
    /// Print the SHA-256 of files and trees as Nix computes it
    Hash(Later<commands::hash::Args>),
    /// Print a shell completion script for `cargo xtask`
    Completions(Later<commands::completions::Args>),
}

/// The arguments of a command, described to clap when that command is called and not before: the descriptions of
/// all of them are most of the code that a start would run.
#[derive(Debug)]
struct Later<T>(T);

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: clap::Args> clap::Args for Later<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args_for_update)
    }
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
        Command::Setup(Later(args)) => commands::setup::run(&args),
        Command::TestBuild(Later(args)) => commands::test_build::run(&args),
        Command::Run(Later(args)) => commands::run::run(&args),
        Command::Update(Later(args)) => commands::update::run(&args),
        Command::StripRefs(Later(args)) => commands::strip_refs::run(args),
        Command::PatchVersion(Later(args)) => commands::patch_version::run(args),
        Command::ComputeVendorHash(Later(args)) => commands::compute_vendor_hash::run(&args),
        Command::DocsCheck(Later(args)) => commands::docs_check::run(&args, cli),
        Command::DocsGraph(Later(args)) => commands::docs_graph::run(&args),
        Command::DocsList(Later(args)) => commands::docs_list::run(&args),
        Command::DocsMove(Later(args)) => commands::docs_move::run(&args),
        Command::Hash(Later(args)) => commands::hash::run(&args),
        Command::Completions(Later(args)) => commands::completions::run(&args, Cli::command()),
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
    fn the_list_of_commands_says_what_their_help_says() {
        let listed = Cli::command();
        let mut built = listed.clone();
        built.build();
        for (listed, built) in listed.get_subcommands().zip(built.get_subcommands()) {
            assert_eq!(listed.get_name(), built.get_name());
            let about = |it: &clap::Command| it.get_about().map(ToString::to_string);
            assert_eq!(about(listed), about(built));
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

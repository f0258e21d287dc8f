//! `cargo xtask strip-refs`: what the derivations do by `build-tools strip-refs`, outside of them.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use build_tools::strip_refs::{self, Options};

/// Neutralise the references to the Nix store in trees of files
///
/// Finds every `/nix/store/HASH-NAME` in the contents of regular files, and the hashes of these paths
/// wherever else they stand, and overwrites the 32 characters of each hash with `e`, which is in no
/// hash: no length and no offset changes. The result is that of nixpkgs' remove-references-to for the
/// same store paths, in one pass.
///
/// A file with a reference is replaced in one piece, and keeps mode, owner, times and extended
/// attributes; others are not touched. Names in the tree that are hard links of one another stay so;
/// names outside of it keep the old contents. Links are not followed. References that can't be
/// overwritten (in members of .whl, .zip and .gz, in names of files, where links point to) are listed.
/// Archives in archives are not looked into.
///
/// If it is killed, run it again: until it is done, `.strip-refs.journal` in the tree holds the store
/// paths that were found.
///
/// Exit codes: 0 no reference is left, 1 some are, 2 could not run or finish.
///
/// Example: `cargo xtask strip-refs --venv .venv && cargo xtask strip-refs --check .venv`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Args {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// The store's folder
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store_dir: String,
    /// References to this store path stay; may be given several times
    #[arg(long, value_name = "STOREPATH")]
    keep: Vec<String>,
    /// Hashes of this store path are references even where no path shows it; may be given several times
    #[arg(long, value_name = "STOREPATH")]
    also: Vec<String>,
    /// Neutralise where links point to as well
    #[arg(long)]
    links: bool,
    /// Make Python venvs relocatable: remove `bin`, `__pycache__` and `*.pyc` too, and put `@python@` in
    /// place of the interpreter's prefix in `pyvenv.cfg`
    #[arg(long)]
    venv: bool,
    /// Change nothing; list what would be changed
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Change nothing; list what is there as `path:offset: store path`
    #[arg(long)]
    check: bool,
    /// List references as JSON lines with `path`, `offset` and `store_path`
    #[arg(long)]
    json: bool,
    /// How many threads work; as many as there are processors if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = Options {
        paths: args.paths,
        store_dir: args.store_dir,
        keep: args.keep,
        also: args.also,
        links: args.links,
        venv: args.venv,
        dry_run: args.dry_run,
        check: args.check,
        json: args.json,
        jobs: args.jobs.map(usize::from),
    };
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    strip_refs::run(&options, &mut out, &mut err)
}

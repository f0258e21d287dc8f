//! `cargo xtask strip-refs`: the derivations' `build-tools strip-refs`, outside of Nix.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use build_tools::strip_refs::{self, Options};

/// Remove references to the Nix store from files
///
/// Finds every `/nix/store/HASH-NAME` in the contents of regular files, and other occurrences of these
/// hashes, and overwrites the 32 characters of each hash with `e`, which occurs in no hash: lengths and
/// offsets do not change. The result is that of nixpkgs' remove-references-to for the same store paths,
/// in one pass.
///
/// Files with references are replaced atomically, and keep mode, owner, times and extended attributes;
/// other files are not touched. Hard links within the tree are preserved; names outside of the tree keep
/// the old contents. Symbolic links are not followed. References that can't be overwritten (in members
/// of .whl, .zip, .pyz and .gz, in file names, in targets of symbolic links) are listed. Nested archives
/// are not searched.
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
    /// The store directory
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store_dir: String,
    /// Keep references to this store path; can be repeated
    #[arg(long, value_name = "STOREPATH")]
    keep: Vec<String>,
    /// Treat the hash of this store path as a reference wherever it occurs; can be repeated
    #[arg(long, value_name = "STOREPATH")]
    also: Vec<String>,
    /// Remove references from the targets of symbolic links too
    #[arg(long)]
    links: bool,
    /// Make Python venvs relocatable: remove `bin`, `__pycache__` and `*.pyc` too, and replace the
    /// interpreter's prefix in `pyvenv.cfg` by `@python@`
    #[arg(long)]
    venv: bool,
    /// Change nothing; list what would be changed
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Change nothing; list the references as `path:offset: store path`
    #[arg(long)]
    check: bool,
    /// List references as JSON lines with `path`, `offset` and `store_path`
    #[arg(long)]
    json: bool,
    /// Number of threads [default: number of processors]
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

#[cfg(test)]
mod tests {
    /// build-tools, which derivations build alone, has rules of its own for what a terminal obeys.
    #[test]
    fn the_same_is_escaped_in_both_crates() {
        for c in char::MIN..=char::MAX {
            let text = c.to_string();
            let ours = sys::printable::printable(&text);
            assert_eq!(build_tools::printable::printable(&text), ours);
        }
    }
}

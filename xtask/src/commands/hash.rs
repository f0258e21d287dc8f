//! `cargo xtask hash`: the hash of a path as Nix computes it, without Nix.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use nix_formats::nar;
use sys::terminal;

/// Print the SHA-256 of files and trees as Nix computes it
///
/// The hash is that of the path's NAR, as `nix hash path` gives it: names, contents, links and the
/// owner's execute bit count, nothing else. Nothing but hashes is printed to stdout, one a line, in
/// the order of the paths; if one path can't be hashed, none is printed.
///
/// Exit codes: 0 all hashed, 2 a path can't be read.
///
/// Example: `cargo xtask hash containers/authentik/sample`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What to hash; a link is hashed as a link, but followed with `--flat`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// Hash the contents of a file alone, as `nix hash file` does
    #[arg(long)]
    flat: bool,
    /// Print the digest alone in Nix's base 32, as `nix hash path --base32` does
    #[arg(long)]
    base32: bool,
    /// Print a JSON line with `path` and `hash` for each path
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    hash: &'a str,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut hashes = Vec::new();
    let mut good = true;
    for path in &args.paths {
        let path = Path::new(path);
        let hash = if args.flat {
            nar::flat(path)
        } else {
            nar::tree(path)
        };
        match hash {
            Ok(hash) => hashes.push((path, hash)),
            Err(error) => {
                terminal::say(format!("error: {error:#}"));
                good = false;
            }
        }
    }
    if !good {
        return Ok(ExitCode::from(2));
    }
    for (path, hash) in hashes {
        let hash = if args.base32 {
            hash.to_base32()
        } else {
            hash.to_string()
        };
        if args.json {
            terminal::emit_json(&Line {
                path: &path.to_string_lossy(),
                hash: &hash,
            })?;
        } else {
            terminal::emit(&hash)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

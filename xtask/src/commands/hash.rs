//! `cargo xtask hash`: prints the hash of a path as Nix computes it, without Nix.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use nix_formats::nar;
use sys::files;
use sys::terminal;

/// Print the SHA-256 of files and trees as Nix computes it
///
/// The hash is that of the path's NAR, as with `nix hash path`: it covers names, contents, symlinks and
/// the owner's execute bit, nothing else. Hashes are printed to stdout, one per line, in the order of the
/// paths; if a path can't be hashed, none is printed.
///
/// Files that macOS leaves in folders (`.DS_Store`, `._*`) count as all others do, and are named on stderr.
///
/// Exit codes: 0 all hashed, 2 a path can't be read.
///
/// Example: `cargo xtask hash containers/authentik/sample`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Paths to hash; a symlink is hashed as a symlink, but followed with `--flat`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    /// Hash only the contents of a file, like `nix hash file`
    #[arg(long)]
    flat: bool,
    /// Print only the digest, in Nix's base 32, like `nix hash path --base32`
    #[arg(long)]
    base32: bool,
    /// Print one JSON object per path, with `path` and `hash`
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
    for (path, _) in hashes.iter().filter(|_| !args.flat) {
        let mut found = Vec::new();
        left_by_mac(path, &mut found);
        if let Some(first) = found.iter().min() {
            terminal::say(format!(
                "note: the hash covers files that macOS makes, such as `{}` ({} in all): remove what does not belong there",
                first,
                found.len()
            ));
        }
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

/// The files below a folder that macOS makes, and nobody else.
fn left_by_mac(folder: &Path, found: &mut Vec<String>) {
    // What can't be read was an error before.
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if files::is_left_by_mac(&name) {
            found.push(entry.path().display().to_string());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            left_by_mac(&entry.path(), found);
        }
    }
}

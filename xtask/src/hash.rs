//! `cargo xtask hash`: the hash of a path as Nix computes it, without Nix.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use nar_hash::NarHash;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::output;
use crate::sri::Sri;

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
        match if args.flat { flat(path) } else { tree(path) } {
            Ok(hash) => hashes.push((path, hash)),
            Err(error) => {
                output::say(format!("error: {error:#}"));
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
            output::emit_json(&Line {
                path: &path.to_string_lossy(),
                hash: &hash,
            })?;
        } else {
            output::emit(&hash)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The hash of a file's contents.
pub fn flat(path: &Path) -> Result<Sri> {
    // Asked first: opening a FIFO would wait for a writer.
    if !fs_err::metadata(path)?.is_file() {
        bail!("`{}` is not a regular file", path.display());
    }
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Sri::sha256(hasher.finalize().into())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The hash of a path's NAR.
pub fn tree(path: &Path) -> Result<Sri> {
    Ok(Sri::sha256(nar(path)?.sha256))
}

/// The hash of a path's NAR and its size in bytes.
pub fn nar(path: &Path) -> Result<NarHash> {
    match nar_hash::hash_path(path) {
        Ok(hash) => Ok(hash),
        Err(nar_hash::Error::UnsupportedFileType(path)) => Err(anyhow!(
            "`{}` is neither a file nor a folder nor a link: Nix can't hash it",
            path.display()
        )),
        Err(error) => {
            // The error of an I/O operation does not say where.
            first_unreadable(path)?;
            Err(error).with_context(|| format!("hashing `{}`", path.display()))
        }
    }
}

/// An error that names the first path below `path`, in order of names, that can't be read.
fn first_unreadable(path: &Path) -> std::io::Result<()> {
    let kind = fs_err::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        fs_err::read_link(path).map(|_| ())
    } else if kind.is_dir() {
        let mut entries = fs_err::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        entries.iter().try_for_each(|entry| first_unreadable(entry))
    } else if kind.is_file() {
        fs_err::File::open(path).map(|_| ())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_nix_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let text = camino::Utf8Path::from_path(&file).unwrap();
        output::write_atomically(text, b"hi\n", 0o644).unwrap();
        fs_err::create_dir_all(folder.path().join("d/e")).unwrap();
        // Golden: `nix hash file` and `nix hash path` of Nix 2.8.
        assert_eq!(
            flat(&file).unwrap().to_string(),
            "sha256-mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q="
        );
        assert_eq!(
            tree(folder.path()).unwrap().to_string(),
            "sha256-q8QUJ5op28tocVW6FgPjFNSO8iXhfIZe7/8phyaZ24A="
        );
    }

    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        for error in [tree(&missing), flat(&missing), flat(folder.path())] {
            let message = format!("{:#}", error.unwrap_err());
            assert!(
                message.contains(folder.path().to_str().unwrap()),
                "{message}"
            );
        }
    }
}

//! Hashes of files and trees as Nix computes them: of a file's contents, or of a path's NAR.
//!
//! One thread reads the tree ahead while another hashes.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
pub use nix_archive::nar::NarHash;
use nix_archive::nar::{self, CaseHack, Error};
use sha2::{Digest as _, Sha256};

use crate::sri::Sri;

/// How much is handed over at once, in bytes: it fits into a processor's cache.
const BLOCK: usize = 256 << 10;
/// How many blocks there are: all the memory that a tree takes, whatever its size.
const BLOCKS: usize = 4;

/// Unpacks a NAR of this size, in bytes, as `to`, which must not be there: files, folders and links, and of
/// rights whether a file can be executed.
pub fn restore(from: &mut impl io::Read, size: u64, to: &Path) -> Result<()> {
    let mut from = io::BufReader::new(from.take(size));
    nar::restore_reader(&mut from, to, CaseHack::native())
        .with_context(|| format!("unpacking `{}`", to.display()))?;
    Ok(())
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
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
    match hash_path(path) {
        Ok(hash) => Ok(hash),
        Err(Error::UnsupportedFileType(path)) => Err(anyhow!(
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
fn first_unreadable(path: &Path) -> io::Result<()> {
    let kind = fs_err::symlink_metadata(path)?.file_type();
    if kind.is_symlink() {
        fs_err::read_link(path).map(|_| ())
    } else if kind.is_dir() {
        let mut entries = fs_err::read_dir(path)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        entries.iter().try_for_each(|entry| first_unreadable(entry))
    } else if kind.is_file() {
        fs_err::File::open(path).map(|_| ())
    } else {
        Ok(())
    }
}

/// The size of the NAR of `path`, in bytes, and its SHA-256: a file, a tree, or a link (as a link).
fn hash_path(path: &Path) -> std::result::Result<NarHash, Error> {
    let (full_sender, full) = sync_channel::<Vec<u8>>(BLOCKS);
    let (empty_sender, empty) = sync_channel(BLOCKS);
    thread::scope(|scope| {
        let hashing = scope.spawn(move || digest(&full, &empty_sender));
        let mut blocks = Blocks {
            block: Vec::with_capacity(BLOCK),
            made: 1,
            full: full_sender,
            empty,
        };
        let written = nar::encode_path(&mut blocks, path, CaseHack::native())
            .and_then(|()| Ok(blocks.hand_over()?));
        // Without a sender the other thread ends.
        drop(blocks);
        let hash = hashing.join().map_err(|_| gone());
        written?;
        Ok(hash?)
    })
}

/// Hashes blocks until there are no more, and gives them back to be filled.
fn digest(full: &Receiver<Vec<u8>>, empty: &SyncSender<Vec<u8>>) -> NarHash {
    let mut hasher = Sha256::new();
    let mut size = 0;
    for mut block in full {
        hasher.update(&block);
        size += block.len() as u64;
        block.clear();
        // At the end nobody wants it back.
        let _ = empty.send(block);
    }
    NarHash {
        size,
        sha256: hasher.finalize().into(),
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that hashes ended early")
}

/// A writer that hands over what is written, block by block.
struct Blocks {
    block: Vec<u8>,
    made: usize,
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Blocks {
    fn hand_over(&mut self) -> io::Result<()> {
        let next = if self.made < BLOCKS {
            self.made += 1;
            Vec::with_capacity(BLOCK)
        } else {
            self.empty.recv().map_err(|_| gone())?
        };
        let full = std::mem::replace(&mut self.block, next);
        self.full.send(full).map_err(|_| gone())
    }
}

impl Write for Blocks {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        let taken = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "what is left half-written fails the test"
)]
mod tests {
    use super::*;

    #[test]
    fn as_nix_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs_err::write(&file, "hi\n").unwrap();
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

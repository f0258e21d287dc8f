//! The hash of a path's NAR: one thread reads the tree ahead while another hashes.
//!
//! A crate of its own, so that the dev profile optimises it: the writer of the NAR is generic and would
//! be compiled as part of the program else, without optimisation.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix_archive::nar::{self, CaseHack};
pub use nix_archive::nar::{Error, NarHash};
use sha2::{Digest as _, Sha256};

/// How much is handed over at once, in bytes: it fits into a processor's cache.
const BLOCK: usize = 256 << 10;
/// How many blocks there are: all the memory that a tree takes, whatever its size.
const BLOCKS: usize = 4;

/// The size of the NAR of `path`, in bytes, and its SHA-256: a file, a tree, or a link (as a link).
pub fn hash_path(path: &Path) -> Result<NarHash, Error> {
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

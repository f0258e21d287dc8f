//! What a run leaves for the next one if it is killed.
//!
//! Once a store path is neutralised, nothing tells that a lone hash elsewhere is one. So before the
//! first change all store paths are written down in the tree, and the list goes after the last one.

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::paths::Root;
use super::scan::{self, Hash};

/// What journals' names begin with.
const JOURNAL: &[u8] = b".strip-refs.journal";
/// What temporary files' names begin with.
const TEMPORARY: &[u8] = b".strip-refs.tmp-";
/// The first line: a file without it is none.
const HEAD: &[u8] = b"strip-refs journal 1\n";
/// The longest journal that is read.
const MOST: usize = 64 << 20;

/// Store paths as hash and name.
pub type Paths = Vec<(Hash, Vec<u8>)>;

/// Whether a file of this name may be a journal.
pub fn is_journal(name: &[u8]) -> bool {
    name.starts_with(JOURNAL)
}

/// Whether a file has the name of a temporary file: only a run that was killed leaves one behind.
pub fn is_temporary(name: &[u8]) -> bool {
    let numbers = name.strip_prefix(TEMPORARY).unwrap_or_default();
    let mut numbers = numbers.split(|byte| *byte == b'-');
    let mut is_number = || {
        numbers
            .next()
            .is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    is_number() && is_number() && numbers.next().is_none()
}

/// The name of a temporary file of this process.
pub fn temporary(number: usize) -> Vec<u8> {
    let number = format!("{}-{number}", std::process::id());
    [TEMPORARY, number.as_bytes()].concat()
}

/// The name of a root's journal.
pub fn name(root: &Root) -> Vec<u8> {
    match &root.only {
        Some(name) => [JOURNAL, b"-", name.as_slice()].concat(),
        None => JOURNAL.to_vec(),
    }
}

/// The hashes and names in a journal, or `None` if the file is none.
pub fn read(fd: BorrowedFd<'_>) -> Result<Option<Paths>> {
    let mut bytes = vec![0; HEAD.len()];
    let mut filled = 0;
    loop {
        match rustix::io::pread(fd, &mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if filled >= HEAD.len() && (!bytes.starts_with(HEAD) || filled > MOST) {
            return Ok(None);
        }
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
    }
    Ok(parse(&bytes[..filled]))
}

fn parse(bytes: &[u8]) -> Option<Paths> {
    let lines = bytes.strip_prefix(HEAD)?.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(scan::hash_and_name);
    Some(pairs.map(|(hash, name)| (*hash, name.to_vec())).collect())
}

fn render<'a>(paths: impl Iterator<Item = (&'a Hash, &'a Vec<u8>)>) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    for (hash, name) in paths {
        bytes.extend_from_slice(hash);
        bytes.push(b'-');
        bytes.extend_from_slice(name);
        bytes.push(b'\n');
    }
    bytes
}

/// Writes a root's journal, in one piece, before the first change.
pub fn write<'a>(root: &Root, paths: impl Iterator<Item = (&'a Hash, &'a Vec<u8>)>) -> Result<()> {
    let temporary = temporary(0);
    let write = || -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&root.folder, temporary.as_slice(), flags, mode)?;
        write_all(file.as_fd(), &render(paths), 0)?;
        rustix::fs::fsync(&file)?;
        rustix::fs::renameat(
            &root.folder,
            temporary.as_slice(),
            &root.folder,
            name(root).as_slice(),
        )?;
        Ok(())
    };
    write().with_context(|| {
        let _ = rustix::fs::unlinkat(&root.folder, temporary.as_slice(), AtFlags::empty());
        let place = [&root.prefix, name(root).as_slice()].concat();
        format!(
            "writing the journal `{}`: nothing was changed",
            String::from_utf8_lossy(&place)
        )
    })
}

/// Writes all bytes at an offset.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(length) => {
                bytes = &bytes[length..];
                offset += length as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_as_written() {
        let hash = *b"0123456789abcdfghijklmnpqrsvwxyz";
        let paths = [(hash, b"bash-5.3".to_vec()), ([b'z'; 32], b"x".to_vec())];
        let bytes = render(paths.iter().map(|(hash, name)| (hash, name)));
        assert_eq!(parse(&bytes), Some(paths.to_vec()));
        // Somebody else's file of that name.
        assert_eq!(parse(b"notes\n"), None);
    }

    #[test]
    fn names_of_temporary_files() {
        assert!(is_temporary(&temporary(12)));
        for other in [
            ".strip-refs.tmp-",
            ".strip-refs.tmp-1",
            ".strip-refs.tmp-1-a",
            "x-1-2",
            ".strip-refs.tmp-1-2-3",
        ] {
            assert!(!is_temporary(other.as_bytes()), "{other}");
        }
    }
}

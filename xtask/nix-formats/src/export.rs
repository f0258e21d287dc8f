//! What `nix-store --export` writes, passed on path by path: only what was asked for reaches an import.
//!
//! The path that an item is for comes behind its NAR, and `nix-store --import` takes whatever path that is
//! (`libstore/export-import.cc`). So the end of an item is read and compared before it is passed on.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use anyhow::{Result, bail, ensure};

use crate::store_path::is_derivation;

/// What follows the NAR of an item.
const MAGIC: u64 = 0x4558_494e;
/// The longest path, in bytes, and the most references of one.
const LONGEST: u64 = 4096;
const MOST: u64 = 100_000;

/// Passes on the one item of an export: of this path, whose NAR has this size in bytes, with references to
/// known paths only.
///
/// Nothing that is passed on counts before the end of the item, which is not passed on if it is wrong.
/// [`finish`] ends the export of all items.
pub fn pass_on(
    from: &mut impl Read,
    path: &str,
    nar_size: u64,
    known: &BTreeSet<String>,
    to: &mut impl Write,
) -> Result<()> {
    ensure!(number(from)? == 1, "there is no `{path}` in the export");
    to.write_all(&1_u64.to_le_bytes())?;
    let copied = io::copy(&mut from.take(nar_size), to)?;
    ensure!(copied == nar_size, "the export of `{path}` is cut short");
    let mut end = Vec::new();
    let mut noted = Noted(&mut *from, &mut end);
    ensure!(
        number(&mut noted)? == MAGIC,
        "the export of `{path}` has another size than was said"
    );
    ensure!(
        text(&mut noted)? == path,
        "the export holds another path than `{path}`"
    );
    let count = number(&mut noted)?;
    ensure!(count <= MOST, "`{path}` has too many references");
    for _ in 0..count {
        let reference = text(&mut noted)?;
        ensure!(
            known.contains(&reference),
            "`{path}` refers to a path that was not asked for"
        );
    }
    let deriver = text(&mut noted)?;
    ensure!(
        deriver.is_empty() || is_derivation(&deriver),
        "the deriver of `{path}` is no derivation"
    );
    ensure!(number(&mut noted)? == 0, "the export of `{path}` is signed");
    to.write_all(&end)?;
    ensure!(number(from)? == 0, "the export holds more than `{path}`");
    Ok(())
}

/// Ends an export.
pub fn finish(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&0_u64.to_le_bytes())
}

/// Keeps what is read.
struct Noted<'a, R>(&'a mut R, &'a mut Vec<u8>);

impl<R: Read> Read for Noted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        self.1.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn text(from: &mut impl Read) -> Result<String> {
    let length = number(from)?;
    if length > LONGEST {
        bail!("a path of {length} bytes");
    }
    let padded = length.next_multiple_of(8);
    let mut bytes = vec![0; usize::try_from(padded)?];
    from.read_exact(&mut bytes)?;
    bytes.truncate(usize::try_from(length)?);
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/nix/store/6506wv90034i61g33h3i7jn1bv2fqm8a-a";
    const OTHER: &str = "/nix/store/6506wv90034i61g33h3i7jn1bv2fqm8a-b";

    fn put(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }

    fn item(path: &str, references: &[&str], deriver: &str, magic: u64) -> Vec<u8> {
        let mut bytes = 1_u64.to_le_bytes().to_vec();
        bytes.extend([7; 16]);
        bytes.extend(magic.to_le_bytes());
        put(&mut bytes, path);
        bytes.extend((references.len() as u64).to_le_bytes());
        for reference in references {
            put(&mut bytes, reference);
        }
        put(&mut bytes, deriver);
        bytes.extend(0_u64.to_le_bytes());
        bytes
    }

    fn passed(bytes: &[u8]) -> (Result<()>, Vec<u8>) {
        let known = BTreeSet::from([PATH.to_owned()]);
        let mut to = Vec::new();
        (pass_on(&mut &*bytes, PATH, 16, &known, &mut to), to)
    }

    #[test]
    fn what_was_asked_for_is_passed_on_and_nothing_else() {
        let good = item(PATH, &[PATH], &format!("{OTHER}.drv"), MAGIC);
        let ended = |item: &[u8]| [item, &0_u64.to_le_bytes()].concat();
        let (result, to) = passed(&ended(&good));
        result.unwrap();
        assert_eq!(to, good);
        for wrong in [
            ended(&item(OTHER, &[], "", MAGIC)),
            ended(&item(PATH, &[OTHER], "", MAGIC)),
            ended(&item(PATH, &[], "/etc/passwd", MAGIC)),
            ended(&item(PATH, &[], "", 1)),
            good[..60].to_vec(),
            Vec::new(),
        ] {
            let (result, to) = passed(&wrong);
            assert!(result.is_err());
            // The NAR alone, without an end, is nothing to an import.
            assert!(to.len() <= 24, "{}", to.len());
        }
        assert!(passed(&[&*good, &good].concat()).0.is_err());
        assert!(passed(&good).0.is_err());
    }
}

//! Passes what a file holds through a window: its data without its holes, and the members of archives.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result, bail, ensure};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use rustix::fs::SeekFrom;
use rustix::io::{Errno, pread};

use super::scan::{LENGTH, Row, Visitor, Window};
use crate::platform;

/// How much of a file is searched before its holes are looked for: it would take longer in small ones.
const SMALL: u64 = 1 << 20;
/// How much of an archive is read at once.
const CHUNK: usize = 1 << 16;
/// The longest list of members that is read into memory.
const MOST_DIRECTORY: u64 = 16 << 20;

/// What is called with the member of an archive, or `None` for the file itself, and a row in it.
pub type Sink<'a> = &'a mut dyn FnMut(Option<&[u8]>, Row<'_>);

/// What was seen of a file.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its length.
    pub bytes: u64,
    /// Why it, or a member of it, could not be looked into.
    pub warnings: Vec<String>,
}

/// Reads the file at an offset until the buffer is full or the file ends.
fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(fd, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// All of a small file.
pub fn whole(fd: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let size = usize::try_from(rustix::fs::fstat(fd)?.st_size)?;
    ensure!(size as u64 <= SMALL, "it is longer than 1 MiB");
    let mut bytes = vec![0; size];
    let length = read_at(fd, &mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Calls `each` with the rows of a file's data, and `copy` with the data and its offset before that.
/// Holes in the first `whole` bytes are read as data. The answer is the file's length.
pub fn data(
    fd: BorrowedFd<'_>,
    window: &mut Window,
    whole: u64,
    each: Visitor<'_>,
    copy: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<u64> {
    let mut offset = 0;
    // Up to where there is data.
    let mut data_end = whole;
    window.restart(0);
    loop {
        if offset >= data_end {
            let Some((from, to)) = next_data(fd, offset)? else {
                // a hole to the end of the file
                window.end(each);
                let length = rustix::fs::fstat(fd)?.st_size;
                return Ok(offset.max(u64::try_from(length).unwrap_or(0)));
            };
            if from > offset {
                window.end(each);
                window.restart(from);
                offset = from;
            }
            data_end = to;
        }
        let space = window.space();
        let wanted =
            usize::try_from(data_end - offset).map_or(space.len(), |most| most.min(space.len()));
        let length = match pread(fd, &mut space[..wanted], offset) {
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if length == 0 {
            window.end(each);
            return Ok(offset);
        }
        copy(offset, &space[..length])?;
        window.came(length, each);
        offset += length as u64;
    }
}

/// The next stretch of data at or after an offset.
fn next_data(fd: BorrowedFd<'_>, offset: u64) -> Result<Option<(u64, u64)>> {
    if !platform::KNOWS_HOLES {
        return Ok(Some((offset, u64::MAX)));
    }
    let from = match rustix::fs::seek(fd, SeekFrom::Data(offset)) {
        Ok(from) => from,
        Err(Errno::NXIO) => return Ok(None),
        // a file system that knows no holes
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((offset, u64::MAX))),
        Err(error) => return Err(error.into()),
    };
    let to = rustix::fs::seek(fd, SeekFrom::Hole(from))?;
    Ok(Some((from, to.max(from + 1))))
}

/// Calls `sink` with all rows of a file, those of its members included if it is an archive.
///
/// `name` is the file's, whose ending tells what it should be.
pub fn file(fd: BorrowedFd<'_>, name: &[u8], window: &mut Window, sink: Sink<'_>) -> Result<Seen> {
    let archive = RefCell::new(Archive::None);
    let warning = RefCell::new(None);
    let mut skipped = false;
    let bytes = data(
        fd,
        window,
        SMALL,
        &mut |row| {
            if archive.borrow().stores(row.offset) {
                skipped = true;
            } else {
                sink(None, row);
            }
        },
        &mut |offset, bytes| {
            if offset == 0 {
                match Archive::of(fd, name, bytes) {
                    Ok(found) => *archive.borrow_mut() = found,
                    Err(error) => *warning.borrow_mut() = Some(format!("{error:#}")),
                }
            }
            Ok(())
        },
    )?;
    let mut warnings = Vec::from_iter(warning.into_inner());
    match archive.into_inner() {
        Archive::None => {}
        Archive::Gzip { .. } => {
            let mut stored = Vec::new();
            if let Err(error) = gzip(fd, window, &mut stored, &mut |row| sink(Some(b""), row)) {
                warnings.push(format!("{error:#}"));
            }
            if skipped {
                // Heads, and what follows the last member, have no checksum.
                let archive = Archive::Gzip { stored };
                let mut each = |row: Row<'_>| {
                    if !archive.stores(row.offset) {
                        sink(None, row);
                    }
                };
                data(fd, window, SMALL, &mut each, &mut |_, _| Ok(()))?;
            }
        }
        Archive::Zip { entries, .. } => {
            for entry in entries {
                let mut each = |row: Row<'_>| sink(Some(&entry.name), row);
                if let Err(error) = member(fd, &entry, window, &mut each) {
                    let name = String::from_utf8_lossy(&entry.name);
                    warnings.push(format!("member `{name}`: {error:#}"));
                }
            }
        }
    }
    Ok(Seen { bytes, warnings })
}

/// What kind of archive a file is, and which bytes of it have a checksum.
#[derive(Debug)]
pub enum Archive {
    /// None that is known.
    None,
    /// A compressed file.
    Gzip {
        /// Where its compressed data is, in order: all of it before [`gzip`] has read it.
        stored: Vec<Range<u64>>,
    },
    /// A zip archive, such as a wheel.
    Zip {
        /// The members.
        entries: Vec<Entry>,
        /// Where their data is, in order.
        stored: Vec<Range<u64>>,
    },
}

/// A member of a zip archive.
#[derive(Debug)]
pub struct Entry {
    name: Vec<u8>,
    method: u16,
    encrypted: bool,
    data: Range<u64>,
}

impl Archive {
    /// Looks at the start of a file, and for zip at its list of members. An error is a reason why the
    /// archive can't be looked into.
    pub fn of(fd: BorrowedFd<'_>, name: &[u8], start: &[u8]) -> Result<Self> {
        if start.starts_with(&[0x1f, 0x8b, 8]) {
            let stored = std::iter::once(0..u64::MAX).collect();
            return Ok(Self::Gzip { stored });
        }
        let is_zip = start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06");
        // The head of each member has the byte 3, scripts have not: they are not worth another look.
        if is_zip || (start.starts_with(b"#!") && start.contains(&3)) {
            match entries(fd) {
                Ok(entries) => return Ok(Self::zip(entries)),
                Err(error) if is_zip => {
                    return Err(error.context("it can't be read as a zip archive"));
                }
                // a script
                Err(_) => {}
            }
        }
        let lower = name.to_ascii_lowercase();
        if [".whl", ".zip", ".pyz", ".gz"]
            .iter()
            .any(|ending| lower.ends_with(ending.as_bytes()))
        {
            bail!("its name says that it is an archive, but it is none");
        }
        Ok(Self::None)
    }

    fn zip(entries: Vec<Entry>) -> Self {
        let data = entries.iter().map(|entry| entry.data.clone());
        let mut stored: Vec<_> = data.filter(|data| !data.is_empty()).collect();
        stored.sort_unstable_by_key(|range| range.start);
        Self::Zip { entries, stored }
    }

    /// Whether bytes of the hash at an offset belong to the data of a member: a compressed one can hold
    /// some as they are, too. They have a checksum: they are not to be changed.
    pub fn stores(&self, offset: u64) -> bool {
        let (Self::Gzip { stored } | Self::Zip { stored, .. }) = self else {
            return false;
        };
        let next = stored.partition_point(|range| range.end <= offset);
        stored
            .get(next)
            .is_some_and(|range| range.start < offset + LENGTH as u64)
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let chunk = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_le_bytes(*chunk).into())
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

/// The members of a zip archive, by the list at its end (APPNOTE.TXT of PKWARE, 4.3).
fn entries(fd: BorrowedFd<'_>) -> Result<Vec<Entry>> {
    let size = u64::try_from(rustix::fs::fstat(fd)?.st_size)?;
    // The end record has 22 bytes and a comment of up to 65,535.
    let tail_start = size.saturating_sub(22 + 65_535);
    let mut tail = vec![0; usize::try_from(size - tail_start)?];
    let length = read_at(fd, &mut tail, tail_start)?;
    tail.truncate(length);
    let end = (0..=tail.len().saturating_sub(22))
        .rev()
        .find(|place| tail[*place..].starts_with(b"PK\x05\x06"))
        .context("the list of its members is missing")?;
    let end_offset = tail_start + end as u64;
    let short = "the list of its members is cut off";
    let mut length = u32_at(&tail, end + 12).context(short)?;
    let mut start = u32_at(&tail, end + 16).context(short)?;
    let is_zip64 = length == u64::from(u32::MAX) || start == u64::from(u32::MAX);
    if let (true, Some(locator_offset)) = (is_zip64, end_offset.checked_sub(20)) {
        let mut locator = [0; 20];
        read_at(fd, &mut locator, locator_offset)?;
        let mut record = [0; 56];
        ensure!(locator.starts_with(b"PK\x06\x07"), "{short}");
        read_at(fd, &mut record, u64_at(&locator, 8).context(short)?)?;
        ensure!(record.starts_with(b"PK\x06\x06"), "{short}");
        length = u64_at(&record, 40).context(short)?;
        start = u64_at(&record, 48).context(short)?;
    }
    ensure!(
        length <= MOST_DIRECTORY,
        "the list of its members is longer than 16 MiB"
    );
    ensure!(
        start
            .checked_add(length)
            .is_some_and(|end| end <= end_offset),
        "{short}"
    );
    let mut list = vec![0; usize::try_from(length)?];
    ensure!(read_at(fd, &mut list, start)? == list.len(), "{short}");
    // Offsets may be counted from the end of what was put before the archive, such as a `#!` line.
    let mut before = 0;
    if !list.starts_with(b"PK\x01\x02") {
        before = end_offset - length - start;
        read_at(fd, &mut list, start + before)?;
    }

    let mut entries = Vec::new();
    let mut rest = list.as_slice();
    let mut total = 0_u64;
    while !rest.is_empty() {
        ensure!(
            rest.starts_with(b"PK\x01\x02"),
            "the list of its members is damaged"
        );
        let (entry, after) =
            entry(fd, rest, before).context("the list of its members is damaged")?;
        // Members that overlap make bombs of small archives.
        total = total.saturating_add(entry.data.end - entry.data.start);
        ensure!(
            total <= size && entry.data.end <= size,
            "its members overlap or are cut off"
        );
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// The first entry of the list, and what follows. Offsets are counted from `before`.
fn entry<'a>(fd: BorrowedFd<'_>, list: &'a [u8], before: u64) -> Option<(Entry, &'a [u8])> {
    let name_end = 46 + usize::from(u16_at(list, 28)?);
    let extra_end = name_end + usize::from(u16_at(list, 30)?);
    let after = extra_end + usize::from(u16_at(list, 32)?);
    let mut size = u32_at(list, 20)?;
    let mut local = u32_at(list, 42)?;
    // In zip64 the values that don't fit are in a field of their own, in this order.
    let mut extra = list.get(name_end..extra_end)?;
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let field = extra.get(4..4 + usize::from(length))?;
        if id == 1 {
            let mut values = field.chunks_exact(8).map(|value| u64_at(value, 0));
            if u32_at(list, 24)? == u64::from(u32::MAX) {
                values.next();
            }
            for value in [&mut size, &mut local] {
                if *value == u64::from(u32::MAX) {
                    *value = values.next()??;
                }
            }
        }
        extra = &extra[4 + field.len()..];
    }
    let local = local.checked_add(before)?;
    let mut header = [0; 30];
    read_at(fd, &mut header, local).ok()?;
    if !header.starts_with(b"PK\x03\x04") {
        return None;
    }
    let names = u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?);
    let start = local.checked_add(30 + names)?;
    let entry = Entry {
        name: list.get(46..name_end)?.to_vec(),
        method: u16_at(list, 10)?,
        encrypted: u16_at(list, 8)? & 1 != 0,
        data: start..start.checked_add(size)?,
    };
    Some((entry, list.get(after..)?))
}

/// Calls `each` with the rows of a member.
fn member(fd: BorrowedFd<'_>, entry: &Entry, window: &mut Window, each: Visitor<'_>) -> Result<()> {
    ensure!(!entry.encrypted, "it is encrypted");
    let mut input = Input::new(fd, entry.data.clone());
    window.restart(0);
    match entry.method {
        0 => {
            while input.fill()? {
                while !input.bytes().is_empty() {
                    let space = window.space();
                    let length = space.len().min(input.bytes().len());
                    space[..length].copy_from_slice(&input.bytes()[..length]);
                    input.used += length;
                    window.came(length, each);
                }
            }
        }
        8 => deflated(&mut input, window, each)?,
        other => bail!("it is compressed by method {other}, which is not known here"),
    }
    window.end(each);
    Ok(())
}

/// Calls `each` with the rows of what a compressed file holds (RFC 1952), and puts into `stored` where the
/// compressed data of its whole members is: a damaged one has no checksum that holds.
pub fn gzip(
    fd: BorrowedFd<'_>,
    window: &mut Window,
    stored: &mut Vec<Range<u64>>,
    each: Visitor<'_>,
) -> Result<()> {
    let mut input = Input::new(fd, 0..u64::MAX);
    stored.clear();
    window.restart(0);
    // Several may follow each other; zeros and rubbish may follow, as gzip has it.
    while input.at_least(10)? && input.bytes().starts_with(&[0x1f, 0x8b, 8]) {
        let flags = input.bytes()[3];
        input.used += 10;
        let cut = "its head is cut off";
        if flags & 4 != 0 {
            ensure!(input.at_least(2)?, "{cut}");
            let length = usize::from(u16_at(input.bytes(), 0).context(cut)?);
            input.used += 2;
            ensure!(input.at_least(length)?, "{cut}");
            input.used += length;
        }
        for _ in [8, 16].into_iter().filter(|flag| flags & flag != 0) {
            ensure!(input.skip_text()?, "{cut}");
        }
        if flags & 2 != 0 {
            ensure!(input.at_least(2)?, "{cut}");
            input.used += 2;
        }
        let start = input.offset();
        deflated(&mut input, window, each)?;
        ensure!(input.at_least(8)?, "its end is cut off");
        input.used += 8;
        stored.push(start..input.offset());
    }
    ensure!(!stored.is_empty(), "its head is cut off");
    window.end(each);
    Ok(())
}

/// Calls `each` with the rows of a deflated stream, up to its end.
fn deflated(input: &mut Input<'_>, window: &mut Window, each: Visitor<'_>) -> Result<()> {
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    loop {
        let more = input.fill()?;
        let result = inflate(&mut state, input.bytes(), window.space(), MZFlush::None);
        input.used += result.bytes_consumed;
        window.came(result.bytes_written, each);
        match result.status {
            Ok(MZStatus::StreamEnd) => return Ok(()),
            Ok(_) if more || result.bytes_written > 0 => {}
            Ok(_) | Err(miniz_oxide::MZError::Buf) => bail!("what is compressed in it is cut off"),
            Err(_) => bail!("what is compressed in it is damaged"),
        }
    }
}

/// A part of a file, read piece by piece.
struct Input<'a> {
    fd: BorrowedFd<'a>,
    rest: Range<u64>,
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> Input<'a> {
    fn new(fd: BorrowedFd<'a>, rest: Range<u64>) -> Self {
        let (buffer, used) = (Vec::new(), 0);
        Self {
            fd,
            rest,
            buffer,
            used,
        }
    }

    /// What was read and not used.
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.used..]
    }

    /// Where in the file what was not used begins.
    fn offset(&self) -> u64 {
        self.rest.start - self.bytes().len() as u64
    }

    /// Skips text up to the zero at its end; whether there is one.
    fn skip_text(&mut self) -> Result<bool> {
        while self.fill()? {
            let end = self.bytes().iter().position(|byte| *byte == 0);
            self.used += end.map_or(self.bytes().len(), |end| end + 1);
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads on if all was used; whether there is anything.
    fn fill(&mut self) -> Result<bool> {
        self.at_least(1)
    }

    /// Reads on if fewer bytes than these are there; whether there are as many.
    fn at_least(&mut self, wanted: usize) -> Result<bool> {
        if self.bytes().len() < wanted {
            self.buffer.drain(..self.used);
            self.used = 0;
            let had = self.buffer.len();
            let most = CHUNK.max(wanted) - had;
            let length = usize::try_from(self.rest.end - self.rest.start)
                .map_or(most, |rest| rest.min(most));
            self.buffer.resize(had + length, 0);
            let length = read_at(self.fd, &mut self.buffer[had..], self.rest.start)?;
            self.buffer.truncate(had + length);
            self.rest.start += length as u64;
        }
        Ok(self.bytes().len() >= wanted)
    }
}

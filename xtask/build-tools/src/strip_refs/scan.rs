//! Where in bytes the hashes of store paths are.
//!
//! Every reference holds 32 characters of Nix's base 32 in a row, and few other bytes do: so a search
//! for such rows, which looks at two or three bytes in 32, finds store paths and lone hashes at once.

use std::collections::HashSet;

/// How long the hash of a store path is.
pub const LENGTH: usize = 32;
/// The 32 characters of a store path's hash, in Nix's base 32.
pub type Hash = [u8; LENGTH];
/// What replaces a hash. `e` is not in the alphabet, so this is not a reference.
pub const NEUTRAL: Hash = [b'e'; LENGTH];

/// The longest name of a store path (`checkName` in Nix's `libstore/path.cc`).
const NAME: usize = 211;
/// What has to be known after the start of a hash to tell whether a store path is there.
const AHEAD: usize = LENGTH + 1 + NAME;

/// Nix's base 32 (`nix32Chars` in `libutil/hash.cc`): no e, o, t, u.
const ALPHABET: [bool; 256] = {
    let mut table = [false; 256];
    let characters = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut n = 0;
    while n < characters.len() {
        table[characters[n] as usize] = true;
        n += 1;
    }
    table
};

/// Whether a byte can be part of a hash.
pub fn in_alphabet(byte: u8) -> bool {
    ALPHABET[byte as usize]
}

/// Whether a byte can be part of the name of a store path.
pub fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte)
}

/// The hash and the name at the start of `bytes`, if they read `HASH-NAME`.
pub fn hash_and_name(bytes: &[u8]) -> Option<(&Hash, &[u8])> {
    let (hash, rest) = bytes.split_first_chunk::<LENGTH>()?;
    if !hash.iter().all(|byte| in_alphabet(*byte)) {
        return None;
    }
    let name = rest.strip_prefix(b"-")?;
    let length = name.iter().position(|byte| !in_name(*byte));
    let name = &name[..length.unwrap_or(name.len()).min(NAME)];
    (!name.is_empty()).then_some((hash, name))
}

/// Calls `each` with every place from `from` up to `to` where 32 characters of the alphabet begin.
/// The answer is where to go on, `to` or later.
fn rows(bytes: &[u8], from: usize, to: usize, mut each: impl FnMut(usize)) -> usize {
    let mut start = from;
    while start < to {
        let Some(row) = bytes.get(start..start + LENGTH) else {
            return to;
        };
        // From the end: the last byte that can't be in a hash says how far to go on.
        if let Some(foreign) = row.iter().rposition(|byte| !in_alphabet(*byte)) {
            start += foreign + 1;
            continue;
        }
        loop {
            each(start);
            start += 1;
            if start >= to
                || !bytes
                    .get(start + LENGTH - 1)
                    .is_some_and(|byte| in_alphabet(*byte))
            {
                break;
            }
        }
    }
    start
}

/// A place where 32 characters of the alphabet begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The 32 characters.
    pub hash: &'a Hash,
    /// What follows the hash and a dash, if the store's folder precedes them: then this is a
    /// store path.
    pub name: Option<&'a [u8]>,
}

/// What [`Window`] calls with each row, in order of their offsets.
pub type Visitor<'a> = &'a mut dyn FnMut(Row<'_>);

/// A buffer through which a file passes; what lies across its ends is found all the same.
#[derive(Debug)]
pub struct Window {
    /// The store's folder with a slash at its end.
    store: Vec<u8>,
    bytes: Vec<u8>,
    filled: usize,
    /// All rows that begin before this are found.
    done: usize,
    /// Where in the file the buffer begins.
    start: u64,
}

impl Window {
    /// A buffer of `size` bytes for references to a store such as `/nix/store`.
    pub fn new(store: &[u8], size: usize) -> Self {
        let store = [store, b"/"].concat();
        let least = 2 * (store.len() + AHEAD);
        Self {
            bytes: vec![0; size.max(least)],
            store,
            filled: 0,
            done: 0,
            start: 0,
        }
    }

    /// Begins anew at this offset of a file: nothing precedes it but zeros or another file.
    pub fn restart(&mut self, offset: u64) {
        (self.filled, self.done, self.start) = (0, 0, offset);
    }

    /// Where the next bytes go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Takes the first `length` bytes of [`Self::space`] as the next ones of the file.
    pub fn came(&mut self, length: usize, each: Visitor<'_>) {
        self.filled += length;
        self.visit((self.filled + 1).saturating_sub(AHEAD), each);
        if self.filled == self.bytes.len() {
            // What may precede the next row has to stay.
            let keep = self.done.saturating_sub(self.store.len()).min(self.filled);
            self.bytes.copy_within(keep..self.filled, 0);
            self.filled -= keep;
            self.done -= keep;
            self.start += keep as u64;
        }
    }

    /// Says that nothing follows but zeros, or the file's end.
    pub fn end(&mut self, each: Visitor<'_>) {
        self.visit((self.filled + 1).saturating_sub(LENGTH), each);
    }

    fn visit(&mut self, to: usize, each: Visitor<'_>) {
        let bytes = &self.bytes[..self.filled];
        self.done = rows(bytes, self.done, to, |place| {
            let Some(hash) = bytes[place..].first_chunk() else {
                return;
            };
            let is_path = bytes[..place].ends_with(&self.store);
            each(Row {
                offset: self.start + place as u64,
                hash,
                name: is_path
                    .then(|| hash_and_name(&bytes[place..]))
                    .flatten()
                    .map(|(_, name)| name),
            });
        });
    }
}

/// Calls `each` with every row of bytes that are at hand in full.
pub fn visit(store: &[u8], bytes: &[u8], each: Visitor<'_>) {
    let mut window = Window::new(store, bytes.len() + 1);
    window.space()[..bytes.len()].copy_from_slice(bytes);
    window.came(bytes.len(), each);
    window.end(each);
}

/// A set of hashes, quick to say no: rows that are no hash are many.
#[derive(Clone, Debug)]
pub struct Hashes {
    all: HashSet<Hash>,
    sieve: Box<[u64; 1024]>,
}

impl FromIterator<Hash> for Hashes {
    fn from_iter<T: IntoIterator<Item = Hash>>(hashes: T) -> Self {
        let all: HashSet<Hash> = hashes.into_iter().collect();
        let mut sieve = Box::new([0; 1024]);
        for hash in &all {
            let place = Self::place(hash);
            sieve[place / 64] |= 1 << (place % 64);
        }
        Self { all, sieve }
    }
}

impl Hashes {
    /// Whether the set holds this hash.
    pub fn contains(&self, hash: &Hash) -> bool {
        let place = Self::place(hash);
        self.sieve[place / 64] & (1 << (place % 64)) != 0 && self.all.contains(hash)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn place(hash: &Hash) -> usize {
        let first = hash
            .first_chunk()
            .map_or(0, |chunk| u64::from_le_bytes(*chunk));
        // Fibonacci hashing: the upper 16 bits depend on all eight characters.
        (first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
    }
}

/// Chooses among known hashes that overlap those that sed would replace, were it called for each
/// hash in turn, in order of the hashes.
///
/// That order is a store path's in every sorted list. Beyond [`Chooser::MOST`] hashes that all overlap
/// their neighbours the first in the file goes first: no hash but a made-up one does that.
#[derive(Debug, Default)]
pub struct Chooser {
    pending: Vec<(u64, Hash)>,
    /// The end of the last one that was chosen.
    end: u64,
}

impl Chooser {
    const MOST: usize = 4096;

    /// Takes a known hash; offsets must grow. Calls `chosen` with the offsets that are certain.
    pub fn push(&mut self, offset: u64, hash: &Hash, chosen: &mut dyn FnMut(u64)) {
        let apart = |(last, _): &(u64, Hash)| last + LENGTH as u64 <= offset;
        if self.pending.last().is_some_and(apart) || self.pending.len() >= Self::MOST {
            self.end(chosen);
        }
        self.pending.push((offset, *hash));
    }

    /// Says that no further hash comes.
    pub fn end(&mut self, chosen: &mut dyn FnMut(u64)) {
        if let [(offset, _)] = self.pending[..] {
            if offset >= self.end {
                self.end = offset + LENGTH as u64;
                chosen(offset);
            }
            self.pending.clear();
            return;
        }
        self.pending.retain(|(offset, _)| *offset >= self.end);
        self.pending
            .sort_unstable_by_key(|(offset, hash)| (*hash, *offset));
        let mut taken: Vec<u64> = Vec::new();
        for (offset, _) in self.pending.drain(..) {
            let next = taken.partition_point(|place| *place < offset);
            let before = next.checked_sub(1).and_then(|n| taken.get(n));
            let free_before = before.is_none_or(|place| place + LENGTH as u64 <= offset);
            let free_after = taken
                .get(next)
                .is_none_or(|place| offset + LENGTH as u64 <= *place);
            if free_before && free_after {
                taken.insert(next, offset);
            }
        }
        if let Some(last) = taken.last() {
            self.end = last + LENGTH as u64;
        }
        taken.into_iter().for_each(chosen);
    }
}

/// The same bytes with each known hash neutralised, and how many there were.
pub fn neutralise(store: &[u8], bytes: &[u8], known: &Hashes) -> (Vec<u8>, u64) {
    let mut found = Vec::new();
    let mut chooser = Chooser::default();
    let mut chosen = |offset| found.push(offset);
    visit(store, bytes, &mut |row| {
        if known.contains(row.hash) {
            chooser.push(row.offset, row.hash, &mut chosen);
        }
    });
    chooser.end(&mut chosen);
    let mut bytes = bytes.to_vec();
    for offset in &found {
        if let Some(place) = usize::try_from(*offset)
            .ok()
            .and_then(|offset| bytes.get_mut(offset..offset + LENGTH))
        {
            place.copy_from_slice(&NEUTRAL);
        }
    }
    (bytes, found.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "0123456789abcdfghijklmnpqrsvwxyz";
    const B: &str = "zyxwvsrqpnmlkjihgfdcba9876543210";

    fn paths(text: &[u8]) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        visit(b"/nix/store", text, &mut |row| {
            if let Some(name) = row.name {
                let hash = String::from_utf8_lossy(row.hash);
                found.push((
                    row.offset,
                    format!("{hash}-{}", String::from_utf8_lossy(name)),
                ));
            }
        });
        found
    }

    #[test]
    fn what_is_a_store_path() {
        for (text, expected) in [
            (format!("/nix/store/{A}-x"), Some((11, format!("{A}-x")))),
            (
                format!("=/nix/store/{A}-a+b-1.2_3?=/bin"),
                Some((12, format!("{A}-a+b-1.2_3?="))),
            ),
            (
                format!("/nix/store//nix/store/{A}-x\0y"),
                Some((22, format!("{A}-x"))),
            ),
            (
                format!("/nix/store/{A}-{}", "n".repeat(300)),
                Some((11, format!("{A}-{}", "n".repeat(211)))),
            ),
            // no name, too long, too short, another store, upper case
            (format!("/nix/store/{A}-"), None),
            (format!("/nix/store/{A}/x"), None),
            (format!("/nix/store/{A}"), None),
            (format!("/nix/store/0{A}-x"), None),
            (format!("/nix/store/{}-x", &A[1..]), None),
            (format!("/gnu/store/{A}-x"), None),
            (format!("/nix/store/{}-x", A.to_uppercase()), None),
            // outside of the alphabet; neutralised
            (format!("/nix/store/{}-x", A.replace('a', "e")), None),
            (format!("/nix/store/{}-x", A.replace('a', "o")), None),
            (format!("/nix/store/{}-x", A.replace('a', "t")), None),
            (format!("/nix/store/{}-x", A.replace('a', "u")), None),
            (format!("/nix/store/{}-x", "e".repeat(32)), None),
        ] {
            assert_eq!(paths(text.as_bytes()).pop(), expected, "{text}");
        }
    }

    /// Each place, tried by itself.
    fn slow_rows(bytes: &[u8]) -> Vec<usize> {
        let row = |row: &[u8]| row.iter().all(|byte| in_alphabet(*byte));
        let all = bytes.windows(LENGTH).enumerate();
        all.filter(|(_, bytes)| row(bytes))
            .map(|(place, _)| place)
            .collect()
    }

    /// sed's `s/HASH/eee.../g` for each hash in order.
    fn slow_neutralise(bytes: &[u8], hashes: &[Hash]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let mut hashes = hashes.to_vec();
        hashes.sort_unstable();
        for hash in hashes {
            let mut place = 0;
            while place + LENGTH <= bytes.len() {
                if bytes[place..place + LENGTH] == hash {
                    bytes[place..place + LENGTH].fill(b'e');
                    place += LENGTH;
                } else {
                    place += 1;
                }
            }
        }
        bytes
    }

    /// Pieces of what matters, so that hashes, and their overlaps, are common.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(A.as_bytes().to_vec()),
            Just(B.as_bytes().to_vec()),
            Just(vec![b'0'; 32]),
            Just(vec![b'0'; 100]),
            Just([b"/nix/store/".as_slice(), A.as_bytes(), b"-name"].concat()),
            Just([b"/nix/store/".as_slice(), B.as_bytes(), b"-other/bin"].concat()),
            Just(A.as_bytes()[16..].to_vec()),
            Just(A.as_bytes()[..16].to_vec()),
            Just(b"/nix/store/".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(b"01az-/e\n".to_vec()), 0..90),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn rows_are_those_of_a_slow_search(bytes in text()) {
            let mut found = Vec::new();
            rows(&bytes, 0, bytes.len(), |place| found.push(place));
            prop_assert_eq!(found, slow_rows(&bytes));
        }

        #[test]
        fn the_size_of_the_pieces_does_not_matter(bytes in text(), sizes in prop::collection::vec(1..700_usize, 1..9)) {
            let mut whole = Vec::new();
            visit(b"/nix/store", &bytes, &mut |row| whole.push((row.offset, *row.hash, row.name.map(<[u8]>::to_vec))));
            let mut pieces = Vec::new();
            let mut each = |row: Row<'_>| pieces.push((row.offset, *row.hash, row.name.map(<[u8]>::to_vec)));
            let mut window = Window::new(b"/nix/store", 0);
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let space = window.space();
                let length = (*size).min(space.len()).min(rest.len());
                space[..length].copy_from_slice(&rest[..length]);
                rest = &rest[length..];
                window.came(length, &mut each);
            }
            window.end(&mut each);
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn neutralised_as_by_sed(bytes in text(), which in 0..8_u8) {
            let all = [A.as_bytes(), B.as_bytes(), &[b'0'; 32]];
            let chosen = all.iter().enumerate().filter(|(n, _)| which & (1 << n) != 0);
            let hashes: Vec<Hash> = chosen.map(|(_, hash)| (*hash).try_into().unwrap()).collect();
            let known: Hashes = hashes.iter().copied().collect();
            let (ours, count) = neutralise(b"/nix/store", &bytes, &known);
            prop_assert_eq!(&ours, &slow_neutralise(&bytes, &hashes));
            // Nothing changed but whole fields, and nothing is left to change.
            let changed = ours.iter().zip(&bytes).filter(|(new, old)| new != old);
            prop_assert!(changed.clone().all(|(new, old)| *new == b'e' && in_alphabet(*old)));
            prop_assert_eq!(changed.count() as u64, count * LENGTH as u64);
            prop_assert_eq!(ours.len(), bytes.len());
            prop_assert_eq!(neutralise(b"/nix/store", &ours, &known), (ours, 0));
        }
    }
}

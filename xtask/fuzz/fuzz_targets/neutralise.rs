//! Neutralising in any bytes: as sed would, nothing else changed, nothing left; the size of the pieces
//! that the bytes come in does not matter.
#![no_main]

use build_tools::strip_refs::scan::{self, Hash, Hashes, LENGTH, NEUTRAL, Row, Window};
use libfuzzer_sys::fuzz_target;

const STORE: &[u8] = b"/nix/store";

type Rows = Vec<(u64, Hash, Option<Vec<u8>>)>;

fn row(row: Row<'_>) -> (u64, Hash, Option<Vec<u8>>) {
    (row.offset, *row.hash, row.name.map(<[u8]>::to_vec))
}

fn in_pieces(bytes: &[u8], size: usize) -> Rows {
    let mut rows = Rows::new();
    let mut window = Window::new(STORE, 0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = window.space();
        let length = size.min(space.len()).min(rest.len());
        space[..length].copy_from_slice(&rest[..length]);
        rest = &rest[length..];
        window.came(length, &mut |found| rows.push(row(found)));
    }
    window.end(&mut |found| rows.push(row(found)));
    rows
}

fn by_sed(bytes: &[u8], mut hashes: Vec<Hash>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    hashes.sort_unstable();
    for hash in hashes {
        let mut place = 0;
        while place + LENGTH <= bytes.len() {
            if bytes[place..place + LENGTH] == hash {
                bytes[place..place + LENGTH].copy_from_slice(&NEUTRAL);
                place += LENGTH;
            } else {
                place += 1;
            }
        }
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    let Some((&[size, step], bytes)) = input.split_first_chunk() else {
        return;
    };
    let mut rows = Rows::new();
    scan::visit(STORE, bytes, &mut |found| rows.push(row(found)));
    assert_eq!(in_pieces(bytes, usize::from(size) + 1), rows);

    // Store paths are known, and some of the lone rows.
    let step = usize::from(step % 7) + 1;
    let some = rows
        .iter()
        .enumerate()
        .filter(|(n, (.., name))| name.is_some() || n % step == 1);
    let mut hashes: Vec<Hash> = some.map(|(_, (_, hash, _))| *hash).take(50).collect();
    hashes.dedup();
    let known: Hashes = hashes.iter().copied().collect();
    let (ours, count) = scan::neutralise(STORE, bytes, &known);
    assert_eq!(ours, by_sed(bytes, hashes));
    let changed = ours
        .iter()
        .zip(bytes)
        .filter(|(new, old)| new != old)
        .count();
    assert_eq!(changed as u64, count * LENGTH as u64);
    assert_eq!(scan::neutralise(STORE, &ours, &known), (ours, 0));
});

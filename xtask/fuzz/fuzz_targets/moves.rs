//! Renaming, merging and splitting any cards: links lead where they led, the rest stays, and a rename
//! there and back gives the first bytes.
#![no_main]

#[path = "../../vault/tests/invariants/mod.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| invariants::of_moves(input));

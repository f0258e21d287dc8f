//! Reading any card: no panic, links and headings where they are said to be.
#![no_main]

#[path = "../../vault/tests/invariants/mod.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        invariants::of_reading(text);
    }
    invariants::of_reading(&invariants::text(input));
});

//! Reading any front matter, and changing it: no panic, the new values stand there, and the others stay.
#![no_main]

#[path = "../../vault/tests/invariants/mod.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    invariants::of_front_matter(input);
    invariants::of_front_matter(&format!("---\n{input}\n---\nbody\n"));
});

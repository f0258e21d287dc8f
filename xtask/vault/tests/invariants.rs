//! Cards that bytes make up: what the crate says of them and does to them holds whatever they are.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test fails, and it says what was changed"
)]

#[path = "invariants/mod.rs"]
mod invariants;

use proptest::collection::vec;
use proptest::prelude::any;

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    #[test]
    fn cards_are_read(bytes in vec(any::<u8>(), 0..60)) {
        invariants::of_reading(&invariants::text(&bytes));
    }

    #[test]
    fn front_matter_is_read_and_changed(
        block in "((requires|title|modified|x)(: |:)(c1|2026-01-02|'a'|\\[c1, \"b\"\\]|\\[\\]||\n  - c1\n  - d|\n- c1|\\{a: b\\}|>\n  a\n|&a b|\\*a|a # b)\n|# c\n|\n)*",
    ) {
        invariants::of_front_matter(&format!("---\n{block}---\nbody\n"));
    }

    #[test]
    fn cards_are_renamed_merged_and_split(bytes in vec(any::<u8>(), 3..160)) {
        invariants::of_moves(&bytes);
    }
}

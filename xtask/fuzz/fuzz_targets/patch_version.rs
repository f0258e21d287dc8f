//! Patching any module: no panic, nothing but the import and the uses changed, twice is once; and what a
//! JavaScript parser took before, it takes afterwards.
#![no_main]

use build_tools::patch_version::{apply, edits};
use libfuzzer_sys::fuzz_target;
use oxc_allocator::Allocator;
use oxc_parser::Parser;
use oxc_span::SourceType;

fn is_module(text: &str) -> bool {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, SourceType::mjs()).parse();
    !parsed.panicked && parsed.diagnostics.is_empty()
}

fuzz_target!(|input: &str| {
    // What a fuzzer can't guess is given: the import, and a use of it in its place.
    let text = input
        .replace(
            '\u{1}',
            "import P from './package.json' with { type: 'json' };",
        )
        .replace('\u{2}', "P.version")
        .replace('\u{3}', "import P from './package.json'\n");
    let Ok(changes) = edits(&text, "2026.2.0") else {
        return;
    };
    if changes.is_empty() {
        return;
    }
    let mut end = 0;
    for (range, new) in &changes {
        assert!(end <= range.start && range.start <= range.end);
        assert!(new.is_empty() || new == ";" || new.contains("2026.2.0"));
        end = range.end;
    }
    let patched = apply(&text, &changes);
    if is_module(&text) {
        assert!(is_module(&patched), "{text:?} became {patched:?}");
    }
});

//! Marking any `pyvenv.cfg`: twice is once, and what is marked has no other lines.
#![no_main]

use build_tools::strip_refs::venv;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|config: &[u8]| {
    if let Some(marked) = venv::mark(config) {
        assert_eq!(venv::mark(&marked), None);
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines(&marked), lines(config));
    }
});

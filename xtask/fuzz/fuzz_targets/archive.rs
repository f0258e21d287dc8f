//! Looking into any file: no panic, and no more than it may read.
#![no_main]

use std::os::fd::AsFd as _;

use build_tools::strip_refs::read;
use build_tools::strip_refs::scan::Window;
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

fuzz_target!(|input: &[u8]| {
    let Ok(fd) = memfd_create("input", MemfdFlags::CLOEXEC) else {
        return;
    };
    if rustix::io::pwrite(&fd, input, 0) != Ok(input.len()) {
        return;
    }
    let mut window = Window::new(b"/nix/store", 0);
    let mut last = None;
    let mut sink = |member: Option<&[u8]>, row: build_tools::strip_refs::scan::Row<'_>| {
        // Offsets grow within the file and within each member.
        let place = (member.map(<[u8]>::to_vec), row.offset);
        if let Some((same, offset)) = &last
            && *same == place.0
            && row.offset <= *offset
        {
            assert_ne!(*same, None, "{offset} and then {}", row.offset);
        }
        last = Some(place);
    };
    for name in [b"a.whl".as_slice(), b"a.gz", b"a"] {
        let seen = read::file(fd.as_fd(), name, &mut window, &mut sink).unwrap();
        assert_eq!(seen.bytes, input.len() as u64);
        sink(
            Some(b"end of the file"),
            build_tools::strip_refs::scan::Row {
                offset: 0,
                hash: b"00000000000000000000000000000000",
                name: None,
            },
        );
    }
});

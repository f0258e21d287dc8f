//! `build-tools` as the derivations have it: built by Nix from a lock file of its own.

use std::collections::BTreeSet;

use test_support::common::root;

/// The packages of a lock file as (name, version).
fn packages(lock: &str) -> BTreeSet<(String, String)> {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)?
            .strip_prefix(" = \"")?
            .strip_suffix('"')
            .map(str::to_owned)
    };
    let lines: Vec<&str> = lock.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| Some((value(pair[0], "name")?, value(pair[1], "version")?)))
        .collect()
}

/// Nix builds the crate with its own lock file, and xtask with the workspace's: one set of versions.
#[test]
fn its_lock_file_is_a_part_of_the_workspaces() {
    let read = |path: &str| fs_err::read_to_string(root().join(path)).unwrap();
    let own = packages(&read("xtask/build-tools/Cargo.lock"));
    let all = packages(&read("Cargo.lock"));
    let others: Vec<_> = own.difference(&all).collect();
    assert!(own.len() > 10 && own.len() < all.len(), "{}", own.len());
    assert!(
        others.is_empty(),
        "not in the workspace's lock file: {others:?}; make it anew: copy xtask/build-tools and the \
         workspace's Cargo.lock into an empty folder, run `cargo metadata --offline` there, and take \
         the Cargo.lock from it"
    );
}

//! The same hashes as `nix-store --dump`, on random trees: a thousand with `XTASK_STRESS`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a panic is how a test fails; it runs Nix as a user does, and names may be any bytes"
)]

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

/// Nix takes longer to start than to write a tree: so many of them lie in one folder.
const TOGETHER: u64 = 10;
/// Nix allows 64 folders within each other.
const DEEPEST: usize = 60;

/// How many trees: Nix takes 20 s for a thousand.
fn trees() -> u64 {
    match std::env::var_os("XTASK_STRESS") {
        Some(_) => 1000,
        None => 50,
    }
}

/// Numbers that look random, the same in each run: xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Never zero; neighbouring seeds lead far apart.
        let mut random = Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A file name: any bytes but NUL and `/`, often not UTF-8, often a neighbour of others in order.
    fn name(&mut self) -> Vec<u8> {
        let length = 1 + self.below(12);
        let common = [b'a', b'A', b'.', b'-', b' ', 0xc3, 0xa9, 0xff, b'\n', b'~'];
        let mut name: Vec<u8> = (0..length)
            .map(|_| match self.below(3) {
                0 => self.next().to_le_bytes()[0],
                _ => common[self.below(common.len())],
            })
            .map(|byte| {
                if byte == 0 || byte == b'/' {
                    b'x'
                } else {
                    byte
                }
            })
            .collect();
        if self.below(40) == 0 {
            name.resize(255, b'l');
        }
        if name == b"." || name == b".." {
            name.push(b'.');
        }
        name
    }

    /// The length of a file: around the padding's 8 bytes, and around the size of a block.
    fn length(&mut self) -> usize {
        match self.below(60) {
            0 => (256 << 10) + self.below(17) - 8,
            1 => 4096 * self.below(20),
            2..15 => 0,
            _ => self.below(9) + 8 * self.below(3),
        }
    }
}

/// Writes a random tree, file or link at `path`, which does not exist.
fn grow(random: &mut Random, path: &Path, depth: usize) {
    match random.below(if depth == 0 { 20 } else { 10 }) {
        0..2 if depth > 0 => {
            let target = match random.below(3) {
                0 => b".".to_vec(),
                1 => [b"../".to_vec(), random.name()].concat(),
                _ => random.name(),
            };
            symlink(OsStr::from_bytes(&target), path).unwrap();
        }
        0..6 if depth > 0 || random.below(8) == 0 => {
            // Readable at any rate, for another user than root; all else in every combination.
            let mode = 0o400 | u32::try_from(random.below(0o1000)).unwrap();
            let length = random.length();
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .unwrap();
            file.write_all(&random.bytes(length)).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            file.set_permissions(mode).unwrap();
        }
        _ => {
            std::fs::create_dir(path).unwrap();
            let entries = if depth < 5 { random.below(7) } else { 0 };
            if depth == 0 && random.below(20) == 0 {
                let deep = (0..40 + random.below(DEEPEST - 40)).map(|_| "deep");
                std::fs::create_dir_all(path.join(deep.collect::<std::path::PathBuf>())).unwrap();
            }
            for _ in 0..entries {
                let name = random.name();
                let entry = path.join(OsStr::from_bytes(&name));
                if entry.symlink_metadata().is_err() {
                    grow(random, &entry, depth + 1);
                }
            }
        }
    }
}

/// The size and SHA-256 of what `nix-store --dump` writes.
fn by_nix(path: &Path) -> (u64, [u8; 32]) {
    let mut child = Command::new("nix-store")
        .arg("--dump")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut hasher = Sha256::new();
    let size = std::io::copy(&mut child.stdout.take().unwrap(), &mut hasher).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
    (size, hasher.finalize().into())
}

#[test]
fn random_trees() {
    let folder = tempfile::tempdir().unwrap();
    for first in (0..trees()).step_by(usize::try_from(TOGETHER).unwrap()) {
        let group = folder.path().join(first.to_string());
        std::fs::create_dir(&group).unwrap();
        let seeds = first..first + TOGETHER;
        let tree = |seed: u64| group.join(seed.to_string());
        for seed in seeds.clone() {
            grow(&mut Random::new(seed), &tree(seed), 0);
        }
        let same = |path: &Path| nix_formats::nar::nar(path).unwrap().into_parts() == by_nix(path);
        // A link or a file alone is another NAR than one in a folder.
        assert!(same(&tree(first)), "the tree of the seed {first}");
        if !same(&group) {
            let wrong: Vec<u64> = seeds.filter(|seed| !same(&tree(*seed))).collect();
            panic!("the trees of the seeds {wrong:?} in one folder of the seeds from {first}");
        }
    }
}

/// The random trees are what they have to be: else the test above could hold for dull ones alone.
#[test]
fn the_trees_are_varied() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Seen::default();
    let trees = trees();
    for seed in 0..trees {
        let path = folder.path().join(seed.to_string());
        grow(&mut Random::new(seed), &path, 0);
        seen.look(&path, 0);
    }
    assert!(seen.deepest >= 40, "{seen:?}");
    // At least so many in each thousand trees.
    let has = |count: usize, of_thousand: u64| count as u64 * 1000 > of_thousand * trees;
    assert!(
        has(seen.links, 500) && has(seen.empty_folders, 500),
        "{seen:?}"
    );
    assert!(
        has(seen.empty_files, 300) && has(seen.not_utf8, 1000),
        "{seen:?}"
    );
    let padded = seen.lengths.iter().all(|files| has(*files, 100));
    assert!(
        padded && seen.execute_bits.iter().all(|files| has(*files, 100)),
        "{seen:?}"
    );
}

#[derive(Debug, Default)]
struct Seen {
    deepest: usize,
    links: usize,
    empty_folders: usize,
    empty_files: usize,
    not_utf8: usize,
    /// By length modulo 8.
    lengths: [usize; 8],
    /// By the three execute bits.
    execute_bits: [usize; 8],
}

impl Seen {
    fn look(&mut self, path: &Path, depth: usize) {
        use std::os::unix::fs::PermissionsExt as _;
        self.deepest = self.deepest.max(depth);
        self.not_utf8 += usize::from(path.file_name().unwrap().to_str().is_none());
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_symlink() {
            self.links += 1;
        } else if metadata.is_dir() {
            let mut empty = true;
            for entry in std::fs::read_dir(path).unwrap() {
                empty = false;
                self.look(&entry.unwrap().path(), depth + 1);
            }
            self.empty_folders += usize::from(empty);
        } else {
            let mode = usize::try_from(metadata.permissions().mode()).unwrap();
            let length = usize::try_from(metadata.len()).unwrap();
            self.execute_bits[(mode >> 6 & 1) << 2 | (mode >> 3 & 1) << 1 | mode & 1] += 1;
            self.lengths[length % 8] += 1;
            self.empty_files += usize::from(length == 0);
        }
    }
}

#[test]
fn errors_end_both_threads() {
    let folder = tempfile::tempdir().unwrap();
    assert!(nix_formats::nar::nar(&folder.path().join("none")).is_err());
    // More than all blocks hold, before what can't be hashed.
    let mut file = std::fs::File::create(folder.path().join("a")).unwrap();
    file.write_all(&vec![1; 3 << 20]).unwrap();
    let socket = folder.path().join("b");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = nix_formats::nar::nar(folder.path()).unwrap_err();
    assert!(
        error.to_string()
            == format!(
                "`{}` is neither a file nor a folder nor a link: Nix can't hash it",
                socket.display()
            ),
        "{error:#}"
    );
}

//! `strip-refs` against grep and sed, and against all that can go wrong with a tree.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use test_support::common::{copy_program, rounds, run, stdout, text, xtask};
use test_support::harness::in_mounts;

const A: &str = "0123456789abcdfghijklmnpqrsvwxyz";
const B: &str = "zyxwvsrqpnmlkjihgfdcba9876543210";
const E: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

/// A folder that goes when it is dropped, and a tree in it.
struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let tree = Self { folder };
        fs_err::create_dir(tree.root()).unwrap();
        for (path, contents) in files {
            tree.write(path, contents.as_bytes());
        }
        tree
    }

    fn root(&self) -> Utf8PathBuf {
        let path = Utf8Path::from_path(self.folder.path()).unwrap();
        path.join("tree")
    }

    fn path(&self, path: &str) -> Utf8PathBuf {
        self.root().join(path)
    }

    fn write(&self, path: &str, contents: &[u8]) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs_err::File::create(path).unwrap();
        file.write_all(contents).unwrap();
    }

    fn read(&self, path: &str) -> String {
        text(&fs_err::read(self.path(path)).unwrap())
    }

    fn strip(&self, arguments: &[&str]) -> Output {
        run(xtask().arg("strip-refs").arg(self.root()).args(arguments))
    }

    /// What is in the tree: paths, in order, with contents or targets.
    fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        let mut folders = vec![self.root().into_std_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs_err::symlink_metadata(&path).unwrap().file_type();
                let contents = if kind.is_symlink() {
                    let target = fs_err::read_link(&path).unwrap();
                    target.as_os_str().as_bytes().to_vec()
                } else if kind.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs_err::read(&path).unwrap()
                };
                all.push((path.as_os_str().as_bytes().to_vec(), contents));
            }
        }
        all.sort();
        all
    }
}

fn path(hash: &str, name: &str) -> String {
    format!("/nix/store/{hash}-{name}")
}

#[track_caller]
fn ended(output: &Output, code: i32, parts: &[&str]) {
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    for part in parts {
        assert!(all.contains(part), "lacks `{part}`:\n{all}");
    }
}

/// Numbers that look random, the same in each run (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn hash(&mut self) -> String {
        (0..32)
            .map(|_| char::from(A.as_bytes()[self.below(32)]))
            .collect()
    }

    /// Bytes in which references, and what looks like them, are common.
    fn contents(&mut self, hashes: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(12) {
            let hash = &hashes[self.below(hashes.len())];
            let piece = match self.below(12) {
                0 | 1 => format!("{}/lib", path(hash, "name-1.2")),
                2 => path(hash, "n"),
                3 => hash.clone(),
                4 => format!("zz{hash}{}", &hash[..9]),
                5 => path(E, "done-1"),
                6 => path(&hash.replace(&hash[..1], "u"), "look-alike"),
                7 => format!("/nix/store/{hash}"),
                8 => "0".repeat(self.below(70)),
                9 => format!("{}{}", &hash[16..], hash),
                10 => "/nix/store/".to_owned(),
                _ => {
                    let noise =
                        (0..self.below(600)).map(|_| u8::try_from(self.below(256)).unwrap());
                    bytes.extend(noise.collect::<Vec<_>>());
                    "\n".to_owned()
                }
            };
            bytes.extend(piece.as_bytes());
        }
        bytes
    }
}

/// What nixpkgs' remove-references-to does, by sed itself, for the store paths that grep finds.
const PIPELINE: &str = r#"
cd "$1"
export LC_ALL=C
hashes=$(find . -type f -exec grep -aohE '/nix/store/[0-9a-df-np-sv-z]{32}-[-.+_?=0-9a-zA-Z]+' {} + | cut -c12-43 | sort -u)
[ -z "$hashes" ] || find . -type f -exec sed -i "$(echo "$hashes" | sed 's/.*/s|&|eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee|g/')" {} +
"#;

#[test]
fn byte_for_byte_as_by_remove_references_to() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut changed_bytes = 0;
    let trees = rounds(25, 500) as usize;
    for number in 0..trees {
        let ours = Tree::new(&[]);
        let hashes: Vec<_> = (0..=numbers.below(4)).map(|_| numbers.hash()).collect();
        for file in 0..numbers.below(7) {
            let folder = ["", "a/", "a/b/", "c d/"][numbers.below(4)];
            ours.write(&format!("{folder}f{file}"), &numbers.contents(&hashes));
        }
        let theirs = Tree::new(&[]);
        let copied = run(Command::new("cp")
            .arg("-a")
            .arg(ours.path("."))
            .arg(theirs.root()));
        assert!(copied.status.success());
        let piped = run(Command::new("sh")
            .args(["-ec", PIPELINE, "sh"])
            .arg(theirs.root()));
        assert!(piped.status.success(), "{}", text(&piped.stderr));

        let before = ours.contents();
        ended(&ours.strip(&[]), 0, &[]);
        let after = ours.contents();
        let strip = |tree: &Tree| -> Vec<_> {
            let root = tree.root();
            let contents = tree.contents().into_iter();
            contents
                .map(|(path, bytes)| (path[root.as_str().len()..].to_vec(), bytes))
                .collect()
        };
        assert_eq!(strip(&ours), strip(&theirs), "tree {number}");
        // The same names and lengths, and no other byte than those of hashes changed.
        for ((name, old), (same_name, new)) in before.iter().zip(&after) {
            assert_eq!((name, old.len()), (same_name, new.len()));
            let mut place = 0;
            while place < old.len() {
                if old[place] == new[place] {
                    place += 1;
                } else {
                    // A field begins with its first byte that changed: `e` is in no hash.
                    let field = text(&old[place..place + 32]);
                    assert!(
                        hashes.contains(&field) || field == "0".repeat(32),
                        "{field}"
                    );
                    assert_eq!(&new[place..place + 32], E.as_bytes());
                    place += 32;
                    changed_bytes += 32;
                }
            }
        }
        ended(&ours.strip(&["--check"]), 0, &[]);
        ended(&ours.strip(&[]), 0, &[" 0 references"]);
        assert_eq!(ours.contents(), after, "twice is once");
    }
    assert!(changed_bytes > 32 * trees, "{changed_bytes}");
}

#[test]
fn files_keep_what_they_have_and_others_are_not_touched() {
    let tree = Tree::new(&[
        ("d/with", &path(A, "x")),
        ("d/without", "text"),
        ("d/alike", &path(E, "x")),
    ]);
    let with = tree.path("d/with");
    stdout(Command::new("touch").args(["-d", "2001-02-03 04:05:06.123456789", with.as_str()]));
    fs_err::set_permissions(&with, std::fs::Permissions::from_mode(0o6751)).unwrap();
    let has_xattrs = rustix::fs::setxattr(
        with.as_std_path(),
        "user.kept",
        b"value",
        rustix::fs::XattrFlags::empty(),
    )
    .is_ok();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&with, Some(1234), Some(4321)).unwrap();
        fs_err::set_permissions(&with, std::fs::Permissions::from_mode(0o6751)).unwrap();
    }
    // What is kept of a file that is replaced, and what only of one that is not touched.
    let all = |name: &str| {
        let m = fs_err::symlink_metadata(tree.path(name)).unwrap();
        let kept = (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
        (
            kept,
            (
                m.atime(),
                m.atime_nsec(),
                m.ctime(),
                m.ctime_nsec(),
                m.ino(),
            ),
        )
    };
    let names = ["d/with", "d/without", "d/alike", "d"];
    let before = names.map(all);
    std::thread::sleep(Duration::from_millis(20));
    ended(&tree.strip(&[]), 0, &["1 in 1 file: neutralised"]);
    let after = names.map(all);
    assert_eq!(tree.read("d/with"), path(E, "x"));
    assert_eq!(after[0].0, before[0].0);
    assert_eq!(after[1..3], before[1..3], "not even their times");
    assert_eq!(after[3].0, before[3].0, "nor the folder's");
    if has_xattrs {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(with.as_std_path(), "user.kept", &mut value).unwrap();
        assert_eq!(&value[..length], b"value");
    }
}

#[test]
fn hard_links_in_the_tree_stay_links_and_names_outside_keep_the_old_contents() {
    let tree = Tree::new(&[("a/one", &path(A, "x")), ("b/x", "")]);
    let outside = tree.root().parent().unwrap().join("outside");
    for other in [tree.path("b/two"), tree.path("three"), outside.clone()] {
        fs_err::hard_link(tree.path("a/one"), other).unwrap();
    }
    ended(&tree.strip(&[]), 0, &["3 in 1 file: neutralised"]);
    let inode = |path: &Utf8Path| fs_err::metadata(path).unwrap().ino();
    let one = inode(&tree.path("a/one"));
    assert_eq!(
        [inode(&tree.path("b/two")), inode(&tree.path("three"))],
        [one, one]
    );
    assert_eq!(tree.read("three"), path(E, "x"));
    assert_eq!(text(&fs_err::read(&outside).unwrap()), path(A, "x"));
    assert_ne!(inode(&outside), one);

    // Named one by one, they are the same file as well; the same name twice is one.
    tree.write("a/four", path(A, "x").as_bytes());
    let names = ["a/four", "b/five"].map(|name| tree.path(name));
    fs_err::hard_link(&names[0], &names[1]).unwrap();
    let mut command = xtask();
    command
        .args(["strip-refs", "four"])
        .args(&names)
        .current_dir(tree.path("a"));
    ended(&run(&mut command), 0, &["2 in 1 file: neutralised"]);
    assert_eq!(
        names.each_ref().map(|name| inode(name)),
        [inode(&names[0]); 2]
    );
    assert_eq!(tree.read("b/five"), path(E, "x"));
}

#[test]
fn references_across_the_ends_of_buffers_are_found() {
    // Windows of 256 KiB: each place around the ends of the first two.
    for window in [256 << 10, 512 << 10, 1 << 20] {
        for shift in (0..330).step_by(if rounds(0, 1) == 0 { 41 } else { 7 }) {
            let before = "-".repeat(window + 10 - shift);
            let file = format!("{before}{}{}", path(A, "name"), "-".repeat(700));
            let tree = Tree::new(&[("f", &file)]);
            let output = tree.strip(&["--check"]);
            let line = format!("f:{}: {}\n", before.len() + 11, path(A, "name-"));
            // The dashes after it belong to the name, up to the longest.
            ended(&output, 1, &[line.trim_end_matches("-\n")]);
            ended(&tree.strip(&[]), 0, &[]);
            assert_eq!(tree.read("f"), file.replace(A, E), "{window} {shift}");
        }
    }
}

#[test]
fn what_cannot_be_mended_is_listed() {
    let gz = "printf '%s' \"$1\" | gzip -c >g.gz";
    let zip = "
import sys, zipfile
for name, kind in [('stored.zip', zipfile.ZIP_STORED), ('deflated.whl', zipfile.ZIP_DEFLATED), ('bz.zip', zipfile.ZIP_BZIP2)]:
    with zipfile.ZipFile(name, 'w', kind) as z:
        z.writestr('a/b.py', 'x' * 5000 + sys.argv[1])
        z.writestr('empty', '')
open('cut.whl', 'wb').write(open('deflated.whl', 'rb').read()[:-30])
open('cut.gz', 'wb').write(open('g.gz', 'rb').read()[:-12])
open('no.zip', 'w').write('text')
";
    let tree = Tree::new(&[("d/f", &path(A, "x"))]);
    let reference = path(A, "x");
    for (program, script) in [("sh", gz), ("python3", zip)] {
        let mut command = Command::new(program);
        command.args(["-c", script]).current_dir(tree.root());
        if program == "sh" {
            command.arg("sh");
        }
        stdout(command.arg(&reference));
    }
    fs_err::os::unix::fs::symlink(format!("{reference}/bin"), tree.path("link")).unwrap();
    fs_err::os::unix::fs::symlink("d", tree.path("inside")).unwrap();
    tree.write(&format!("d/{A}-x.drv"), b"");
    tree.write(&format!("d/lib-{A}.so"), b"");
    let bytes = |name: &str| fs_err::read(tree.path(name)).unwrap();
    let archives = [
        "g.gz",
        "stored.zip",
        "deflated.whl",
        "bz.zip",
        "cut.whl",
        "cut.gz",
        "no.zip",
    ];
    let before = archives.map(bytes);

    let root = tree.root();
    let lines = |kept: &str| {
        format!(
            "{root}/deflated.whl!a/b.py:5011: {kept} (in an archive)
{root}/g.gz:11: {kept} (in an archive)
{root}/stored.zip!a/b.py:5011: {kept} (in an archive)
{root}/link:11: {kept} (where a link points to)
{root}/d/{A}-x.drv:0: {kept} (in the name)
{root}/d/lib-{A}.so:4: {kept} (in the name)
"
        )
    };
    let warnings = [
        "bz.zip: member `a/b.py`: it is compressed by method 12",
        "cut.whl: it can't be read as a zip archive: the list of its members is missing",
        "cut.gz: ",
        "no.zip: its name says that it is an archive",
    ];
    // The gzip that is cut off may still have shown its reference.
    let without_cut = |output: &Output| -> String {
        let stdout = text(&output.stdout);
        stdout
            .lines()
            .filter(|line| !line.contains("cut.gz"))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let output = tree.strip(&["--check"]);
    ended(&output, 1, &warnings);
    let all = without_cut(&output);
    let rest = all.replace(&format!("{root}/d/f:11: {reference}\n"), "");
    assert_ne!(rest, all);
    assert_eq!(rest, lines(&reference));

    let output = tree.strip(&[]);
    ended(&output, 1, &warnings);
    assert_eq!(without_cut(&output), lines(&reference));
    assert_eq!(tree.read("d/f"), path(E, "x"));
    assert_eq!(archives.map(bytes), before, "archives have checksums");

    // The path is known from the link still.
    ended(
        &tree.strip(&["--links"]),
        1,
        &["1 where links point to: neutralised"],
    );
    let target = fs_err::read_link(tree.path("link")).unwrap();
    assert_eq!(target.to_str().unwrap(), format!("{}/bin", path(E, "x")));
    // What must not be called a finding is kept.
    for archive in ["deflated.whl", "g.gz", "stored.zip", "cut.gz"] {
        fs_err::remove_file(tree.path(archive)).unwrap();
    }
    ended(&tree.strip(&["--check", "--keep", &reference]), 0, &[]);
    ended(&tree.strip(&["--check"]), 1, &["(in the name)"]);
}

#[test]
fn bytes_that_an_archive_holds_uncompressed_are_left_and_listed() {
    // Level 0 of deflate and members that are stored hold bytes as they are; `zipapp` puts a line before the
    // archive, which the offsets in it count (made from a folder) or don't (made from an archive).
    let script = "
import gzip, os, sys, zipapp, zipfile
reference = sys.argv[1].encode()
open('level0.gz', 'wb').write(gzip.compress(reference, compresslevel=0))
with open('head.gz', 'wb') as f:
    with gzip.GzipFile(sys.argv[1][11:], 'wb', 0, f, 0) as z:
        z.write(reference)
    f.write(b'after it ' + reference)
with zipfile.ZipFile('level0.whl', 'w', zipfile.ZIP_DEFLATED, compresslevel=0) as z:
    z.writestr('m.py', reference)
os.mkdir('../app')
open('../app/__main__.py', 'wb').write(b'x = 1' + b'#' * 500 + reference)
zipapp.create_archive('../app', 'stored.pyz', '/usr/bin/python3')
zipapp.create_archive('../app', 'deflated.pyz', '/usr/bin/python3', compressed=True)
zipapp.create_archive('../app', '../plain')
zipapp.create_archive('../plain', 'moved.pyz', '/usr/bin/python3')
";
    let tree = Tree::new(&[
        ("plain", &path(A, "x")),
        ("script.sh", &format!("#!{}/bin/sh\n", path(A, "x"))),
    ]);
    stdout(
        Command::new("python3")
            .args(["-c", script, &path(A, "x")])
            .current_dir(tree.root()),
    );
    let bytes = |name: &str| fs_err::read(tree.path(name)).unwrap();
    let archives = [
        "level0.gz",
        "level0.whl",
        "stored.pyz",
        "deflated.pyz",
        "moved.pyz",
    ];
    let before = archives.map(bytes);
    let head = bytes("head.gz");

    let root = tree.root();
    let line = |member: &str, offset| {
        let path = path(A, "x");
        format!("{root}/{member}:{offset}: {path} (in an archive)\n")
    };
    let members = [
        line("deflated.pyz!__main__.py", 516),
        line("head.gz", 11),
        line("level0.gz", 11),
        line("level0.whl!m.py", 11),
        line("moved.pyz!__main__.py", 516),
        line("stored.pyz!__main__.py", 516),
    ];
    let output = tree.strip(&[]);
    let said = [
        "  4 in 3 files: neutralised",
        "  6 in archives: left: fix them",
    ];
    ended(&output, 1, &said);
    assert_eq!(text(&output.stdout), members.concat());
    assert!(archives.map(bytes) == before, "an archive was changed");
    assert_eq!(
        tree.read("script.sh"),
        format!("#!{}/bin/sh\n", path(E, "x"))
    );
    // The name in the head, and what follows the compressed data, are in no checksum.
    let new = bytes("head.gz");
    let places = |bytes: &[u8], hash: &str| -> Vec<usize> {
        let rows = bytes.windows(32).enumerate();
        let rows = rows.filter(|(_, row)| *row == hash.as_bytes());
        rows.map(|(place, _)| place).collect()
    };
    let [name, inside, after] = places(&head, A)[..] else {
        panic!("{}", text(&head));
    };
    assert_eq!(places(&new, E), [name, after]);
    assert_eq!(places(&new, A), [inside]);

    let output = tree.strip(&["--check"]);
    ended(&output, 1, &["6 references to 1 store path"]);
    assert_eq!(text(&output.stdout), members.concat());
}

#[test]
fn options_choose_what_is_a_reference() {
    let files = [
        ("a", format!("{} {} {B}", path(A, "keep"), path(B, "go"))),
        ("b", format!("{A} {B} {}", "0".repeat(33))),
        (
            "c",
            format!("/other/store/{}-x {}-y", "1".repeat(32), "1".repeat(32)),
        ),
    ];
    let files = files
        .each_ref()
        .map(|(name, contents)| (*name, contents.as_str()));
    let tree = Tree::new(&files);
    let before = tree.contents();
    let json = |output: &Output| -> Vec<(String, u64, String)> {
        let lines = text(&output.stdout);
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let string = |value: &Value| value.as_str().unwrap().to_owned();
        lines
            .map(|line: Value| {
                assert_eq!(line.as_object().unwrap().len(), 3, "{line}");
                let name = string(&line["path"]).rsplit('/').next().unwrap().to_owned();
                (
                    name,
                    line["offset"].as_u64().unwrap(),
                    string(&line["store_path"]),
                )
            })
            .collect()
    };
    let expected = [("a", 60, "go"), ("a", 96, "go"), ("b", 33, "go")];
    let expected = expected.map(|(name, offset, of)| (name.to_owned(), offset, path(B, of)));
    // By hash, by name, by path; the same lines whether it is done or not.
    for keep in [A, &format!("{A}-keep"), &path(A, "keep")] {
        for how in ["--check", "--dry-run"] {
            let output = tree.strip(&["--keep", keep, how, "--json", "--jobs", "1"]);
            assert_eq!(json(&output), expected, "{keep}");
            assert_eq!(output.status.code(), Some(i32::from(how == "--check")));
        }
    }
    ended(&tree.strip(&["--dry-run"]), 0, &["would be neutralised"]);
    assert_eq!(tree.contents(), before);
    let output = tree.strip(&["--keep", A, "--json"]);
    assert_eq!(json(&output), expected);
    assert_eq!(
        tree.read("a"),
        format!("{} {} {E}", path(A, "keep"), path(E, "go"))
    );

    let zeros = format!("{}-zeros", "0".repeat(32));
    ended(
        &tree.strip(&["--keep", A, "--also", &zeros]),
        0,
        &["2 references to 1 store path", &zeros],
    );
    assert_eq!(tree.read("b"), format!("{A} {E} {E}0"));
    ended(
        &tree.strip(&["--store-dir", "/other/store/"]),
        0,
        &["2 references"],
    );
    assert_eq!(tree.read("c"), format!("/other/store/{E}-x {E}-y"));
    assert_eq!(tree.read("b"), format!("{A} {E} {E}0"));

    for (arguments, part) in [
        (["--keep", "bash"], "`bash` is not a store path"),
        (["--also", &path(E, "x")], "is not a store path"),
        (["--store-dir", "store"], "does not begin with a slash"),
        (["--jobs", "0"], "--jobs"),
        (["--check", "--dry-run"], "cannot be used with"),
    ] {
        ended(&tree.strip(&arguments), 2, &[part]);
    }
    let link = tree.path("link");
    fs_err::os::unix::fs::symlink("a", &link).unwrap();
    for (path, part) in [(tree.path("missing"), "missing"), (link, "it is a link")] {
        ended(&run(xtask().arg("strip-refs").arg(path)), 2, &[part]);
    }
}

#[test]
fn several_paths_single_files_and_odd_names() {
    let tree = Tree::new(&[("a/f", &path(A, "x")), ("b/f", A), ("c/f", A)]);
    let odd = tree
        .path("b")
        .into_std_path_buf()
        .join(OsStr::from_bytes(b"\xff\n\x1b[31m\xc2\x9b1m\xe2\x80\xae"));
    fs_err::File::create(&odd)
        .unwrap()
        .write_all(A.as_bytes())
        .unwrap();
    let mut command = xtask();
    command
        .arg("strip-refs")
        .arg(tree.path("a/f"))
        .arg(tree.path("b"))
        .arg(tree.path("b/f"));
    let output = run(command.arg("--check"));
    ended(&output, 1, &["b/f:0: ", "3 references to 1 store path"]);
    let line = [
        b"/\xff\\x0a\\x1b[31m\\u{9b}1m\\u{202e}:0: /nix/store/".as_slice(),
        A.as_bytes(),
    ]
    .concat();
    assert!(output.stdout.windows(line.len()).any(|part| part == line));
    let mut command = xtask();
    command
        .arg("strip-refs")
        .args(["f", "../b"])
        .current_dir(tree.path("a"));
    ended(&run(&mut command), 0, &["3 in 3 files: neutralised"]);
    assert_eq!(text(&fs_err::read(odd).unwrap()), E);
    assert_eq!(
        [tree.read("a/f"), tree.read("b/f"), tree.read("c/f")],
        [path(E, "x"), E.into(), A.into()]
    );
    assert_eq!(
        tree.contents()
            .iter()
            .filter(|(path, _)| text(path).contains("strip-refs"))
            .count(),
        0
    );
}

#[test]
fn venvs_become_relocatable() {
    let python = path(A, "python3-3.14.0");
    let config = format!(
        "home = {python}/bin\nversion_info = 3.14.0\nexecutable = {python}/bin/python3.14\n"
    );
    let tree = Tree::new(&[
        ("pyvenv.cfg", &config),
        ("bin/python", &path(B, "only-in-bin")),
        ("lib/m.py", &format!("{B} {python}")),
        ("lib/m.pyc", B),
        ("lib/__pycache__/m.cpython-314.pyc", B),
        ("lib/__pycache__/deep/file", B),
        ("lib/bin/kept", "text"),
    ]);
    fs_err::set_permissions(
        tree.path("lib/__pycache__"),
        std::fs::Permissions::from_mode(0o555),
    )
    .unwrap();
    ended(
        &tree.strip(&["--venv", "--check"]),
        1,
        &["lib/m.py:0: ", "bin`: a venv made relocatable has none"],
    );
    ended(&tree.strip(&["--venv"]), 0, &[]);
    let names: Vec<_> = tree
        .contents()
        .into_iter()
        .map(|(path, _)| text(&path))
        .collect();
    let expected = ["lib", "lib/bin", "lib/bin/kept", "lib/m.py", "pyvenv.cfg"];
    assert_eq!(names, expected.map(|name| tree.path(name).into_string()));
    // The hash that only `bin` showed to be one is gone too.
    assert_eq!(
        tree.read("lib/m.py"),
        format!("{E} {}", path(E, "python3-3.14.0"))
    );
    assert_eq!(
        tree.read("pyvenv.cfg"),
        "home = @python@/bin\nversion_info = 3.14.0\nexecutable = @python@/bin/python3.14\n"
    );
    let after = tree.contents();
    ended(&tree.strip(&["--venv", "--check"]), 0, &[]);
    ended(&tree.strip(&["--venv"]), 0, &[]);
    assert_eq!(tree.contents(), after);

    let other = Tree::new(&[("bin/python", "x"), ("f", &path(A, "x"))]);
    ended(
        &other.strip(&["--venv"]),
        2,
        &["is not a venv: it has no `pyvenv.cfg`"],
    );
    assert_eq!(other.read("f"), path(A, "x"));
}

#[test]
fn killed_at_any_moment_no_file_is_damaged_and_the_next_run_finishes() {
    let count = 120;
    let make = || {
        let tree = Tree::new(&[]);
        for number in 0..count {
            // Paths stand in some files, lone hashes in others, whatever the order of the work.
            let what = if number % 3 == 0 {
                path(A, "x")
            } else {
                A.to_owned()
            };
            let filler = ".".repeat(20_000);
            tree.write(
                &format!("d{}/f{number}", number % 7),
                format!("{filler}{what}{filler}").as_bytes(),
            );
        }
        tree
    };
    let good = make();
    let old = good.contents();
    let start = Instant::now();
    ended(&good.strip(&[]), 0, &["120 in 120 files"]);
    let mut latest = start.elapsed();
    let wanted = good.contents();
    let relative = |tree: &Tree, all: &[(Vec<u8>, Vec<u8>)]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let length = tree.root().as_str().len();
        all.iter()
            .map(|(path, bytes)| (path[length..].to_vec(), bytes.clone()))
            .collect()
    };
    let (old, wanted) = (relative(&good, &old), relative(&good, &wanted));

    let mut numbers = Numbers(88_172_645_463_325_252);
    let (mut round, mut in_the_middle) = (0, 0);
    let rounds = rounds(6, 50);
    // Until enough were killed while they wrote, sooner or later where the first run says too little of the others.
    while round < rounds || in_the_middle <= rounds / 16 && round < 10 * rounds {
        round += 1;
        let tree = make();
        let mut child = xtask()
            .arg("strip-refs")
            .arg(tree.root())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let micros = usize::try_from(latest.as_micros()).unwrap();
        let wait = Duration::from_micros(numbers.below(micros) as u64);
        std::thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        let left = relative(&tree, &tree.contents());
        let ours = |path: &[u8]| text(path).contains("/.strip-refs.");
        let files: Vec<_> = left.iter().filter(|(path, _)| !ours(path)).collect();
        assert_eq!(files.len(), old.len());
        let mut changed = 0;
        for ((file, old), new) in files.into_iter().zip(&old).zip(&wanted) {
            assert!(file == old || file == new, "`{}` is damaged", text(&file.0));
            changed += usize::from(file != old);
        }
        if changed == 0 {
            latest += latest / 8;
        } else if changed == count {
            latest = wait.max(Duration::from_millis(1));
        } else {
            in_the_middle += 1;
            ended(
                &tree.strip(&["--check"]),
                1,
                &["a run was killed before its end"],
            );
        }
        ended(&tree.strip(&[]), 0, &[]);
        assert!(relative(&tree, &tree.contents()) == wanted, "not finished");
    }
    assert!(
        in_the_middle > rounds / 16,
        "only {in_the_middle} runs were killed while they wrote"
    );
}

/// What only begins as an archive does has no checksum that a change could break.
#[test]
fn what_is_no_archive_is_stripped() {
    let tree = Tree::new(&[]);
    let contents = [b"\x1f\x8b\x08\0rubbish ", path(A, "x").as_bytes()].concat();
    tree.write("f", &contents);
    ended(
        &tree.strip(&[]),
        0,
        &["f: what is compressed in it is damaged"],
    );
    assert!(tree.read("f").contains(&"e".repeat(32)));
}

#[test]
fn the_journals_of_a_run_on_single_files_are_read_by_the_next_one() {
    let journal = format!("strip-refs journal 1\n{A}-x\n");
    let tree = Tree::new(&[
        ("a", &path(E, "x")),
        ("b", A),
        (".strip-refs.journal-a", &journal),
        (".strip-refs.journal-b", &journal),
        ("c", A),
    ]);
    let strip = |arguments: &[&str]| {
        let mut command = xtask();
        command.arg("strip-refs").current_dir(tree.root());
        run(command.args(["a", "b"]).args(arguments))
    };
    let said = [
        "b:0: /nix/store/",
        "`.strip-refs.journal-b`: a run was killed before its end",
    ];
    ended(&strip(&["--check"]), 1, &said);
    ended(
        &strip(&[]),
        0,
        &["searched 2 files", "1 in 1 file: neutralised"],
    );
    assert_eq!([tree.read("b"), tree.read("c")], [E, A]);
    assert_eq!(tree.contents().len(), 3, "a journal is left");
}

#[test]
fn a_full_disk_leaves_every_file_whole() {
    // 40 MB can't be copied into the 24 that are free; then not even the journal can be written.
    let script = r#"
        cd "$1"
        head -c 40000000 /dev/zero | tr '\0' . >big
        cp "$2" big-end; cat big-end >>big; cp big-end small; rm big-end
        sha256sum big >sum
        code=0; "$3" strip-refs big small || code=$?
        echo "code $code"; sha256sum -c sum; cat small; ls -A
        code=0; "$3" strip-refs --check . || code=$?; echo "code $code"
        cat /dev/zero >fill 2>/dev/null || true
        code=0; "$3" strip-refs big || code=$?
        echo "full: code $code"; sha256sum -c sum
        rm fill; truncate -s 20000000 big; cat "$2" >>big
        code=0; "$3" strip-refs big small || code=$?
        echo "then: code $code"; ls -A; tail -c 79 big
    "#;
    let tree = Tree::new(&[("reference", &format!("{} {A}\n", path(A, "x")))]);
    let mut command = Command::new("sh");
    command
        .args(["-ec", script, "sh"])
        .arg(tree.path("disk"))
        .arg(tree.path("reference"));
    command.arg(env!("CARGO_BIN_EXE_xtask"));
    fs_err::create_dir(tree.path("disk")).unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64m tmpfs {}; exec \"$@\"",
        tree.path("disk")
    );
    let Some(output) = in_mounts(&mount, &command) else {
        return;
    };
    let neutral = format!("{} {E}\n", path(E, "x"));
    ended(
        &output,
        0,
        &[
            "code 2\nbig: OK\n",
            &neutral,
            "run the same command again to finish it",
            "`big`: No space left on device",
            "a run was killed before its end",
            "full: code 2\nbig: OK\n",
            "nothing was changed",
            "then: code 0\nbig\nsmall\nsum\n",
        ],
    );
    assert!(
        text(&output.stdout).ends_with(&neutral),
        "{}",
        text(&output.stdout)
    );
    assert!(
        !text(&output.stdout).contains("tmp-"),
        "{}",
        text(&output.stdout)
    );
}

/// The program as a user who is not root, on a tree that is theirs.
fn as_nobody(tree: &Tree, arguments: &[&str]) -> Output {
    if !rustix::process::geteuid().is_root() {
        return tree.strip(arguments);
    }
    // A copy of the program that they can reach.
    let program = tree.folder.path().join("xtask");
    if !program.exists() {
        copy_program(env!("CARGO_BIN_EXE_xtask"), &program);
    }
    stdout(
        Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(tree.root()),
    );
    run(Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program)
        .arg("strip-refs")
        .arg(tree.root())
        .args(arguments)
        .current_dir("/"))
}

#[test]
fn read_only_files_and_folders_are_mended_unreadable_ones_stop_it() {
    let tree = Tree::new(&[("d/e/f", &path(A, "x")), ("d/g", A), ("secret", A)]);
    let set = |path: &str, mode| {
        fs_err::set_permissions(tree.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (path, mode) in [
        ("d/e/f", 0o444),
        ("d/e", 0o555),
        ("d", 0o555),
        ("", 0o555),
        ("secret", 0o000),
    ] {
        set(path, mode);
    }
    ended(
        &as_nobody(&tree, &[]),
        2,
        &[
            "nothing was changed, because not all can be read",
            "secret`: Permission denied",
        ],
    );
    assert_eq!(tree.read("d/e/f"), path(A, "x"));
    set("secret", 0o400);
    ended(&as_nobody(&tree, &[]), 0, &["3 in 3 files: neutralised"]);
    assert_eq!(tree.read("d/e/f"), path(E, "x"));
    let mode = |path: &str| fs_err::metadata(tree.path(path)).unwrap().mode() & 0o7777;
    assert_eq!(
        ["d/e/f", "d/e", "d", "", "secret"].map(mode),
        [0o444, 0o555, 0o555, 0o555, 0o400]
    );

    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Somebody else's file in one's own folder: the copy would have another owner.
    let tree = Tree::new(&[("f", &path(A, "x"))]);
    as_nobody(&tree, &["--check"]);
    std::os::unix::fs::chown(tree.path("f"), Some(1), Some(1)).unwrap();
    let output = run(Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(tree.folder.path().join("xtask"))
        .arg("strip-refs")
        .arg(tree.root())
        .current_dir("/"));
    ended(&output, 2, &["f`: its owner can't be kept"]);
    assert_eq!(tree.read("f"), path(A, "x"));
}

#[test]
fn a_file_of_8_gib_takes_little_memory_and_keeps_its_holes() {
    let tree = Tree::new(&[]);
    // So many store paths that the report does not fit into a pipe: then the program waits at its end
    // until it is asked for its memory.
    let mut numbers = Numbers(2026);
    let paths: Vec<_> = (0..1500).map(|_| path(&numbers.hash(), "name")).collect();
    let mut file = fs_err::File::create(tree.path("sparse")).unwrap();
    let middle = format!("{} {}", path(A, "middle"), B);
    for (offset, contents) in [
        (0, paths.join("\n")),
        ((5 << 30) - 20, middle.clone()),
        ((7 << 30) + 1_048_570, path(B, "end")),
    ] {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(contents.as_bytes()).unwrap();
    }
    file.set_len(8 << 30).unwrap();
    drop(file);
    let blocks = || fs_err::metadata(tree.path("sparse")).unwrap().blocks();
    let before = blocks();

    let start = Instant::now();
    let mut child = xtask()
        .arg("strip-refs")
        .arg(tree.root())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = vec![0; 1];
    stderr.read_exact(&mut said).unwrap();
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    stderr.read_to_end(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{}", text(&said));
    assert!(said.len() > 1 << 16, "the report fits into a pipe");
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    let most = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 64 << 10, "{most} KiB");

    let mut file = fs_err::File::open(tree.path("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 8 << 30);
    assert!(blocks() <= before + 64, "{} blocks, not {before}", blocks());
    let mut at = |offset, length: usize| {
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        text(&bytes)
    };
    assert_eq!(
        at((5 << 30) - 20, middle.len()),
        format!("{} {E}", path(E, "middle"))
    );
    assert_eq!(at((7 << 30) + 1_048_570, 47), path(E, "end"));
    assert_eq!(
        at(0, 49 * 1500),
        vec![path(E, "name"); 1500].join("\n") + "\0"
    );
}

#[test]
fn a_file_with_more_rows_than_are_remembered_is_read_again() {
    let lines = format!("{A}\n{B}\n{}\n", "0".repeat(200)).repeat(400);
    let tree = Tree::new(&[("many", &lines), ("path", &path(B, "x"))]);
    let output = tree.strip(&["--json"]);
    ended(&output, 0, &["401 references to 1 store path"]);
    assert_eq!(text(&output.stdout).lines().count(), 401);
    assert_eq!(tree.read("many"), lines.replace(B, E));
}

#[test]
fn files_are_stripped_whoever_reads_the_list() {
    let many = format!("{}\n", path(A, "x")).repeat(2000);
    let tree = Tree::new(&[("f", &many)]);
    let strip = |stdout: Stdio, arguments: &[&str]| {
        let mut command = xtask();
        command.arg("strip-refs").arg(tree.root()).args(arguments);
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
        child.unwrap().wait_with_output().unwrap()
    };
    let closed = || Stdio::from(std::io::pipe().unwrap().1);
    let output = strip(closed(), &["--json", "--check"]);
    ended(&output, 141, &[]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(tree.read("f"), many);
    let output = strip(closed(), &["--json"]);
    ended(&output, 141, &["2000 in 1 file: neutralised"]);
    assert!(!text(&output.stderr).contains("error"));
    assert_eq!(tree.read("f"), many.replace(A, E));

    // One line, which only the last flush writes.
    tree.write("f", path(A, "x").as_bytes());
    let full = fs_err::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = strip(Stdio::from(full.into_file()), &["--json"]);
    ended(&output, 2, &["error: writing to stdout: No space left"]);
    assert_eq!(tree.read("f"), path(E, "x"));
}

#[test]
fn a_tree_that_changes_meanwhile_is_not_overwritten() {
    let tree = Tree::new(&[("f", &path(A, "x"))]);
    let big = ".".repeat(30_000_000) + &path(A, "x");
    tree.write("big", big.as_bytes());
    let done = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs_err::OpenOptions::new()
                .write(true)
                .open(tree.path("big"))
                .unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                file.rewind().unwrap();
                file.write_all(b"written meanwhile").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let output = tree.strip(&[]);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        output
    });
    ended(&output, 2, &["big`: it changed while it was stripped"]);
    assert_eq!(
        tree.read("big"),
        big.replacen(&".".repeat(17), "written meanwhile", 1)
    );
    assert_eq!(tree.read("f"), path(E, "x"));
    ended(&tree.strip(&[]), 0, &[]);
    assert!(tree.read("big").ends_with(&path(E, "x")));
}

#[test]
fn two_runs_do_not_write_at_once() {
    let tree = Tree::new(&[("f", &path(A, "x"))]);
    let folder = fs_err::File::open(tree.root()).unwrap();
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
    ended(&tree.strip(&[]), 2, &["another run works on"]);
    ended(&tree.strip(&["--check"]), 1, &[]);
    // Not only closed: what another test is starting just now may have it, until it is the program.
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::Unlock).unwrap();
    ended(&tree.strip(&[]), 0, &[]);
}

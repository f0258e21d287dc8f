//! `hash` against Nix itself.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use camino::Utf8Path;
use test_support::common::{copy_program, run, stdout, text, xtask};

/// A tree with what a NAR can hold.
fn tree(root: &Path) {
    fs_err::create_dir_all(root.join("empty")).unwrap();
    fs_err::create_dir_all(root.join("d/e/f")).unwrap();
    let files: [(&[u8], &[u8], u32); 8] = [
        (b"plain", b"text\n", 0o644),
        (b"owner", b"#!/bin/sh\n", 0o700),
        (b"group", b"only the owner's bit counts", 0o654),
        (b"others", b"the same", 0o645),
        (b"nothing", b"", 0o444),
        (b"d/e/padding", b"12345678", 0o644),
        (b"not-utf8-\xff\xfe", b"\xff", 0o644),
        (b"Z before a", b"order is that of bytes", 0o644),
    ];
    for (name, contents, mode) in files {
        let path = root.join(OsStr::from_bytes(name));
        fs_err::File::create(&path)
            .unwrap()
            .write_all(contents)
            .unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    for (target, link) in [("plain", "link"), ("nowhere", "dangling"), ("..", "d/up")] {
        fs_err::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
}

fn nix_hash(arguments: &[&str], path: &Path) -> String {
    let mut command = Command::new("nix");
    command.args(["--extra-experimental-features", "nix-command", "hash"]);
    stdout(command.args(arguments).arg(path))
}

#[test]
fn as_nix_hashes() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    for name in [
        "", "plain", "owner", "group", "others", "link", "dangling", "empty", "d",
    ] {
        let path = folder.path().join(name);
        let hash = |arguments: &[&str]| stdout(xtask().arg("hash").args(arguments).arg(&path));
        assert_eq!(hash(&[]), nix_hash(&["path"], &path), "{name}");
        assert_eq!(
            hash(&["--base32"]),
            nix_hash(&["path", "--base32"], &path),
            "{name}"
        );
        if path.is_file() {
            assert_eq!(hash(&["--flat"]), nix_hash(&["file"], &path), "{name}");
            let base32 = nix_hash(&["file", "--base32"], &path);
            assert_eq!(hash(&["--flat", "--base32"]), base32, "{name}");
        }
    }
}

#[test]
fn several_paths_and_json() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let paths = [folder.join("plain"), folder.join("d")];
    let hashes = stdout(xtask().arg("hash").args(&paths));
    let expected: String = paths
        .iter()
        .map(|path| nix_hash(&["path"], path.as_std_path()))
        .collect();
    assert_eq!(hashes, expected);
    let json = stdout(xtask().args(["hash", "--json"]).args(&paths));
    for ((line, path), hash) in json.lines().zip(&paths).zip(hashes.lines()) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line, serde_json::json!({ "path": path, "hash": hash }));
    }
}

#[test]
fn what_cannot_be_hashed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    tree(folder.path());
    let fifo = folder.path().join("d/fifo");
    stdout(Command::new("mkfifo").arg(&fifo));
    let plain = folder.path().join("plain");
    for (arguments, part) in [
        (
            vec![OsStr::new("d")],
            "d/fifo` is neither a file nor a folder nor a link",
        ),
        (
            vec![OsStr::new("--flat"), OsStr::new("d/fifo")],
            "d/fifo` is not a regular file",
        ),
        (
            vec![OsStr::new("--flat"), OsStr::new("d")],
            "d` is not a regular file",
        ),
        (vec![OsStr::new("missing")], "missing"),
        (vec![plain.as_os_str(), OsStr::new("missing")], "missing"),
    ] {
        // A program that opens a FIFO waits for ever.
        let output = run(Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_xtask"), "hash"])
            .args(&arguments)
            .current_dir(folder.path()));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(
            text(&output.stderr).contains(part),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    fs_err::create_dir_all(folder.path().join("d")).unwrap();
    let secret = folder.path().join("d/secret");
    fs_err::File::create(&secret).unwrap();
    fs_err::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything: then another user asks, by a copy of the program that they can reach.
    let program = folder.path().join("xtask");
    copy_program(env!("CARGO_BIN_EXE_xtask"), &program);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = run(command
        .current_dir("/")
        .arg("hash")
        .arg(folder.path().join("d")));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("d/secret"),
        "{}",
        text(&output.stderr)
    );
}

//! `tools/go-proxy`: Go takes what it serves, and its exit codes are the command's.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use test_support::common::{self, path_with_go, root, run, stdout, text};

fn git(folder: &Utf8Path, arguments: &[&str]) {
    stdout(common::git(folder).args(arguments));
}

/// A repository with a module that holds all that a module's zip leaves out.
fn repository(folder: &Utf8Path) -> Utf8PathBuf {
    let repository = folder.join("repository");
    for (name, content) in [
        ("go.mod", "module example.org/Upper\n"),
        ("upper.go", "package upper\n"),
        ("below/below.go", "package below\n"),
        ("vendor/example.org/x/x.go", "package x\n"),
        ("other/go.mod", "module example.org/Upper/other\n"),
        ("other/other.go", "package other\n"),
    ] {
        let path = repository.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    fs_err::os::unix::fs::symlink("upper.go", repository.join("link.go")).unwrap();
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "--force", "."]);
    git(&repository, &["commit", "--quiet", "-m", "files"]);
    git(&repository, &["tag", "v1.2.3"]);
    repository
}

/// The script, with Go of host-pkgs on PATH and folders of its own.
fn go_proxy(folder: &Utf8Path, module: &str) -> Command {
    let path = path_with_go();
    let mut command = Command::new(root().join("tools/go-proxy"));
    command
        .arg(module)
        .current_dir(folder)
        .env("PATH", path)
        .env("GOPATH", folder.join("go"))
        .env("GOFLAGS", "-modcacherw")
        .env("GOTOOLCHAIN", "local")
        // no database of sums knows this module
        .env("GONOSUMDB", "example.org")
        .env("GOPROXY", "off");
    command
}

#[test]
fn a_module_comes_from_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let repository = repository(folder);
    let commit = stdout(
        Command::new("git")
            .args(["-C", repository.as_str(), "rev-parse", "HEAD"])
            .env("TZ", "UTC"),
    );
    let time = stdout(
        Command::new("git")
            .args(["-C", repository.as_str(), "log", "-1"])
            .args(["--format=%cd", "--date=format-local:%Y%m%d%H%M%S"])
            .env("TZ", "UTC"),
    );
    let pseudo = format!("v1.2.4-0.{}-{}", time.trim(), &commit[..12]);
    let mut sums = Vec::new();
    for version in ["v1.2.3", &pseudo] {
        let served = format!("example.org/Upper@{version}={repository}");
        let asked = format!("example.org/Upper@{version}");
        let answer = stdout(
            go_proxy(folder, &served).args(["--", "go", "mod", "download", "-json", &asked]),
        );
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let files = stdout(
            Command::new("find")
                .args([".", "-type", "f", "-printf", "%P\n"])
                .current_dir(answer["Dir"].as_str().unwrap()),
        );
        let mut files: Vec<&str> = files.lines().collect();
        files.sort_unstable();
        assert_eq!(files, ["below/below.go", "go.mod", "upper.go"]);
        sums.push(answer["GoModSum"].clone());
    }
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let repository = repository(folder);
    let good = format!("example.org/Upper@v1.2.3={repository}");
    let untagged = format!("example.org/Upper@v9.9.9={repository}");
    for (module, script, code, part) in [
        (&*good, "exit 7", 7, ""),
        (&*good, "kill -TERM $$", 143, ""),
        ("example.org/Upper", "true", 2, "is not MODULE@VERSION="),
        (&*untagged, "true", 2, "refs/tags/v9.9.9"),
    ] {
        let output = run(go_proxy(folder, module).args(["--", "sh", "-c", script]));
        let said = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{module} {script}: {said}"
        );
        assert!(said.contains(part), "{module}: {said}");
    }
}

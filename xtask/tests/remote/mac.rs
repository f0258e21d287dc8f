//! A laptop that is a Mac, as far as Linux can be one: busybox is its only userland, bsdtar its `tar`, there is neither
//! Nix nor a package manager nor /proc, and case makes no difference in the folder of the repository.
//!
//! The program was compiled for Linux all the same: where the `platform.rs` of a crate decides, and where `setup` asks
//! for the system, the branch of Linux runs. What `setup` says on macOS is tested where it is written
//! (`machine/elsewhere.rs`).

use std::process::{Command, Output};

use camino::Utf8Path;

use super::remote::seen;
use test_support::common::{from_pypi, go, run, stdout, text, wait_until, xtask};
use test_support::far::Far;
use test_support::harness::Harness;
use test_support::mac::MacMachine;

/// All that a command that succeeded said.
fn said(command: &mut Command) -> String {
    let output = run(command);
    let said = both(&output);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// What a command prints, whether it succeeds or not.
fn stdout_of(command: &mut Command) -> String {
    text(&run(command).stdout)
}

fn both(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn cards_hashes_and_rewritten_files() {
    let Some(mac) = MacMachine::start(&[]) else {
        return;
    };
    for absent in ["nix-store", "apt-get", "dpkg", "go", "curl", "setsid"] {
        let script = format!("ls /*bin/{absent} /usr/*bin/{absent} /usr/local/bin/{absent}");
        let found = stdout_of(mac.command("sh").args(["-c", &script]));
        assert_eq!(found, "", "it is there");
    }
    assert!(!run(mac.command("ls").arg("/proc")).status.success());

    // The same words as on Linux.
    let here = said(xtask().arg("docs-check"));
    assert_eq!(said(&mut mac.xtask(&["docs-check"])), here);
    assert_eq!(said(&mut mac.xtask(&["docs-check", "--staged"])), here);
    // In another case alone, and back.
    let names = || stdout(mac.command("git").args(["ls-files", "docs"]));
    let before = names();
    let index = said(&mut mac.xtask(&["hash", "docs"]));
    for (old, new) in [
        ("why-from-source", "Why-From-Source"),
        ("Why-From-Source", "why-from-source"),
    ] {
        let moved = said(&mut mac.xtask(&["docs-move", old, new]));
        assert!(moved.contains(" links rewritten, "), "{moved}");
        assert!(names().contains(&format!("/{new}.md\n")), "{}", names());
        assert!(!names().contains(&format!("/{old}.md\n")), "{}", names());
    }
    assert_eq!(names(), before);
    assert_eq!(said(&mut mac.xtask(&["hash", "docs"])), index);

    for path in ["containers/authentik/sample", "docs", "xtask/build-tools"] {
        let hash = |command: &mut Command| stdout(command.args(["hash", path]));
        let mut there = mac.command("/usr/local/bin/xtask");
        assert_eq!(hash(&mut there), hash(&mut xtask()), "{path}");
    }

    let version = "containers/authentik/sample/web/packages/core/version/node.js";
    let arguments = ["patch-version", version, "1.2.3"];
    said(&mut mac.xtask(&arguments));
    let patched = stdout(mac.command("cat").arg(version));
    assert!(
        patched.contains("\"1.2.3\"") && !patched.contains("package.json\" with"),
        "{patched}"
    );

    let script = "mkdir -p t/bin; echo /nix/store/0123456789abcdfghijklmnpqrsvwxyz-x/bin/sh >t/bin/f; chmod 755 t/bin/f";
    stdout(mac.command("sh").args(["-c", script]));
    let found = run(&mut mac.xtask(&["strip-refs", "--check", "t"]));
    assert_eq!(found.status.code(), Some(1), "{}", both(&found));
    said(&mut mac.xtask(&["strip-refs", "t"]));
    let neutral = format!("/nix/store/{}-x/bin/sh\n", "e".repeat(32));
    assert_eq!(stdout(mac.command("cat").arg("t/bin/f")), neutral);
    said(&mut mac.xtask(&["strip-refs", "--check", "t"]));
}

#[test]
fn vendor_hashes_with_and_without_go() {
    let folder = Utf8Path::new(go()).ancestors().nth(2).unwrap();
    // On Linux Go finds itself by /proc, on macOS by other means.
    let Some(mac) = MacMachine::start(&[folder, Utf8Path::new("/proc")]) else {
        return;
    };
    // Its dependency is a folder beside it: nothing is fetched.
    let files = [
        (
            "go.mod",
            "module example.com/x\n\ngo 1.25\n\nrequire example.com/y v0.0.0\n\nreplace example.com/y => ./y\n",
        ),
        (
            "main.go",
            "package main\n\nimport _ \"example.com/y/in\"\n\nfunc main() {}\n",
        ),
        ("y/go.mod", "module example.com/y\n\ngo 1.25\n"),
        ("y/in/in.go", "package in\n"),
        ("y/in/data", "data\n"),
    ];
    let here = tempfile::tempdir().unwrap();
    let here = Utf8Path::from_path(here.path()).unwrap();
    for (path, contents) in files {
        for top in [here.to_owned(), mac.repository().from_here().join("module")] {
            let path = top.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, contents).unwrap();
        }
    }
    // What the Finder leaves is no part of the module.
    fs_err::write(
        mac.repository().from_here().join("module/y/in/.DS_Store"),
        "",
    )
    .unwrap();
    let compute = |source: &str, go: &str| {
        ["compute-vendor-hash", "--source", source, "--go", go].map(str::to_owned)
    };
    let hash = |mut command: Command, source: &str| stdout(command.args(compute(source, go())));
    assert_eq!(hash(mac.xtask(&[]), "module"), hash(xtask(), here.as_str()));
    // Modules that differ in case only become one folder where case makes no difference.
    let top = mac.repository().from_here().join("both");
    for (path, contents) in [
        (
            "go.mod",
            "module example.com/x\n\ngo 1.25\n\nrequire (\n\texample.com/Y/a v0.0.0\n\texample.com/y/b v0.0.0\n)\n\n\
                    replace (\n\texample.com/Y/a => ./one\n\texample.com/y/b => ./two\n)\n",
        ),
        (
            "main.go",
            "package main\n\nimport (\n\t_ \"example.com/Y/a\"\n\t_ \"example.com/y/b\"\n)\n\nfunc main() {}\n",
        ),
        ("one/go.mod", "module example.com/Y/a\n\ngo 1.25\n"),
        ("one/a.go", "package a\n"),
        ("two/go.mod", "module example.com/y/b\n\ngo 1.25\n"),
        ("two/b.go", "package b\n"),
    ] {
        let path = top.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, contents).unwrap();
    }
    let merged = run(mac
        .xtask(&[])
        .args(compute("both", go()))
        .env("TMPDIR", mac.home().join("work/both")));
    assert_eq!(merged.status.code(), Some(2), "{}", both(&merged));
    let words = "`example.com/Y` and `example.com/y` differ in case only";
    assert!(both(&merged).contains(words), "{}", both(&merged));

    let refused = run(mac
        .xtask(&["compute-vendor-hash", "--source", "module"])
        .env_remove("GOROOT"));
    assert_eq!(refused.status.code(), Some(2), "{}", both(&refused));
    assert!(
        both(&refused).contains("`brew install go`"),
        "{}",
        both(&refused)
    );
}

#[test]
fn completions_and_setup() {
    // On Linux bash reads `<(...)` by /proc, on macOS by other means.
    let Some(mac) = MacMachine::start(&[Utf8Path::new("/proc")]) else {
        return;
    };
    // With the shell that completes: macOS has bash and zsh, and all that the scripts may use are their own words.
    mac.bring("/usr/bin/bash", "bin/bash");
    let script = said(&mut mac.xtask(&["completions", "bash"]));
    mac.write("usr/local/share/xtask.bash", &script);
    let offered = |line: &str| {
        let script = format!(
            ". /usr/local/share/xtask.bash; COMP_LINE='{line}' COMP_POINT={}\n\
             compopt() {{ :; }}; __xtask_answer; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.len()
        );
        said(mac.command("/bin/bash").args(["--norc", "-c", &script]))
    };
    assert_eq!(offered("cargo xtask compute-vend"), "compute-vendor-hash\n");
    assert_eq!(offered("cargo xtask docs-move --dr"), "--dry-run\n");
    // Names of components are evaluated by Nix: without it there are none, and no words about it.
    assert_eq!(offered("cargo xtask test-build client-"), "\n");
    for shell in ["zsh", "fish"] {
        assert!(
            said(&mut mac.xtask(&["completions", shell])).len() > 500,
            "{shell}"
        );
    }

    let looked = run(&mut mac.xtask(&["setup"]));
    let words = both(&looked);
    assert!(words.lines().count() <= 15, "{words}");
    assert!(words.contains("--on HOST"), "{words}");
    assert!(!words.contains("apt-get"), "{words}");
}

/// As `prek` from `PyPI` runs it, started by a client that does not know the PATH of a login shell.
#[test]
fn the_hook_lets_commits_through() {
    let prek = from_pypi("prek==0.5.11");
    // On Linux prek finds itself by /proc, on macOS by other means.
    let Some(mac) = MacMachine::start(&[&prek, Utf8Path::new("/proc")]) else {
        return;
    };
    // Cargo itself is not tested: it runs what it would have built.
    let cargo =
        "#!/bin/sh\n[ \"$1\" = xtask ] || exit 0\nshift\nexec /usr/local/bin/xtask \"$@\"\n";
    mac.write("Users/somebody/.cargo/bin/cargo", cargo);
    let path = format!("{prek}/bin:/usr/bin:/bin");
    said(mac.command("prek").arg("install").env("PATH", &path));
    let commit = |text: &str| {
        let script =
            format!("echo '{text}' >>docs/explanation/why-from-source.md; echo >>default.nix");
        stdout(mac.command("sh").args(["-c", &script]));
        stdout(mac.command("git").args(["add", "."]));
        let mut git = mac.command("git");
        // Not the PATH on which prek was installed.
        run(git.args(["commit", "--message", "a change"]))
    };
    let refused = commit("See [[no-such-card]].");
    assert!(!refused.status.success(), "{}", both(&refused));
    assert!(
        both(&refused).contains("link-unknown"),
        "{}",
        both(&refused)
    );
    stdout(mac.command("sed").args([
        "-i",
        "s/\\[\\[no-such-card\\]\\]/nothing/",
        "docs/explanation/why-from-source.md",
    ]));
    let passed = commit("");
    assert!(passed.status.success(), "{}", both(&passed));
    assert!(
        both(&passed).contains("Nix files are not checked"),
        "{}",
        both(&passed)
    );
}

/// A build that succeeds and one that fails, new each time.
const TINY: &str = r#"
  good = sh "good" { } "echo some words; echo > $out";
  bad = sh "bad" { } "echo before; tsc --version";
"#;

#[test]
fn components_are_built_on_another_machine() {
    let Some(far) = Far::start() else {
        return;
    };
    let Some(mac) = MacMachine::start(&[far.path()]) else {
        return;
    };
    let options = format!("-F {}/config", far.path());
    let there = |arguments: &[&str]| {
        let mut command = mac.xtask(arguments);
        command
            .args(["--on", "basher"])
            .env("NIX_SSHOPTS", &options);
        command
    };
    let looked = said(&mut there(&["setup"]));
    assert!(
        looked.contains("the main job can run on basher"),
        "{looked}"
    );

    // Without a machine it says which ways there are.
    let nowhere = run(&mut mac.xtask(&["test-build", "--sample", "client-ts"]));
    assert_eq!(nowhere.status.code(), Some(2), "{}", both(&nowhere));
    assert!(
        both(&nowhere).contains("XTASK_BUILD_HOST"),
        "{}",
        both(&nowhere)
    );

    // Other tests build it, too: once it is there, the table is that of Linux.
    let arguments = ["test-build", "--sample", "client-ts", "--pkgs", "host"];
    said(xtask().args(arguments));
    let here = said(xtask().args(arguments));
    let built = said(&mut there(&arguments));
    let without_host = built.replace("  on: basher", "");
    assert_eq!(seen(&without_host), seen(&here), "{built}\n{here}");
    for row in ["\nclient-ts ", "\nclient-ts.tests.types "] {
        assert!(built.contains(row), "{built}");
    }

    // What is built there is shown and kept here.
    let tiny = Harness::new(TINY);
    for file in ["test-build.nix", "pins.json"] {
        let contents = tiny.root().join("containers/authentik").join(file);
        let contents = fs_err::read_to_string(contents).unwrap();
        mac.write(&format!("Users/somebody/{file}"), &contents);
    }
    let copy = "mkdir containers/tiny && cp ../test-build.nix ../pins.json containers/tiny";
    stdout(mac.command("sh").args(["-c", copy]));
    let arguments = [
        "test-build",
        "tiny/good",
        "tiny/bad",
        "--keep-going",
        "--pkgs",
        "host",
    ];
    let failed = run(&mut there(&arguments));
    let words = both(&failed);
    assert_eq!(failed.status.code(), Some(1), "{words}");
    for part in [
        "\ngood",
        " built ",
        "\nbad",
        "tsc: command not found",
        "whole log: ",
    ] {
        assert!(words.contains(part), "lacks `{part}`:\n{words}");
    }
    let log = "cat target/test-build/logs/bad-*";
    let log = stdout(mac.command("sh").args(["-c", log]));
    assert_eq!(log.lines().next(), Some("before"));
    wait_until("nothing is left there", || far.folders().is_empty());
}

//! `update` and what is not found by building a release here: hashes of other systems, pins of a working tree, cards.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use test_support::common::{git, hash, run, stdout, text};
use test_support::upstream::{OTHER, Upstream};

/// `deps` is pinned for each system; what is not there yet has a fake hash.
fn with_systems() -> Upstream {
    let upstream = Upstream::with(&[(
        r#"deps = pin [ "deps" "at" "here" ] (fixed "deps" json.deps.at.here"#,
        r#"at = if builtins.currentSystem == "x86_64-linux" then "here" else builtins.currentSystem;
           deps = pin [ "deps" "at" at ] (fixed "deps" (json.deps.at.${at} or wrong)"#,
    )]);
    let path = upstream.root().join("containers/authentik/pins.json");
    let mut value = upstream.value();
    for system in ["i686-linux", "aarch64-linux"] {
        value["deps"]["at"][system] = OTHER.into();
    }
    std::fs::write(&path, serde_json::to_string_pretty(&value).unwrap()).unwrap();
    upstream
}

/// This machine builds for a second system itself; nothing builds for the third.
#[test]
fn hashes_of_other_systems_are_found() {
    let upstream = with_systems();
    let before = upstream.pins();
    let (code, out, said) = upstream.update(&["--system", "i686-linux", "--json"]);
    assert_eq!(code, Some(1), "{said}");
    let states = Upstream::states(&out);
    let state = |pin: &str| states.iter().find(|it| it.0 == pin).unwrap().1.clone();
    assert_eq!(state("deps.at.i686-linux"), "changed");
    assert_eq!(state("deps.at.aarch64-linux"), "removed");
    let left = "removed, as nothing here found what they are now: deps.at.aarch64-linux;";
    assert!(said.contains(left), "{said}");
    let value = upstream.value();
    let at = &value["deps"]["at"];
    assert_eq!(at["i686-linux"], at["here"]);
    assert_eq!(at.as_object().unwrap().len(), 2);
    upstream.no_fake_stays();
    upstream.is_right();
    // The machines that `--builders` names are asked, and there is none.
    std::fs::write(
        upstream.root().join("containers/authentik/pins.json"),
        before,
    )
    .unwrap();
    let (code, _, said) = upstream.update(&["--system", "aarch64-linux", "--builders", ""]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("aarch64-linux"), "{said}");
    assert_eq!(upstream.value()["deps"]["at"].as_object().unwrap().len(), 1);
    assert_eq!(upstream.value()["version"], "1.0.1");
}

/// A working tree that is no release: the pins of a file become those that it is built with.
#[test]
fn the_pins_of_a_working_tree() {
    let upstream = Upstream::start();
    let root = upstream.root();
    let tree = root.join("working");
    fs_err::create_dir_all(tree.join(".git")).unwrap();
    fs_err::create_dir_all(tree.join("clean")).unwrap();
    for folder in [&tree, &tree.join("clean")] {
        std::fs::write(folder.join("package.json"), r#"{"version":"1.0.2-rc1"}"#).unwrap();
    }
    fs_err::rename(tree.join("clean"), root.join("clean")).unwrap();
    let release = upstream.pins();
    let source = ["--source", tree.as_str(), "--no-build"];
    let (code, out, said) = upstream.update(&source);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("deps.at.here      to be found"), "{out}");
    let own = root.join("containers/authentik/pins.json");
    let refused = upstream.update(&[&source[..], &["--pins", own.as_str()]].concat());
    assert_eq!(refused.0, Some(2), "{refused:?}");
    assert!(refused.2.contains("the release's pins"), "{refused:?}");
    let pins = root.join("working.json");
    fs_err::copy(&own, &pins).unwrap();
    let (code, out, said) = upstream.update(&[&source[..], &["--pins", pins.as_str()]].concat());
    assert_eq!(code, Some(0), "{out}{said}");
    let value: Value = serde_json::from_slice(&fs_err::read(&pins).unwrap()).unwrap();
    assert_eq!(value["version"], "1.0.2-rc1");
    // Of the tree without what belongs to git.
    let of_tree = hash(&root.join("clean"), false);
    assert_eq!(value["sources"]["app"]["hash"], of_tree.as_str());
    assert_ne!(
        value["deps"]["at"]["here"],
        upstream.value()["deps"]["at"]["here"]
    );
    assert_eq!(upstream.pins(), release);
    // With a build that fails there is nothing to go on with.
    let broken = Upstream::with(&[("FAIL", "false")]);
    let pins = broken.root().join("working.json");
    fs_err::write(&pins, broken.pins()).unwrap();
    let (code, _, said) = broken.update(&["--source", tree.as_str(), "--pins", pins.as_str()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("working.json is as it was\n"), "{said}");
    let (code, _, said) = broken.update(&["--resume", "--pins", pins.as_str()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is nothing to resume"), "{said}");
    // An older one is no way back.
    std::fs::write(tree.join("package.json"), r#"{"version":"0.9.0"}"#).unwrap();
    let (code, _, said) = upstream.update(&[&source[..], &["--pins", pins.as_str()]].concat());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("`git revert`"), "{said}");
}

/// Cards that state the version say the new one, and are in the commit.
#[test]
fn cards_move_along() {
    let upstream = Upstream::start();
    let card = |tags: &str| {
        format!(
            "---\ntitle: App\nmodified: 2026-01-01\ntags: [{tags}]\n---\n\n# App\n\nVersion 1.0.0.\n\n```console\n$ app 1.0.0\n```\n"
        )
    };
    let harness = &upstream.harness;
    harness.write("docs/app.md", &card("reference, authentik"));
    harness.write("docs/history.md", &card("how-to, authentik"));
    harness.write("docs/other.md", &card("reference, other"));
    let root = upstream.root();
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "containers", "docs"],
        &["commit", "--quiet", "--message", "before"],
    ] {
        stdout(git(&root).args(arguments));
    }
    let (code, out, said) = upstream.update(&["--dry-run"]);
    assert_eq!(
        (code, git_status(&upstream)),
        (Some(0), String::new()),
        "{said}"
    );
    assert!(out.contains("sources.app.hash  changed"), "{out}");
    let mut command = upstream.command(&["--no-build", "--commit"]);
    for name in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{name}_NAME"), "n")
            .env(format!("GIT_{name}_EMAIL"), "n@example.org");
    }
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = stdout(git(&root).args(["show", "--name-only", "--format="]));
    assert_eq!(shown, "containers/authentik/pins.json\ndocs/app.md\n");
    let read = |name: &str| fs_err::read_to_string(root.join("docs").join(name)).unwrap();
    let new = read("app.md");
    assert!(
        new.contains("Version 1.0.1.\n\n```console\n$ app 1.0.0\n"),
        "{new}"
    );
    assert!(!new.contains("2026-01-01"), "{new}");
    assert_eq!(read("history.md"), card("how-to, authentik"));
    assert_eq!(read("other.md"), card("reference, other"));
}

/// Who writes a card while it builds keeps what was written.
#[test]
fn a_card_that_is_written_meanwhile() {
    let upstream = Upstream::with(&[("SLEEP", "2")]);
    let text = "---\ntitle: App\nmodified: 2026-01-01\ntags: [reference, authentik]\n---\n\n# App\n\nVersion 1.0.0.\n";
    upstream.harness.write("docs/app.md", text);
    let mut command = upstream.command(&[]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begins = |line: &String| line.starts_with("deps.at.here> building ");
    assert!(lines.by_ref().map(Result::unwrap).any(|line| begins(&line)));
    upstream
        .harness
        .write("docs/app.md", &format!("{text}\nMine.\n"));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:#?}");
    let new = fs_err::read_to_string(upstream.root().join("docs/app.md")).unwrap();
    assert!(new.ends_with("Version 1.0.1.\n\nMine.\n"), "{new}");
}

fn git_status(upstream: &Upstream) -> String {
    stdout(git(&upstream.root()).args(["status", "--porcelain", "containers", "docs"]))
}

//! Bad input and missing programs: the exit code is 2, and the message says what to do.

use std::process::Command;

use test_support::common::{run, text};
use test_support::harness::{Harness, programs};

const OK: &str = r#"good = sh "good" { } "echo > $out";"#;

#[test]
fn outside_of_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(folder.path())
        .env_remove("CARGO_MANIFEST_DIR");
    let output = run(command.args(["test-build", "x"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`containers/host-pkgs/default.nix`"));
}

#[test]
fn without_nix() {
    let harness = Harness::new(OK);
    let path = harness.root().join("programs");
    programs(&path, &[], &[]);
    let output = run(harness.command(&["good"]).env("PATH", &path));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [
        "Nix is not installed: ",
        "`--on HOST`",
        "`XTASK_BUILD_HOST`",
        "`\"on\"` in the container's test-build.json",
        "`cargo xtask setup`",
    ] {
        assert!(said.contains(part), "lacks {part}: {said}");
    }
    // What is done on this machine alone does not send anybody to another.
    harness.write("m/go.mod", "module x\n");
    for (arguments, part) in [
        (
            &["update", "--on", "basher"][..],
            "`update` builds on this machine",
        ),
        (&["update", "--resume"], "`update` builds on this machine"),
        (
            &["compute-vendor-hash", "--nix", "--source", "m"],
            "Go computes the hash",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(harness.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .env("PATH", &path)
            .args(arguments);
        let output = run(&mut command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let is_it = said.starts_with("error: Nix is not installed") && said.contains(part);
        assert!(is_it && !said.contains("--on HOST"), "{said}");
    }
}

#[test]
fn flags_that_do_not_go_together() {
    let harness = Harness::new(OK);
    for arguments in [
        &["--sample", "--source", "."][..],
        &["--sample", "--pins", "p"],
        &["--list", "--all"],
        &["--all", "good"],
        &["--pkgs", "other"],
        &["--no-such-flag"],
    ] {
        let ended = harness.test_build(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        ended.says(&["error:"]);
    }
}

#[test]
fn broken_pins_are_located() {
    let harness = Harness::new(OK);
    let place = r#"{ "file": "there" }"#;
    let zeros = "A".repeat(43);
    for (pins, parts) in [
        (
            "{\n  \"version\": \"1\",,\n}".to_owned(),
            &["p.json:2:"][..],
        ),
        (
            "{\n \"version\": \"1\",\n \"nix\": 1 }".to_owned(),
            &["p.json:3:", "unknown field `nix`"],
        ),
        (
            format!(
                "{{ \"version\": \"1\", \"sources\": {{\n \"s\": {{ \"hash\": \"sha256-short\",\n \
                 \"places\": [{place}] }} }} }}"
            ),
            &["p.json:2:", "malformed hash `sha256-short`"],
        ),
        (
            format!(
                "{{ \"version\": \"1\", \"sources\": {{ \"s\": {{ \"hash\": \"sha256-{zeros}=\", \
                 \"places\": [{{ \"file\": \"gone.yml\" }}] }} }} }}"
            ),
            &["p.json", "`s`", "gone.yml"],
        ),
    ] {
        harness.write("p.json", &pins);
        let ended = harness.test_build(&["--pins", "p.json", "good"]);
        assert_eq!(ended.code, Some(2), "{pins}: {}", ended.stderr);
        ended.says(parts);
    }
    let ended = harness.test_build(&["--pins", "none.json", "good"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&["cannot read the pins `none.json`"]);
}

#[test]
fn a_source_that_is_no_authentik() {
    let harness = Harness::new(OK);
    harness.write("tree/schema.yml", "");
    let ended = harness.test_build(&["--source", "tree", "good"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&[
        "not a source tree of authentik",
        "`package.json`, `scripts/api/ts-templates`",
    ]);
    assert!(!ended.stderr.contains("`schema.yml`"), "{}", ended.stderr);
    let ended = harness.test_build(&["--source", "nowhere", "good"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&["nowhere"]);
}

/// A repository with a pinned nixpkgs that is out of reach, and a Nix of this version that answers
/// questions only.
fn with_nix(version: &str) -> Harness {
    let harness = Harness::new(OK);
    let rev = "0".repeat(40);
    harness.write(
        "containers/authentik/pins.json",
        &format!(
            r#"{{ "version": "1.0", "sources": {{}}, "nixpkgs": {{ "url": "http://nowhere.invalid/{rev}",
            "rev": "{rev}", "hash": "sha256-{}=" }} }}"#,
            "A".repeat(43)
        ),
    );
    let root = harness.root();
    let nix_store =
        format!("if [ $1 = --version ]; then echo 'nix-store (Nix) {version}'; else echo $3; fi");
    let curl = format!("echo asked >> {root}/asked; exit 7");
    programs(
        &root.join("programs"),
        &[
            ("nix-store", &nix_store),
            ("nix-instantiate", "exit 1"),
            ("curl", &curl),
        ],
        &["echo"],
    );
    harness
}

/// What `test-build good` says with the programs of [`with_nix`] alone, and how often curl was asked.
fn first_line(harness: &Harness, arguments: &[&str]) -> (String, usize) {
    let root = harness.root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(&root)
        .env_remove("CARGO_MANIFEST_DIR")
        .env("PATH", root.join("programs"))
        .arg("test-build")
        .args(arguments)
        .arg("good");
    let said = text(&run(&mut command).stderr);
    let asked = fs_err::read_to_string(root.join("asked")).unwrap_or_default();
    (
        said.lines().next().unwrap_or_default().to_owned(),
        asked.lines().count(),
    )
}

#[test]
fn an_old_nix_means_host_pkgs() {
    let harness = with_nix("2.8.0");
    let (said, asked) = first_line(&harness, &[]);
    let expected = "package set: host-pkgs (Nix 2.8.0 is older than 2.18, which nixpkgs needs)  \
                    sources: authentik 1.0";
    assert_eq!((said.as_str(), asked), (expected, 0));
    let (said, _) = first_line(&harness, &["--pkgs", "nixpkgs"]);
    assert!(
        said.contains("needs Nix 2.18 or later, this is Nix 2.8.0"),
        "{said}"
    );
}

#[test]
fn the_answer_of_a_probe_is_remembered() {
    let harness = with_nix("2.26.3");
    for why in [
        "its address does not answer)",
        "its address did not answer a short time ago, which is remembered for 5 minutes: `cargo xtask setup` asks",
    ] {
        let (said, asked) = first_line(&harness, &[]);
        let part = format!("host-pkgs (nixpkgs 00000000 is not in the store and {why}");
        assert!(said.contains(&part), "{said}");
        assert_eq!(asked, 1);
    }
    for tools in ["host-tools", "libraries"] {
        harness.write(&format!("containers/host-pkgs/{tools}.json"), "{}");
    }
    let mut setup = Command::new(env!("CARGO_BIN_EXE_xtask"));
    setup
        .current_dir(harness.root())
        .env_remove("CARGO_MANIFEST_DIR")
        .env("PATH", harness.root().join("programs"))
        .arg("setup");
    let output = run(&mut setup);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("its address does not answer"), "{said}");
    // A clock that went backwards leaves an answer from the future.
    let rev = "0".repeat(40);
    harness.write(
        "target/xtask/probe.json",
        &format!(
            r#"{{ "url": "http://nowhere.invalid/{rev}", "reachable": true, "at": 99999999999 }}"#
        ),
    );
    assert_eq!(first_line(&harness, &[]).1, 3);
    harness.write("target/xtask/probe.json", "{ broken");
    assert_eq!(first_line(&harness, &[]).1, 4);
    let (said, asked) = first_line(&harness, &["--pkgs", "nixpkgs"]);
    assert!(
        said.contains("package set: nixpkgs (asked for by `--pkgs`)"),
        "{said}"
    );
    assert_eq!(asked, 4);
    fs_err::remove_file(harness.root().join("programs/curl")).unwrap();
    fs_err::remove_file(harness.root().join("target/xtask/probe.json")).unwrap();
    let (said, _) = first_line(&harness, &[]);
    assert!(said.contains("no curl to ask its address"), "{said}");
}

#[test]
fn names_and_lists() {
    let harness = Harness::new(
        r#"
  client-ts = sh "client-ts" { version = "7"; meta.description = "a client"; passthru.tests.types = sh "t" { } ""; } "";
  client-go = sh "client-go-3.1" { } "";
  bad = throw "not for this system";
"#,
    );
    let ended = harness.test_build(&["cleint-ts", "client-go"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&[
        "no component `cleint-ts`: did you mean `client-ts`?",
        "\n  client-go\n",
    ]);
    // What was not named is not evaluated, so that one bad component harms no other.
    let ended = harness.test_build(&["bad"]);
    assert_eq!(ended.code, Some(2));
    ended.says(&["evaluating", "test-build.nix", "not for this system"]);
}

#[test]
fn the_list() {
    let harness = Harness::new(
        r#"
  client-ts = sh "client-ts" { } "" // {
    version = "7"; meta.description = "A client"; passthru.tests.types = sh "t" { } "";
  };
  client-go = sh "client-go-3.1" { } "";
"#,
    );
    let ended = harness.test_build(&["--list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("component    version"), "{lines:?}");
    assert_eq!(lines[1], "authentik/");
    assert!(lines[2].starts_with("  client-go  3.1"), "{lines:?}");
    assert!(lines[3].starts_with("  client-ts  7 "), "{lines:?}");
    assert!(lines[3].ends_with("A client     types"), "{lines:?}");
    let ended = harness.test_build(&["--list", "--json"]);
    assert_eq!(
        *ended.row("client-ts"),
        serde_json::json!({
            "container": "authentik", "component": "client-ts", "version": "7", "description": "A client", "tests": ["types"]
        })
    );
    let ended = harness.test_build(&[]);
    assert_eq!(ended.code, Some(2));
    ended.says(&[
        "nothing to build was named",
        "`--all`",
        "client-go",
        "client-ts",
    ]);
}

//! Hash mismatches: named by pin, and accepted by `--write-pins`.

use test_support::common::text;
use test_support::harness::{Ended, Harness};

const WRONG: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// `nix hash path` of a file with the text "hello\n", and with "other\n".
const PINS: &str = r#"{
  "version": "1.0",	"sources": {
    "one": { "places": [ { "npm": "one", "version": "1" } ], "hash": "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" },

    "two.dotted": { "hash":"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "places": [ { "npm": "two", "version": "1" } ] }
  }
}
"#;

/// Two pins, a component for each, and one that needs both.
fn harness(one: &str) -> Harness {
    let harness = Harness::new(&format!(
        r#"
  one = fixed "one" (hashOf "one") {one};
  two = fixed "two" (hashOf "two.dotted") "echo two > $out";
  both = sh "both" {{ deps = [ one two ]; }} "echo > $out";
  broken = sh "broken" {{ }} "exit 1";
  pinned = [
    (one // {{ pin = {{ file = pinsFile; key = [ "sources" "one" "hash" ]; }}; }})
    (two // {{ pin = {{ file = pinsFile; key = [ "sources" "two.dotted" "hash" ]; }}; }})
  ];
"#
    ));
    harness.write("containers/authentik/pins.json", PINS);
    harness
}

fn pins(harness: &Harness) -> String {
    fs_err::read_to_string(harness.root().join("containers/authentik/pins.json")).unwrap()
}

/// What Nix found, in the order in which it is reported.
fn found(ended: &Ended) -> Vec<&str> {
    let lines = ended
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  got:       "));
    lines.collect()
}

#[test]
fn several_mismatches_in_one_run_and_each_pin_by_name() {
    let harness = harness(r#""echo one > $out""#);
    let ended = harness.test_build(&["both", "broken", "--keep-going", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.state("both"), "hash mismatch");
    ended.says(&[
        "pin:       `sources.one.hash` in containers/authentik/pins.json",
        "pin:       `sources.two.dotted.hash` in containers/authentik/pins.json",
        "accept it: `cargo xtask test-build --pkgs host both broken --keep-going --json --write-pins`",
    ]);
    assert_eq!(found(&ended).len(), 2);
    assert_eq!(pins(&harness), PINS);
}

#[test]
fn accepted_hashes_are_written_and_the_build_goes_on() {
    let harness = harness(r#""echo one > $out""#);
    let ended = harness.test_build(&["both", "broken", "--json", "--write-pins"]);
    // What does not depend on any pin fails as it did.
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.state("broken"), "failed");
    assert_eq!(ended.state("both"), "built", "{}", ended.stderr);
    let new = pins(&harness);
    assert!(!new.contains(WRONG), "{new}");
    // Nothing but the values changed.
    let mut restored = String::new();
    let mut rest = new.as_str();
    while let Some(at) = rest.find("sha256-") {
        restored.push_str(&rest[..at]);
        restored.push_str(WRONG);
        rest = &rest[at + WRONG.len()..];
    }
    restored.push_str(rest);
    assert_eq!(restored, PINS);
    assert!(
        !ended.stderr.contains("ended without an output"),
        "{}",
        ended.stderr
    );
    let again = harness.test_build(&["both", "--json"]);
    assert_eq!((again.code, again.state("both")), (Some(0), "cached"));
}

#[test]
fn what_differs_with_each_build_ends() {
    let harness = harness(r#""echo $RANDOM$RANDOM$RANDOM > $out""#);
    let ended = harness.test_build(&["one", "--write-pins"]);
    // Nix keeps what it built under its true hash: the second round finds it there.
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("written to ").count(), 1);
    assert!(
        !ended.stderr.contains("ended without an output"),
        "{}",
        ended.stderr
    );
}

#[test]
fn look_alikes_change_no_pin() {
    let harness = harness(
        r#"''
    echo "error: hash mismatch in fixed-output derivation '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-two.drv':"
    echo "@nix { \"action\": \"msg\", \"level\": 0, \"msg\": \"error: hash mismatch in fixed-output derivation '$name':\\n specified: ${wrong}\\n got: ${wrong}\" }" >&2
    echo "         specified: ${wrong}"
    echo "            got:    sha256-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB="
    exit 1
  ''"#,
    );
    let ended = harness.test_build(&["one", "--write-pins", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.state("one"), "failed", "{}", ended.stderr);
    assert_eq!(pins(&harness), PINS);
}

#[test]
fn a_working_tree_never_changes_the_release_s_pins() {
    let harness = harness(r#""echo one > $out""#);
    for file in ["schema.yml", "scripts/api/ts-templates/x"] {
        harness.write(&format!("tree/{file}"), "");
    }
    harness.write("tree/package.json", r#"{ "version": "1.0" }"#);
    let refused = harness.test_build(&["one", "--write-pins", "--source", "tree"]);
    assert_eq!(refused.code, Some(2));
    refused.says(&["needs `--pins FILE`"]);
    let release = "containers/authentik/pins.json";
    let refused =
        harness.test_build(&["one", "--write-pins", "--source", "tree", "--pins", release]);
    assert_eq!(refused.code, Some(2));
    refused.says(&["would change containers/authentik/pins.json"]);
    let shown = harness.test_build(&["one", "--source", "tree"]);
    shown.says(&["give a copy of that file by `--pins FILE`"]);
    assert_eq!(pins(&harness), PINS);
    harness.write("own.json", PINS);
    let ended = harness.test_build(&[
        "one",
        "--write-pins",
        "--source",
        "tree",
        "--pins",
        "own.json",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(pins(&harness), PINS);
    let own = text(&fs_err::read(harness.root().join("own.json")).unwrap());
    assert_eq!(own.matches(WRONG).count(), 1, "{own}");
}

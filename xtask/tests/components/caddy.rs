//! The container caddy, which is built as authentik is though nothing in the program is about it; and one
//! more, made by what the documentation says.

use serde_json::Value;

use test_support::common::{go, hash, root, run, stdout, text, xtask};
use test_support::harness::Harness;

const WRONG: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Pins of the real containers, by name.
fn pins(root: &camino::Utf8Path, container: &str) -> String {
    fs_err::read_to_string(root.join(format!("containers/{container}/pins.json"))).unwrap()
}

#[test]
fn it_is_built_with_its_plugins_and_tests() {
    let mut command = xtask();
    command.args(["test-build", "caddy", "--pkgs", "host", "--json"]);
    let rows: Vec<Value> = stdout(&mut command)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = rows
        .iter()
        .map(|it| it["component"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "caddy",
            "caddy.tests.configuration",
            "caddy.tests.modules",
            "caddy.tests.serves"
        ]
    );
    assert!(
        rows.iter().all(|row| row["container"] == "caddy"),
        "{rows:?}"
    );
    let link = root().join("target/test-build/caddy/caddy");
    assert_eq!(rows[0]["out"], link.read_link_utf8().unwrap().as_str());
    // As a user sees it, outside of Nix.
    let mut modules = std::process::Command::new(link.join("bin/caddy"));
    let modules = stdout(modules.args(["list-modules", "--versions", "--skip-standard"]));
    for module in ["dns.providers.gandi v1.1.0", "layer4 v0.1.2"] {
        assert!(modules.lines().any(|line| line == module), "{modules}");
    }
    let mut references = std::process::Command::new("nix-store");
    references.args(["--query", "--references"]).arg(link);
    assert_eq!(stdout(&mut references), "");
}

#[test]
fn whose_modules_has_to_be_said_where_it_is_not_clear() {
    for (options, expected) in [
        (
            &[][..],
            "whose Go modules? Give `--container authentik` or `--container caddy`",
        ),
        (
            &["--container", "cady"],
            "no container `cady`: there is `authentik`, `caddy`",
        ),
    ] {
        let output = run(xtask().arg("compute-vendor-hash").args(options));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_new_hash_goes_into_its_pins_only() {
    let harness = Harness::of_this_repository();
    let right = pins(root(), "caddy");
    let (before, rest) = right.split_once("\"vendorHash\": \"").unwrap();
    let stale = format!("{before}\"vendorHash\": \"{WRONG}{}", &rest[WRONG.len()..]);
    harness.write("containers/caddy/pins.json", &stale);
    let compute = |options: &[&str]| {
        let mut command = xtask();
        command
            .current_dir(harness.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["compute-vendor-hash", "--go", go(), "--shared-cache"]);
        let output = run(command.args(options));
        (output.status.code(), text(&output.stderr))
    };
    // Its own folder says whose they are.
    let folder = harness.root().join("containers/caddy/program");
    let (code, said) = compute(&["--check", "--source", folder.as_str()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("containers/caddy/pins.json is another hash:"),
        "{said}"
    );
    // It is the hash that Nix proves where Caddy is built.
    let (code, said) = compute(&["--container", "caddy", "--write-pins"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("168 modules, "), "{said}");
    assert_eq!(pins(&harness.root(), "caddy"), right);
    assert_eq!(
        pins(&harness.root(), "authentik"),
        pins(root(), "authentik")
    );
}

/// A copy of this repository with one container more, made as adopt-xtask-for-another-container.md says,
/// with one component and these files.
fn with_third(component: &str, files: &[(&str, &str)]) -> Harness {
    let harness = Harness::of_this_repository();
    let default = fs_err::read_to_string(root().join("containers/caddy/default.nix")).unwrap();
    let test_build = format!(
        "{{ ... }}@args:\nlet\n  scope = import ./. args;\nin\n{{\n  recurseForDerivations = true;\n  \
         inherit (scope) {component} pinned;\n}}\n"
    );
    let all = [("default.nix", &*default), ("test-build.nix", &test_build)];
    for (file, text) in all.iter().chain(files) {
        harness.write(&format!("containers/third/{file}"), text);
    }
    harness
}

#[test]
fn a_third_container_needs_no_line_of_the_program() {
    // Nothing else has made this text: the store must not have it under its hash.
    let word = format!("{}-{:?}", std::process::id(), std::time::SystemTime::now());
    let text_nix = format!(
        r#"{{ pins, pinsFile, runCommand }}:
runCommand "third-text-${{pins.version}}"
  {{
    outputHash = pins.text.hash;
    passthru.pin = {{ file = pinsFile; key = [ "text" "hash" ]; }};
  }}
  "echo '{word}' >$out"
"#
    );
    let scope = r"{ lib, newScope, pinnedTools, pinsFile }:
lib.makeScope newScope (self: {
  inherit pinsFile;
  pins = lib.importJSON pinsFile;
  text = self.callPackage ./text.nix { };
  greeting = self.callPackage ./greeting.nix { };
  pinned = [ self.text ] ++ pinnedTools;
})
";
    let greeting = r#"{ pins, runCommand, text }:
runCommand "greeting-${pins.version}"
  {
    inherit text;
    inherit (pins) version;
    meta.description = "Greeting";
    passthru.tests.greets = runCommand "greets" { inherit text; } "grep . $text >$out";
  }
  "cat $text >$out"
"#;
    let pins_json = format!(r#"{{ "version": "7", "text": {{ "hash": "{WRONG}" }} }}"#);
    let harness = with_third(
        "greeting",
        &[
            ("scope.nix", scope),
            ("text.nix", &text_nix),
            ("greeting.nix", greeting),
            ("pins.json", &pins_json),
        ],
    );
    let others = ["authentik", "caddy"].map(|name| pins(&harness.root(), name));

    let ended = harness.test_build(&["--list", "third/"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .ends_with("\nthird/\n  greeting  7        Greeting     greets\n"),
        "{}",
        ended.stdout
    );
    let ended = harness.test_build(&["greeting"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    ended.says(&["pin:       `text.hash` in containers/third/pins.json\n"]);
    let ended = harness.test_build(&["greeting", "--write-pins", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.state("greeting"), "built");
    assert_eq!(ended.state("greeting.tests.greets"), "built");
    ended.says(&["sources: third 7\n"]);
    let link = harness.root().join("target/test-build/third/greeting");
    assert_eq!(fs_err::read_to_string(&link).unwrap(), format!("{word}\n"));
    assert!(pins(&harness.root(), "third").contains(&hash(&link, true)));
    assert_eq!(
        ["authentik", "caddy"].map(|name| pins(&harness.root(), name)),
        others
    );
}

/// The source of a container whose expressions name it in another way than authentik's.
#[test]
fn the_source_that_the_pins_name_is_fetched() {
    let word = format!("// {:?}", std::time::SystemTime::now());
    let scope = format!(
        r#"{{ lib, newScope, pinnedTools, pinsFile }}:
lib.makeScope newScope (self: {{
  pins = lib.importJSON pinsFile;
  module = self.callPackage ({{ pins, runCommand }}: runCommand "an-odd-name"
    {{ outputHash = pins.sources.module.hash; outputHashMode = "recursive"; }}
    "mkdir $out; printf 'module example.com/x\\n\\ngo 1.25\\n' >$out/go.mod; echo 'package x {word}' >$out/x.go") {{ }};
  program = self.callPackage ({{ buildGo125Module, module, pins }}: buildGo125Module {{
    pname = "x";
    version = "7";
    src = module;
    inherit (pins.go) vendorHash;
    env.CGO_ENABLED = 0;
    overrideModAttrs = _: {{ passthru.pin = {{ file = pinsFile; key = [ "go" "vendorHash" ]; }}; }};
  }}) {{ }};
  pinned = [ self.program.goModules ] ++ pinnedTools;
}})
"#
    );
    let harness = with_third("program", &[("scope.nix", &scope)]);
    harness.write("module/go.mod", "module example.com/x\n\ngo 1.25\n");
    harness.write("module/x.go", &format!("package x {word}\n"));
    let sri = hash(&harness.root().join("module"), false);
    let pins_json = format!(
        r#"{{ "version": "7",
  "sources": {{ "module": {{ "hash": "{sri}", "places": [{{ "npm": "x", "version": "1" }}] }} }},
  "go": {{ "source": "module", "vendorHash": "{WRONG}" }} }}"#
    );
    harness.write("containers/third/pins.json", &pins_json);
    for way in [&["--go", go()][..], &["--nix"]] {
        let mut command = xtask();
        command
            .current_dir(harness.root())
            .env_remove("CARGO_MANIFEST_DIR")
            .args(["compute-vendor-hash", "--container", "third"]);
        let output = run(command.args(way));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains("null: the module has no dependencies"),
            "{said}"
        );
        assert_eq!(text(&output.stdout), "null\n");
    }
}

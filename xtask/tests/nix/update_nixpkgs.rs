//! `update nixpkgs`: a package set of one word in the place of nixpkgs, in a repository with archives as forges
//! have them.

use std::process::Command;

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use test_support::common::{git, hash, run, stdout, text};
use test_support::harness::programs;
use test_support::upstream::{OTHER, Upstream};

/// Two containers over a nixpkgs, and flake.lock.
struct Pinned {
    upstream: Upstream,
    revisions: Vec<String>,
}

const FILES: [&str; 3] = [
    "containers/authentik/pins.json",
    "containers/proxy/pins.json",
    "flake.lock",
];

impl Pinned {
    fn new(fail: &str) -> Self {
        let upstream = Upstream::with(&[
            ("FAIL", fail),
            (
                r#"more = pin [ "more" "hash" ] (fixed "more" json.more.hash "sleep SLEEP; (cat ${deps}; echo more) >$out")"#,
                r#"set = pkgs.packageSet or "host-none";
                   more = pin [ "more" set ] (fixed "more" (json.more.${set} or wrong) "(cat ${deps}; echo ${pkgs.word or "more"}) >$out")"#,
            ),
        ]);
        let root = upstream.root();
        let repository = root.join("nixpkgs");
        fs_err::create_dir_all(repository.join("archive")).unwrap();
        stdout(git(&repository).args(["init", "--quiet"]));
        let revisions = ["one", "two"].map(|word| {
            let text = format!(r#"{{ ... }}: {{ packageSet = "nixpkgs"; word = "{word}"; }}"#);
            std::fs::write(repository.join("default.nix"), text + "\n").unwrap();
            stdout(git(&repository).args(["add", "default.nix"]));
            stdout(git(&repository).args(["commit", "--quiet", "--message", word]));
            let rev = stdout(git(&repository).args(["rev-parse", "HEAD"]))
                .trim()
                .to_owned();
            let archive = format!("archive/{rev}.tar.gz");
            let prefix = format!("--prefix=nixpkgs-{rev}/");
            stdout(git(&repository).args(["archive", "--output", &archive, &prefix, "HEAD"]));
            rev
        });
        let test_build = root.join("containers/authentik/test-build.nix");
        let text = fs_err::read_to_string(&test_build).unwrap().replace(
            r#"pkgs ? throw "no nixpkgs here""#,
            r#"pkgs ? import (let pin = (builtins.fromJSON (builtins.readFile (if pins == null then ./pins.json else /. + pins))).nixpkgs;
                in builtins.fetchTarball { url = builtins.replaceStrings [ "{rev}" ] [ pin.rev ] pin.url; sha256 = pin.hash; }) { }"#,
        );
        std::fs::write(&test_build, text).unwrap();
        upstream.harness.container("proxy", "");
        let pinned = Self {
            upstream,
            revisions: revisions.to_vec(),
        };
        let nixpkgs = json!({
            "rev": pinned.revisions[0],
            "url": format!("file://{repository}/archive/{{rev}}.tar.gz"),
            "hash": pinned.hash(0)
        });
        let mut value = pinned.upstream.value();
        value["nixpkgs"] = nixpkgs.clone();
        value["more"] = json!({ "host-none": value["more"]["hash"], "nixpkgs": OTHER });
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap() + "\n";
        let harness = &pinned.upstream.harness;
        harness.write(FILES[0], &pretty(&value));
        harness.write(
            FILES[1],
            &pretty(&json!({ "version": "1.0", "nixpkgs": nixpkgs })),
        );
        let lock = json!({ "nodes": { "nixpkgs": {
            "locked": { "narHash": pinned.hash(0), "rev": pinned.revisions[0], "type": "github" },
            "original": { "ref": "main" }
        } } });
        harness.write(FILES[2], &pretty(&lock));
        pinned
    }

    /// The hash of a revision, of a checkout.
    fn hash(&self, n: usize) -> String {
        let root = self.upstream.root();
        let checkout = root.join(format!("checkout-{n}"));
        if !checkout.exists() {
            stdout(git(&root).args(["clone", "--quiet", "nixpkgs", checkout.as_str()]));
            stdout(git(&checkout).args(["checkout", "--quiet", &self.revisions[n]]));
            fs_err::remove_dir_all(checkout.join(".git")).unwrap();
        }
        hash(&checkout, false)
    }

    fn files(&self) -> Vec<String> {
        let read = |it: &&str| fs_err::read_to_string(self.upstream.root().join(it)).unwrap();
        FILES.iter().map(read).collect()
    }

    /// `update nixpkgs`: exit code, stdout, stderr. Over nixpkgs a Nix that is too old for the real one has to say
    /// that it is not: this nixpkgs suits it.
    fn update(&self, set: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let root = self.upstream.root();
        let folder: Utf8PathBuf = root.join("newer");
        if !folder.exists() {
            let real = stdout(Command::new("sh").args(["-c", "command -v nix-store"]));
            let script = format!(
                "[ \"$*\" != --version ] || {{ echo 'nix-store (Nix) 2.26.3'; exit; }}; exec {} \"$@\"",
                real.trim()
            );
            programs(&folder, &[("nix-store", &script)], &[]);
        }
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(test_support::common::program());
        command
            .current_dir(&root)
            .env_remove("CARGO_MANIFEST_DIR")
            .env("PATH", format!("{folder}:{path}"))
            .env(
                "NIX_USER_CONF_FILES",
                root.join("containers/host-pkgs/nix.conf"),
            )
            .args(["update", "nixpkgs", "--pkgs", set])
            .args(arguments);
        let output = run(&mut command);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }
}

#[test]
fn the_newest_revision_of_the_branch() {
    let pinned = Pinned::new(":");
    let before = pinned.files();
    let (code, out, said) = pinned.update("nixpkgs", &["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("more.nixpkgs      to be found"), "{out}");
    assert_eq!(pinned.files(), before);
    let (code, out, said) = pinned.update("nixpkgs", &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let rows: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let state = |container: &str, pin: &str| {
        let mut rows = rows.iter().filter(|row| row["container"] == container);
        rows.find(|row| row["pin"] == pin).unwrap()["state"].clone()
    };
    assert_eq!(state("authentik", "more.nixpkgs"), "changed");
    assert_eq!(state("authentik", "more.host-none"), "same, not rebuilt");
    assert_eq!(state("authentik", "deps.at.here"), "same, not rebuilt");
    assert_eq!(state("proxy", "nixpkgs.rev"), "changed");
    // Nothing but these values.
    let new_hash = pinned.hash(1);
    let more = pinned.upstream.value()["more"]["nixpkgs"]
        .as_str()
        .unwrap()
        .to_owned();
    let expected: Vec<String> = before
        .iter()
        .map(|text| {
            text.replace(&pinned.revisions[0], &pinned.revisions[1])
                .replace(&pinned.hash(0), &new_hash)
                .replace(OTHER, &more)
        })
        .collect();
    assert_eq!(pinned.files(), expected);
    let (code, _, said) = pinned.update("nixpkgs", &[]);
    assert_eq!(code, Some(0));
    assert!(said.contains("nixpkgs is at revision"), "{said}");
}

#[test]
fn what_is_over_nixpkgs_is_not_kept_unproven() {
    let pinned = Pinned::new(":");
    let (code, _, said) = pinned.update("host", &[]);
    assert_eq!(code, Some(1), "{said}");
    let left = "removed, as nothing here found what they are now: more.nixpkgs;";
    assert!(said.contains(left), "{said}");
    let value = pinned.upstream.value();
    assert_eq!(value["nixpkgs"]["rev"], pinned.revisions[1].as_str());
    assert_eq!(value["more"].as_object().unwrap().len(), 1);
}

#[test]
fn after_a_failure_no_file_changed() {
    let pinned = Pinned::new("[ ${pkgs.word or \"one\"} = one ]");
    let before = pinned.files();
    let (code, _, said) = pinned.update("nixpkgs", &[]);
    assert_eq!((code, pinned.files()), (Some(1), before.clone()), "{said}");
    assert!(said.contains("`--resume` goes on"), "{said}");
    let (code, _, said) = pinned.update("nixpkgs", &["--resume"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("found `more.nixpkgs`"), "{said}");
    for (arguments, expected) in [
        (&["--to", "2026"][..], "`2026` is no revision of nixpkgs"),
        (&["--next"], "`--next` is for containers"),
        (
            &["--resume", "--to", &"0".repeat(40)],
            "begin anew, without `--resume`",
        ),
        (&["--to", &"0".repeat(40)], "nix-prefetch-url"),
    ] {
        let (code, _, said) = pinned.update("nixpkgs", arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(pinned.files(), before);
}

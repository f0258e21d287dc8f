//! What goes wrong while `update` runs: builders that lie, caches that have the old output, disks that are full,
//! repositories that break off. The pins are what they were, or right.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;

use test_support::common::{git, nix, not_tested, run, stdout, text};
use test_support::harness::in_mounts;
use test_support::upstream::{Daemon, FAKE, Line, OTHER, Upstream};

/// A builder says of another derivation, in Nix's own words and format, that its hash is another.
#[test]
fn what_a_builder_claims_is_no_hash() {
    let lies = r#"''
      drv=${builtins.unsafeDiscardStringContext same.drvPath}
      lie="error: hash mismatch in fixed-output derivation '$drv':\n  specified: FAKE\n     got:    OTHER"
      echo -e "$lie" >&2
      echo "@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"$lie\",\"raw_msg\":\"$lie\"}" >&2
      cp ${app}/package.json $out
    ''"#
    .replace("FAKE", FAKE)
    .replace("OTHER", OTHER);
    let upstream = Upstream::with(&[("\"sleep SLEEP; cp ${app}/package.json $out\"", &lies)]);
    let (code, out, said) = upstream.update(&["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let logs = upstream.root().join("target/test-build/logs");
    let mut grep = Command::new("grep");
    let logs = stdout(grep.args(["-rlF", OTHER, logs.as_str()]));
    assert!(logs.contains("/deps-"), "{logs}");
    let same = Upstream::states(&out)
        .into_iter()
        .find(|(pin, _)| pin == "same.hash");
    assert_eq!(same.unwrap().1, "same, rebuilt");
    assert!(!text(&upstream.pins()).contains(OTHER));
    upstream.is_right();
}

/// The output of the old release is in the store, or a cache offers it, under the hash that is pinned.
#[test]
fn an_old_output_is_not_taken_for_the_new_one() {
    let upstream = Upstream::start();
    upstream.is_right();
    let old = upstream.value();
    let path = |name: &str, hash: &serde_json::Value| {
        let sri: Vec<&str> = hash.as_str().unwrap().split('-').collect();
        let base16 = stdout(nix("nix-hash").args(["--type", "sha256", "--to-base16", sri[1]]));
        let mut store = nix("nix-store");
        store.args([
            "--print-fixed-path",
            "--recursive",
            "sha256",
            base16.trim(),
            name,
        ]);
        stdout(&mut store).trim().to_owned()
    };
    let names = stdout(
        nix("nix-store")
            .args(["--query", "--binding", "name"])
            .arg(deriver(&upstream)),
    );
    let unique = names.trim().strip_prefix("deps-").unwrap();
    let outs = [
        path(&format!("deps-{unique}"), &old["deps"]["at"]["here"]),
        path(&format!("still-{unique}"), &old["still"]["hash"]),
    ];
    let cache = upstream.root().join("cache");
    let mut copy = nix("nix");
    copy.args(["--extra-experimental-features", "nix-command", "copy"]);
    stdout(copy.args(["--to", &format!("file://{cache}")]).args(&outs));
    stdout(nix("nix-store").arg("--delete").args(&outs));
    let conf = upstream.root().join("containers/host-pkgs/nix.conf");
    let settings = fs_err::read_to_string(&conf).unwrap().replace(
        "substituters =",
        &format!("require-sigs = false\nsubstituters = file://{cache}"),
    );
    std::fs::write(&conf, settings).unwrap();
    let (code, out, said) = upstream.update(&["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let states = Upstream::states(&out);
    let state = |pin: &str| states.iter().find(|it| it.0 == pin).unwrap().1.clone();
    assert_eq!(state("deps.at.here"), "changed", "{said}");
    assert!(said.contains("found `same.hash`"), "{said}");
    // What is needed and did not change came from there: it was a cache that is asked.
    assert_eq!(state("still.hash"), "same, not rebuilt");
    let valid = |out: &str| {
        nix("nix-store")
            .args(["--check-validity", out])
            .status()
            .unwrap()
            .success()
    };
    assert_eq!((valid(&outs[0]), valid(&outs[1])), (false, true), "{said}");
    upstream.is_right();
}

/// The derivation of `deps` as it is pinned.
fn deriver(upstream: &Upstream) -> String {
    let test_build = upstream.root().join("containers/authentik/test-build.nix");
    let mut instantiate = nix("nix-instantiate");
    stdout(instantiate.arg(test_build).args(["-A", "deps"]))
        .trim()
        .to_owned()
}

/// No space is left where the pins are, or where the journal is.
#[test]
fn a_full_disk() {
    for full in ["containers/authentik", "target/xtask/update"] {
        let upstream = Upstream::start();
        let before = upstream.pins();
        let folder = upstream.root().join(full);
        fs_err::create_dir_all(&folder).unwrap();
        let script = format!(
            "cp -a {folder}/. $D/; mount -t tmpfs -o size=128k tmpfs {folder}; cp -a $D/. {folder}/
             dd if=/dev/zero of={folder}/filler bs=1k 2>/dev/null || true
             code=0; \"$@\" || code=$?
             cp {folder}/pins.json {root}/after 2>/dev/null || true
             exit $code",
            root = upstream.root()
        );
        let Some(output) = in_mounts(&script, &upstream.command(&[])) else {
            not_tested("a full disk takes root");
            return;
        };
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{full}: {said}");
        assert!(said.contains("No space left on device"), "{full}: {said}");
        let after = upstream.root().join("after");
        if after.exists() {
            assert_eq!(fs_err::read(after).unwrap(), before);
        }
        assert_eq!(upstream.pins(), before);
        upstream.no_fake_stays();
        // With space again it is done.
        assert_eq!(upstream.update(&[]).0, Some(0));
        upstream.is_right();
    }
}

/// The ssh that the user's git takes is asked, and what it makes of new repositories does not matter.
#[test]
fn the_git_settings_of_the_user() {
    let upstream = Upstream::start();
    let root = upstream.root();
    let mut command = upstream.command(&["--no-build"]);
    let output = run(command.env("GIT_DEFAULT_HASH", "sha256"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let file = format!("file://{root}/upstream.git");
    let pins = text(&upstream.pins()).replace(&file, "ssh://git@elsewhere.invalid/upstream.git");
    upstream
        .harness
        .write("containers/authentik/pins.json", &pins);
    upstream.harness.write(
        "gitconfig",
        &format!("[core]\n\tsshCommand = echo >>{root}/asked;:\n"),
    );
    let mut command = upstream.command(&["--list"]);
    command
        .env("GIT_CONFIG_GLOBAL", root.join("gitconfig"))
        .env_remove("GIT_SSH_COMMAND");
    assert_eq!(run(&mut command).status.code(), Some(2));
    assert!(root.join("asked").exists());
}

/// Upstream answers which tags it has, and breaks off when the tree is asked for.
#[test]
fn a_repository_that_breaks_off() {
    let upstream = Upstream::start();
    let before = upstream.pins();
    let bare = upstream.root().join("upstream.git");
    let blob = stdout(git(&bare).args(["rev-parse", "v1.0.1:package.json"]));
    let (folder, file) = blob.trim().split_at(2);
    fs_err::remove_file(bare.join("objects").join(folder).join(file)).unwrap();
    let (code, _, said) = upstream.update(&[]);
    assert_eq!(code, Some(2), "{said}");
    let remedy = "if the connection broke off, or the repository lacks an object: try again";
    assert!(said.contains(remedy), "{said}");
    assert_eq!(upstream.pins(), before);
}

/// The connection to upstream is lost, at the beginning or after any part of what is asked for.
#[test]
fn a_network_that_is_lost() {
    let upstream = Upstream::start();
    let daemon = Daemon::start(&upstream.root());
    let path = upstream.root().join("containers/authentik/pins.json");
    let text = fs_err::read_to_string(&path).unwrap();
    let through = |line: &Line| {
        let place = format!("git://127.0.0.1:{}/upstream.git", line.port);
        let pinned = format!("file://{}/upstream.git", upstream.root());
        fs_err::write(&path, text.replace(&pinned, &place)).unwrap();
        upstream.pins()
    };
    let whole = Line::to(daemon.port, usize::MAX);
    let before = through(&whole);
    let (code, _, said) = upstream.update(&["--dry-run"]);
    assert_eq!((code, upstream.pins()), (Some(0), before), "{said}");
    let needed = usize::MAX - whole.left();
    let fetched = upstream.root().join("target/xtask/update");
    let mut seen = BTreeSet::new();
    for part in 0..8 {
        fs_err::remove_dir_all(&fetched).unwrap();
        let line = Line::to(daemon.port, needed * part / 8);
        let before = through(&line);
        let (code, _, said) = upstream.update(&[]);
        assert_eq!(line.left(), 0, "{part}: {said}");
        // The tree of the old release comes last, and is only compared with.
        let goes_on = said.contains("the tree of 1.0.0 is not at hand");
        assert_eq!(code, Some(if goes_on { 0 } else { 2 }), "{part}: {said}");
        assert_eq!(upstream.pins() == before, !goes_on, "{part}: {said}");
        let remedies = ["is the network there?", "if the connection broke off"];
        let remedy = remedies.into_iter().find(|it| said.contains(it));
        seen.insert((goes_on, remedy.unwrap_or_else(|| panic!("{part}: {said}"))));
        upstream.no_fake_stays();
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    // What came before it broke off is not taken for the whole.
    through(&whole);
    assert_eq!(upstream.update(&[]).0, Some(0));
    upstream.is_right();
}

/// Upstream spells the tags of another source anew.
#[test]
fn another_spelling() {
    let upstream = Upstream::start();
    let root = upstream.root();
    let client = root.join("client");
    fs_err::create_dir(&client).unwrap();
    for arguments in [
        &["init", "--quiet"][..],
        &["commit", "--quiet", "--allow-empty", "--message", "client"],
        &["tag", "c1.0.0"],
        &["tag", "c1000.1"],
    ] {
        stdout(git(&client).args(arguments));
    }
    let pins = root.join("containers/authentik/pins.json");
    let mut value = upstream.value();
    let places = |more: &[serde_json::Value]| {
        let git = json!({ "git": format!("file://{client}"), "rev": "c{version}" });
        let mut places = vec![git];
        places.extend_from_slice(more);
        json!({ "hash": OTHER, "places": places })
    };
    value["sources"]["client"] = places(&[]);
    std::fs::write(&pins, value.to_string()).unwrap();
    let before = upstream.pins();
    let (code, out, said) = upstream.update(&[]);
    assert_eq!(code, Some(1), "{said}");
    let proposal = "has no tag `c1.0.1`; its tag `c1000.1` has the same numbers: if that is it, add a place with it as `rev`";
    assert!(
        out.starts_with("a person must decide:") && out.contains(proposal),
        "{out}"
    );
    assert_eq!(upstream.pins(), before);
    // As it says, in the pins: the next place is tried where the first has no such tag.
    let other = json!({ "git": format!("file://{client}"), "rev": "c1000.1" });
    value["sources"]["client"] = places(&[other]);
    std::fs::write(&pins, value.to_string()).unwrap();
    let (code, out, said) = upstream.update(&["--dry-run"]);
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(!out.contains("a person must decide"), "{out}");
}

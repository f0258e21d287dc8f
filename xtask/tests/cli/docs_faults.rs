//! `docs-check` on a vault with known faults of every class: all are found where they are, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use camino::Utf8PathBuf;
use serde_json::Value;

use test_support::common::{git, root, run, stdout, text, xtask};

#[path = "../../vault/examples/make-vault/made.rs"]
mod made;

/// The classes of faults are taken in turns, so that each is there more than once.
const CARDS: usize = 1000;

/// A repository with a vault in it whose cards were all changed on one day.
fn repository(made: &made::Made) -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    let vault = made
        .files
        .iter()
        .map(|(path, bytes)| (format!("docs/{path}"), &bytes[..]));
    // What marks the root, and paths that are named in the cards.
    let others = [
        ("containers/host-pkgs/default.nix", ""),
        ("containers/authentik/pins.json", "{}"),
        ("README.md", ""),
    ];
    let others = others.map(|(path, text)| (path.to_owned(), text.as_bytes()));
    for (file, bytes) in vault.chain(others) {
        let file = path.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    let day = format!("{}T12:00:00Z", made::DAY);
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=n",
            "-c",
            "user.email=n@example.org",
            "-c",
            "commit.gpgsign=false",
            "commit",
            "--quiet",
            "--message",
            "cards",
        ],
    ] {
        let mut git = git(&path);
        git.args(arguments);
        stdout(git.envs([("GIT_AUTHOR_DATE", &day), ("GIT_COMMITTER_DATE", &day)]));
    }
    (folder, path)
}

/// Path, line, column and code of all that is found.
fn found(repository: &Utf8PathBuf) -> Vec<made::Fault> {
    let output = run(xtask()
        .current_dir(repository)
        .env("CARGO_MANIFEST_DIR", repository)
        // A review is overdue after so many days, and those of this century are not.
        .args(["docs-check", "--json", "--git", "--max-age", "20000"]));
    let finding = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let words = |key: &str| finding[key].as_str().unwrap().to_owned();
        let number = |key: &str| usize::try_from(finding[key].as_u64().unwrap()).unwrap();
        let path = words("path").strip_prefix("docs/").unwrap().to_owned();
        (path, number("line"), number("column"), words("code"))
    };
    assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let found = text(&output.stdout);
    let mut found: Vec<made::Fault> = found.lines().map(finding).collect();
    found.sort();
    found
}

/// What is in the first one and not in the second one, each as often as it is there.
fn without(some: &[made::Fault], others: &[made::Fault]) -> Vec<String> {
    let mut others = others.to_vec();
    let left = some.iter().filter(|fault| {
        let place = others.iter().position(|other| other == *fault);
        place.map(|place| others.remove(place)).is_none()
    });
    left.map(|(path, line, column, code)| format!("{path}:{line}:{column}: {code}"))
        .collect()
}

#[test]
fn all_faults_are_found_at_their_places_and_nothing_else() {
    for seed in [1, 2] {
        let made = made::make(CARDS, seed, true);
        let (_guard, repository) = repository(&made);
        let found = found(&repository);
        let (missed, alarms) = (without(&made.faults, &found), without(&found, &made.faults));
        assert!(
            missed.is_empty() && alarms.is_empty(),
            "missed: {missed:#?}\nfalse: {alarms:#?}"
        );
        let codes: BTreeSet<&str> = made.faults.iter().map(|(.., code)| code.as_str()).collect();
        let cases = root()
            .join("xtask/tests/cases/docs")
            .read_dir_utf8()
            .unwrap();
        let cases: Vec<String> = cases
            .map(|case| case.unwrap().file_name().to_owned())
            .filter(|name| name != "docs-check.toml")
            .collect();
        assert_eq!(codes, cases.iter().map(String::as_str).collect());
    }
}

#[test]
fn the_same_vault_without_faults_has_no_finding() {
    let made = made::make(CARDS, 1, false);
    let (_guard, repository) = repository(&made);
    assert_eq!(found(&repository), []);
}

//! A move is made whole or not at all: what is in the way is found first, and what was interrupted is ended as the user
//! wants it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use crate::common::{Place, snapshot, text};

/// A vault of so many cards, each of which links the first one.
fn place(cards: usize) -> Place {
    let place = Place::new();
    for card in 0..cards {
        let text = format!("# Card {card}\n\n[[card-0]] [x](card-0.md#card-0)\n");
        place.write(&[(&format!("card-{card}.md"), &text)]);
    }
    place
}

/// The folder of the vault's journal, which is there while a move is.
fn journal(place: &Place) -> Option<Utf8PathBuf> {
    let folder = place.root.join("state/docs-check/docs-move");
    let mut entries = folder.read_dir_utf8().unwrap();
    entries.next().map(|entry| entry.unwrap().into_path())
}

#[test]
fn what_is_in_the_way_is_found_before_anything_is_written() {
    let place = place(3);
    fs::create_dir(place.root.join("outside/folder")).unwrap();
    symlink(place.root.join("outside/folder"), place.vault().join("out")).unwrap();
    fs::write(place.vault().join("old pic.png"), "x").unwrap();
    let before = snapshot(&place.root.join("repository"));
    let long = "é".repeat(200);
    for (new, why) in [
        ("old pic.png/new", "is a link or a file, not a folder"),
        ("out/new", "is a link or a file, not a folder"),
        ("out/", "is a link or a file, not a folder"),
        (long.as_str(), "longer than 255 bytes"),
        ("../x", "is outside of the vault"),
        ("card-1.md/x", "is a link or a file, not a folder"),
    ] {
        let said = place.refused("docs-move", &["card-0", new]);
        assert!(said.contains(why), "{new}: {said}");
        assert_eq!(snapshot(&place.root.join("repository")), before, "{new}");
    }
    assert_eq!(journal(&place), None);
    assert_eq!(snapshot(&place.root.join("outside")).len(), 1);
    // The same move is made where nothing is in the way.
    place.stdout("docs-move", &["card-0", "deep/er/new"]);
    assert!(place.vault().join("deep/er/new.md").is_file());
}

/// Stops a move when some of its files are renamed, and kills it.
fn interrupted(cards: usize) -> (Place, [std::collections::BTreeMap<String, String>; 2]) {
    let old = place(cards);
    let new = place(cards);
    new.stdout("docs-move", &["card-0", "other"]);
    let contents = |place: &Place| texts(place);
    let (before, after) = (contents(&old), contents(&new));
    let is_part =
        |now: &std::collections::BTreeMap<String, String>| *now != before && *now != after;
    let start = Instant::now();
    loop {
        let place = place(cards);
        let mut child = Command::new(env!("CARGO_BIN_EXE_docs-move"));
        child.env("XDG_STATE_HOME", place.root.join("state"));
        child.current_dir(place.repository()).stderr(Stdio::null());
        let mut child = child.args(["card-0", "other"]).spawn().unwrap();
        // Until the first text is in its place.
        let watched = place.vault().join("card-1.md");
        let untouched = fs::read(&watched).unwrap();
        while child.try_wait().unwrap().is_none() {
            if fs::read(&watched).is_ok_and(|text| text != untouched) {
                child.kill().unwrap();
                child.wait().unwrap();
                break;
            }
        }
        if is_part(&contents(&place)) {
            return (place, [before, after]);
        }
        assert!(start.elapsed() < Duration::from_secs(60), "never between");
    }
}

/// The texts of all files in the vault, hidden ones too.
fn texts(place: &Place) -> std::collections::BTreeMap<String, String> {
    let files = snapshot(&place.vault()).into_keys();
    let text = |path: String| {
        let text = fs::read_to_string(place.vault().join(&path)).ok()?;
        Some((path, text))
    };
    files.filter_map(text).collect()
}

#[test]
fn an_interrupted_move_is_completed_or_undone_as_the_user_wants() {
    for (end, which) in [("--finish", 1), ("--abort", 0)] {
        let (place, states) = interrupted(150);
        let half = texts(&place);
        // Nothing else goes on, and nothing is replayed by itself.
        for (program, arguments) in [
            ("docs-check", &[][..]),
            ("docs-check", &["--fix"]),
            ("docs-move", &["card-2", "x"]),
            ("docs-move", &["card-2", "x", "--dry-run"]),
        ] {
            let said = place.refused(program, arguments);
            assert!(
                said.contains("--finish") && said.contains("--abort"),
                "{said}"
            );
        }
        let shown = place.stdout("docs-move", &[end, "--dry-run"]);
        assert_eq!(texts(&place), half);
        let diff = place.stdout("docs-move", &[end]);
        assert_eq!(diff, shown);
        assert!(diff.contains("diff --git"), "{diff}");
        assert_eq!(texts(&place), states[which]);
        assert_eq!(journal(&place), None);
        let again = text(&place.run("docs-move", &[end]).stderr);
        assert!(again.contains("was interrupted"), "{again}");
        place.stdout("docs-move", &["card-2", "x"]);
    }
}

#[test]
fn work_that_was_done_after_an_interruption_is_never_overwritten() {
    let (place, _) = interrupted(150);
    let edited = place.vault().join("card-30.md");
    fs::write(&edited, "an hour's work\n").unwrap();
    let half = texts(&place);
    for end in ["--finish", "--abort"] {
        let said = place.refused("docs-move", &[end]);
        assert!(said.contains("card-30.md` was changed meanwhile"), "{said}");
        assert!(said.contains("remove the journal"), "{said}");
        assert_eq!(texts(&place), half);
    }
    // The user keeps all as it is.
    fs::remove_file(journal(&place).unwrap().join("journal.json")).unwrap();
    place.run("docs-check", &[]);
    assert_eq!(texts(&place), half);
}

#[test]
fn a_journal_that_leads_out_of_the_vault_is_refused() {
    let (place, _) = interrupted(150);
    fs::write(place.root.join("outside/keep"), "keep").unwrap();
    symlink("../../outside", place.vault().join("out")).unwrap();
    let before = snapshot(&place.root.join("outside"));
    for path in [
        "../../outside/keep",
        "/etc/hostname",
        "out/keep",
        "a/../../../outside/keep",
    ] {
        let text = format!(
            r#"{{"vault":"{}","temporary":".x","steps":[{{"path":"{path}","before":{{"text":"keep","mode":420}},"after":null}}]}}"#,
            place.vault()
        );
        fs::write(journal(&place).unwrap().join("journal.json"), text).unwrap();
        for end in ["--finish", "--abort"] {
            place.refused("docs-move", &[end]);
            assert_eq!(snapshot(&place.root.join("outside")), before, "{path}");
        }
    }
}

#[test]
fn two_at_once_are_refused_and_a_lock_that_is_a_link_empties_nothing() {
    let (place, _) = interrupted(150);
    let lock = journal(&place).unwrap().join("lock");
    let program = env!("CARGO_BIN_EXE_docs-move");
    let said = text(
        &place
            .run("flock", &[lock.as_str(), program, "--finish"])
            .stderr,
    );
    assert!(said.contains("another docs-move is running"), "{said}");
    fs::remove_file(&lock).unwrap();
    let precious = place.root.join("outside/precious");
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, &lock).unwrap();
    let said = place.refused("docs-move", &["--finish"]);
    assert!(said.contains("opening the lock"), "{said}");
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
}

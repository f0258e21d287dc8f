//! The programs in repositories and folders that are not this one's.

use std::fs;

use crate::common::{Place, text};

#[test]
fn the_vault_is_found_from_a_folder_in_it() {
    let place = Place::new();
    fs::remove_dir(place.vault()).unwrap();
    place.stdout("git", &["init", "--quiet"]);
    let said = place.refused("docs-check", &[]);
    assert!(said.contains("`--vault DIR` names a vault"), "{said}");
    place.write(&[
        ("../notes/.obsidian/app.json", "{}"),
        ("../notes/a.md", "[[b]]\n"),
        ("../notes/in/b.md", ""),
    ]);
    let notes = place.repository().join("notes");
    let mut command = place.command("docs-check");
    let output = command.current_dir(notes.join("in")).output().unwrap();
    assert!(
        text(&output.stderr).contains("0 findings in 2 cards"),
        "{}",
        text(&output.stderr)
    );
    let mut command = place.command("docs-move");
    let output = command
        .current_dir(notes.join("in"))
        .args(["b", "c"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(notes.join("a.md")).unwrap(), "[[c]]\n");
    // Without a home there is nowhere to keep a journal, and checks need none.
    let mut command = place.command("docs-check");
    let command = command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    assert!(
        command
            .current_dir(&notes)
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn what_is_staged_is_checked_in_sparse_checkouts_and_with_submodules() {
    let place = Place::new();
    let repository = place.repository();
    let git = |arguments: &[&str]| {
        let identity = [
            "-c",
            "user.name=n",
            "-c",
            "user.email=n@x",
            "-c",
            "protocol.file.allow=always",
        ];
        place.stdout("git", &[&identity, arguments].concat())
    };
    place.write(&[
        ("one.md", "[[two]] [[in-module]]\n"),
        ("far/two.md", "[[one]]\n"),
        ("../../outside/module/in-module.md", "[[broken]]\n"),
    ]);
    let module = place.root.join("outside/module");
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "-m", "m"],
    ] {
        git(&[&["-C", module.as_str()], arguments].concat());
    }
    git(&["init", "--quiet"]);
    git(&[
        "submodule",
        "--quiet",
        "add",
        module.as_str(),
        "docs/module",
    ]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "all"]);
    git(&[
        "sparse-checkout",
        "set",
        "--no-cone",
        "/docs/one.md",
        "/docs/module",
    ]);
    assert!(!repository.join("docs/far/two.md").exists());
    let output = place.run("docs-check", &["--staged"]);
    assert_eq!(text(&output.stdout), "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Renamed and not committed, staged in part: what is staged counts.
    git(&["mv", "--sparse", "docs/one.md", "docs/uno.md"]);
    place.write(&[("uno.md", "[[nowhere]]\n")]);
    let output = place.run("docs-check", &["--staged"]);
    let lines = text(&output.stdout);
    assert!(
        lines.contains("docs/far/two.md:1:1: link-unknown"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 1, "{lines}");
    // Paths into a submodule that is not checked out may lead somewhere.
    git(&["submodule", "--quiet", "deinit", "--all"]);
    place.write(&[(
        "uno.md",
        "[x](module/in-module.md) [y](modul/in-module.md)\n",
    )]);
    git(&["add", "--sparse", "docs/uno.md"]);
    let output = place.run("docs-check", &["--staged"]);
    let lines = text(&output.stdout);
    assert!(
        lines.contains("uno.md:1:26: warning: file-unknown"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 2, "{lines}");
    // And names that are nowhere else may be there: they are shown, and block nothing.
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("`docs/module` is not checked out"), "{said}");
}

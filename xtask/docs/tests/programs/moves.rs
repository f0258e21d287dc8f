//! Folders, images and other files that move, and what links them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::common::{Place, snapshot};

fn read(place: &Place, path: &str) -> String {
    fs::read_to_string(place.vault().join(path)).unwrap()
}

#[test]
fn a_folder_moves_with_all_that_is_in_it_and_back() {
    let place = Place::new();
    place.write(&[
        (
            "index.md",
            "[[one]] [[old/deep/two]] [x](old/deep/two.md#part) ![[pic.png]] ![p](old/pic.png) [f](old/)\n",
        ),
        (
            "old/one.md",
            "[[two#Part]] [x](deep/two.md) [i](../index.md) ![[pic.png]] ![p](pic.png) [l](../LICENSE)\n",
        ),
        ("old/deep/two.md", "## Part\n\n[up](../one.md) [[../one]]\n"),
        ("old/pic.png", "picture"),
        ("old/.hidden", "hidden"),
        ("LICENSE", "license"),
    ]);
    fs::write(place.vault().join("old/bytes"), [0xff, 0]).unwrap();
    let secret = fs::Permissions::from_mode(0o600);
    fs::set_permissions(place.vault().join("old/deep/two.md"), secret).unwrap();
    let without_times = || {
        let files = snapshot(&place.vault()).into_iter();
        let cut = |text: String| {
            let mut parts = text.splitn(3, ' ').map(str::to_owned);
            (parts.next(), parts.nth(1))
        };
        files
            .map(|(path, text)| (path, cut(text)))
            .collect::<Vec<_>>()
    };
    let before = without_times();
    let said = place.run("docs-move", &["old/", "new name", "--dry-run"]);
    let diff = crate::common::text(&said.stdout);
    assert!(
        diff.contains("rename from docs/old/pic.png\nrename to docs/new name/pic.png"),
        "{diff}"
    );
    assert_eq!(without_times(), before);
    place.stdout("docs-move", &["old/", "new name"]);
    assert_eq!(
        read(&place, "index.md"),
        "[[one]] [[new name/deep/two]] [x](new%20name/deep/two.md#part) ![[pic.png]] ![p](new%20name/pic.png) \
         [f](new%20name/)\n"
    );
    assert_eq!(
        read(&place, "new name/one.md"),
        "[[two#Part]] [x](deep/two.md) [i](../index.md) ![[pic.png]] ![p](pic.png) [l](../LICENSE)\n"
    );
    assert!(!place.vault().join("old").exists());
    assert_eq!(read(&place, "new name/.hidden"), "hidden");
    place.stdout("docs-move", &["new name/", "old"]);
    assert_eq!(without_times(), before);
    // Into a folder that is there, with its own name, and several at once.
    place.write(&[("other/x.md", ""), ("third/y.md", "[x](../old/one.md)\n")]);
    fs::create_dir_all(place.vault().join("third/empty/deep")).unwrap();
    let rows = place.stdout("docs-move", &["old/", "third/", "other", "--json"]);
    assert!(!place.vault().join("third").exists());
    assert!(
        rows.contains(
            r#"{"path":"docs/other/old/pic.png","from":"docs/old/pic.png","action":"moved"}"#
        ),
        "{rows}"
    );
    assert_eq!(read(&place, "other/third/y.md"), "[x](../old/one.md)\n");
    assert!(read(&place, "index.md").contains("[[other/old/deep/two]]"));
}

#[test]
fn images_canvases_and_tables_keep_their_links() {
    let place = Place::new();
    let canvas = "{\n\t\"nodes\":[\n\t\t{\"id\":\"a\",\"type\":\"file\",\"file\":\"notes/Old.md\",\"subpath\":\"#Part\"},\n\
                  \t\t{\"id\":\"b\",\"type\":\"text\",\"text\":\"see [[Old|\\\"it\\\"]]\\n![](pics/p.png)\"},\n\
                  \t\t{\"file\":\"pics/p.png\"}\n\t],\n\t\"edges\":[]\n}";
    let base = "filters:\n  and:\n    - file.inFolder(\"notes\")\n    - file.hasLink(\"Old\")\n";
    place.write(&[
        (".obsidian/app.json", "{}"),
        ("notes/Old.md", "## Part\n\n![[p.png]] ![[board.canvas]]\n"),
        (
            "notes/n.md",
            "---\nup: \"[[Old]]\"\n---\n![](../pics/p.png)\n",
        ),
        ("board.canvas", canvas),
        ("t.base", base),
        ("pics/p.png", "picture"),
    ]);
    place.stdout("docs-move", &["Old", "New name"]);
    place.stdout("docs-move", &["p.png", "it's 50%.png"]);
    place.stdout("docs-move", &["board.canvas", "boards/"]);
    place.stdout("docs-move", &["notes/", "cards"]);
    assert_eq!(
        read(&place, "boards/board.canvas"),
        canvas
            .replace("notes/Old.md", "cards/New name.md")
            .replace("[[Old|", "[[New name|")
            .replace("](pics/p.png", "](../pics/it's%2050%25.png")
            .replace("\"pics/p.png", "\"pics/it's 50%.png")
    );
    assert_eq!(
        read(&place, "t.base"),
        base.replace("\"notes\"", "\"cards\"")
            .replace("\"Old\"", "\"New name\"")
    );
    assert_eq!(
        read(&place, "cards/New name.md"),
        "## Part\n\n![[it's 50%.png]] ![[board.canvas]]\n"
    );
    assert_eq!(
        read(&place, "cards/n.md"),
        "---\nup: \"[[New name]]\"\n---\n![](../pics/it's%2050%25.png)\n"
    );
}

#[test]
fn files_of_one_name_keep_their_links_apart() {
    let place = Place::new();
    place.write(&[
        (".obsidian/app.json", "{}"),
        ("a/p.png", "a"),
        ("b/q.png", "b"),
        ("a/n.md", "![[p.png]] ![[q.png]]\n"),
        ("m.md", "![[p.png]] ![[q.png]] [[x]]\n"),
        ("c/x.md", ""),
    ]);
    place.stdout("docs-move", &["q.png", "p.png"]);
    assert_eq!(read(&place, "a/n.md"), "![[p.png]] ![[b/p.png]]\n");
    assert_eq!(read(&place, "m.md"), "![[a/p.png]] ![[b/p.png]] [[x]]\n");
    // What one of them leads to then is said.
    let output = place.run("docs-move", &["x", "p.png.md"]);
    let said = crate::common::text(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn links_that_find_a_card_are_said() {
    let place = Place::new();
    place.write(&[("a.md", "[[new]]\n"), ("old.md", "")]);
    let output = place.run("docs-move", &["old", "new"]);
    let said = crate::common::text(&output.stderr);
    assert!(
        said.contains("1 link led nowhere before and leads to a card now:\n  docs/a.md:1:1: `new` leads to `new.md`"),
        "{said}"
    );
}

#[test]
fn what_can_not_move_is_refused_and_nothing_changes() {
    let place = Place::new();
    place.write(&[
        ("index.md", "[[one]]\n"),
        ("old/one.md", ""),
        ("old/pic.png", "x"),
        ("new/pic.png", "y"),
        ("sub/.git/HEAD", "ref: x"),
        ("sub/a.md", ""),
        ("bad/b.md", ""),
        ("linked/l.md", ""),
    ]);
    fs::write(place.vault().join("bad/b.md"), b"\xff").unwrap();
    symlink("l.md", place.vault().join("linked/link")).unwrap();
    let before = snapshot(&place.root.join("repository"));
    for (arguments, why) in [
        (&["old/", "old/deeper/"][..], "can't move into itself"),
        (&["old/", "../x"], "is outside of the vault"),
        (&["old/", "x#y"], "no link could name"),
        (&["none/", "x"], "there is no folder `none/`"),
        (&["old/pic.png", "new/"], "is there already"),
        (&["pic.png", "new/x.png"], "name it by its path"),
        (&["one", "old/pic.png", "index"], "is no card"),
        (&["sub/", "x"], "a repository of its own"),
        (&["bad/", "x"], "can't be read"),
        (&["linked/", "x"], "is a symbolic link"),
        (&["old/one.md", "new/pic.png", "x"], "nor a folder"),
    ] {
        let said = place.refused("docs-move", arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert_eq!(
            snapshot(&place.root.join("repository")),
            before,
            "{arguments:?}"
        );
    }
}

#[test]
fn links_to_a_heading_follow_the_link_in_it() {
    let place = Place::new();
    place.write(&[
        (".obsidian/app.json", "{}"),
        ("old.md", ""),
        ("a.md", "## [[old]]\n"),
        ("l.md", "## [[a#old]]\n\n[x](a.md#old)\n"),
        ("m.md", "[x](l.md#aold)\n"),
        ("d/n.md", ""),
        ("e/m1.md", ""),
        ("b.md", "## [[n]]\n"),
        ("k.md", "[[b#n]]\n"),
    ]);
    place.stdout("docs-move", &["old", "new"]);
    assert_eq!(read(&place, "l.md"), "## [[a#new]]\n\n[x](a.md#new)\n");
    assert_eq!(read(&place, "m.md"), "[x](l.md#anew)\n");
    // Another card gets the name: the heading gets a path.
    place.stdout("docs-move", &["e/m1", "e/n"]);
    assert_eq!(read(&place, "b.md"), "## [[d/n]]\n");
    assert_eq!(read(&place, "k.md"), "[[b#d/n]]\n");
}

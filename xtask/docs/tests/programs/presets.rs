//! What is reported in a vault of which nothing is known, and how its configuration changes that.

use std::fs;

use crate::common::{Place, text};

/// What is found: stdout without the vault's folder, and the exit code.
fn found(place: &Place, arguments: &[&str]) -> (String, Option<i32>) {
    let output = place.run("docs-check", arguments);
    let said = text(&output.stderr);
    assert!(said.contains(" in "), "{said}");
    (
        text(&output.stdout).replace("docs/", ""),
        output.status.code(),
    )
}

/// The paths, lines and codes of what is found.
fn codes(place: &Place) -> Vec<String> {
    let (lines, _) = found(place, &[]);
    let code = |line: &str| {
        let mut parts = line.split(':');
        let path = parts.next().unwrap();
        let (line, _, code) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
        format!("{path}:{line}:{code}")
    };
    lines.lines().map(code).collect()
}

/// Notes as people have them: no front matter, any names, links of all kinds.
fn strange() -> Place {
    let place = Place::new();
    place.write(&[
        (
            "My Note.md",
            "# Some: heading (2.0)!\n\ntext ^id\n\n1. item ^mid\n   ![[pic.png]]\n\n^own\nmore\n",
        ),
        (
            "Folder/My Other.md",
            "[[my note]] [[My Note#some heading 2 0]] [[my note#^id]] [[my note#^mid]] [[my note#^own]]\n",
        ),
        (
            "Folder/Sub/index.md",
            "[x](../My%20Other.md) [y](Folder/My%20Other.md) [z](/Folder)\n",
        ),
        (
            "a.md",
            "[[Sub/index]] [[Folder/My Other|t]] [p](Pic.PNG) ![[pic.png]] [s](Folder/Sub/)\n",
        ),
        ("files/pic.png", ""),
        (
            "T.md",
            "[[{{title}}]] [x](<% tp %>) [[<% x %>]] [i](../../../issues/5) [h](a.html)\n",
        ),
        (
            "bad.md",
            "[[nowhere]] [[My Note#none]] [[My Note#^no]] ![[no.png]] [x](no.md)\n",
        ),
    ]);
    place
}

#[test]
fn without_a_configuration_only_broken_links_are_reported() {
    let place = strange();
    let wanted = [
        "link-unknown",
        "anchor-unknown",
        "block-unknown",
        "file-unknown",
        "file-unknown",
    ];
    let wanted = wanted.map(|code| format!("bad.md:1: {code}"));
    assert_eq!(codes(&place), wanted);
    // Front matter that never ends is a line, and what follows is read.
    place.write(&[("hr.md", "---\nup: \"[[gone]]\"\n\n[[nowhere]]\n")]);
    let more = [
        "hr.md:1: warning",
        "hr.md:2: link-unknown",
        "hr.md:4: link-unknown",
    ];
    assert_eq!(codes(&place)[5..], more);
    fs::remove_file(place.vault().join("hr.md")).unwrap();
    // In JSON each says how much it counts.
    let (json, code) = found(&place, &["--json"]);
    assert_eq!(json.matches("\"severity\":\"error\"").count(), 5, "{json}");
    assert_eq!(code, Some(1));
}

#[test]
fn levels_exclusions_and_what_git_ignores() {
    let place = strange();
    let all =
        "[codes]\nlink-unknown = 'warning'\nanchor-unknown = 'warning'\nblock-unknown = 'off'\n";
    place.write(&[("docs-check.toml", &format!("off = ['file-unknown']\n{all}"))]);
    let (lines, code) = found(&place, &[]);
    assert_eq!(lines.matches(": warning: ").count(), 2, "{lines}");
    assert_eq!((lines.lines().count(), code), (2, Some(0)));
    place.write(&[("docs-check.toml", "exclude = ['b*.md']\n")]);
    assert_eq!(found(&place, &[]), (String::new(), Some(0)));
    place.write(&[("docs-check.toml", "exclude = ['Folder/**']\n")]);
    assert_eq!(codes(&place).len(), 5);
    // What git ignores can be linked, but is not reported on.
    fs::remove_file(place.vault().join("docs-check.toml")).unwrap();
    place.stdout("git", &["init", "--quiet"]);
    fs::write(place.repository().join(".gitignore"), "bad.md\n").unwrap();
    place.write(&[("good.md", "[[bad]]\n")]);
    assert_eq!(found(&place, &[]), (String::new(), Some(0)));
    place.write(&[("docs-check.toml", "gitignore = false\n")]);
    assert_eq!(codes(&place).len(), 5);
    // A setting switches its rule on.
    place.write(&[(
        "docs-check.toml",
        "required = ['title']\nexclude = ['bad.md']\n",
    )]);
    assert!(codes(&place).contains(&"a.md:1: front-matter-missing".to_owned()));
}

#[test]
fn the_baseline_knows_a_finding_whatever_name_is_suggested() {
    let place = Place::new();
    place.write(&[("one.md", "[[crad]] [[hadn]]\n"), ("hand.md", "")]);
    place.run("docs-check", &["--write-baseline"]);
    assert_eq!(found(&place, &[]), (String::new(), Some(0)));
    place.write(&[("card.md", "")]);
    fs::remove_file(place.vault().join("hand.md")).unwrap();
    assert_eq!(found(&place, &[]), (String::new(), Some(0)));
    // As it was written before.
    let line = |target: &str| {
        format!("one.md: link-unknown: there is no card `{target}`: did you mean `x`?\n")
    };
    place.write(&[(".docs-check-baseline", &(line("crad") + &line("hadn")))]);
    assert_eq!(found(&place, &[]), (String::new(), Some(0)));
}

#[test]
fn links_are_followed_as_the_program_does_it() {
    let place = Place::new();
    place.write(&[
        ("one/note.md", ""),
        ("two/note.md", "[[other]]"),
        ("deep/er/index.md", "---\naliases: [Other]\n---\n"),
        // Quartz has ids at the ends of blocks only.
        ("block.md", "one ^id\ngoes on [[#^id]]\n"),
        ("case.md", "[[#^ID]] [[#^iD]]\n\ntwo ^Id\n"),
        (
            "card.md",
            "[[note]] [[NOTE]] [[other]] [[deep/er]] [[er/index]]\n",
        ),
    ]);
    let with = |resolve: &str| {
        place.write(&[("docs-check.toml", &format!("resolve = '{resolve}'\n"))]);
        let found = codes(&place);
        let of_card = found
            .iter()
            .filter_map(|line| line.strip_prefix("card.md:1: "));
        of_card.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(with("obsidian"), "link-by-alias link-unknown");
    assert_eq!(with("quartz"), "link-ambiguous link-unknown link-unknown");
    assert_eq!(with("either"), "");
    // The program whose settings are there.
    fs::remove_file(place.vault().join("docs-check.toml")).unwrap();
    assert_eq!(codes(&place), [""; 0]);
    fs::create_dir(place.vault().join(".obsidian")).unwrap();
    assert_eq!(codes(&place).len(), 3);
    fs::remove_dir(place.vault().join(".obsidian")).unwrap();
    place.write(&[("quartz.config.ts", "")]);
    assert_eq!(codes(&place).len(), 6);
}

#[test]
fn chains_of_headings_pages_of_folders_and_blanks() {
    let place = Place::new();
    place.write(&[
        ("one/note.md", ""),
        ("two/note.md", ""),
        ("plain/x/y.md", ""),
        ("h.md", "# A\n\n## B\n\n# C\n\n### B\n"),
        ("files/at 6\u{202f}AM.png", ""),
        ("b.md", "## See [[h|Bee]]\n\n## _em_ title\n\n[[#See h Bee]] [[b#_em_ title]]\n"),
        (
            "card.md",
            "[[plain]]\n[[no/note]]\n[[h#A#B]]\n[[h#B#A]]\n[[h#none#B]]\n[[h#C#B]]\n![[at 6 AM.png]]\n",
        ),
    ]);
    let text = ["3", "4", "5", "6"].map(|line| format!("{line}: link-renders-as-text"));
    let text = text.join(" ");
    for (resolve, wanted) in [
        (
            "obsidian",
            "1: link-unknown 2: link-unknown 4: anchor-unknown 5: anchor-unknown 7: file-unknown",
        ),
        (
            "quartz",
            &*format!("b.md:5: anchor-unknown b.md:5: anchor-unknown 2: link-unknown {text}"),
        ),
        (
            "either",
            "2: link-unknown 4: anchor-unknown 5: anchor-unknown",
        ),
    ] {
        place.write(&[("docs-check.toml", &format!("resolve = '{resolve}'\n"))]);
        let found = codes(&place).join(" ").replace("card.md:", "");
        assert_eq!(found, wanted, "{resolve}");
    }
}

#[test]
fn a_fix_leads_where_the_link_led_in_both_programs() {
    let place = Place::new();
    let links = "[[API/command]] [[API/command.md|c]] [[how-to/only]] [[ONLY]] [[COMMAND]]\n";
    place.write(&[
        ("docs-check.toml", "preset = 'diataxis'\n"),
        ("API.md", ""),
        ("API/command.md", ""),
        ("Command.md", ""),
        ("how-to/only.md", ""),
        ("index.md", links),
    ]);
    place.run("docs-check", &["--fix"]);
    let text = fs::read_to_string(place.vault().join("index.md")).unwrap();
    let wanted = "[[API/command]] [[API/command.md|c]] [[only]] [[only]] [[COMMAND]]\n";
    assert_eq!(text, wanted);
}

#[test]
fn what_is_only_renamed_in_the_index_is_mended() {
    let place = Place::new();
    place.write(&[("one.md", "[[two]]\n"), ("two.md", "some words\n")]);
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"];
        place.stdout("git", &[&identity, arguments].concat())
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "m"]);
    git(&["mv", "docs/two.md", "docs/three.md"]);
    place.stdout("docs-check", &["--fix"]);
    let one = fs::read_to_string(place.vault().join("one.md")).unwrap();
    assert_eq!(one, "[[three]]\n");
}

/// `Place` gives 4 GB and a minute: where each byte took more than its eighty bytes, or more than linear time, this
/// would not do.
#[test]
fn what_opens_very_many_links_takes_linear_time_and_memory() {
    let place = Place::new();
    place.write(&[("a.md", &"[".repeat(16 << 20)), ("b.md", "[[a]]\n")]);
    assert_eq!(codes(&place), [""; 0]);
}

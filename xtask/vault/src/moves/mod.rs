//! Cards renamed, merged and split: all texts in, all texts out, links rewritten.
//!
//! A new card is put together from parts of old ones. Where each link led is known before; it is
//! rewritten where it must be, the result is read again, and a link that would lead elsewhere is an error.

mod carry_out;
mod change;
mod compose;
mod concern;
mod documents;
mod follow;
mod footnotes;
mod landing_pages;
mod moved;
mod old_vault;
mod plan;
mod references;
mod verify;

use anyhow::{Context as _, Result};

use self::carry_out::carry_out;
pub use self::change::{Change, Links, Retarget};
pub use self::concern::Concern;
pub use self::documents::is_document;
pub use self::landing_pages::{relist, retag};
pub use self::moved::Moved;
pub use self::old_vault::{Among, Texts};
use self::plan::{extracted, merged};
pub use self::references::Exists;

/// Makes a change; on errors the texts are as they were. All files that links name are there.
pub fn apply(texts: &mut Texts, change: &Change) -> Result<Links> {
    apply_among(texts, change, &Among::nothing())
}

/// Makes a change among what else is in the vault; on errors the texts are as they were.
pub fn apply_among(texts: &mut Texts, change: &Change, among: &Among<'_>) -> Result<Links> {
    let moved = match change {
        Change::Rename { old, new } => Moved::file(old, new),
        Change::Move(moved) => moved.clone(),
        Change::Merge { .. } | Change::Extract { .. } => Moved::default(),
    };
    let section = match change {
        Change::Merge { old, .. } => Some(old.as_path()),
        _ => None,
    };
    carry_out(texts, &moved, section, among, |before, _| match change {
        Change::Rename { old, .. } => {
            before.at(old)?;
            plan::moved(before, &moved)
        }
        Change::Move(_) => plan::moved(before, &moved),
        Change::Merge { old, into } => merged(before, old, into),
        Change::Extract { old, heading, new } => extracted(before, old, heading, new)
            .with_context(|| format!("taking a section out of `{old}`")),
    })
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::place::Place;
    use crate::rules::settings::Resolve;

    fn texts(cards: &[(&str, &str)]) -> Texts {
        let card = |(path, text): &(&str, &str)| ((*path).into(), (*text).to_owned());
        cards.iter().map(card).collect()
    }

    fn rename(old: &str, new: &str) -> Change {
        Change::Rename {
            old: old.into(),
            new: new.into(),
        }
    }

    fn merge(old: &str, into: &str) -> Change {
        Change::Merge {
            old: old.into(),
            into: into.into(),
        }
    }

    fn extract(old: &str, heading: &str, new: &str) -> Change {
        Change::Extract {
            old: old.into(),
            heading: heading.to_owned(),
            new: new.into(),
        }
    }

    #[test]
    fn links_of_all_forms_are_written_anew_and_back() {
        for (before, after) in [
            ("[[old]]", "[[new]]"),
            ("[[old|text]]", "[[new|text]]"),
            ("[[ old ]]", "[[ new ]]"),
            ("![[old#Part]]", "![[new#Part]]"),
            ("[[a/old.md#Part|x]]", "[[b/new.md#Part|x]]"),
            ("[[old#^id]]  \r\n", "[[new#^id]]  \r\n"),
            ("[[old#none]]", "[[new#none]]"),
            (
                "| a |\n|---|\n| [[old\\|t]] |\n",
                "| a |\n|---|\n| [[new\\|t]] |\n",
            ),
            (
                "`[[old]]` <!-- [[old]] --> $[[old]]$",
                "`[[old]]` <!-- [[old]] --> $[[old]]$",
            ),
            ("[x](old.md#part \"t\")", "[x](../b/new.md#part \"t\")"),
            ("[x](<old.md>)", "[x](<../b/new.md>)"),
            ("[[./old]] [[./old.md|x]]", "[[../b/new]] [[../b/new.md|x]]"),
            ("[[/a/old#Part]]", "[[/b/new#Part]]"),
            ("[x](./old.md)", "[x](./../b/new.md)"),
            ("[x](old)", "[x](../b/new)"),
            ("[x](/a/old.md?q#part)", "[x](/b/new.md?q#part)"),
            (
                "[x][r]\n\n[r]: old.md 'title'\n",
                "[x][r]\n\n[r]: ../b/new.md 'title'\n",
            ),
            ("[[1]](old.md)", "[[1]](../b/new.md)"),
            ("---\nrequires: [old]\n---\n", "---\nrequires: [new]\n---\n"),
            (
                "---\nrequires:\n- bold\n- 'old'\n---\n",
                "---\nrequires:\n- bold\n- 'new'\n---\n",
            ),
            (
                "---\nrequires: [old, old, two]\n---\n",
                "---\nrequires: [new, new, two]\n---\n",
            ),
            ("[[nowhere]] \u{e9}[[old]]", "[[nowhere]] \u{e9}[[new]]"),
            ("---\nx: '[[old]]'\n", "---\nx: '[[new]]'\n"),
            (
                "\u{feff}---\nx: 1\n---\n[[old]]",
                "\u{feff}---\nx: 1\n---\n[[new]]",
            ),
            // A link in a heading that Obsidian knows by other words.
            (
                "## _To_ [[old|x]]\n\n[[#_To_ old x]] [[#To x]] [x](#to-x)\n\n## _[[old]]_\n\n[[#_ old _]]",
                "## _To_ [[new|x]]\n\n[[#_To_ new x]] [[#To x]] [x](#to-x)\n\n## _[[new]]_\n\n[[#_ new _]]",
            ),
            (
                "## To [[old]]\n\n[[#To old]]",
                "## To [[new]]\n\n[[#To new]]",
            ),
        ] {
            let first = texts(&[
                (
                    "a/old.md",
                    "# Old\n\n[x](two.md) ![](../p.png) [[#Part]]\n\n## Part\n\nwords ^id\n",
                ),
                ("a/two.md", before),
            ]);
            let mut now = first.clone();
            apply(&mut now, &rename("a/old.md", "b/new.md")).unwrap();
            assert_eq!(now[Utf8Path::new("a/two.md")], after);
            assert!(
                now[Utf8Path::new("b/new.md")].contains("[x](../a/two.md) ![](../p.png) [[#Part]]")
            );
            apply(&mut now, &rename("b/new.md", "a/old.md")).unwrap();
            assert_eq!(now, first);
        }
    }

    #[test]
    fn links_of_other_programs_are_written_anew_and_back() {
        for (before, after) in [
            (
                "---\nup: \"[[old]]\"\nmore:\n  - '[[old#Part|x]]'\n  - [[old]]\n---\n",
                "---\nup: \"[[new]]\"\nmore:\n  - '[[new#Part|x]]'\n  - [[old]]\n---\n",
            ),
            (
                "| a |\n|---|\n| [[old|t]] | ![[old#Part|u]] |\n| [[old\\|t]] |\n",
                "| a |\n|---|\n| [[new|t]] | ![[new#Part|u]] |\n| [[new\\|t]] |\n",
            ),
            // As a site has it.
            (
                "[x](old.html#part) [y](./old.html) [z](two.html)",
                "[x](../b/new.html#part) [y](./../b/new.html) [z](two.html)",
            ),
            // From the vault's root, and what is elsewhere or nowhere.
            (
                "[x](a/old.md#part) [y](a/old) ![p](pics/p.png) [n](none/x.md) [s](p.png)",
                "[x](b/new.md#part) [y](b/new) ![p](pics/p.png) [n](none/x.md) [s](p.png)",
            ),
        ] {
            let first = texts(&[
                (
                    "a/old.md",
                    "# Old\n\n## Part\n\n[r](a/two.md) ![p](pics/p.png)\n",
                ),
                ("a/two.md", before),
            ]);
            let mut now = first.clone();
            let exists = |path: &Utf8Path| path == "pics/p.png";
            let among = Among {
                files: &["pics/p.png".to_owned()],
                exists: &exists,
                resolve: Resolve::Either,
                ..Among::nothing()
            };
            apply_among(&mut now, &rename("a/old.md", "b/new.md"), &among).unwrap();
            assert_eq!(now[Utf8Path::new("a/two.md")], after);
            assert!(now[Utf8Path::new("b/new.md")].contains("[r](a/two.md) ![p](pics/p.png)"));
            apply_among(&mut now, &rename("b/new.md", "a/old.md"), &among).unwrap();
            assert_eq!(now, first);
        }
    }

    #[test]
    fn stems_that_several_cards_have_keep_their_targets() {
        // Obsidian takes the exact path, then the card of the own folder, then the shortest path.
        let first = texts(&[
            ("f/index.md", ""),
            ("f/n.md", ""),
            ("f/x.md", "[[index]] [[n]]"),
            ("g/h/n.md", ""),
            ("g/y.md", "[[index]] [[f/index]] [[n]]"),
            ("index.md", "[[f/index|t]]"),
        ]);
        let mut now = first.clone();
        apply(&mut now, &rename("index.md", "home.md")).unwrap();
        assert_eq!(now[Utf8Path::new("f/x.md")], "[[home]] [[n]]");
        assert_eq!(now[Utf8Path::new("g/y.md")], "[[home]] [[f/index]] [[n]]");
        let mut now = first;
        apply(&mut now, &rename("f/index.md", "feats/index.md")).unwrap();
        assert_eq!(now[Utf8Path::new("f/x.md")], "[[index]] [[n]]");
        assert_eq!(now[Utf8Path::new("index.md")], "[[feats/index|t]]");
        apply(&mut now, &rename("f/n.md", "e/f/n.md")).unwrap();
        assert_eq!(now[Utf8Path::new("f/x.md")], "[[index]] [[e/f/n]]");
        assert_eq!(
            now[Utf8Path::new("g/y.md")],
            "[[index]] [[feats/index]] [[e/f/n]]"
        );
    }

    #[test]
    fn links_to_folders_stay_links_to_folders() {
        let links = "[x](/en/) [y](../en/) [z](en) [[en]] [[en/]] [[en/sub/]] [w](/en/index/) ![p](/en/p.png)";
        let first = texts(&[
            ("d/links.md", links),
            ("en/index.md", ""),
            ("en/sub/deep/x.md", ""),
            ("index.md", ""),
        ]);
        let of = |old: &str, new: &str| {
            let moved = ["index.md", "sub/deep/x.md"];
            let moved = moved.map(|file| {
                (
                    format!("{old}/{file}").into(),
                    format!("{new}/{file}").into(),
                )
            });
            Change::Move(Moved {
                files: moved.into(),
                folders: vec![(old.into(), new.into())],
            })
        };
        for (new, after) in [
            (
                "my fr",
                "[x](/my%20fr/) [y](../my%20fr/) [z](my%20fr) [[my fr]] [[my fr/]] [[my fr/sub/]] [w](/my%20fr/index/) \
                 ![p](/en/p.png)",
            ),
            (
                "x/fr",
                "[x](/x/fr/) [y](../x/fr/) [z](x/fr) [[x/fr]] [[x/fr/]] [[x/fr/sub/]] [w](/x/fr/index/) ![p](/en/p.png)",
            ),
        ] {
            let mut now = first.clone();
            let exists = |path: &Utf8Path| ["en", "en/sub"].contains(&path.as_str());
            let among = Among {
                exists: &exists,
                resolve: Resolve::Quartz,
                ..Among::nothing()
            };
            apply_among(&mut now, &of("en", new), &among).unwrap();
            assert_eq!(now[Utf8Path::new("d/links.md")], after);
            apply_among(&mut now, &of(new, "en"), &among).unwrap();
            assert_eq!(now[Utf8Path::new("d/links.md")], links);
        }
        // What is no page of a folder any more is named itself.
        let mut now = first;
        let among = Among {
            exists: &|_| false,
            resolve: Resolve::Quartz,
            ..Among::nothing()
        };
        apply_among(&mut now, &rename("en/index.md", "en/home.md"), &among).unwrap();
        assert_eq!(
            now[Utf8Path::new("d/links.md")],
            "[x](/en/home) [y](../en/home) [z](en/home) [[home]] [[home]] [[en/sub/]] [w](/en/home/) ![p](/en/p.png)"
        );
    }

    #[test]
    fn names_with_percent_signs_are_encoded() {
        let mut now = texts(&[("a.md", ""), ("l.md", "[x](a.md) [[a]]")]);
        apply(&mut now, &rename("a.md", "50%.md")).unwrap();
        assert_eq!(now[Utf8Path::new("l.md")], "[x](50%25.md) [[50%]]");
        apply(&mut now, &rename("50%.md", "a%20b.md")).unwrap();
        assert_eq!(now[Utf8Path::new("l.md")], "[x](a%2520b.md) [[a%20b]]");
    }

    #[test]
    fn links_without_a_destination_stay() {
        let mut now = texts(&[("a.md", "# A\n\n![]() [x]()\n"), ("b.md", "# B\n")]);
        apply(&mut now, &merge("a.md", "b.md")).unwrap();
        assert_eq!(now[Utf8Path::new("b.md")], "# B\n\n## A\n\n![]() [x]()\n");
    }

    #[test]
    fn what_leads_there_still_is_not_written_anew() {
        for (cards, old, new, path, after) in [
            // A card in the renamed one's folder, or the renamed one itself.
            (
                [
                    (
                        "d/a.md",
                        "[[../d/b]] [y](?q) [z](../d/b.md) [[/d/b]] [s](sub/) [f](.)",
                    ),
                    ("d/b.md", ""),
                ],
                "d/a.md",
                "d/new.md",
                "d/new.md",
                "[[../d/b]] [y](?q) [z](../d/b.md) [[/d/b]] [s](sub/) [f](.)",
            ),
            (
                [
                    ("d/a.md", ""),
                    (
                        "d/b.md",
                        "[x](./../d/./a.md) [y](../d//a.md?q) [[../d/a|t]] [[d/a]] [[/d/a.md]]",
                    ),
                ],
                "d/a.md",
                "d/new.md",
                "d/b.md",
                "[x](./../d/./new.md) [y](../d//new.md?q) [[../d/new|t]] [[d/new]] [[/d/new.md]]",
            ),
            (
                [
                    ("d/caf\u{e9}.md", ""),
                    ("l.md", "[x](d/caf%C3%A9.md) [y](d/caf\u{e9}.md)"),
                ],
                "d/caf\u{e9}.md",
                "e/caf\u{e9}.md",
                "l.md",
                "[x](e/caf%C3%A9.md) [y](e/caf\u{e9}.md)",
            ),
            (
                [
                    ("d/a.md", "[s](sub/) [f](.) [g](./) [h](..) [i](../)"),
                    ("l.md", ""),
                ],
                "d/a.md",
                "e/a.md",
                "e/a.md",
                "[s](../d/sub/) [f](../d) [g](./../d/) [h](..) [i](../)",
            ),
            (
                [("e/new.md", ""), ("l.md", "[[e/new]] [[e/new.md#none]]")],
                "e/new.md",
                "d/sub/c.md",
                "l.md",
                "[[d/sub/c]] [[d/sub/c.md#none]]",
            ),
        ] {
            let first = texts(&cards);
            let mut now = first.clone();
            apply(&mut now, &rename(old, new)).unwrap();
            assert_eq!(now[Utf8Path::new(path)], after);
            apply(&mut now, &rename(new, old)).unwrap();
            assert_eq!(now, first);
        }
    }

    #[test]
    fn links_in_another_case_are_mended_too() {
        let mut now = texts(&[("a.md", ""), ("l.md", "[[A]] [[A|x]]"), ("M.md", "")]);
        apply(&mut now, &rename("a.md", "z.md")).unwrap();
        assert_eq!(now[Utf8Path::new("l.md")], "[[z]] [[z|x]]");
    }

    #[test]
    fn other_names_of_cards_are_taken() {
        let cards = [
            ("a.md", "## S\n\n## T\n"),
            ("b.md", "---\naliases: [z]\npermalink: /y/\n---\n"),
        ];
        for change in [
            rename("a.md", "d/z.md"),
            rename("a.md", "y.md"),
            extract("a.md", "T", "z.md"),
        ] {
            let error = format!("{:#}", apply(&mut texts(&cards), &change).unwrap_err());
            assert!(error.contains("is another name of `b.md`"), "{error}");
        }
        apply(&mut texts(&cards), &rename("b.md", "z.md")).unwrap();
    }

    #[test]
    fn footnotes_go_along() {
        let note = |name: &str| {
            format!("# {name}\n\n{name}[^1] [^2]\n\n[^1]: note of {name}\n[^2]: two\n")
        };
        let (a, b) = (
            note("A"),
            note("B")
                .replace("[^2]", "[^B]")
                .replace("[^1]: ", "[^1-2]: x [^1-2]\n\n[^1]: "),
        );
        let mut now = texts(&[("a.md", &a), ("b.md", &b)]);
        apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nA[^1] [^2]\n\n[^1]: note of A\n[^2]: two\n\n## B\n\nB[^1-3] [^B]\n\n[^1-2]: x [^1-2]\n\n\
             [^1-3]: note of B\n[^B]: two\n"
        );
        let a =
            "# A\n\nx[^2]\n\n## S\n\ns[^1] [^2]\n\n## End\n\n[^1]: one\n    [[b]]\n\n[^2]: two\n";
        let mut now = texts(&[("a.md", a), ("b.md", "")]);
        apply(&mut now, &extract("a.md", "S", "d/new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nx[^2]\n\n[[new]]\n\n## End\n\n[^2]: two\n"
        );
        assert_eq!(
            now[Utf8Path::new("d/new.md")],
            "# S\n\ns[^1] [^2]\n\n[^1]: one\n    [[b]]\n\n[^2]: two\n"
        );
        // One footnote refers to another one, which stays because of that.
        let a = "a[^2]\n\n## S\n\ns[^2] [^3]\n\n## End\n\n[^1]: one\n\n[^2]: two[^1]\n\n[^3]: three[^1]\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "a[^2]\n\n[[new]]\n\n## End\n\n[^1]: one\n\n[^2]: two[^1]\n"
        );
        assert_eq!(
            now[Utf8Path::new("new.md")],
            "# S\n\ns[^2] [^3]\n\n[^1]: one\n\n[^2]: two[^1]\n\n[^3]: three[^1]\n"
        );
        let a = "## S\n\ns[^1]\n\n## End\n\n> [^1]: one\n";
        let error = apply(&mut texts(&[("a.md", a)]), &extract("a.md", "S", "new.md"));
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("`[^1]` is written in a list or a quotation"),
            "{error}"
        );
        // What is written in the section and needed in the rest stays, or is in both.
        let a = "# A\n\nx[^1] y[^2]\n\n## S\n\nz[^2]\n\n[^1]: one\n[^2]: two\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\nx[^1] y[^2]\n\n[[new]]\n\n[^1]: one\n\n[^2]: two\n"
        );
        assert_eq!(now[Utf8Path::new("new.md")], "# S\n\nz[^2]\n\n[^2]: two\n");
        // What is before the section keeps its line.
        let a = "<div>\n\n[^1]: one\n\n## S\n\ns[^1]\n";
        let mut now = texts(&[("a.md", a)]);
        apply(&mut now, &extract("a.md", "S", "new.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "<div>\n\n[[new]]\n");
        // Words that become a footnote in the other card.
        let cards = [("a.md", "a[^1]\n"), ("b.md", "b[^1]\n\n[^1]: note\n")];
        for change in [merge("a.md", "b.md"), merge("b.md", "a.md")] {
            let error = format!("{:#}", apply(&mut texts(&cards), &change).unwrap_err());
            assert!(error.contains("a footnote or something"), "{error}");
        }
        // A byte order mark is the card's.
        let mut now = texts(&[("a.md", "\u{feff}B\n---\nx\n")]);
        apply(&mut now, &extract("a.md", "B", "new.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "\u{feff}[[new]]\n");
        assert_eq!(now[Utf8Path::new("new.md")], "# B\nx\n");
    }

    #[test]
    fn cards_that_become_one_lead_to_their_parts() {
        let a = "# A\n\n[[b]] [[b#S]] [[a]]\n";
        let b = "# B\n\n[[a]] [[b]] [[b#S]]\n\n## S\n";
        let mut now = texts(&[("a.md", a), ("b.md", b)]);
        apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "# A\n\n[[#B]] [[#S]] [[a]]\n\n## B\n\n[[#A]] [[a#B]] [[a#S]]\n\n### S\n"
        );
    }

    #[test]
    fn links_to_a_merged_card_have_words_that_both_programs_follow() {
        for (title, link) in [
            ("Guide: setup", "[[t#Guide setup]]"),
            ("C# [1] ^id", "[[t#C 1]]"),
            ("What's *new*?", "[[t#What's new?]]"),
            ("A # B", "[[t#a--b]]"),
        ] {
            let title = format!("# {title}\n");
            let mut now = texts(&[("g.md", &title), ("l.md", "[[g]]"), ("t.md", "# T\n")]);
            apply(&mut now, &merge("g.md", "t.md")).unwrap();
            assert_eq!(now[Utf8Path::new("l.md")], link);
        }
    }

    #[test]
    fn a_merge_into_a_card_without_front_matter_brings_it() {
        let a = "---\ntitle: A\ntags: [x]\naliases: [Other]\n---\n\n# A\n";
        let mut now = texts(&[("a.md", a), ("b.md", "# B\n")]);
        apply(&mut now, &merge("a.md", "b.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("b.md")],
            "---\ntitle: B\ntags: [x]\naliases: [Other]\n---\n\n# B\n\n## A\n"
        );
        let broken = [("a.md", "---\ntitle: A: x\n---\n"), ("b.md", "# B\n")];
        for change in [merge("a.md", "b.md"), merge("b.md", "a.md")] {
            let error = format!("{:#}", apply(&mut texts(&broken), &change).unwrap_err());
            assert!(
                error.contains("the front matter of `a.md` can't be read"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_section_that_is_no_part_of_the_top_level_stays() {
        for text in [
            "- x\n\n  ## N\n\n  one\n\n- y\n",
            "1. ## N\n2. y\n",
            "> ## N\n",
        ] {
            let cards = [("a.md", text)];
            let error = apply(&mut texts(&cards), &extract("a.md", "N", "new.md")).unwrap_err();
            assert!(
                format!("{error:#}").contains("is in a list or a quotation"),
                "{error:#}"
            );
        }
        let mut now = texts(&[(
            "e/a.md",
            "# A\n\n   ## N ^n\n\n[x](#sub)\n\n### Sub\n\n## true\n",
        )]);
        apply(&mut now, &extract("e/a.md", "N ^n", "e/n.md")).unwrap();
        apply(&mut now, &extract("e/a.md", "true", "e/t.md")).unwrap();
        assert_eq!(now[Utf8Path::new("e/a.md")], "# A\n\n[[n]]\n\n[[t]]\n");
        let mut now = texts(&[(
            "e/a.md",
            "---\nx: y\n---\n# A\n\n[x](#sub)\n\n## true\n\n### Sub\n",
        )]);
        apply(&mut now, &extract("e/a.md", "true", "e/new.md")).unwrap();
        assert!(now[Utf8Path::new("e/a.md")].contains("[x](new.md#sub)"));
        assert!(now[Utf8Path::new("e/new.md")].starts_with("---\ntitle: \"true\"\nx: y\n"));
    }

    #[test]
    fn a_merge_keeps_headings_and_front_matter_apart() {
        let mut now = texts(&[
            (
                "a.md",
                "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\nrequires: [b, d]\n---\n\n# A\n\n## Notes\n\na [[b]]\n",
            ),
            (
                "b.md",
                "---\ntitle: B, too\nmodified: 2026-02-02\ntags:\n- y\nowner: me\n---\n\n# B\n\n## Notes\n\n[[#Notes]] [[a|x]] [[a#Notes]]\n",
            ),
            (
                "c.md",
                "---\nrequires: [a, b]\n---\n[[b#Notes]] [[a#Notes]] [[b]]\n",
            ),
            ("d.md", ""),
        ]);
        // Obsidian has no anchor for the second heading of a name.
        let first = now.clone();
        let error = format!("{:#}", apply(&mut now, &merge("b.md", "a.md")).unwrap_err());
        assert!(
            error.contains("a second heading of its name in `a.md`"),
            "{error}"
        );
        assert_eq!(now, first);
        let quartz = Among {
            resolve: Resolve::Quartz,
            ..Among::nothing()
        };
        let links = apply_among(&mut now, &merge("b.md", "a.md"), &quartz).unwrap();
        assert_eq!(
            links,
            Links {
                rewritten: 6,
                retargets: Vec::new()
            }
        );
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "---\ntitle: A\nmodified: 2026-02-02\ntags: [x, y]\nrequires: [d]\nowner: me\n---\n\n# A\n\n## Notes\n\na [[#B]]\n\n\
             ## B\n\n### Notes\n\n[[#notes-1]] [[#A|x]] [[#Notes]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("c.md")],
            "---\nrequires: [a]\n---\n[[a#notes-1]] [[a#Notes]] [[a#B]]\n"
        );
        assert!(!now.contains_key(Utf8Path::new("b.md")));
    }

    #[test]
    fn a_body_without_title_gets_a_heading() {
        let mut now = texts(&[
            ("a.md", "words"),
            ("b.md", "---\ntitle: The other\n---\n\nmore\n\n# Top\n"),
        ]);
        apply(&mut now, &merge("b.md", "a.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "words\n\n## The other\n\nmore\n\n### Top\n"
        );
    }

    #[test]
    fn a_section_becomes_a_card() {
        let mut now = texts(&[
            (
                "a.md",
                "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\n---\n\n# A\n\n## Part: one\n\n[[#End]] ^b\n\n### In\n\n## End\n\n[[#In]]\n",
            ),
            (
                "c.md",
                "[[a#In]] [[a#End]] [[a]] [[a#^b]] [[a#^B]] [x](a.md#part-one)\n",
            ),
        ]);
        apply(&mut now, &extract("a.md", "part-one", "p.md")).unwrap();
        assert_eq!(
            now[Utf8Path::new("a.md")],
            "---\ntitle: A\nmodified: 2026-01-01\ntags: [x]\n---\n\n# A\n\n[[p]]\n\n## End\n\n[[p#In]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("p.md")],
            "---\ntitle: \"Part: one\"\nmodified: 2026-01-01\ntags: [x]\n---\n\n# Part: one\n\n[[a#End]] ^b\n\n## In\n"
        );
        assert_eq!(
            now[Utf8Path::new("c.md")],
            "[[p#In]] [[a#End]] [[a]] [[p#^b]] [[p#^B]] [x](p.md#part-one)\n"
        );
    }

    #[test]
    fn the_link_left_behind_leads_to_the_new_card() {
        for resolve in [Resolve::Obsidian, Resolve::Quartz, Resolve::Either] {
            let mut now = texts(&[("a.md", "# A\n\n## H\n\nx\n"), ("dup.md", "")]);
            let among = Among {
                resolve,
                ..Among::nothing()
            };
            apply_among(&mut now, &extract("a.md", "H", "q/dup.md"), &among).unwrap();
            assert_eq!(now[Utf8Path::new("a.md")], "# A\n\n[[q/dup]]\n");
        }
    }

    #[test]
    fn a_section_is_found_by_its_words_first() {
        let text = "# T\n\n## Example\n\none\n\n## Example\n\ntwo\n\n## Example 1\n\nthree\n";
        for (heading, taken, link) in [
            ("Example 1", "three", "[[new#Example 1]]"),
            ("example-1", "two", "[[a#Example 1]]"),
        ] {
            let mut now = texts(&[("a.md", text), ("l.md", "[[a#Example 1]]")]);
            apply(&mut now, &extract("a.md", heading, "new.md")).unwrap();
            assert!(now[Utf8Path::new("new.md")].ends_with(&format!("\n\n{taken}\n")));
            assert_eq!(now[Utf8Path::new("l.md")], link);
        }
    }

    #[test]
    fn a_section_at_the_beginning_does_not_take_the_card_with_it() {
        let mut now = texts(&[("a.md", "## One\n\nx\n"), ("c.md", "[[a]] [[a#One]]\n")]);
        apply(&mut now, &extract("a.md", "One", "z.md")).unwrap();
        assert_eq!(now[Utf8Path::new("a.md")], "[[z]]\n");
        assert_eq!(now[Utf8Path::new("c.md")], "[[a]] [[z#One]]\n");
    }

    #[test]
    fn what_can_not_be_done_is_refused_and_changes_nothing() {
        let first = texts(&[
            (
                "old.md",
                "# Old\n\n> ## Quoted\n\n## Tied\n\n[x][r]\n\n## Rest\n\n[r]: two.md\n",
            ),
            ("two.md", "text ^id\n"),
            ("three.md", "other ^id\n\n[[#^id]]\n"),
        ]);
        for (change, why) in [
            (rename("none.md", "x.md"), "no card `none.md`"),
            (rename("old.md", "two.md"), "is there already"),
            (rename("old.md", "x/three.md"), "is taken by `three.md`"),
            (rename("old.md", "x/Two.md"), "is taken by `two.md`"),
            (merge("old.md", "old.md"), "into itself"),
            (
                merge("three.md", "two.md"),
                "the link to `#^id` at `three.md:3:1` would lead elsewhere",
            ),
            (extract("old.md", "None", "x.md"), "it has `Old`, `Quoted`"),
            (extract("old.md", "Quoted", "x.md"), "list or a quotation"),
            (extract("old.md", "Old", "x.md"), "is the card's title"),
            (extract("old.md", "Tied", "x.md"), "reference definition"),
        ] {
            let mut now = first.clone();
            let error = format!("{:#}", apply(&mut now, &change).unwrap_err());
            assert!(error.contains(why), "{change:?}: {error}");
            assert_eq!(now, first);
        }
    }

    #[test]
    fn links_that_lead_nowhere_may_find_a_card() {
        let mut now = texts(&[("old.md", ""), ("two.md", "[[new]] [[old]]")]);
        let links = apply(&mut now, &rename("old.md", "new.md")).unwrap();
        let found = Retarget {
            path: "two.md".into(),
            line: Place::new(1, 1),
            target: "new".to_owned(),
            from: None,
            to: Some("new.md".into()),
        };
        assert_eq!(
            links,
            Links {
                rewritten: 1,
                retargets: vec![found]
            }
        );
    }

    #[test]
    fn links_by_another_name_that_lead_elsewhere_are_listed() {
        // Of two cards Quartz takes the one that is called so once more.
        let mut now = texts(&[
            ("a/font.md", ""),
            ("a/x.md", "[[font]]"),
            ("b/font.md", "---\naliases: [font]\n---\n# Font\n"),
            ("b/todo.md", "---\ntags: [t]\n---\n# To do\n"),
        ]);
        let among = Among {
            resolve: Resolve::Either,
            ..Among::nothing()
        };
        let links = apply_among(&mut now, &merge("b/font.md", "b/todo.md"), &among).unwrap();
        let found = Retarget {
            path: "a/x.md".into(),
            line: Place::new(1, 1),
            target: "font".to_owned(),
            from: Some("b/todo.md".into()),
            to: Some("a/font.md".into()),
        };
        assert_eq!(links.retargets, [found]);
        assert_eq!(now[Utf8Path::new("a/x.md")], "[[font]]");
    }

    #[test]
    fn a_card_is_listed_where_it_lies() {
        let front = |tag: &str| format!("---\ntags: [x, {tag}]\n---\n");
        let mut now = texts(&[
            (
                "how-to/how-to.md",
                "# How\n\n- [[one]]: first\n  and more\n- [[two]]\n",
            ),
            ("how-to/one.md", &front("how-to")),
            ("how-to/two.md", "see [[one]]\n"),
            ("reference/reference.md", "# Ref\n\n- [[three]]\n\nEnd.\n"),
            ("reference/three.md", ""),
        ]);
        let categories = ["how-to".to_owned(), "reference".to_owned()];
        let (old, new) = (
            Utf8Path::new("how-to/one.md"),
            Utf8Path::new("reference/uno.md"),
        );
        apply(&mut now, &rename("how-to/one.md", "reference/uno.md")).unwrap();
        retag(&mut now, old, new, &categories).unwrap();
        relist(&mut now, old, new, &categories, &Among::nothing()).unwrap();
        assert_eq!(
            now[Utf8Path::new("how-to/how-to.md")],
            "# How\n\n- [[two]]\n"
        );
        assert_eq!(
            now[Utf8Path::new("reference/reference.md")],
            "# Ref\n\n- [[three]]\n- [[uno]]: first\n  and more\n\nEnd.\n"
        );
        assert_eq!(now[new], front("reference"));
        let before = now.clone();
        relist(&mut now, new, new, &categories, &Among::nothing()).unwrap();
        assert_eq!(now, before);
    }
    #[test]
    fn the_line_of_a_landing_page_keeps_its_links_and_gets_the_ends_of_lines_of_its_page() {
        let first = texts(&[
            (
                "a/a.md",
                "- [one](../b/one.md): not [that](x/two.md),\n  [[b#B]] or [this](../c.md)\n- [[three]]\n",
            ),
            ("a/x/two.md", ""),
            ("b/b.md", "# B\r\n\r\n- [two](../a/x/two.md)\r\n\r\nEnd"),
            ("b/one.md", ""),
            ("c.md", ""),
        ]);
        let categories = ["a".to_owned(), "b".to_owned()];
        let mut now = first.clone();
        let (old, new) = (Utf8Path::new("a/one.md"), Utf8Path::new("b/one.md"));
        let links = relist(&mut now, old, new, &categories, &Among::nothing()).unwrap();
        assert_eq!(links.rewritten, 3);
        assert_eq!(now[Utf8Path::new("a/a.md")], "- [[three]]\n");
        assert_eq!(
            now[Utf8Path::new("b/b.md")],
            "# B\r\n\r\n- [two](../a/x/two.md)\r\n- [one](one.md): not [that](../a/x/two.md),\r\n  \
             [[#B]] or [this](../c.md)\r\n\r\nEnd"
        );
        // A definition does not go with the line.
        let mut now = first;
        let page = "- [[one]] [x][r]\n\n[r]: x/two.md\n";
        now.insert("a/a.md".into(), page.to_owned());
        let error = relist(&mut now, old, new, &categories, &Among::nothing()).unwrap_err();
        assert!(
            error.to_string().contains("reference definition"),
            "{error}"
        );
        assert_eq!(now[Utf8Path::new("a/a.md")], page);
    }
}

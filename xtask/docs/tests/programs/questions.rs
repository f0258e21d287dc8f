//! `docs-list`: what it says of a vault's links, in text and in JSON.

use crate::common::Place;

/// Five cards, one of them left out, and a file outside of the vault.
fn vault() -> Place {
    let place = Place::new();
    place.stdout("git", &["init", "--quiet"]);
    place.write(&[
        (
            "docs-check.toml",
            "also = ['README.md']\nexclude = ['old/**']\n",
        ),
        (
            "index.md",
            "---\ntitle: Home\n---\n# x\n\n[[a]] and [once more](in/a.md#Part)\n",
        ),
        (
            "in/a.md",
            "# A card\n\n## Part\n\nsee [[gone]], ![[no.png]], https://a.example/x. [[#Part]]\n",
        ),
        (
            "in/b.md",
            "---\nrequires:\n  - a\n---\n[[a|text]] [w](https://b.example)\n",
        ),
        ("in/c.md", "# C\n\n`[[a]]`\n"),
        ("old/d.md", "[[a]] [[lost]]\n"),
        ("../README.md", "[c](docs/in/c.md) [d](docs/in/e.md)\n"),
    ]);
    place
}

#[test]
fn questions_about_links_are_answered() {
    let place = vault();
    for (arguments, expected) in [
        (
            &["backlinks", "a"][..],
            "docs/in/b.md:3:5: a\ndocs/in/b.md:5:1: a\ndocs/index.md:6:1: a\ndocs/index.md:6:11: in/a.md#Part\n",
        ),
        (
            &["backlinks", "docs/in/c.md"],
            "README.md:1:1: docs/in/c.md\n",
        ),
        (&["backlinks", "b"], ""),
        (&["orphans"], "docs/in/b.md\n"),
        (&["deadends"], "docs/in/a.md\ndocs/in/c.md\n"),
        (
            &["unresolved"],
            "docs/in/a.md:5:5: there is no card `gone`\n\
             docs/in/a.md:5:15: there is no file `no.png`\n\
             README.md:1:19: there is no file `docs/in/e.md`\n",
        ),
        (
            &["external"],
            "docs/in/a.md:5:28: https://a.example/x\ndocs/in/b.md:5:12: https://b.example\n",
        ),
        (
            &["orphans", "--json"],
            "{\"path\":\"docs/in/b.md\",\"title\":\"b\"}\n",
        ),
        (
            &["unresolved", "--json", "--vault", "docs/in"],
            "{\"column\":5,\"line\":5,\"message\":\"there is no card `gone`\",\"path\":\"docs/in/a.md\",\"target\":\"gone\"}\n\
             {\"column\":15,\"line\":5,\"message\":\"there is no file `no.png`\",\"path\":\"docs/in/a.md\",\"target\":\"no.png\"}\n\
             {\"column\":19,\"line\":1,\"message\":\"there is no file `docs/in/e.md`\",\"path\":\"README.md\",\"target\":\"docs/in/e.md\"}\n",
        ),
    ] {
        assert_eq!(
            place.stdout("docs-list", arguments),
            expected,
            "{arguments:?}"
        );
    }
    for (arguments, why) in [
        (&["backlinks", "aa"][..], "did you mean `a`?"),
        (&["backlinks"], "<CARD>"),
        (&["orphans", "a"], "only `backlinks` takes a card"),
    ] {
        let said = place.refused("docs-list", arguments);
        assert!(said.contains(why), "{said}");
    }
}

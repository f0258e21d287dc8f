//! A vault made of words, with faults at known places and with what looks like a fault and is none.
//!
//! The same number of cards and the same seed give the same bytes. A mark `⟦code⟧` in the tables is taken
//! out, and what stands behind it is a fault with that code.

use std::collections::BTreeMap;

/// A vault.
#[derive(Debug, Default)]
pub struct Made {
    /// Its files by their paths in it.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Path, line, column and code of each fault, in order.
    pub faults: Vec<Fault>,
}

/// Path, line, column and code.
pub type Fault = (String, usize, usize, String);

/// The house rules of the vault.
const RULES: &str = r#"preset = "diataxis"
title-is-heading = true
tags = ["tutorials", "how-to", "reference", "explanation", "index", "nix", "web"]
unpublished = ["templates"]
"#;

/// The day on which all cards were changed and reviewed.
pub const DAY: &str = "2026-01-02";

/// The day on which a card was reviewed whose review is overdue.
pub const LONG_AGO: &str = "1950-01-01";

/// The folders of cards.
const CATEGORIES: &[&str] = &["tutorials", "how-to", "reference", "explanation"];

/// Of so many ordinary cards one has a fault.
const FAULTY: usize = 3;

/// Faults in a card's body: forms of links, anchors, files, code. `{to}` is another card, `{path}` its
/// path, `{up}` that path from here, `{self}` this card, `{n}` this card's number.
const FAULTS: &[&str] = &[
    // To no card
    "See ⟦link-unknown⟧[[nowhere-{n}]] for more.",
    "See ⟦link-unknown⟧[[nowhere-{n}|some words]] for more.",
    "See ⟦link-unknown⟧[[nowhere-{n}#Details]] for more.",
    "See ⟦link-unknown⟧[[nowhere-{n}#^fact]] and ⟦link-unknown⟧[[nowhere-{n}.md]].",
    "⟦link-unknown⟧![[nowhere-{n}]]",
    "| a | b |\n|---|---|\n| x | ⟦link-unknown⟧[[nowhere-{n}\\|words]] |",
    "- An item\n  - with one below: ⟦link-unknown⟧[[nowhere-{n}]]",
    "> [!note]\n> A quotation with ⟦link-unknown⟧[[nowhere-{n}]].",
    "- [ ] A task for ⟦link-unknown⟧[[nowhere-{n}]]",
    "**Bold ⟦link-unknown⟧[[nowhere-{n}]]** and _slanted ⟦link-unknown⟧[[nowhere-{n}|x]]_, ~~⟦link-unknown⟧[[nowhere-{n}]]~~.",
    "Ümläuts, 🚀 and ⟦link-unknown⟧[[nowhere-{n}]].",
    "A note.[^{n}]\n\n[^{n}]: It has ⟦link-unknown⟧[[nowhere-{n}]].",
    "- An item\n\n    Its second paragraph has ⟦link-unknown⟧[[nowhere-{n}]].",
    "Between \\`⟦link-unknown⟧[[nowhere-{n}]]\\` the ticks are text.",
    "``` sh\nx\n````\n\n⟦link-unknown⟧[[nowhere-{n}]] stands behind a longer fence.",
    "Words <!-- closed --> ⟦link-unknown⟧[[nowhere-{n}]] %% closed %% ⟦link-unknown⟧[[nowhere-{n}]]",
    "### A heading with ⟦link-unknown⟧[[nowhere-{n}]]\n\nText.",
    "The card ⟦link-unknown⟧[[elsewhere/{to}]] lies in another folder.",
    "A file that is none: ⟦link-unknown⟧[[nowhere-{n}.pdf]].",
    "See ⟦link-by-alias⟧[[Other Name]], ⟦link-by-alias⟧[[other name#Details|x]], ⟦link-by-alias⟧[[given/name]].",
    "See ⟦link-unpublished⟧[[not-yet]], ⟦link-unpublished⟧[[new-card#Top]] and ⟦link-unpublished⟧[x]({root}reference/not-yet.md).",
    // To several
    "See ⟦link-ambiguous⟧[[twice]], ⟦link-ambiguous⟧![[twice#Details]] and ⟦link-ambiguous⟧[[CLASH]], but not [[reference/twice]].",
    // Written otherwise than the house wants it
    "See ⟦link-case⟧[[{TO}]] and ⟦link-case⟧[[{TO}|words]].",
    "See ⟦link-case⟧[[{TO}#Details]].",
    "See ⟦link-by-path⟧[[{path}]] and ⟦link-by-path⟧[[{path}.md#Details|words]].",
    "See ⟦link-by-path⟧[[{to}.md]], ⟦link-by-path⟧[[{up}]] and ⟦link-by-path⟧[[/{path}]].",
    "See ⟦link-unknown⟧[[./{to}-{n}]] and ⟦link-unknown⟧[[../../../{to}]].",
    "See ⟦link-spaces⟧[[ {to} ]] and ⟦link-spaces⟧[[{to} |words]], ⟦link-spaces⟧![[ {to}#Details]], ⟦link-spaces⟧[[{to}# Details]].",
    "See ⟦link-self⟧[[{self}]] and ⟦link-self⟧[[{self}|this card]].",
    "See ⟦link-empty⟧[[]] and ⟦link-empty⟧![[]], ⟦link-empty⟧[[|words]], ⟦link-empty⟧[[ ]].",
    // What one of Obsidian and Quartz shows as text
    "See ⟦link-renders-as-text⟧[[{to}#Details#Notes]].",
    "See ⟦link-renders-as-text⟧[[{to}|C# notes]] and ⟦link-renders-as-text⟧[[{to}|a [b] c]].",
    "See ⟦link-renders-as-text⟧[[{to}|]], ⟦link-renders-as-text⟧[[{to}#]] and ⟦link-renders-as-text⟧[[#]].",
    "See ⟦link-renders-as-text⟧[[folder\\{to}]].",
    "See ⟦link-renders-as-text⟧[[{to}|two\nwords]].",
    "A matrix: ⟦link-renders-as-text⟧[[0, 1], [2, 3]].",
    "| a | b |\n|---|---|\n| x | ⟦pipe-in-table⟧[[{to}|words]] |",
    // Headings and blocks
    "See ⟦anchor-unknown⟧[[{to}#Nowhere]] and ⟦anchor-unknown⟧[[#Nowhere]].",
    "The second of this name has a number: [[{to}#notes-1]], and there is no ⟦anchor-unknown⟧[[{to}#notes-2]].",
    "```\n## In code {n}\n```\n\n<!--\n## Hidden {n}\n-->\n\n%%\n## Hidden again {n}\n%%\n\n\
     ⟦anchor-unknown⟧[[#In code {n}]] ⟦anchor-unknown⟧[[#Hidden {n}]] ⟦anchor-unknown⟧[[#Hidden again {n}]]",
    "See ⟦anchor-unknown⟧[words]({up}.md#nowhere) and ⟦anchor-unknown⟧[words](#nowhere).",
    "See ⟦anchor-unknown⟧[words](<{up}.md#No such heading>) and ⟦block-unknown⟧[words]({up}.md#^none).",
    "See ⟦link-unknown⟧[[elsewhere/twice]].",
    "See ⟦block-unknown⟧[[{to}#^none]] and ⟦block-unknown⟧[[#^none]].",
    "`code ^in-code-{n}`\n\n```\ncode ^in-block-{n}\n```\n\n\
     ⟦block-unknown⟧[[#^in-code-{n}]] ⟦block-unknown⟧[[#^in-block-{n}]]",
    // Files
    "See ⟦file-unknown⟧[words](nowhere-{n}.md) and ⟦file-unknown⟧![words](nowhere.png).",
    "See ⟦file-unknown⟧[words](<no where.md>), ⟦file-unknown⟧[words](no%20where.md#a).",
    "See ⟦file-unknown⟧[words][r-{n}].\n\n[r-{n}]: nowhere-{n}.md 'A title'",
    "⟦file-unknown⟧![[nowhere.png]] ⟦file-unknown⟧![[nowhere.png|300]]",
    "⟦file-unknown⟧[⟦file-unknown⟧![words](nowhere.png)](nowhere-{n}.md)",
    "Up and out: ⟦file-unknown⟧[words](../../../../nowhere.txt).",
    // What is not true
    "Edit `README.md` and ⟦path-unknown⟧`containers/nowhere/file-{n}.nix`.",
    "Run ⟦command-invalid⟧`cargo xtask nonsense`.",
    "⟦ignore-unknown⟧<!-- docs-check: ignore link-unkown -->",
    "```console\n$ ⟦command-invalid⟧cargo xtask hash --nonsense PATH\n```",
    "```console\n$ ⟦help-stale⟧cargo xtask hash --help\nHash\n```",
    // What nothing closes: it comes last
    "⟦fence-open⟧```sh\n[[no-link]]",
    "⟦fence-open⟧~~~~\n[[no-link]]\n~~~",
    "1. A list\n\n   ⟦fence-open⟧```\n   [[no-link]]",
    "⟦comment-open⟧<!-- hidden\n\n[[no-link]]",
    "⟦comment-open⟧%%\nhidden, but a renderer may show it",
];

/// Faults of front matter, the whole block.
const FRONT_FAULTS: &[&str] = &[
    "⟦front-matter-missing⟧",
    "⟦front-matter-invalid⟧---\ntitle: {title}\nmodified: {day}\n",
    "---\n⟦front-matter-invalid⟧- title\n- modified\n---\n",
    "---\n⟦front-matter-invalid⟧just words\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}\n⟦front-matter-invalid⟧---\n",
    "---\ntitle: {title}⟦front-matter-invalid⟧: more\nmodified: {day}\n---\n",
    "---\ntitle: {title}\n⟦key-duplicate⟧title: {title}\nmodified: {day}\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}]\nmore: {a: 1, ⟦key-duplicate⟧a: 2}\n---\n",
    "⟦key-missing⟧---\nmodified: {day}\ntags: [{category}]\n---\n",
    "⟦key-missing⟧⟦key-missing⟧⟦key-missing⟧---\n---\n",
    "---\ntitle: {title}\n⟦key-missing⟧modified:\n⟦key-missing⟧tags: []\n---\n",
    "---\ntitle: {title}\nmodified: ⟦date-invalid⟧2026-13-45\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: ⟦date-invalid⟧January\nlast-reviewed: ⟦date-invalid⟧2025-02-29\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\n⟦date-invalid⟧modified: [{day}]\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: ⟦date-future⟧9999-12-31\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: ⟦date-stale⟧2025-12-31\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\nlast-reviewed: ⟦review-overdue⟧{long-ago}\ntags: [{category}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}, ⟦tag-unknown⟧nonsense]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags:\n  - {category}\n  - ⟦tag-unknown⟧Nix\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: ⟦tag-unknown⟧{category}, nonsense\n---\n",
    "---\ntitle: Another title\nmodified: {day}\ntags: [{category}]\n---\n\n⟦title-differs⟧# {title}\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [nix, ⟦category-differs⟧{other-category}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}]\naliases: [fine {n}, ⟦alias-clash⟧{to}]\n---\n",
    "\u{feff}---\r\ntitle: {title}\r\nmodified: ⟦date-invalid⟧never\r\ntags: [{category}]\r\n---\r\n",
];

/// Faults of front matter in the folder `how-to`.
const HOW_TO_FAULTS: &[&str] = &[
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to]\nrequires: [{how-to}, ⟦requires-unknown⟧nowhere-{n}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to]\nrequires:\n  - ⟦requires-unknown⟧nowhere-{n}\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to]\nstatus: active\n⟦goal-without-cards⟧branch: goal\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to]\nrequires: [⟦requires-cycle⟧{self}]\n---\n",
];

/// Faults of front matter in the other folders.
const OTHER_FAULTS: &[&str] = &[
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}]\n⟦key-misplaced⟧status: done\n⟦key-misplaced⟧branch: x\n⟦key-misplaced⟧requires: [{to}]\n---\n",
];

/// What looks like a fault and is none.
const LOOK_ALIKES: &[&str] = &[
    // Links of all forms that are good
    "See [[{to}]], [[{to}|words]], [[{to}#Details]], [[{to}#details|words]] and [[{to}#^fact]].",
    "See [[#Details]], [[#Notes]], [[#notes-1]], [[{self}#Details]], [[#^fact]] and [[#Straße, Café & C++]].",
    "![[{to}]] ![[{to}#Details]] ![[picture.png]] ![[picture.png|300]] ![[pictures/picture.png]]",
    "| a | b |\n|---|---|\n| x | [[{to}\\|words]] and ![[picture.png\\|30]] |\n| `[[a\\|b]]` | [[{to}]] |",
    "See [words]({up}.md), [words]({up}), [words]({up}.md#details), [words](<{up}.md#Details>), [words](#details) and [`code`](<{up}.md>).",
    "See [words][s-{n}], [s-{n}].\n\n[s-{n}]: {up}.md#notes 'A title'",
    "![words]({root}pictures/picture.png) ![words](<{root}pictures/two words.png>) ![words]({root}pictures/two%20words.png)",
    "[words](https://example.org/a.md#b) <https://example.org> [words](mailto:a@example.org) [words](/from/the/root)",
    "[[1]](https://example.org/1) and [[2]](#details), a note[^s-{n}]\n\n[^s-{n}]: with [[{to}]].",
    "Setext {n}\n----------\n\nSee [[#Setext {n}]] and [[#setext-{n}]].",
    "### Head `code` _{n}_ #hash\n\nSee [[#Head code {n} hash]].",
    "### Cafe\u{301} {n}\n\nSee [[#Cafe\u{301} {n}]] and [[#cafe\u{301}-{n}]].",
    "![[{root}pictures/picture.png]] ![words](picture.png) [words]({to}.md#details) [words]({to}), names alone",
    "- An item ^item-{n}\n  - and one below ^below-{n}\n\n![[picture.png]]^embed-{n}\n\n\
     [[#^item-{n}]] [[#^below-{n}]] [[#^embed-{n}]]",
    "- An item ^task-{n}\n- [ ] A task for [[{to}]]\n- [x] done\n\nSee [[#^task-{n}]].",
    "> [!note] A callout with [[{to}]]\n> and [[{to}|two]]\n\n^quote-{n}\n\nSee [[#^quote-{n}]].",
    // What is no link
    "```sh\nif [[ -f x ]]; then echo \"[[no-link]]\"; fi\n```",
    "````md\n```\n[[no-link]]\n```\n[[no-link]]\n````",
    "~~~\n[[no-link]] ![x](nowhere.png)\n```\n~~~",
    "- An item\n\n  ```\n  [[no-link]]\n  ```\n\n- Another\n\n      [[no-link]] is indented",
    "Words.\n\n    [[no-link]] in indented code\n\nWords.",
    "`[[no-link]]` and ``[[no-link]] ` `` and `over\n[[no-link]] lines`",
    "Words <!-- [[no-link]] --> and <!--> and <!-- over\n[[no-link]] lines --> words",
    "<!--\n[[no-link]]\n\n[[no-link]]\n-->",
    "%% [[no-link]] %% and 100 % of it",
    "%%\n[[no-link]] `containers/nowhere/x`\n\n# No heading\n\n| a |\n|---|\n| [[no|link]] |\n%%",
    "$[[1, 2], [3, 4]]$ and $$ [[no-link]] $$",
    "$$\n[[1,2],[3,4]]\n$$",
    "\\[[no-link]] and \\[\\[no-link\\]\\] and [ [no-link] ]",
    "<div title=\"[[no-link]]\">\n\nWords.\n\n</div>",
    // What is no path and no command
    "`README.md`, `and/or`, `/nix/store/x`, `containers/COMPONENT/x`, `containers/authentik/pins.json`, `target/x`",
    "Run `cargo xtask hash PATH`, `cargo xtask COMMAND` or `cargo xtask docs-check [PATH]`.\n\n```console\n$ cargo xtask setup && true\n```",
    "```console\n$ cargo xtask hash --help\nPrint\n...\n```",
    // What is switched off
    "<!-- docs-check: ignore link-unknown -->\n[[nowhere-{n}]]",
    "<!-- docs-check: off -->\n\n[[nowhere-{n}]] ![[nowhere.png]]\n\n<!-- docs-check: on -->",
];

/// Front matter that is good.
const FRONTS: &[&str] = &[
    "---\ntitle: {title}\nmodified: {day}\nlast-reviewed: {day}\ntags: [{category}]\n---\n",
    "---\ntitle: \"{title}\"\nmodified: '{day}'\ntags:\n  - {category}\n  - nix # a comment\n---\n",
    "---\n# a comment\ntitle: {title}\nmodified: {day}\ntags: {category}\ncreated: 1764000000\nmore: {a: [b, {c: d}]}\nquoted: 'a --- b'\n---\n",
    "---\ntitle: >-\n  {title}\nmodified: {day}\ntags: [web]\nlong: |\n  ---\n  - a\ncreated: {day} 10:11:12\n...\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [{category}]\naliases: [Alias of {self}]\n---\n",
];

/// Front matter that is good in the folder `how-to`.
const HOW_TO_FRONTS: &[&str] = &[
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to, nix]\nstatus: active\nbranch: goal-{n}\nrequires: [{how-to}]\n---\n",
    "---\ntitle: {title}\nmodified: {day}\ntags: [how-to]\nrequires:\n  - {how-to}\n---\n",
];

/// Cards that are there for the faults of the vault as a whole: path, more front matter, and body. Those in
/// folders are listed in the landing pages by what comes last, those at the top nowhere.
const SPECIAL: &[(&str, &str, &str, &str)] = &[
    ("explanation/aaa.md", "", "", "- [[aaa]]"),
    (
        "how-to/below/twice.md",
        "",
        "## Details",
        "- [twice](below/twice.md)",
    ),
    (
        "how-to/circle-a.md",
        "requires: [circle-b]\n",
        "",
        "- [[circle-a]]",
    ),
    (
        "how-to/circle-b.md",
        "requires: [circle-c]\n",
        "",
        "- [[circle-b]]",
    ),
    (
        "how-to/circle-c.md",
        "requires:\n  - ⟦requires-cycle⟧circle-a\n",
        "",
        "- [[circle-c]]",
    ),
    ("island-a.md", "", "[[island-b]]", ""),
    ("island-b.md", "", "[[island-a]] [[index]]", ""),
    ("lonely.md", "", "## Details\n\n[[lonely#Details]]", ""),
    ("reference/Clash.md", "", "", "- [[Clash]]"),
    ("reference/clash.md", "", "", "- [[clash]]"),
    ("reference/double--dash.md", "", "", "- [[double--dash]]"),
    (
        "reference/named.md",
        "aliases: [Other Name]\npermalink: /given/name\n",
        "## Details",
        "- [[named]]",
    ),
    ("reference/not-yet.md", "draft: true\n", "", ""),
    ("reference/snake_case.md", "", "", "- [[snake_case]]"),
    (
        "reference/twice.md",
        "",
        "## Details",
        "- [twice](twice.md)",
    ),
    (
        "reference/two words.md",
        "",
        "",
        "- [two words](<two words.md>)",
    ),
    ("reference/unlisted.md", "", "", ""),
    ("reference/\u{fc}mlaut.md", "", "", "- [[\u{fc}mlaut]]"),
    ("templates/new-card.md", "", "[[nowhere-at-all]]", ""),
];

/// What is wrong with these as a whole: it is found at their beginnings.
const WHOLE: &[(&str, &str)] = &[
    ("explanation/aaa.md", "landing-missing"),
    ("island-a.md", "orphan"),
    ("island-b.md", "orphan"),
    ("lonely.md", "orphan"),
    ("reference/Clash.md", "name-not-kebab"),
    ("reference/clash.md", "stem-case"),
    ("reference/double--dash.md", "name-not-kebab"),
    ("reference/latin-1.md", "not-readable"),
    ("reference/snake_case.md", "name-not-kebab"),
    ("reference/twice.md", "stem-duplicate"),
    ("reference/two words.md", "name-not-kebab"),
    ("reference/unlisted.md", "not-listed"),
    ("reference/\u{fc}mlaut.md", "name-not-kebab"),
];

const WORDS: &[&str] = &[
    "server",
    "client",
    "token",
    "proxy",
    "image",
    "store",
    "path",
    "hash",
    "build",
    "source",
    "schema",
    "login",
    "user",
    "group",
    "policy",
    "flow",
    "stage",
    "session",
    "worker",
    "queue",
    "cache",
    "volume",
    "backup",
    "restore",
    "network",
    "address",
    "record",
    "zone",
    "certificate",
    "key",
    "secret",
    "config",
    "service",
    "unit",
    "timer",
    "log",
    "metric",
    "panel",
    "alert",
    "rule",
    "query",
    "table",
    "index",
    "column",
    "migration",
    "version",
    "release",
    "branch",
    "commit",
    "review",
    "change",
    "test",
    "check",
    "report",
    "finding",
    "fault",
    "reason",
    "remedy",
    "way",
    "place",
    "step",
    "part",
];

const SMALL: &[&str] = &[
    "the", "a", "of", "and", "is", "in", "to", "for", "with", "by", "on", "from", "that", "as",
    "it",
];

/// Numbers that depend on the seed alone (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A sentence of so many words.
    fn sentence(&mut self, words: usize) -> String {
        let mut sentence = String::new();
        for number in 0..words {
            let word = if number % 2 == 0 {
                self.of(SMALL)
            } else {
                self.of(WORDS)
            };
            if number == 0 {
                sentence.push_str(&capital(word));
            } else {
                sentence.push(' ');
                sentence.push_str(word);
            }
        }
        sentence + "."
    }

    /// Sentences on lines of their own.
    fn paragraph(&mut self, sentences: usize) -> String {
        let sentences: Vec<String> = (0..sentences)
            .map(|_| {
                let words = 8 + self.below(9);
                self.sentence(words)
            })
            .collect();
        sentences.join("\n")
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + letters.as_str()
}

/// An ordinary card.
struct Name {
    category: &'static str,
    /// Without `.md`.
    path: String,
    stem: String,
    title: String,
    fault: Option<Kind>,
}

/// What is wrong with a card.
#[derive(Clone, Copy)]
enum Kind {
    Body(&'static str),
    Front(&'static str),
}

/// A vault of so many cards beside the landing pages. With faults it has some more, and one card in three
/// has one.
pub fn make(cards: usize, seed: u64, with_faults: bool) -> Made {
    let mut dice = Dice(seed);
    let names: Vec<Name> = (0..cards)
        .map(|n| name(&mut dice, n, with_faults))
        .collect();
    let mut made = Made::default();
    made.files
        .insert("docs-check.toml".to_owned(), RULES.as_bytes().to_vec());
    for picture in ["pictures/picture.png", "pictures/two words.png"] {
        made.files.insert(picture.to_owned(), b"\x89PNG".to_vec());
    }
    let mut pages: BTreeMap<&str, String> = CATEGORIES
        .iter()
        .map(|page| (*page, String::new()))
        .collect();
    for (n, name) in names.iter().enumerate() {
        let text = card(&mut dice, &names, n);
        let words = dice.sentence(6);
        let line = format!("- [[{}]]: {words}\n", name.stem);
        pages.entry(name.category).or_default().push_str(&line);
        made.add(format!("{}.md", name.path), &text);
    }
    let mut index = "[[tutorials]], [[how-to]], [[reference]] and [[explanation]]\n".to_owned();
    if with_faults {
        for (path, front, body, line) in SPECIAL {
            let (category, name) = path.rsplit_once('/').unwrap_or(("", path));
            let (title, category) = (
                name.trim_end_matches(".md"),
                category.split('/').next().unwrap_or(""),
            );
            let tag = if category.is_empty() {
                "index"
            } else {
                category
            };
            made.add((*path).to_owned(), &special(title, tag, front, body));
            if !line.is_empty() {
                let page = pages.entry(category).or_default();
                *page += &[*line, "\n"].concat();
            }
        }
        made.files
            .insert("reference/latin-1.md".to_owned(), b"caf\xe9\n".to_vec());
        pages
            .entry("reference")
            .or_default()
            .push_str("- [[latin-1]]\n");
        let explanation = pages.remove("explanation").unwrap_or_default();
        index =
            format!("[[tutorials]], [[how-to]], [[reference]] and [[unlisted]]\n\n{explanation}");
        let whole = WHOLE
            .iter()
            .map(|(path, code)| ((*path).to_owned(), 1, 1, (*code).to_owned()));
        made.faults.extend(whole);
    }
    for (category, list) in &pages {
        let text = special(&capital(category), category, "", list);
        made.add(format!("{category}/{category}.md"), &text);
    }
    made.add(
        "index.md".to_owned(),
        &special("Index", "index", "", &index),
    );
    made.faults.sort();
    made
}

impl Made {
    /// Puts a file there, without the marks of its faults.
    fn add(&mut self, path: String, text: &str) {
        let mut plain = String::with_capacity(text.len());
        let (mut line, mut column) = (1, 1);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c == '\u{27e6}'
                && let Some((code, behind)) = rest.split_once('\u{27e7}')
            {
                self.faults
                    .push((path.clone(), line, column, code.to_owned()));
                rest = behind;
                continue;
            }
            plain.push(c);
            match c {
                '\n' => (line, column) = (line + 1, 1),
                // A byte order mark is no column.
                '\u{feff}' => {}
                _ => column += 1,
            }
        }
        self.files.insert(path, plain.into_bytes());
    }
}

fn name(dice: &mut Dice, n: usize, with_faults: bool) -> Name {
    let kinds = FAULTS.len() + FRONT_FAULTS.len() + HOW_TO_FAULTS.len() + OTHER_FAULTS.len();
    let mut category = dice.of(&[
        "tutorials",
        "how-to",
        "how-to",
        "how-to",
        "reference",
        "reference",
        "explanation",
    ]);
    let mut fault = None;
    if with_faults && is_faulty(n) {
        let mut kind = n / FAULTY % kinds;
        let mut chosen = |faults: &[&'static str]| {
            let found = faults.get(kind).copied();
            kind = kind.wrapping_sub(faults.len());
            found
        };
        fault = chosen(FAULTS)
            .map(Kind::Body)
            .or_else(|| chosen(FRONT_FAULTS).map(Kind::Front));
        if fault.is_none() {
            let how_to = chosen(HOW_TO_FAULTS);
            category = if how_to.is_some() {
                "how-to"
            } else {
                "reference"
            };
            fault = how_to.or_else(|| chosen(OTHER_FAULTS)).map(Kind::Front);
        }
    }
    let (first, second, area) = (dice.of(WORDS), dice.of(WORDS), dice.of(WORDS));
    let stem = format!("{first}-{second}-{n}");
    Name {
        category,
        path: format!("{category}/{area}/{stem}"),
        title: format!("{} {second} {n}", capital(first)),
        stem,
        fault,
    }
}

fn is_faulty(n: usize) -> bool {
    n.is_multiple_of(FAULTY)
}

/// The text of an ordinary card, with marks.
fn card(dice: &mut Dice, names: &[Name], n: usize) -> String {
    let name = &names[n];
    let others: Vec<usize> = (0..3).map(|_| other(dice, names, n)).collect();
    let before = (0..n)
        .rev()
        .take(40)
        .find(|n| names[*n].category == "how-to" && !is_faulty(*n));
    let front = match name.fault {
        Some(Kind::Front(front)) => front,
        _ if name.category == "how-to" && before.is_some() && n.is_multiple_of(2) => {
            dice.of(HOW_TO_FRONTS)
        }
        _ => dice.of(FRONTS),
    };
    let mut text = front.to_owned();
    // The block of one fault has the title in it, and another one never ends.
    if !text.contains("# {title}") {
        text.push_str("\n# {title}\n");
    }
    text.push('\n');
    let mut blocks = vec![dice.paragraph(3), links(dice, names, &others)];
    blocks.push("## Details".to_owned());
    blocks.extend([dice.paragraph(4), format!("{} ^fact", dice.sentence(9))]);
    blocks.push("## Notes".to_owned());
    blocks.extend([
        dice.paragraph(3),
        dice.of(LOOK_ALIKES).to_owned(),
        dice.paragraph(2),
    ]);
    blocks.push("### Notes".to_owned());
    blocks.push(dice.paragraph(4));
    blocks.push("## Stra\u{df}e, Caf\u{e9} & C++".to_owned());
    blocks.extend([dice.of(LOOK_ALIKES).to_owned(), dice.paragraph(3)]);
    if let Some(Kind::Body(fault)) = name.fault {
        // What nothing closes takes the rest of the card.
        let is_open = fault.contains("-open\u{27e7}");
        let place = if is_open {
            blocks.len()
        } else {
            1 + dice.below(blocks.len())
        };
        blocks.insert(place, fault.to_owned());
    }
    text.push_str(&blocks.join("\n\n"));
    text.push('\n');
    // Front matter that is not to end ends with this line, too.
    if front.starts_with("\u{27e6}front-matter-invalid") {
        text = text.replace(" --help\nPrint\n...\n```", " PATH\n```");
    }
    let text = filled(&text, names, n, others[0], before);
    match n % 13 {
        3 => text.replace("\r\n", "\n").replace('\n', "\r\n"),
        8 if !text.starts_with('\u{feff}') => format!("\u{feff}{text}"),
        _ => text,
    }
}

/// Another card that has no fault, and so all headings that are named.
fn other(dice: &mut Dice, names: &[Name], n: usize) -> usize {
    for _ in 0..50 {
        let other = dice.below(names.len());
        if other != n && !is_faulty(other) {
            return other;
        }
    }
    usize::from(n == 1) + 1
}

/// A paragraph with links to cards that have no fault.
fn links(dice: &mut Dice, names: &[Name], others: &[usize]) -> String {
    let forms = ["[[{}]]", "[[{}|it]]", "[[{}#Details]]", "[[{}#^fact]]"];
    let link = |dice: &mut Dice, other: &usize| {
        let before = dice.sentence(5);
        let form = dice.of(&forms).replace("{}", &names[*other].stem);
        format!("{} {form}.", before.trim_end_matches('.'))
    };
    let links: Vec<String> = others.iter().map(|other| link(dice, other)).collect();
    links.join("\n")
}

/// The text with the place-holders filled.
fn filled(text: &str, names: &[Name], n: usize, to: usize, how_to: Option<usize>) -> String {
    let (name, to) = (&names[n], &names[to]);
    let root = "../".repeat(name.path.matches('/').count());
    let other = if name.category == "how-to" {
        "reference"
    } else {
        "how-to"
    };
    let mut text = text.to_owned();
    for (holder, value) in [
        ("{title}", &name.title),
        ("{self}", &name.stem),
        ("{category}", &name.category.to_owned()),
        ("{other-category}", &other.to_owned()),
        ("{n}", &n.to_string()),
        ("{to}", &to.stem),
        ("{TO}", &capital(&to.stem)),
        ("{path}", &to.path),
        ("{up}", &format!("{root}{}", to.path)),
        ("{root}", &root),
        (
            "{how-to}",
            &how_to.map_or_else(|| "how-to".to_owned(), |n| names[n].stem.clone()),
        ),
        ("{day}", &DAY.to_owned()),
        ("{long-ago}", &LONG_AGO.to_owned()),
    ] {
        if text.contains(holder) {
            text = text.replace(holder, value);
        }
    }
    text
}

/// A card that is not ordinary.
fn special(title: &str, tag: &str, front: &str, body: &str) -> String {
    format!(
        "---\ntitle: {title}\nmodified: {DAY}\ntags: [{tag}]\n{front}---\n\n# {title}\n\n{body}\n"
    )
}

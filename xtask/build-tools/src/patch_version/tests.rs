//! Tests of patch-version: tables of modules, and properties.

use proptest::prelude::*;

use super::*;

const VERSION: &str = "2026.2.0";

/// Modules, and what becomes of them.
const SHAPES: &[(&str, &str)] = &[
    // upstream's own
    (
        "import P from \"../../../../package.json\" with { type: \"json\" };\n\nexport const AuthentikVersion = /** @type {SemVerSource} */ (P.version);\n",
        "\nexport const AuthentikVersion = /** @type {SemVerSource} */ (\"2026.2.0\");\n",
    ),
    // quotes, spacing, attributes, depth
    (
        "import P from './package.json';\nf(P.version)\n",
        "f(\"2026.2.0\")\n",
    ),
    (
        "import P from './package.json'\nf(P.version)\n",
        "f(\"2026.2.0\")\n",
    ),
    (
        "import P from \"./package.json\" assert { type: \"json\" };\nf(P.version)\n",
        "f(\"2026.2.0\")\n",
    ),
    (
        "import P from \"./package.json\" assert {type:'json'}\nf(P.version)\n",
        "f(\"2026.2.0\")\n",
    ),
    (
        "import P from \"./package.json\"with{type:\"json\"};f(P.version)",
        "f(\"2026.2.0\")",
    ),
    (
        "import   P\n  from\n  '../package.json'\n  with {\n    type: 'json',\n  } ;\nf(P.version)\n",
        "f(\"2026.2.0\")\n",
    ),
    (
        "import P from\"../../package.json\";f(P.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import P from \"./a/b/package.json\";\nf(P.version);",
        "f(\"2026.2.0\");",
    ),
    // what the name is
    (
        "import * as P from \"./package.json\";\nf(P.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import { default as P } from \"./package.json\";\nf(P.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import {default as P,} from \"./package.json\";\nf(P.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import $ from \"./package.json\";\nf($.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import _p1 from \"./package.json\";\nf(_p1.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import größe from \"./package.json\";\nf(größe.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import from from \"./package.json\";\nf(from.version);",
        "f(\"2026.2.0\");",
    ),
    (
        "import version from \"./package.json\";\nexport const v = version.version;",
        "export const v = \"2026.2.0\";",
    ),
    // how it is used
    (
        "import P from \"./package.json\";\nexport default P.version;\n",
        "export default \"2026.2.0\";\n",
    ),
    (
        "import P from \"./package.json\";\nf(P?.version);\n",
        "f(\"2026.2.0\");\n",
    ),
    (
        "import P from \"./package.json\";\nf(P\n  .version.split('.'));\n",
        "f(\"2026.2.0\".split('.'));\n",
    ),
    (
        "import P from \"./package.json\";\nf(`v${P.version}!`);\n",
        "f(`v${\"2026.2.0\"}!`);\n",
    ),
    (
        "import P from \"./package.json\";\nf(`a${`b${P.version}`}`);\n",
        "f(`a${`b${\"2026.2.0\"}`}`);\n",
    ),
    (
        "import P from \"./package.json\";\nf(P.version); g(P.version)\n",
        "f(\"2026.2.0\"); g(\"2026.2.0\")\n",
    ),
    (
        "import P from \"./package.json\";\nexport const o = { version: P.version, P: 1 };\n",
        "export const o = { version: \"2026.2.0\", P: 1 };\n",
    ),
    (
        "import P from \"./package.json\";\nif (P.version === '1' || P.version == x) y();\n",
        "if (\"2026.2.0\" === '1' || \"2026.2.0\" == x) y();\n",
    ),
    (
        "import P from \"./package.json\";\nconst [a = P.version] = b, { c = P.version } = d;\n",
        "const [a = \"2026.2.0\"] = b, { c = \"2026.2.0\" } = d;\n",
    ),
    (
        "import P from \"./package.json\";\nconst [major] = [P.version.split('.')];\n",
        "const [major] = [\"2026.2.0\".split('.')];\n",
    ),
    (
        "import P from \"./package.json\";\nfunction f() { return P.version }\n",
        "function f() { return \"2026.2.0\" }\n",
    ),
    (
        "import P from \"./package.json\";\nlet a = b ? P.version : c.P;\n",
        "let a = b ? \"2026.2.0\" : c.P;\n",
    ),
    // it is no use in a string, a comment, a regular expression, behind a point
    (
        "import P from \"./package.json\";\n// P.name\nf(P.version, 'P.name', `P`, /P[/]P/, a.P, b?.P, { P: 2 }); /* P */\n",
        "// P.name\nf(\"2026.2.0\", 'P.name', `P`, /P[/]P/, a.P, b?.P, { P: 2 }); /* P */\n",
    ),
    (
        "// import P from \"./package.json\";\nimport Q from \"./package.json\";\nf(Q.version);",
        "// import P from \"./package.json\";\nf(\"2026.2.0\");",
    ),
    (
        "/* import P\n*/ import Q from \"./package.json\";\nf(Q.version);",
        "/* import P\n*/ \nf(\"2026.2.0\");",
    ),
    (
        "const s = 'import P from \"./package.json\"';\nimport Q from \"./package.json\";\nf(Q.version);",
        "const s = 'import P from \"./package.json\"';\nf(\"2026.2.0\");",
    ),
    // other imports stay
    (
        "import a from \"a\";\nimport P from \"./package.json\";\nimport { b } from \"./b.js\";\nimport \"c\";\na(P.version, b, import('./package.json'), import.meta.url);\n",
        "import a from \"a\";\nimport { b } from \"./b.js\";\nimport \"c\";\na(\"2026.2.0\", b, import('./package.json'), import.meta.url);\n",
    ),
    (
        "import q from \"q/package.json\";\nimport P from \"./package.json\";\nf(P.version, q.version);\n",
        "import q from \"q/package.json\";\nf(\"2026.2.0\", q.version);\n",
    ),
    (
        "import q from \"./my-package.json\";\nimport P from \"./package.json\";\nf(P.version, q);\n",
        "import q from \"./my-package.json\";\nf(\"2026.2.0\", q);\n",
    ),
    // line ends, marks, what stands around
    (
        "import P from \"./package.json\";\r\nf(P.version);\r\n",
        "f(\"2026.2.0\");\r\n",
    ),
    (
        "a();\r\nimport P from './package.json' with { type: 'json' };\r\n\r\nf(P.version);\r\n",
        "a();\r\n\r\nf(\"2026.2.0\");\r\n",
    ),
    (
        "\u{feff}import P from \"./package.json\";\nf(P.version);",
        "\u{feff}f(\"2026.2.0\");",
    ),
    (
        "\u{feff}import P from \"./package.json\";\r\nf(P.version);\r\n",
        "\u{feff}f(\"2026.2.0\");\r\n",
    ),
    (
        "#!/usr/bin/env node\nimport P from \"./package.json\";\nf(P.version);",
        "#!/usr/bin/env node\nf(\"2026.2.0\");",
    ),
    (
        "  import P from \"./package.json\";  \n  f(P.version);",
        "  f(\"2026.2.0\");",
    ),
    (
        "a(); import P from \"./package.json\"; f(P.version);",
        "a();  f(\"2026.2.0\");",
    ),
    (
        "import P from \"./package.json\"; // our own\nf(P.version);",
        " // our own\nf(\"2026.2.0\");",
    ),
    (
        "f(P.version);\nimport P from \"./package.json\"",
        "f(\"2026.2.0\");\n",
    ),
    // what would run together without it
    (
        "a\nimport P from \"./package.json\"\n(P.version)",
        "a\n;\n(\"2026.2.0\")",
    ),
    (
        "a\nimport P from \"./package.json\"\n[P.version].b()",
        "a\n;\n[\"2026.2.0\"].b()",
    ),
    (
        "a = {}\nimport P from \"./package.json\"\n/b/.test(P.version)",
        "a = {}\n;\n/b/.test(\"2026.2.0\")",
    ),
    (
        "a\nimport P from \"./package.json\"\n`${P.version}`",
        "a\n;\n`${\"2026.2.0\"}`",
    ),
    (
        "a;\nimport P from \"./package.json\"\n(P.version)",
        "a;\n(\"2026.2.0\")",
    ),
];

#[test]
fn shapes() {
    for (module, expected) in SHAPES {
        let changed = edits(module, VERSION).map(|edits| apply(module, &edits));
        assert_eq!(changed.as_deref(), Ok(*expected), "{module}");
    }
}

#[test]
fn what_was_patched_is_known_again() {
    for (_, patched) in SHAPES {
        assert_eq!(edits(patched, VERSION), Ok(Edits::new()), "{patched}");
    }
    let older = SHAPES[0].1;
    let newer = edits(older, "2026.4.1-rc1").map(|edits| apply(older, &edits));
    assert_eq!(newer, Ok(older.replace("2026.2.0", "2026.4.1-rc1")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn refusals() {
    for (module, place, message) in [
        ("", (1, 1), "no import of a `package.json`"),
        ("const a = 1;\n", (1, 1), "no import of a `package.json`"),
        ("f('1.2.3');\n", (1, 1), "no import of a `package.json`"),
        (
            "import P from 'p/package.json';\nf(P.version)",
            (1, 1),
            "no import of a `package.json`",
        ),
        (
            "import P from './package.json';\nf(1)",
            (1, 1),
            "`P.version` is expected",
        ),
        (
            "\nimport P from './package.json';\nimport Q from '../package.json';",
            (3, 1),
            "second import",
        ),
        ("import './package.json';", (1, 1), "binds no name"),
        (
            "a;\r\n  import { version } from './package.json';",
            (2, 3),
            "binds no name",
        ),
        (
            "import P, { version } from './package.json';",
            (1, 1),
            "binds no name",
        ),
        (
            "import P from './package.json';\nf(P.name)",
            (2, 3),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(P.version, P)",
            (2, 14),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(P['version'])",
            (2, 3),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nexport { P };",
            (2, 10),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nconst { version } = P;",
            (2, 21),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(P.version, (P) => P.version)",
            (2, 15),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(P.versions)",
            (2, 3),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf({ P })",
            (2, 5),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(P.version, \\u0050)",
            (2, 14),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nf(\"ü\", a ? P : 1)",
            (2, 12),
            "other than `P.version`",
        ),
        (
            "import P from './package.json';\nP.version = 1",
            (2, 1),
            "is changed here",
        ),
        (
            "import P from './package.json';\nP.version ||= 1",
            (2, 1),
            "is changed here",
        ),
        (
            "import P from './package.json';\nP.version++",
            (2, 1),
            "is changed here",
        ),
        (
            "import P from './package.json';\n--P.version",
            (2, 3),
            "is changed here",
        ),
        (
            "import P from './package.json';\ndelete P.version",
            (2, 8),
            "is changed here",
        ),
        (
            "import P from './package.json';\n[P.version] = a",
            (2, 2),
            "is changed here",
        ),
        (
            "import P from './package.json';\n({ a: [P.version] } = b)",
            (2, 8),
            "is changed here",
        ),
        (
            "import P from './package.json';\nfor (P.version of a);",
            (2, 6),
            "is changed here",
        ),
        (
            "import P from './package.json';\nfor ([P.version] of a);",
            (2, 7),
            "is changed here",
        ),
        (
            "import P from './package.json';\nf(P /* a */ .version)",
            (2, 3),
            "a comment inside",
        ),
        (
            "import P /* a */ from './package.json';\nf(P.version)",
            (1, 1),
            "a comment inside",
        ),
        (
            "import P from './package.json' f(P.version)",
            (1, 32),
            "a semicolon",
        ),
        (
            "import P from './package.json';\nf('P.version)",
            (2, 3),
            "a string that does not end",
        ),
        (
            "const aVersion = '1.0.0', bVersion = '1.0.1'",
            (1, 38),
            "differs from `1.0.0`",
        ),
    ] {
        let refusal = edits(module, VERSION).unwrap_err();
        assert_eq!((refusal.line, refusal.column), place, "{module}: {refusal}");
        assert!(refusal.message.contains(message), "{module}: {refusal}");
    }
}

/// Statements that have nothing to do with the version.
const FILLERS: &[&str] = &[
    "// a 'comment\n",
    "/* P.version */\n",
    "const a = 'P.version';\n",
    "f(/[\"'`/]/g, 1 / 2 / 3);\n",
    "f(`text ${b} and ${{ c: `d` }.c}`);\n",
    "import x from \"x\";\n",
    "\r\n",
    "  \t\n",
    "const d = { P: 1 }, e = d.P;\n",
    "if (a) /b'/.test(c); else { d / 2 }\n",
    "class K { #p = 1; m() { return this.#p } }\n",
];

proptest! {
    /// Whatever stands around: nothing but the import and the version changes, and once is enough.
    #[test]
    fn only_two_places_change(
        fillers in proptest::collection::vec(0..FILLERS.len(), 0..12),
        place in 0_usize..12,
        import in proptest::sample::select(vec![
            "import P from \"../package.json\" with { type: \"json\" };\n",
            "import * as P from '../package.json'\n",
            "import { default as P } from \"./package.json\";\r\n",
        ]),
        used in proptest::sample::select(vec!["export const v = (", "f(", "const version = `${("]),
    ) {
        let close = if used.contains('`') { ")}`;\n" } else { ");\n" };
        let lines: Vec<&str> = fillers.iter().map(|index| FILLERS[*index]).collect();
        let (before, after) = lines.split_at(place.min(lines.len()));
        let (before, after) = (before.concat(), after.concat());
        let module = format!("{before}{import}{after}{used}P.version{close}");
        let patched = apply(&module, &edits(&module, VERSION).unwrap());
        prop_assert_eq!(&patched, &format!("{before}{after}{used}\"{VERSION}\"{close}"));
        prop_assert_eq!(edits(&patched, VERSION), Ok(Edits::new()));
    }

    /// Any text is refused or patched, and what is patched stays so.
    #[test]
    fn nothing_panics(text in "(import|P|from|['\"`]|\\./package\\.json|with|[{};()/\\[\\]$]|\\.version|=|\n|é| |\\\\){0,40}") {
        if let Ok(found) = edits(&text, VERSION) {
            let patched = apply(&text, &found);
            if !found.is_empty() {
                prop_assert!(edits(&patched, VERSION).is_ok());
            }
        }
    }
}

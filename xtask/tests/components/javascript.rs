//! What `patch-version` writes, with a real JavaScript parser as the judge.

use std::process::Command;

use camino::Utf8Path;

use test_support::common::{rounds, stdout, xtask};

/// What a parser from npm takes before, it takes afterwards.
#[test]
fn a_real_parser_takes_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    stdout(
        Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "acorn@8.15.0",
            ])
            .current_dir(folder)
            .env("npm_config_update_notifier", "false"),
    );
    let imports = [
        "import P from './package.json' with { type: 'json' };\n",
        "import P from \"../../package.json\"\n",
        "import * as P from '../package.json';\r\n",
        "import { default as P } from './package.json'\n",
        "  import   P\nfrom './x/package.json'\nwith{type:'json'}\n",
    ];
    let befores = [
        "",
        "#!/usr/bin/env node\n",
        "'use strict'\n",
        "let a = {}\n",
        "a;",
        "x = 1 /* c */\n",
        "function f() {}\n",
        "export const r = /[/'\"]/g\n",
    ];
    let uses = [
        "(P.version)\n",
        "[P.version].map(String)\n",
        "`${P.version}`\n",
        "+P.version\n",
        "/x/.test(P.version)\n",
        "export default P.version",
        "const v = P?.version ?? 1\n",
        "export const o = { P: 1, v: P.version, ...{ w: [P.version] } }\n",
        "const [b = P.version] = [], { c: d = P.version } = {}\n",
        "if (P.version) { /y/.test(P.version) } else y = P.version / 2 / 3\n",
        "class K extends f { #p = P.version; static v = P.version }\n",
        "for (const k of P.version) k\n",
        "switch (P.version) { case P.version: { /x/.test(1) } }\n",
        "label: { P.version }\n",
        "const g = async (q = P.version) => { await P.version; return P.version }\n",
    ];
    let modules = folder.join("modules");
    fs_err::create_dir(&modules).unwrap();
    let mut texts = Vec::new();
    for import in imports {
        for before in befores {
            for used in uses {
                texts.push(format!("{before}{import}{used}"));
            }
        }
    }
    // Seven has no part in the numbers above: each of their members comes up.
    let every = if rounds(0, 1) == 0 { 7 } else { 1 };
    let mut count = 0;
    for text in texts.into_iter().step_by(every) {
        let path = modules.join(format!("{count}.js"));
        fs_err::write(path.with_extension("old.js"), &text).unwrap();
        fs_err::write(&path, &text).unwrap();
        stdout(xtask().args(["patch-version", path.as_str(), "2026.2.0"]));
        count += 1;
    }
    let judge = folder.join("judge.mjs");
    fs_err::write(
        &judge,
        "import { parse } from 'acorn';
import { readFileSync } from 'node:fs';
let judged = 0;
for (let n = 0; n < Number(process.argv[2]); n += 1) {
    const read = (end) => readFileSync(`modules/${n}${end}`, 'utf8');
    const takes = (text) => { try { return parse(text, { ecmaVersion: 'latest', sourceType: 'module', allowHashBang: true }) } catch { return undefined } };
    const before = takes(read('.old.js'));
    if (before) {
        judged += 1;
        const after = takes(read('.js'));
        // one statement less, unless a semicolon had to stay
        const left = before.body.length - 1;
        if (!after || ![left, left + 1].includes(after.body.length)) {
            console.log(`${n}: ${JSON.stringify(read('.old.js'))} became ${JSON.stringify(read('.js'))}`);
        }
    }
}
console.log(judged);
",
    )
    .unwrap();
    let said = stdout(
        Command::new("node")
            .arg(&judge)
            .arg(count.to_string())
            .current_dir(folder),
    );
    let judged: usize = said.trim().parse().unwrap_or_else(|_| panic!("{said}"));
    assert!(
        judged > count * 9 / 10,
        "only {judged} of {count} modules are JavaScript"
    );
}

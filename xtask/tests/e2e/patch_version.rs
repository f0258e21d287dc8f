//! `patch-version` as a user and as a derivation call it, with a real JavaScript parser as the judge.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::common::{root, run, stdout, text, xtask};

const MODULE: &str = "import { parse } from \"semver\";\nimport PackageJSON from \"../package.json\" with { type: \"json\" };\n\n\
     export const Version = /** @type {SemVer} */ (PackageJSON.version);\n";
const PATCHED: &str = "import { parse } from \"semver\";\n\nexport const Version = /** @type {SemVer} */ (\"2026.2.0\");\n";

/// A folder with the module in it.
fn module() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("node.js");
    fs_err::write(&path, MODULE).unwrap();
    (folder, path)
}

/// Exit code, stdout and stderr of `patch-version`.
fn patch(path: &Utf8Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(xtask()
        .args(["patch-version", path.as_str()])
        .args(arguments));
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn it_checks_shows_and_writes() {
    let (folder, path) = module();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();

    let (code, found, said) = patch(&path, &["2026.2.0", "--check"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(
        found.starts_with(&format!("{path}:2:1: not-patched: ")),
        "{found}"
    );
    let (code, shown, _) = patch(&path, &["2026.2.0", "--dry-run"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        shown,
        "-import PackageJSON from \"../package.json\" with { type: \"json\" };\n\
         -export const Version = /** @type {SemVer} */ (PackageJSON.version);\n\
         +export const Version = /** @type {SemVer} */ (\"2026.2.0\");\n"
    );
    assert_eq!(fs_err::read_to_string(&path).unwrap(), MODULE);

    assert_eq!(
        patch(&path, &["2026.2.0"]),
        (Some(0), String::new(), String::new())
    );
    assert_eq!(fs_err::read_to_string(&path).unwrap(), PATCHED);
    assert_eq!(
        fs_err::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(patch(&path, &["2026.2.0", "--check"]).0, Some(0));

    // The same again writes nothing, another version is put in its place.
    let before = fs_err::metadata(&path).unwrap();
    assert_eq!(patch(&path, &["2026.2.0"]).0, Some(0));
    let after = fs_err::metadata(&path).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::ino(&before),
        std::os::unix::fs::MetadataExt::ino(&after)
    );
    assert_eq!(patch(&path, &["2026.2.1", "--check"]).0, Some(1));
    assert_eq!(patch(&path, &["2026.2.1"]).0, Some(0));
    assert_eq!(
        fs_err::read_to_string(&path).unwrap(),
        PATCHED.replace("2026.2.0", "2026.2.1")
    );
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_link_stays_a_link() {
    let (_folder, path) = module();
    let link = path.with_file_name("link.js");
    std::os::unix::fs::symlink("node.js", &link).unwrap();
    assert_eq!(patch(&link, &["2026.2.0"]).0, Some(0));
    assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs_err::read_to_string(&path).unwrap(), PATCHED);
}

#[test]
fn bad_input_changes_nothing() {
    let (folder, path) = module();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let bytes = folder.join("latin1.js");
    fs_err::write(&bytes, b"const a = 1;\nconst b = '\xfc';\n").unwrap();
    let other = folder.join("other.js");
    fs_err::write(&other, format!("{MODULE}console.log(PackageJSON.name);\n")).unwrap();
    for (file, version, message) in [
        (
            path.clone(),
            "2026.2",
            "`2026.2` is not a version: MAJOR.MINOR.PATCH is expected".to_owned(),
        ),
        (path.clone(), "v2026.2.0", "is not a version".to_owned()),
        (
            folder.join("gone.js"),
            "1.2.3",
            "gone.js: No such file".to_owned(),
        ),
        (folder.to_owned(), "1.2.3", format!("{folder}: not a file")),
        (
            bytes.clone(),
            "1.2.3",
            format!("{bytes}:2:12: the byte here is not UTF-8"),
        ),
        (
            other.clone(),
            "1.2.3",
            format!("{other}:5:13: `PackageJSON` is used for something other than"),
        ),
    ] {
        let (code, out, said) = patch(&file, &[version]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
        assert!(said.contains(&message), "{message}: {said}");
    }
    assert_eq!(fs_err::read_to_string(&path).unwrap(), MODULE);
    assert_eq!(fs_err::read_dir(folder).unwrap().count(), 3);
}

/// What a parser from npm takes before, it takes afterwards; and upstream's module is the sample's shape.
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
    let mut count = 0;
    for import in imports {
        for before in befores {
            for used in uses {
                let module = format!("{before}{import}{used}");
                fs_err::write(modules.join(format!("{count}.old.js")), &module).unwrap();
                fs_err::write(modules.join(format!("{count}.js")), &module).unwrap();
                count += 1;
            }
        }
    }
    for number in 0..count {
        let (code, _, said) = patch(&modules.join(format!("{number}.js")), &["2026.2.0"]);
        assert_eq!(code, Some(0), "{said}");
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

/// Upstream's shape, as the sample has it, in the derivation that patches it.
#[test]
fn the_samples_module() {
    let folder = tempfile::tempdir().unwrap();
    let copy = Utf8Path::from_path(folder.path()).unwrap().join("node.js");
    let source = root().join("containers/authentik/sample/web/packages/core/version/node.js");
    fs_err::copy(&source, &copy).unwrap();
    assert_eq!(patch(&copy, &["1.2.3"]).0, Some(0));
    let patched = fs_err::read_to_string(&copy).unwrap();
    assert!(
        patched.contains("/** @type {SemVerSource} */ (\"1.2.3\");"),
        "{patched}"
    );
    assert!(!patched.contains("PackageJSON"), "{patched}");
}

//! `patch-version` as a user and as a derivation call it, with a real JavaScript parser as the judge.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{root, run, text, xtask};

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
fn what_a_terminal_would_obey_is_shown_as_an_escape_and_written_as_it_is() {
    let (_folder, path) = module();
    let comment = "PackageJSON.version);\t/* \u{9b}1m\u{202e} */";
    fs_err::write(&path, MODULE.replace("PackageJSON.version);", comment)).unwrap();
    let (_, shown, _) = patch(&path, &["2026.2.0", "--dry-run"]);
    assert!(
        shown.ends_with("(\"2026.2.0\");\t/* \\u{9b}1m\\u{202e} */\n"),
        "{shown:?}"
    );
    assert_eq!(patch(&path, &["2026.2.0"]).0, Some(0));
    let patched = PATCHED.replace("\"2026.2.0\");", "\"2026.2.0\");\t/* \u{9b}1m\u{202e} */");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), patched);
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

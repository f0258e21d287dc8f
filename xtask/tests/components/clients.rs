//! The main job on real input: the API clients of authentik, built by real Nix over host-pkgs, against
//! what upstream published.
use std::collections::BTreeMap;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use test_support::common::{go, host_pkgs, nix, root, run, stdout, text, xtask};

/// What `test-build` reports on a component and its tests, by name.
fn built(components: &[&str]) -> BTreeMap<String, Value> {
    let lines = stdout(
        xtask()
            .args(["test-build", "--pkgs", "host", "--json"])
            .args(components),
    );
    lines
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            (row["component"].as_str().unwrap().to_owned(), row)
        })
        .collect()
}

fn out(row: &Value) -> &Utf8Path {
    row["out"].as_str().unwrap().into()
}

/// Every file below a folder with the SHA-256 of its contents.
fn contents(folder: &Utf8Path) -> BTreeMap<String, String> {
    let sums = stdout(
        Command::new("sh")
            .args([
                "-c",
                "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum",
            ])
            .current_dir(folder),
    );
    parse_sums(&sums)
}

/// The format of sha256sum: the sum, two spaces, the name.
fn parse_sums(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| {
            let (sum, name) = line.split_once("  ").unwrap();
            (name.to_owned(), sum.to_owned())
        })
        .collect()
}

#[test]
fn the_clients_are_what_upstream_published() {
    let rows = built(&["client-ts", "client-go"]);
    let expected = [
        "client-go",
        "client-go.tests.go",
        "client-ts",
        "client-ts.tests.request",
        "client-ts.tests.types",
    ];
    assert_eq!(rows.keys().collect::<Vec<_>>(), expected);
    for (name, row) in &rows {
        let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "component",
                "container",
                "drv",
                "out",
                "phases",
                "seconds",
                "state"
            ]
        );
        let state = row["state"].as_str().unwrap();
        assert!(["built", "cached"].contains(&state), "{name}: {state}");
    }
    typescript_is_the_npm_package(out(&rows["client-ts"]));
    go_is_the_published_module(out(&rows["client-go"]));
    for name in ["client-ts", "client-go"] {
        let references = stdout(
            nix("nix-store")
                .args(["--query", "--references"])
                .arg(out(&rows[name])),
        );
        assert_eq!(references, "", "{name} refers to other store paths");
    }
}

/// `src/` is byte for byte that of the npm package of the same version, fetched with npm.
fn typescript_is_the_npm_package(client: &Utf8Path) {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    stdout(
        Command::new("npm")
            .args(["pack", "--silent", "@goauthentik/api@2026.2.0"])
            .current_dir(folder),
    );
    stdout(
        Command::new("tar")
            .args(["xf", "goauthentik-api-2026.2.0.tgz"])
            .current_dir(folder),
    );
    let published = folder.join("package");
    let difference = run(Command::new("diff")
        .arg("-r")
        .arg(client.join("src"))
        .arg(published.join("src")));
    assert_eq!(text(&difference.stdout), "");
    assert!(difference.status.success(), "{}", text(&difference.stderr));
    assert!(contents(&published.join("src")).len() > 800);
    // What the manifest points at is there, and but for the name of a repository it is the same one.
    for file in ["dist/index.js", "dist/index.d.ts", "dist/esm/index.js"] {
        assert!(client.join(file).is_file(), "{file} is missing");
    }
    let manifest = |folder: &Utf8Path| -> Value {
        let text = fs_err::read(folder.join("package.json")).unwrap();
        let mut manifest: Value = serde_json::from_slice(&text).unwrap();
        assert!(manifest["repository"].take().is_object());
        manifest
    };
    assert_eq!(manifest(client), manifest(&published));
}

/// What differs from the published module, and why. Folders end in `/`.
const GO_DIFFERENCES: [(&str, &str); 11] = [
    (".github/", "upstream's workflows, not generated"),
    (
        ".gitignore",
        "from a template of upstream's, which the generator's options don't name here",
    ),
    (
        ".openapi-generator/FILES",
        "names the ignore file, which lay there before upstream's run",
    ),
    (
        ".openapi-generator/VERSION",
        "upstream's repository keeps the note of an older generator",
    ),
    ("LICENSE", "upstream's own, not generated"),
    ("Makefile", "upstream's own, not generated"),
    ("README.md", "from a template of upstream's, as above"),
    ("config.yaml", "upstream's options; ours are client-go.json"),
    ("schema.yml", "the input; it is a source of its own"),
    ("scripts/", "upstream's scripts, not generated"),
    ("templates/", "upstream's templates, not generated"),
];

/// All but the files above is byte for byte the published module v3.2026.2.0, every `.go` file too.
///
/// The sums are of the tag `v3.2026.2.0` of goauthentik/client-go, whose tree has the NAR hash
/// sha256-DwXw/0QcSDYQKVhPA8tStrSoZooriQex/9FxSJtR/QY= (`cargo xtask hash`); in a checkout of it without
/// `.git`, `find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum` prints them. Where the
/// module proxy of the machine has the module, it is compared with them as well.
fn go_is_the_published_module(client: &Utf8Path) {
    let sums = include_str!("../fixtures/client-go-v3.2026.2.0.sha256");
    let published = parse_sums(sums);
    let ours = contents(client);
    let mut differences: Vec<&str> = published
        .keys()
        .chain(ours.keys())
        .filter(|name| published.get(*name) != ours.get(*name))
        .map(|name| {
            let top = name.find('/').map_or(name.as_str(), |end| &name[..=end]);
            let folder = [".github/", "scripts/", "templates/"];
            if folder.contains(&top) { top } else { name }
        })
        .collect();
    differences.sort_unstable();
    differences.dedup();
    let expected: Vec<&str> = GO_DIFFERENCES.iter().map(|(name, _)| *name).collect();
    assert_eq!(differences, expected);
    let is_go = |name: &&String| Utf8Path::new(name.as_str()).extension() == Some("go");
    assert_eq!(
        ours.keys().filter(is_go).count(),
        published.keys().filter(is_go).count()
    );
    assert!(ours.keys().filter(is_go).count() > 800);

    match published_module() {
        Ok(module) => {
            let module = contents(&module);
            // A module's zip leaves out nothing but what git does.
            assert_eq!(module, published);
        }
        // A proxy's "no" is an answer; anything else would be a reason to look into.
        Err(reason) => {
            let refused = ["403 Forbidden", "404 Not Found", "410 Gone"];
            assert!(refused.iter().any(|no| reason.contains(no)), "{reason}");
            eprintln!(
                "the module proxy of this machine doesn't have the module; compared with the sums \
                 of the tag only: {reason}"
            );
        }
    }
}

/// The module as the machine's own proxy gives it, or what the proxy says.
fn published_module() -> Result<Utf8PathBuf, String> {
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new(go())
        .args([
            "mod",
            "download",
            "-json",
            "goauthentik.io/api/v3@v3.2026.2.0",
        ])
        .current_dir(folder.path())
        .env("GOFLAGS", "-mod=mod"));
    let answer: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    match answer["Dir"].as_str() {
        Some(folder) => Ok(folder.into()),
        None => Err(answer["Error"].to_string()),
    }
}

#[test]
fn listing_builds_nothing() {
    let lines = stdout(xtask().args([
        "test-build",
        "--list",
        "--json",
        "--pkgs",
        "host",
        "authentik/",
    ]));
    let names: Vec<String> = lines
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            assert!(!row["description"].as_str().unwrap().is_empty());
            let name = row["component"].as_str().unwrap();
            // build-tools is this repository's own
            if name != "build-tools" {
                assert_eq!(row["version"], "2026.2.0", "{name}");
            }
            name.to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "assembled",
            "authentik-django",
            "authentik-server",
            "build-tools",
            "client-go",
            "client-ts",
            "image",
            "python-deps",
            "service",
            "webui",
            "webui-deps"
        ]
    );
    // The attributes evaluate in a store that can build nothing.
    let evaluated = stdout(
        nix("nix-instantiate")
            .args(["--eval", "--strict", "--json", "--readonly-mode"])
            .arg(root().join("containers/authentik/test-build.nix"))
            .args(host_pkgs())
            .args(["-A", "client-ts.name"]),
    );
    assert_eq!(evaluated.trim(), "\"client-ts-2026.2.0\"");
}

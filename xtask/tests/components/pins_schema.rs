//! The JSON Schema of pins files: editors hold to it what the program holds to its reader.

use std::process::Command;

use camino::Utf8Path;
use serde_json::{Value, json};

use test_support::common::{from_pypi, root, run, stdout, text, xtask};

/// Prints `good` or the first error, for each file.
const VALIDATE: &str = r#"
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
for file in sys.argv[2:]:
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(json.load(open(file))))
    print(errors[0].message.replace("\n", " ") if errors else "good")
"#;

fn validate(files: &[&Utf8Path]) -> Vec<String> {
    let packages = from_pypi("jsonschema==4.23.0");
    let mut python = Command::new("python3");
    python
        .args(["-c", VALIDATE])
        .arg(root().join("containers/pins.schema.json"))
        .args(files)
        .env("PYTHONPATH", packages);
    stdout(&mut python).lines().map(str::to_owned).collect()
}

#[test]
fn what_the_reader_takes_and_refuses() {
    let containers = root().join("containers");
    let ours = [
        "authentik/pins.json",
        "authentik/sample/pins.json",
        "caddy/pins.json",
    ];
    let paths = ours.map(|it| containers.join(it));
    for (path, line) in ours.iter().zip(validate(
        &paths.each_ref().map(camino::Utf8PathBuf::as_path),
    )) {
        assert_eq!(line, "good", "{path}");
        let pins: Value =
            serde_json::from_slice(&fs_err::read(containers.join(path)).unwrap()).unwrap();
        let schema = containers
            .join(path)
            .parent()
            .unwrap()
            .join(pins["$schema"].as_str().unwrap());
        assert_eq!(
            schema.canonicalize_utf8().unwrap(),
            containers.join("pins.schema.json")
        );
    }

    let listed = |pins: &Utf8Path| {
        let mut command = xtask();
        command.args([
            "test-build",
            "--list",
            "--pkgs",
            "host",
            "authentik/client-ts",
            "--pins",
        ]);
        run(command.arg(pins))
    };
    let taken = listed(&paths[0]);
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken.stderr));

    // The same change is wrong to both.
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let good: Value = serde_json::from_slice(&fs_err::read(&paths[1]).unwrap()).unwrap();
    let wrong: [(&str, Value); 14] = [
        ("/version", json!(1)),
        ("/version", json!("v1")),
        (
            "/nixpkgs",
            json!({ "rev": "abc", "url": "x", "hash": good["sources"]["npm"]["hash"] }),
        ),
        ("/sources/npm/hash", json!("sha256-short=")),
        ("/sources/npm/mode", json!("nar")),
        ("/sources/npm/places", json!([{ "npm": "npm" }])),
        (
            "/sources/npm/places",
            json!([{ "npm": "npm", "version": "1", "rev": "2" }]),
        ),
        (
            "/sources/npm/places",
            json!([{ "git": "g", "rev": "1", "npm": "npm", "version": "1" }]),
        ),
        ("/sources/npm/places", json!([{ "file": "../x" }])),
        ("/sources/npm/places", json!([{ "file": "a", "path": "b" }])),
        ("/sources/npm/palces", json!([])),
        ("/go/vendorHash", json!("AAAA")),
        ("/go/vendor", json!("x")),
        ("/web/nodeModules/x86_64-linux", json!("sha256-no")),
    ];
    let files: Vec<_> = (0..wrong.len())
        .map(|n| folder.join(format!("{n}.json")))
        .collect();
    for (file, (place, value)) in files.iter().zip(&wrong) {
        let mut pins = good.clone();
        let (above, name) = place.rsplit_once('/').unwrap();
        let above = if above.is_empty() {
            &mut pins
        } else {
            pins.pointer_mut(above).unwrap()
        };
        above[name] = value.clone();
        fs_err::write(file, pins.to_string()).unwrap();
    }
    let said = validate(
        &files
            .iter()
            .map(camino::Utf8PathBuf::as_path)
            .collect::<Vec<_>>(),
    );
    for ((file, (place, value)), said) in files.iter().zip(&wrong).zip(said) {
        assert_ne!(said, "good", "{place}: {value}");
        let output = listed(file);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{place}: {value}: {said}");
        assert!(said.contains(file.as_str()), "{place}: {value}: {said}");
    }
}

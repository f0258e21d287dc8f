//! What judges the content of an image: archives as host-pkgs and as nixpkgs write them, and the list of what is in
//! the sample's.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use serde_json::Value;
use test_support::common::{from_pypi, nix, root, run, sample_copy, stdout, text, xtask};

/// Writes an archive of one layer with these store paths, each a file, and names that begin with a prefix.
const ARCHIVE: &str = r#"
import hashlib, io, json, sys, tarfile
archive, prefix, *paths = sys.argv[1:]
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    for folder in ("nix", "nix/store"):
        info = tarfile.TarInfo(prefix + folder)
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    for path in paths:
        info = tarfile.TarInfo(prefix + "nix/store/" + path)
        info.size = 5
        tar.addfile(info, io.BytesIO(b"bytes"))
name = hashlib.sha256(layer.getvalue()).hexdigest() + "/layer.tar"
manifest = json.dumps([{"Layers": [name]}]).encode()
with tarfile.open(archive, "w") as tar:
    for name, content in ((name, layer.getvalue()), ("manifest.json", manifest)):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
"#;

/// A store path by its name.
fn path(name: &str) -> String {
    format!("{}-{name}", "0123456789abcdfghijklmnpqrsvwxyz")
}

/// What closure.py says of an archive with these files of the store, and whether it is content.
fn closure(folder: &Utf8Path, prefix: &str, files: &[String], wanted: &str) -> (bool, String) {
    let archive = folder.join("image.tar");
    let mut command = Command::new("python3");
    command.args(["-c", ARCHIVE, archive.as_str(), prefix]);
    assert!(run(command.args(files)).status.success());
    let tests = root().join("containers/authentik/tests/image");
    let mut command = Command::new("python3");
    command.arg(tests.join("closure.py")).arg(&archive);
    command.arg(tests.join("allowed.txt"));
    let output = run(command.arg(format!("/nix/store/{}", path(wanted))));
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn paths_are_found_whoever_wrote_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    // nixpkgs' stream_layered_image.py writes whole names
    for prefix in ["/", ""] {
        let usual = ["coreutils-9.8", "gnutls-3.8.10", "iana-etc-20251215"];
        // Its own are of a pre-release, too.
        let own = [
            "assembled-2026.2.3-rc1",
            "authentik-root-2026.2.3-rc1",
            "webui-2026.2.3-rc1",
        ];
        let files = [usual, own].concat();
        let files: Vec<String> = files.into_iter().map(path).collect();
        let (good, said) = closure(&folder, prefix, &files, "coreutils-9.8");
        assert!(good, "{said}");
        assert!(said.contains("6 store paths in 1 layers"), "{said}");
    }
}

#[test]
fn one_run_names_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    for prefix in ["/", ""] {
        let files = [
            "coreutils-9.8",
            "perl-5.40.0",
            "gtk+3-3.24.51",
            "go-1.25.5/share/bin/go",
        ];
        let (good, said) = closure(&folder, prefix, &files.map(path), "bash-5.3p3");
        assert!(!good);
        for part in [
            &format!(
                "/nix/store/{} is not allowed in the image\n",
                path("perl-5.40.0")
            ),
            &format!(
                "/nix/store/{} is not allowed in the image\n",
                path("go-1.25.5")
            ),
            &format!(
                "/nix/store/{} is of no use in an image\n",
                path("go-1.25.5/share/bin/go")
            ),
            &format!("/nix/store/{} is not in the image\n", path("bash-5.3p3")),
            "\ngo-1\\.25\\.5\ngtk\\+3-3\\.24\\.51\nperl-5\\.40\\.0\n",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(&path("coreutils-9.8 is not")), "{said}");
    }
}

/// Says whether a list is `CycloneDX` 1.6, by the library of those who specify it.
const VALIDATE: &str = r"
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text())
sys.exit(str(wrong) if wrong else 0)
";

#[test]
fn the_list_of_what_is_in_it_is_valid_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let sample = sample_copy(folder);
    let pins = sample.join("pins.json");
    // a package of which another one keeps a copy, as setuptools does
    let vendored = sample.join("packages/ak-guardian/guardian/_vendor/kept_copy-1.0.dist-info");
    fs_err::create_dir_all(&vendored).unwrap();
    fs_err::write(
        vendored.join("METADATA"),
        "Metadata-Version: 2.4\nName: kept_copy\nVersion: 1.0\n\nA copy.\n",
    )
    .unwrap();
    // its tests hold the list to the image
    let mut command = xtask();
    command.args([
        "test-build",
        "image",
        "--pkgs",
        "host",
        "--write-pins",
        "--json",
        "-q",
    ]);
    let rows = stdout(command.arg("--pins").arg(&pins));
    assert!(rows.contains("\"image.tests.sbom\""), "{rows}");
    let expression = format!(
        "(import {root}/containers/authentik {{ pkgs = import {root}/containers/host-pkgs {{ }}; pins = {pins}; \
         }}).image",
        root = root()
    );
    let output_of = |expression: &str| {
        let drv = stdout(nix("nix-instantiate").args(["-E", expression]));
        let output = stdout(nix("nix-store").args(["-q", "--outputs", drv.trim()]));
        Utf8PathBuf::from(output.trim())
    };
    let (image, sbom) = (
        output_of(&expression),
        output_of(&format!("{expression}.sbom")),
    );

    let packages = from_pypi("cyclonedx-python-lib[json-validation]==11.12.0");
    let validate = |sbom: &Utf8Path| {
        let mut command = Command::new("python3");
        run(command
            .args(["-c", VALIDATE, sbom.as_str()])
            .env("PYTHONPATH", &packages))
    };
    let output = validate(&sbom);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let whole: Value = serde_json::from_slice(&fs_err::read(&sbom).unwrap()).unwrap();
    let purls: Vec<&str> = whole["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["purl"].as_str())
        .collect();
    for begin in [
        "pkg:deb/debian/libc6@",
        "pkg:deb/debian/libssl3",
        "pkg:pypi/django@5.2.11",
        "pkg:pypi/kept-copy@1.0",
        "pkg:golang/github.com/spf13/cobra@v1.10.2",
        "pkg:golang/std@1.25",
        "pkg:npm/",
    ] {
        assert!(
            purls.iter().any(|it| it.starts_with(begin)),
            "{begin}: {purls:#?}"
        );
    }

    // what is left out is named
    let lock = sample.join("web/package-lock.json");
    let held = |sbom: &Utf8Path| {
        let program = root().join("containers/authentik/tests/image/sbom.py");
        let mut command = Command::new("python3");
        run(command.arg(program).arg(sbom).arg(&image).arg(&lock))
    };
    assert!(held(&sbom).status.success());
    let planted = folder.join("sbom.json");
    for (part, named) in [
        (
            "pkg:golang/github.com/spf13/cobra",
            "the Go module github.com/spf13/cobra v1.10.2: not listed",
        ),
        (
            "pkg:pypi/django@",
            "the Python package django 5.2.11: not listed",
        ),
        ("-libxml2", "-libxml2: not listed"),
    ] {
        let mut without = whole.clone();
        let components = without["components"].as_array_mut().unwrap();
        components.retain(|it| !it["bom-ref"].as_str().unwrap().contains(part));
        fs_err::write(&planted, without.to_string()).unwrap();
        let output = held(&planted);
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(named),
            "{named}: {said}"
        );
    }
    let mut wrong = whole;
    wrong["components"][0]["type"] = Value::from("thing");
    fs_err::write(&planted, wrong.to_string()).unwrap();
    assert!(!validate(&planted).status.success());
}

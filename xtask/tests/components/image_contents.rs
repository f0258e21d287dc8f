//! What judges the content of an image: archives as host-pkgs and as nixpkgs write them.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{root, run, text};

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
        let usual = ["coreutils-9.8", "gnutls-3.8.10", "iana-etc-20251215"].map(path);
        let (good, said) = closure(&folder, prefix, &usual, "coreutils-9.8");
        assert!(good, "{said}");
        assert!(said.contains("3 store paths in 1 layers"), "{said}");
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

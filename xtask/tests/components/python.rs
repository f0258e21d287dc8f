//! The Python backend of the sample: built from its sdists against libraries of the package set, stripped,
//! put together again; and what goes wrong on the way, by name.

use std::collections::BTreeSet;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use serde_json::{Value, json};
use test_support::common::{host_pkgs, is_there, nix, root, run, sample_copy, stdout, text, xtask};

/// A copy of the sample, whose `python-deps` can be built otherwise.
struct Sample {
    _folder: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
        Self {
            _folder: folder,
            path,
        }
    }

    /// One whose only compiled package is psycopg's, which takes a tenth of the time that lxml does.
    fn small() -> Self {
        let sample = Self::new();
        sample.change("pyproject.toml", "  \"lxml==6.0.2\",\n", "");
        sample.change("pyproject.toml", "[\"lxml\", ", "[");
        sample
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.path.join(file);
        let whole = fs_err::read_to_string(&path).unwrap();
        assert!(whole.contains(from), "{file} has no `{from}`");
        fs_err::write(&path, whole.replace(from, to)).unwrap();
    }

    /// What Nix says when it builds python-deps with other attributes, which has to fail. What fails is not what the
    /// compiler does well: it does not optimize, which takes most of the time.
    fn refused(&self, attributes: &str) -> String {
        // the crate and its tools are built by what xtask shows to builders
        stdout(xtask().args(["test-build", "build-tools", "--pkgs", "host", "-q"]));
        let expression = format!(
            "let scope = import {root}/containers/authentik {{ pkgs = import {root}/containers/host-pkgs {{ }}; \
             pins = {sample}/pins.json; }}; \
             quickly = builtins.replaceStrings [ \"\\\"$@\\\" -g0\" ] [ \"\\\"$@\\\" -O0 -g0\" ]; \
             in (scope.python-deps.overrideAttrs (old: {{ buildPhase = quickly old.buildPhase; }})).overrideAttrs (old: {{ \
             outputHash = \"sha256-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=\"; }} // ({attributes}))",
            root = root(),
            sample = self.path
        );
        let output = run(nix("nix-build").args(["--no-out-link", "-E", &expression]));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{said}");
        said
    }
}

#[test]
fn the_sample_is_built_and_runs() {
    // The venv's hash is that of one release of the distribution: elsewhere it is another, and is written.
    let sample = Sample::new();
    let rows = stdout(
        xtask()
            .args(["test-build", "authentik-django", "--pkgs", "host"])
            .args(["--write-pins", "--json", "-q", "--pins"])
            .arg(sample.path.join("pins.json")),
    );
    let django = rows
        .lines()
        .find_map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let is_it = row["component"] == "authentik-django";
            is_it.then(|| Utf8PathBuf::from(row["out"].as_str().unwrap()))
        })
        .unwrap_or_else(|| panic!("{rows}"));
    let folder = tempfile::tempdir().unwrap();
    let said = stdout(
        Command::new(django.join("bin/python3"))
            .arg(django.join("manage.py"))
            .arg("check")
            .current_dir(&folder),
    );
    assert!(said.contains("no issues"), "{said}");
    // a script that the metadata names, a program that a wheel brought
    for (program, version) in [("gunicorn", "25.0.3"), ("dumb-init", "1.2.5")] {
        let output = run(Command::new(django.join("bin").join(program)).arg("--version"));
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(version), "{program}: {said}");
    }
    // an answer of the application, with the library that was compiled here
    let said = stdout(
        Command::new(django.join("bin/python3"))
            .args([
                "-c",
                "import django; django.setup()\n\
                 from django.test import RequestFactory\n\
                 from authentik.root.urls import version\n\
                 print(version(RequestFactory().get('/')).content.decode())",
            ])
            .env("DJANGO_SETTINGS_MODULE", "authentik.root.settings")
            .current_dir(&folder),
    );
    assert!(said.contains("\"version_current\": \"2026.2.0\""), "{said}");
}

#[test]
fn what_is_not_stripped_is_refused_with_the_list() {
    let said = Sample::small().refused(
        "{ installPhase = builtins.replaceStrings [ \"build-tools strip-refs --venv\" ] [ \": strip-refs\" ] old.installPhase; }",
    );
    let paths: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.rsplit_once(": /nix/store/"))
        .filter(|(place, _)| place.contains("-python-deps-"))
        .map(|(_, path)| path)
        .collect();
    for name in ["-libpq", "-python3-host"] {
        assert!(
            paths.iter().any(|path| path.contains(name)),
            "{name}: {paths:?}"
        );
    }
    assert!(!said.contains("hash mismatch"), "{said}");
}

/// The package set's remove-references-to, told what strip-refs found, leaves the same bytes.
#[test]
fn remove_references_to_gives_the_same() {
    let program = stdout(
        nix("nix-build")
            .args(["--no-out-link", "-A", "removeReferencesTo"])
            .arg(root().join("containers/host-pkgs")),
    );
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    // a program of the store with its run paths, and text
    let python = stdout(
        nix("nix-build")
            .args(["--no-out-link", "-A", "postgresql.pg_config"])
            .arg(root().join("containers/host-pkgs")),
    );
    let source = Utf8Path::new(python.trim()).join("bin/pg_config");
    let files = [folder.join("ours"), folder.join("theirs")];
    for file in &files {
        fs_err::copy(&source, file).unwrap();
    }
    let found = run(xtask().args(["strip-refs", "--check", "--json", files[0].as_str()]));
    let paths: BTreeSet<String> = text(&found.stdout)
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            row["store_path"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(paths.len() >= 2, "{paths:?}");
    stdout(xtask().args(["strip-refs", files[0].as_str()]));
    // its interpreter is there in a sandbox only
    let mut command = Command::new("bash");
    command.arg(Utf8Path::new(program.trim()).join("bin/remove-references-to"));
    for path in &paths {
        command.args(["-t", path]);
    }
    stdout(command.arg(&files[1]));
    let [ours, theirs] = files.map(|file| fs_err::read(file).unwrap());
    assert_eq!(ours, theirs);
    assert_ne!(ours, fs_err::read(&source).unwrap());
}

#[test]
fn what_goes_wrong_is_named() {
    // the compiler's error, with the package
    let said = Sample::small()
        .refused("{ env = old.env // { CFLAGS = \"-include no-such-header.h\"; }; }");
    for part in ["no-such-header.h: No such file", "psycopg-c"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    // debug information holds a name that uv makes up each time
    let said = Sample::small().refused(
        "{ buildPhase = builtins.replaceStrings [ \"-g0 -ffile-prefix-map\" ] [ \"-DX\" ] old.buildPhase; }",
    );
    for part in ["name the folder in which they were compiled", "psycopg_c/"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let sample = Sample::new();
    sample.change(
        "pyproject.toml",
        "requires-python = \">=3.11\"",
        "requires-python = \"==3.9.*\"",
    );
    let said = sample.refused("{ }");
    assert!(said.contains("3.9"), "{said}");

    // a package in git, whose place is not there
    let sample = Sample::new();
    sample.change(
        "pyproject.toml",
        "\"sqlparse==0.5.5\",",
        "\"sqlparse==0.5.5\",\n  \"from-git\",",
    );
    sample.change(
        "pyproject.toml",
        "[tool.uv.sources]",
        "[tool.uv.sources]\nfrom-git = { git = \"file:///no/such/place\" }",
    );
    let said = sample.refused("{ }");
    assert!(
        said.contains("from-git") && said.contains("/no/such/place"),
        "{said}"
    );
}

/// What builds packages runs with network, and the hash of the venv depends on it: uv takes none that is not pinned.
#[test]
fn what_builds_packages_is_pinned() {
    let pinned = root().join("containers/authentik/build-dependencies.txt");
    let pinned = fs_err::read_to_string(pinned).unwrap();
    let sample = Sample::new();
    let refused = |text: &str| {
        let file = sample.path.join("build-dependencies.txt");
        fs_err::write(&file, text).unwrap();
        sample.refused(&format!("{{ buildDependencies = {file}; }}"))
    };
    let unhashed = pinned.lines().filter(|line| line.contains("=="));
    let unhashed: String = unhashed
        .map(|line| format!("{}\n", line.trim_end_matches('\\')))
        .collect();
    let said = refused(&unhashed);
    assert!(said.contains("`--require-hashes`"), "{said}");
    // The entries of setuptools and what it brings are left out.
    let (before, rest) = pinned.split_once("setuptools==").unwrap();
    let (_, after) = rest.split_once("\nsetuptools-scm==").unwrap();
    let said = refused(&format!("{before}setuptools-scm=={after}"));
    assert!(said.contains("a missing one belongs into"), "{said}");
}

#[test]
fn a_lock_file_that_does_not_match_is_named_with_its_pin() {
    let sample = Sample::new();
    let uv = stdout(
        nix("nix-build")
            .args(["--no-out-link", "-A", "uv"])
            .arg(root().join("containers/host-pkgs")),
    );
    stdout(
        Command::new(Utf8Path::new(uv.trim()).join("bin/uv"))
            .args(["lock", "--quiet", "--no-cache"])
            .current_dir(&sample.path),
    );
    sample.change(
        "pyproject.toml",
        "\"sqlparse==0.5.5\"",
        "\"sqlparse==0.5.4\"",
    );
    let said = sample.refused("{ }");
    assert!(
        said.contains("uv.lock does not match pyproject.toml: `uv lock` mends it; the venv is pinned as `python.venv.host-debian-"),
        "{said}"
    );
}

/// A lock file that takes a package from git.
fn git_lock(revision: &str) -> String {
    format!(
        "version = 1\n\n[[package]]\nname = \"opencontainers\"\nversion = \"0.0.14\"\n\
         source = {{ git = \"https://example.invalid/oci?rev={revision}#{revision}\" }}\n\n\
         [[package]]\nname = \"django\"\nversion = \"5.2.11\"\nsource = {{ registry = \"r\" }}\n"
    )
}

const PINNED: &str = "ceb4fcc090851717a3069d78e85ceb1e86c2740c";
const OTHER: &str = "0000000000000000000000000000000000000000";

/// Of a working tree the lock file is held to the pins before anything is built.
#[test]
fn a_package_from_git_is_held_to_its_pin() {
    let sample = Sample::new();
    let pins = sample.path.join("pins.json");
    let python_deps = || {
        run(xtask()
            .args([
                "test-build",
                "python-deps",
                "authentik-django",
                "--pkgs",
                "host",
                "-q",
            ])
            .args(["--source", sample.path.as_str(), "--pins", pins.as_str()]))
    };
    let lock = sample.path.join("uv.lock");
    fs_err::write(&lock, git_lock(OTHER)).unwrap();
    let output = python_deps();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("has no pin `sources.opencontainers` with a `module`"),
        "{said}"
    );

    let pin = format!(
        "\"sources\": {{ \"opencontainers\": {{ \"version\": \"{PINNED}\", \"module\": \"opencontainers\", \
         \"hash\": \"sha256-Q6SJed0K6eIrqQ9mNAD4RGx+YCJvnI5E+0KGp5fBtTU=\", \
         \"places\": [{{ \"git\": \"https://example.invalid/oci\", \"rev\": \"{{version}}\" }}] }},"
    );
    sample.change("pins.json", "\"sources\": {", &pin);
    let output = python_deps();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [OTHER, PINNED, "the pin `sources.opencontainers`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Of a pinned source the builders do, by programs of their own.
#[test]
fn builders_hold_the_lock_file_to_the_pins() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Utf8Path::from_path(folder.path()).unwrap().join("uv.lock");
    let check = |revision: &str, pinned: &[&str]| {
        fs_err::write(&lock, git_lock(revision)).unwrap();
        let program = root().join("containers/authentik/git-packages.py");
        let mut command = Command::new("python3");
        let output = run(command
            .arg(program)
            .args([lock.as_str(), "pins.json"])
            .args(pinned));
        (output.status.success(), text(&output.stderr))
    };
    let pinned = format!("opencontainers={PINNED}");
    assert!(check(PINNED, &[&pinned]).0);
    let (good, said) = check(OTHER, &[&pinned]);
    assert!(!good);
    for part in [
        OTHER,
        PINNED,
        "the pin `sources.opencontainers` in pins.json",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (good, said) = check(PINNED, &[]);
    assert!(
        !good && said.contains("pins.json has no pin `sources.opencontainers`"),
        "{said}"
    );
}

/// Python 3.14 ends in an image: a repository that nobody signed is none that it is taken from.
#[test]
fn a_forged_repository_is_refused() {
    if !is_there("apt-get") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let (archive, bin) = (folder.join("archive"), folder.join("bin"));
    let index = archive.join("dists/sid/main/binary-amd64");
    fs_err::create_dir_all(&index).unwrap();
    fs_err::create_dir_all(&bin).unwrap();
    fs_err::write(index.join("Packages"), "").unwrap();
    fs_err::write(
        archive.join("dists/sid/Release"),
        "Suite: sid\nCodename: sid\n",
    )
    .unwrap();
    // apt, with that as the mirror of this machine; what is asked of it is noted
    let asked = folder.join("asked");
    let apt = format!(
        "#!/bin/sh\n[ \"$1\" != indextargets ] || {{ echo file:{archive}; exit; }}\n\
         echo \"$@\" >>{asked}\nPATH=${{PATH#*:}} exec apt-get \"$@\"\n"
    );
    fs_err::write(bin.join("apt-get"), apt).unwrap();
    stdout(Command::new("chmod").args(["755", bin.join("apt-get").as_str()]));
    let output = run(Command::new(root().join("tools/python-3.14"))
        .arg(folder.join("python"))
        .env("PATH", format!("{bin}:{}", std::env::var("PATH").unwrap())));
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("is not signed"), "{said}");
    let asked = fs_err::read_to_string(asked).unwrap();
    assert!(!asked.contains(" install "), "{asked}");
}

/// Nix takes the output that it has for a name and a hash: so what it is made from is in the name.
#[test]
fn what_it_is_made_from_is_in_the_name() {
    let sample = Sample::new();
    let (lock, places) = (Sample::new(), Sample::new());
    lock.change("pyproject.toml", "sqlparse==0.5.5", "sqlparse==0.5.4");
    lock.change("web/package-lock.json", "\n", "\n\n");
    places.change("pins.json", "\"npm\": \"npm\"", "\"npm\": \"@other/npm\"");
    let elsewhere = places.path.join("other.json");
    fs_err::rename(places.path.join("pins.json"), &elsewhere).unwrap();
    let mut command = nix("nix-instantiate");
    command
        .args(["--eval", "--strict", "--json"])
        .arg(root().join("xtask/tests/cases/names.nix"))
        .args(host_pkgs());
    for (name, pins) in [
        ("pins", sample.path.join("pins.json")),
        ("otherLock", lock.path.join("pins.json")),
        ("otherPlaces", elsewhere),
    ] {
        command.args(["--argstr", name, pins.as_str()]);
    }
    let names: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
    let changed = |by: &str| {
        ["python-deps", "webui-deps"].map(|name| names[by][name] != names["as-it-is"][name])
    };
    for (by, expected) in [
        ("lock", [true, true]),
        ("places", [false, false]),
        ("interpreter", [true, false]),
        ("openssl", [true, false]),
        ("libxml2", [true, false]),
        ("uv", [true, false]),
        ("build-tools", [true, false]),
        ("nodejs_24", [false, true]),
    ] {
        assert_eq!(changed(by), expected, "{by}: {names:#}");
    }
}

/// Until 2026.4 the hash of the venv had no package set in its name.
#[test]
fn the_older_key_is_read_with_a_hint() {
    let sample = Sample::new();
    let pins = sample.path.join("pins.json");
    let mut read: Value = serde_json::from_slice(&fs_err::read(&pins).unwrap()).unwrap();
    let hash = read["python"]["venv"]["host-debian-12"]["x86_64-linux"].clone();
    let hash = hash.as_str().unwrap();
    read["python"]["venv"] = json!({ "x86_64-linux": hash });
    fs_err::write(&pins, serde_json::to_vec_pretty(&read).unwrap()).unwrap();
    let expression = format!(
        "(import {root}/containers/authentik {{ pkgs = import {root}/containers/host-pkgs {{ }}; pins = {pins}; \
         }}).python-deps.outputHash",
        root = root()
    );
    let output = run(nix("nix-instantiate").args(["--eval", "-E", &expression]));
    assert_eq!(text(&output.stdout), format!("\"{hash}\"\n"));
    let said = text(&output.stderr);
    assert!(
        said.contains("move it to `python.venv.host-") && said.contains(pins.as_str()),
        "{said}"
    );
}

/// A package that the project names, and that nobody installed, fails the build.
#[test]
fn a_package_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let check = |project: &str, lock: Option<&str>, modules: &[&str]| {
        fs_err::write(folder.join("pyproject.toml"), project).unwrap();
        let file = folder.join("uv.lock");
        match lock {
            Some(lock) => fs_err::write(file, lock).unwrap(),
            None if file.exists() => fs_err::remove_file(file).unwrap(),
            None => {}
        }
        let program = root().join("containers/authentik/locked-packages.py");
        let mut command = Command::new("python3");
        command.arg(program).arg(folder).args(modules);
        let output = run(command.current_dir(folder));
        (output.status.success(), text(&output.stderr))
    };
    let of = |names: &str| format!("[project]\nname = \"x\"\ndependencies = [{names}]\n");
    let workspace = "[tool.uv.sources]\nof-the-tree = { workspace = true }\n";
    assert!(check(&of(""), None, &[]).0);
    // for other systems, maybe
    assert!(check(&of("\"no-such; sys_platform == 'win32'\""), None, &[]).0);
    let (good, said) = check(&of("\"no-such==1.0\""), None, &[]);
    assert!(
        !good && said.contains("no-such: not among the installed packages"),
        "{said}"
    );
    let (good, said) = check(
        &of("\"opencontainers\""),
        Some(&git_lock(PINNED)),
        &["opencontainers=no_such_module"],
    );
    assert!(
        !good && said.contains("no module no_such_module of the pinned source"),
        "{said}"
    );
    let (good, said) = check(&(of("\"of-the-tree\"") + workspace), None, &[]);
    assert!(
        !good && said.contains("no folder packages/of-the-tree in the tree"),
        "{said}"
    );
    fs_err::create_dir_all(folder.join("packages/of-the-tree")).unwrap();
    fs_err::write(folder.join("packages/of-the-tree/pyproject.toml"), "").unwrap();
    assert!(check(&(of("\"of-the-tree\"") + workspace), None, &[]).0);
}

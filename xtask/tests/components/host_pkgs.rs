//! host-pkgs in Nix's own sandbox: what it promises holds, what it can't do is refused by name.
use std::net::TcpListener;

use camino::Utf8Path;
use test_support::common::{host_pkgs, nix, root, run, stdout, text};

/// A case of the file that builds or evaluates `attribute`.
fn build(port: u16, attribute: &str) -> std::process::Command {
    let mut command = nix("nix-build");
    command
        .arg(root().join("xtask/tests/cases/stdenv.nix"))
        .args(host_pkgs())
        .args(["--argstr", "port", &port.to_string()])
        .args(["--no-out-link", "--keep-going", "-A", attribute]);
    command
}

#[test]
fn what_holds_over_nixpkgs_holds_here() {
    // What the sandboxed derivations try to reach; it has to listen until they are done.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let outputs = stdout(&mut build(port, "holds"));
    assert!(outputs.lines().count() >= 16, "{outputs}");
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let names = stdout(
        nix("nix-instantiate")
            .args(["--eval", "--strict", "--json"])
            .arg(root().join("xtask/tests/cases/stdenv.nix"))
            .args(host_pkgs())
            .args(["--argstr", "port", "1", "-A", "reasons"]),
    );
    let names: Vec<String> = serde_json::from_str(&names).unwrap();
    assert!(names.len() >= 12);
    for name in names {
        let output = run(&mut build(1, &format!("refused.\"{name}\"")));
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{name}: not refused");
        assert!(said.contains(&name), "{name}: refused as:\n{said}");
    }
}

#[test]
fn its_library_is_that_of_nixpkgs() {
    let ours = stdout(
        nix("nix-instantiate")
            .args(["--eval", "--strict", "--json"])
            .arg(root().join("xtask/tests/cases/lib.nix"))
            .args(["--arg", "lib"])
            .arg(format!("import {}/containers/host-pkgs/lib.nix", root())),
    );
    let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
    let theirs = fs_err::read(root().join("xtask/tests/cases/lib.json")).unwrap();
    let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
    let (ours, theirs) = (ours.as_object().unwrap(), theirs.as_object().unwrap());
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (call, value) in ours {
        assert_eq!(value, &theirs[call], "{call}");
    }
}

/// What a library is made of is in its derivation: after an update it is another, and so is what links to it.
#[test]
fn an_update_of_the_distribution_is_another_derivation() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Utf8Path::from_path(folder.path()).unwrap();
    fs_err::create_dir(admin.join("info")).unwrap();
    let record = |version: &str, sums: &str| {
        let status = format!(
            "Package: libssl-dev\nStatus: install ok installed\nVersion: {version}\nDepends: libssl3 (= {version}), \
             other | libnone\n\nPackage: other\nVersion: 1\n\nPackage: libssl3\nVersion: {version}\n\
             Pre-Depends: libc6 (>= 2.36)\n\nPackage: libc6\nVersion: 2.36-9\nDescription: x\n"
        );
        fs_err::write(admin.join("status"), status).unwrap();
        fs_err::write(admin.join("info/libssl3:amd64.md5sums"), sums).unwrap();
        let list = "/.\n/usr/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu/libssl.so.3\n/usr/bin/c_rehash\n";
        fs_err::write(admin.join("info/libssl3:amd64.list"), list).unwrap();
        let expression = format!(
            "(import {root}/containers/host-pkgs/debian.nix {{ lib = import {root}/containers/host-pkgs/lib.nix; \
             admin = {admin}; }}).packages [ \"libssl-dev\" \"no-such\" ]",
            root = root()
        );
        let said = stdout(nix("nix-instantiate").args(["--eval", "--json", "-E", &expression]));
        serde_json::from_str::<String>(&said).unwrap()
    };
    let first = record("3.0.19-1~deb12u2", "sums");
    let names: Vec<Vec<&str>> = first.lines().map(|it| it.split(' ').collect()).collect();
    assert_eq!(names.len(), 3, "{first}");
    assert_eq!(names[0][..2], ["libssl-dev", "3.0.19-1~deb12u2"]);
    assert_eq!(names[1][3..], ["libssl.so.3", "bin/c_rehash"]);
    assert_eq!(names[2][..2], ["libc6", "2.36-9"]);
    assert_ne!(first, record("3.0.19-1~deb12u3", "sums"));
    assert_ne!(first, record("3.0.19-1~deb12u2", "other sums"));
    assert_eq!(first, record("3.0.19-1~deb12u2", "sums"));

    // that is what the package set's derivations have; on another distribution they have nothing
    let evaluated = |attribute: &str| {
        let mut command = nix("nix-instantiate");
        command.args(["--eval", "--json", "-A", attribute]);
        stdout(command.arg(root().join("containers/host-pkgs")))
    };
    if Utf8Path::new("/var/lib/dpkg/status").exists() {
        for (package, debian) in [
            ("openssl", "libssl3"),
            ("glibc", "libc6"),
            ("bash", "bash"),
            ("python3", "libsqlite3-0"),
            ("postgresql", "postgresql"),
        ] {
            let found = evaluated(&format!("{package}.debianPackages"));
            // Debian 13 renamed the libraries in which times got 64 bits
            let is_there = ["", "t64"].map(|it| found.contains(&format!("{debian}{it} ")));
            assert!(is_there.contains(&true), "{debian}: {found}");
        }
    }
    assert!(evaluated("packageSet").starts_with("\"host-"));
}

#[test]
fn a_derivation_says_where_it_is_defined() {
    let position = stdout(
        nix("nix-instantiate")
            .args(["--eval", "--strict", "--json"])
            .arg(root().join("containers/authentik/test-build.nix"))
            .args(host_pkgs())
            .args(["-A", "client-ts.meta.position"]),
    );
    let file = root().join("containers/authentik/client-ts.nix");
    let (found, line) = position.trim().trim_matches('"').rsplit_once(':').unwrap();
    assert_eq!(found, file);
    let line: usize = line.parse().unwrap();
    let text = fs_err::read_to_string(file).unwrap();
    let defined = text.lines().nth(line - 1).unwrap();
    assert!(defined.contains("description"), "{defined}");
}

#[test]
fn an_unknown_system_is_named() {
    let output = run(nix("nix-instantiate")
        .arg(root().join("containers/host-pkgs"))
        .args(["--argstr", "system", "riscv64-linux", "-A", "bash"]));
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("no packages for riscv64-linux"),
        "{said}"
    );
}

#[test]
fn every_nix_file_parses() {
    let mut files = 0;
    for pattern in ["containers/**/*.nix", "xtask/**/*.nix"] {
        for file in glob::glob(root().join(pattern).as_str()).unwrap() {
            stdout(nix("nix-instantiate").arg("--parse").arg(file.unwrap()));
            files += 1;
        }
    }
    assert!(files > 15, "{files}");
}

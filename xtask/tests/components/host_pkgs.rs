//! host-pkgs in Nix's own sandbox: what it promises holds, what it can't do is refused by name.
use std::net::TcpListener;

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

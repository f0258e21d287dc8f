//! The harness as nix-eval-jobs and nix-fast-build read it: they walk the attribute set, and whatever
//! throws while they do is lost for them.
use std::process::Command;

use serde_json::Value;

use test_support::common::{host_pkgs, nix, root, stdout};

/// Walks as nix-eval-jobs does: the root always, sets below it that say `recurseForDerivations`; a
/// derivation is a job; what is neither is passed over, and named here.
const WALK: &str = r#"
{ set }:
let
  walk = path: value:
    if builtins.isAttrs value && value.type or "" == "derivation" then
      [ { inherit path; inherit (value) name system drvPath; } ]
    else if builtins.isAttrs value && (path == [ ] || value.recurseForDerivations or false) then
      builtins.concatMap (name: walk (path ++ [ name ]) value.${name}) (builtins.attrNames value)
    else
      [ { inherit path; passed = builtins.typeOf value; } ];
in
walk [ ] set
"#;

fn walked(container: &str, pins: &str) -> Vec<Value> {
    let set = format!(
        "import {root}/containers/{container}/test-build.nix {{ \
           pkgs = import {root}/containers/host-pkgs {{ }}; \
           pins = {root}/containers/{container}/{pins}; }}",
        root = root()
    );
    let mut command: Command = nix("nix-instantiate");
    command.args([
        "--eval", "--strict", "--json", "-E", WALK, "--arg", "set", &set,
    ]);
    serde_json::from_str(&stdout(&mut command)).unwrap()
}

#[test]
fn every_attribute_is_a_job_or_passed_over() {
    for (container, pins, component) in [
        ("authentik", "sample/pins.json", "client-ts"),
        ("caddy", "pins.json", "caddy"),
    ] {
        are_jobs_or_passed_over(&walked(container, pins), component);
    }
}

fn are_jobs_or_passed_over(found: &[Value], component: &str) {
    let (passed, jobs): (Vec<_>, Vec<_>) = found
        .iter()
        .partition(|entry| entry.get("passed").is_some());
    let passed: Vec<String> = passed
        .iter()
        .map(|entry| entry["path"].to_string())
        .collect();
    assert_eq!(passed, [r#"["pinned"]"#, r#"["recurseForDerivations"]"#]);
    let names: Vec<&str> = jobs
        .iter()
        .map(|job| job["path"][0].as_str().unwrap())
        .collect();
    assert!(names.contains(&component), "{names:?}");
    for job in jobs {
        assert_eq!(job["path"].as_array().unwrap().len(), 1, "{job}");
        let drv = job["drvPath"].as_str().unwrap();
        assert!(
            drv.starts_with("/nix/store/")
                && std::path::Path::new(drv)
                    .extension()
                    .is_some_and(|it| it == "drv"),
            "{job}"
        );
    }
}

#[test]
fn the_set_can_be_listed_without_evaluating_a_component() {
    let [arg, name, set] = host_pkgs();
    let mut command = nix("nix-instantiate");
    command
        .args(["--eval", "--strict", "--json", "-E"])
        .arg(format!(
            "{{ pkgs }}: let set = import {}/containers/authentik/test-build.nix {{ inherit pkgs; }}; \
             in {{ names = builtins.attrNames set; recurse = set.recurseForDerivations; }}",
            root()
        ))
        .args([arg, name, set]);
    let listed: Value = serde_json::from_str(&stdout(&mut command)).unwrap();
    assert_eq!(listed["recurse"], true);
    assert!(listed["names"].as_array().unwrap().len() > 2, "{listed}");
}

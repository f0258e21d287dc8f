//! What the commands need of this machine, and for what: programs on PATH, and what host-pkgs uses from /usr.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::repo::Repo;

/// The main job, as it is typed.
pub const MAIN_JOB: &str = "cargo xtask test-build client-ts client-go";

/// The programs that host-pkgs uses from this machine's /usr, by package.
const HOST_TOOLS: &str = "containers/host-pkgs/host-tools.json";

/// The libraries that host-pkgs uses from this machine's /usr, by package.
const LIBRARIES: &str = "containers/host-pkgs/libraries.json";

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Main,
    HostPkgs,
    Nixpkgs,
    LargerComponents,
    Commits,
    OtherMachines,
    VendorHashes,
}

/// A program that has to be on PATH, and is a finding of its own.
pub struct Program {
    pub what: &'static str,
    /// Any of these will do.
    pub names: &'static [&'static str],
    pub why: &'static str,
    pub needed_for: Need,
    pub package: &'static str,
}

/// Go, which only machines without Nix need.
pub const GO: Program = Program {
    what: "go",
    names: &["go"],
    why: "computes vendorHash where there is no Nix",
    needed_for: Need::VendorHashes,
    package: "golang-go",
};

pub const PROGRAMS: [Program; 4] = [
    Program {
        what: "curl",
        names: &["curl"],
        why: "checks whether nixpkgs can be reached",
        needed_for: Need::Nixpkgs,
        package: "curl",
    },
    Program {
        what: "git",
        names: &["git"],
        why: "commits changes, and pre-commit needs it",
        needed_for: Need::Commits,
        package: "git",
    },
    Program {
        what: "pre-commit",
        names: &["pre-commit", "prek"],
        why: "runs the checks before each commit; prek does, too",
        needed_for: Need::Commits,
        package: "pre-commit",
    },
    Program {
        what: "ssh",
        names: &["ssh"],
        why: "builds on another machine",
        needed_for: Need::OtherMachines,
        package: "openssh-client",
    },
];

/// A package of programs in [`HOST_TOOLS`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostTool {
    /// The Debian package that has them.
    pub debian: String,
    /// Their names in /usr/bin; with a slash they are files elsewhere below /usr.
    pub programs: Vec<String>,
    /// Whether only larger components need it.
    #[serde(skip)]
    pub is_library: bool,
}

/// A package of libraries in [`LIBRARIES`], as far as it is read here.
#[derive(Debug, Deserialize)]
struct Library {
    debian: String,
    libraries: Vec<String>,
}

/// What host-pkgs uses from /usr, by package.
pub fn host_tools(repo: &Repo) -> Result<BTreeMap<String, HostTool>> {
    fn read<T: serde::de::DeserializeOwned>(path: &Utf8Path) -> Result<BTreeMap<String, T>> {
        let text = fs_err::read_to_string(path)?;
        serde_json::from_str(&text).with_context(|| format!("reading `{path}`"))
    }
    let mut tools: BTreeMap<String, HostTool> = read(&repo.root.join(HOST_TOOLS))?;
    let libraries: BTreeMap<String, Library> = read(&repo.root.join(LIBRARIES))?;
    tools.extend(libraries.into_iter().map(|(name, library)| {
        let file = |name: String| format!("lib/x86_64-linux-gnu/{name}.so");
        let tool = HostTool {
            debian: library.debian,
            programs: library.libraries.into_iter().map(file).collect(),
            is_library: true,
        };
        (name, tool)
    }));
    let headers = HostTool {
        debian: "python3-dev".to_owned(),
        programs: vec!["python3-config".to_owned()],
        is_library: true,
    };
    tools.insert("python3-dev".to_owned(), headers);
    Ok(tools)
}

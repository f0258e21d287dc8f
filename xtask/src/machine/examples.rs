//! Made-up machines for the unit tests of this folder.

use std::collections::{BTreeMap, BTreeSet};

use super::look::{Disk, Machine, NixState};
use super::requirements::{HostTool, host_tools};
use super::sandbox_probe::{SandboxProbe, StoreState};
use super::store_access::Access;
use super::system::Kind;
use crate::nix::PackageSet;
use crate::package_set::{Choice, HOST_PKGS_SYSTEM};
use crate::repo::Repo;
use nix_formats::version::NixVersion;

pub fn tools() -> BTreeMap<String, HostTool> {
    host_tools(&Repo::find().unwrap()).unwrap()
}

pub fn root(group: &str, members: usize) -> Access {
    Access::Root {
        group: group.to_owned(),
        members,
    }
}

pub fn daemon(listed: bool) -> Access {
    Access::Daemon {
        user: "u".to_owned(),
        listed,
    }
}

pub fn complete() -> Machine {
    let names = ["curl", "git", "prek", "ssh", "node"];
    Machine {
        kind: Kind::Debian,
        nix: NixState::Runs(NixVersion::new(2, 8)),
        store: Some(StoreState {
            access: root("nixbld", 10),
            probe: SandboxProbe::Passed,
        }),
        set: Some(Choice {
            set: PackageSet::Host,
            reason: "r".to_owned(),
        }),
        system: HOST_PKGS_SYSTEM.to_owned(),
        disk: Disk {
            store: "/nix/store".into(),
            free: 100 << 30,
        },
        tools: tools(),
        missing: BTreeSet::new(),
        pip: Some("23.0".to_owned()),
        certificates: Some("/c".into()),
        postgresql: Some("/usr/lib/postgresql/15/bin".into()),
        on_path: names
            .into_iter()
            .map(|name| (name, format!("/usr/bin/{name}").into()))
            .collect(),
    }
}

/// A machine with nothing on it.
pub fn empty() -> Machine {
    let tools = tools();
    Machine {
        nix: NixState::Missing,
        store: None,
        set: None,
        missing: tools.values().flat_map(|it| it.programs.clone()).collect(),
        pip: None,
        certificates: None,
        postgresql: None,
        on_path: BTreeMap::new(),
        ..complete()
    }
}

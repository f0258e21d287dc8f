//! Judges what was found on this machine: what is missing, what for, and what to do about it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::look::{Disk, Machine, NixState, nix_remedy};
use super::requirements::{HostTool, Need, PROGRAMS, Program};
use super::sandbox_probe::{SandboxProbe, StoreState, sandbox_remedy};
use super::store_access::{Access, trust_remedy};
use super::system::Kind;
use crate::nix::PackageSet;
use crate::package_set::{self, Choice, HOST_PKGS_SYSTEM, NIX_FLOOR};
use sys::table;

/// Free bytes that the main job needs. Measured over host-pkgs with Nix 2.8, from an empty store: 834 MiB
/// in /nix at its end, which is the most, and at most 322 MiB at once in build folders, which newer
/// versions of Nix keep below /nix as well.
const MAIN_JOB_BYTES: u64 = 1200 << 20;

/// Free bytes that the larger components need. An estimate: the web UI's trees of npm
/// packages alone are 1 GB, and exist twice while it is built.
const LARGER_BYTES: u64 = 10 << 30;

/// Why a store is needed over nixpkgs; neither trust in the user nor a sandbox that shows /usr is.
pub(super) const OVER_NIXPKGS: &str = "builds over nixpkgs write to it";

/// Whether a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is met.
    Ok,
    /// It is missing, and the main job does not need it.
    Warning,
    /// It is missing, and the main job needs it.
    #[serde(rename = "lacking")]
    Missing,
}

/// The outcome of one check.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: String,
    pub state: State,
    /// What was found, or Nix's error.
    pub found: Option<String>,
    pub why: &'static str,
    pub needed_for: Need,
    /// What to do, unless the state is ok.
    pub remedy: Option<String>,
    /// The Debian package to install, if that is the remedy.
    pub package: Option<String>,
    /// Whether it is one of the many things that host-pkgs uses from the host.
    #[serde(skip)]
    pub tool: bool,
}

/// Judges this machine, of the system that host-pkgs has packages for.
pub fn findings(machine: &Machine) -> Vec<Finding> {
    let mut findings = builder_findings(machine);
    findings.extend(PROGRAMS.iter().map(|it| program_finding(machine, it)));
    fill_in_remedies(&mut findings, machine.kind);
    findings
}

/// Judges another machine, that is to build.
pub fn findings_there(machine: &Machine) -> Vec<Finding> {
    let mut findings = builder_findings(machine);
    fill_in_remedies(&mut findings, machine.kind);
    findings
}

/// Judges a machine as one that builds.
fn builder_findings(machine: &Machine) -> Vec<Finding> {
    // Without Nix the package set is unknown: assume host-pkgs, which needs more.
    let over_nixpkgs = machine
        .set
        .as_ref()
        .is_some_and(|choice| choice.set == PackageSet::Nixpkgs);
    let host = if over_nixpkgs {
        Need::HostPkgs
    } else {
        Need::Main
    };
    let mut findings = vec![nix_finding(&machine.nix)];
    if let Some(store) = &machine.store {
        findings.push(store_finding(store, host, machine.kind));
        findings.extend((!over_nixpkgs).then(|| sandbox_finding(store)));
    }
    findings.push(disk_finding(&machine.disk));
    if let Some(choice) = &machine.set {
        findings.push(set_finding(choice, &machine.system));
    }
    let certificates = Finding::new(
        "certificates",
        "builders that fetch over HTTPS verify servers with it",
        host,
    );
    findings.push(certificates.found_or_package(machine.certificates.as_ref(), "ca-certificates"));
    let tools = machine.tools.iter();
    let larger = if host == Need::Main {
        Need::LargerComponents
    } else {
        host
    };
    findings.extend(tools.map(|(name, tool)| {
        let need = if tool.is_library { larger } else { host };
        tool_finding(machine, name, tool, need)
    }));
    let postgresql = Finding::new(
        "postgresql",
        "`cargo xtask run` and the image's sign-in test start its server",
        larger,
    );
    let postgresql = postgresql.found_or_package(machine.postgresql.as_ref(), "postgresql");
    findings.push(postgresql.tool());
    let pip = Finding::new("pip", "host-pkgs fetches Python packages with it", host);
    let pip = pip.found_or_package(machine.pip.as_ref(), "python3-pip");
    findings.push(pip.tool());
    findings
}

/// Adds the remedies of findings that a package fixes.
pub(super) fn fill_in_remedies(findings: &mut [Finding], kind: Kind) {
    for finding in findings {
        if let Some(package) = &finding.package {
            finding.remedy = Some(kind.install(package));
        }
    }
}

impl Finding {
    pub(super) fn new(what: &str, why: &'static str, needed_for: Need) -> Self {
        Self {
            what: what.to_owned(),
            state: State::Ok,
            found: None,
            why,
            needed_for,
            remedy: None,
            package: None,
            tool: false,
        }
    }

    /// It was found.
    pub(super) fn found(mut self, found: &str) -> Self {
        self.found = Some(found.to_owned());
        self
    }

    /// It is missing: what to do.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.state = match self.needed_for {
            Need::Main => State::Missing,
            _ => State::Warning,
        };
        self.remedy = Some(remedy.into());
        self
    }

    /// It is missing: the Debian package to install; [`fill_in_remedies`] adds the remedy.
    fn package(self, package: &str) -> Self {
        let mut finding = self.remedy("");
        finding.package = Some(package.to_owned());
        finding
    }

    /// It was found, or else this Debian package is to be installed.
    fn found_or_package(self, found: Option<impl AsRef<str>>, package: &str) -> Self {
        match found {
            Some(found) => self.found(found.as_ref()),
            None => self.package(package),
        }
    }

    /// It is one of the host tools.
    fn tool(self) -> Self {
        Self { tool: true, ..self }
    }
}

fn nix_finding(nix: &NixState) -> Finding {
    let finding = Finding::new("nix", "builds the components", Need::Main);
    let (major, minor) = NIX_FLOOR;
    match nix {
        NixState::Runs(version) if version.is_at_least(major, minor) => {
            finding.found(&version.to_string())
        }
        NixState::Runs(version) => finding.found(&version.to_string()).remedy(format!(
            "Nix {version} is too old: install {major}.{minor} or later, from \
             https://nixos.org/download where the distribution has none"
        )),
        NixState::Missing => finding.package("nix-bin"),
        NixState::OffPath(folder) => finding
            .found(&format!("in {folder}, which is not on PATH"))
            .remedy(format!(
                "open a new shell, or `export PATH=\"{folder}:$PATH\"`"
            )),
        NixState::Broken { error, remedy } => finding.found(error).remedy(remedy),
    }
}

pub(super) fn store_finding(store: &StoreState, host: Need, kind: Kind) -> Finding {
    let finding = |why| Finding::new("nix store", why, Need::Main);
    let users = "builders run as users of their own, never as root";
    let daemon = "a user who is not root needs a daemon that trusts them";
    let finding = match &store.access {
        Access::Root { group, members: 0 } => {
            let finding = finding(users);
            return match group.as_str() {
                "" => finding.remedy(
                    "set `build-users-group = nixbld` in /etc/nix/nix.conf: it is empty, so that \
                     builders would run as root",
                ),
                "nixbld" => finding.package("nix-setup-systemd"),
                _ => finding.remedy(format!(
                    "add users to the group `{group}`, which `build-users-group` in \
                     /etc/nix/nix.conf names"
                )),
            };
        }
        Access::Stopped => {
            return finding(daemon)
                .found("a daemon that is not running")
                .remedy(format!("start the daemon: {}", kind.start_daemon()));
        }
        Access::Closed { remedy } => {
            return finding(daemon)
                .found("a daemon that only members of a group may use")
                .remedy(remedy);
        }
        Access::Nothing => return finding(daemon).package("nix-setup-systemd"),
        Access::Root { group, members } => {
            finding(users).found(&format!("as root, {members} users in `{group}`"))
        }
        Access::Owner => finding("the owner of the store needs no daemon").found("as its owner"),
        Access::Daemon { user, listed } => {
            let mut finding = finding(
                "the sandbox shows this machine's /usr to builders, which a daemon allows trusted \
                 users only",
            );
            if store.probe != SandboxProbe::Ignored {
                finding.found("a daemon that trusts this user")
            } else if host == Need::Main {
                return finding
                    .found("a daemon that does not trust this user")
                    .remedy(trust_remedy(user, *listed, kind));
            } else {
                finding.why = OVER_NIXPKGS;
                finding.found("a daemon")
            }
        }
    };
    match &store.probe {
        SandboxProbe::NoStore(error) => finding.found(error).remedy(store_remedy(error, kind)),
        _ => finding,
    }
}

/// What to do about a store that Nix can't write to.
pub(super) fn store_remedy(error: &str, kind: Kind) -> String {
    if error.contains("connect to socket") {
        return format!(
            "start the daemon ({}), or unset `NIX_REMOTE` if none is wanted",
            kind.start_daemon()
        );
    }
    let remedy = if error.contains("space left") {
        "free space: `nix-collect-garbage` deletes store paths without GC roots"
    } else if error.contains("corrupt") {
        "restore /nix/var/nix/db from a backup, or move /nix away to begin with an empty store"
    } else if error.contains("configuration") || error.contains("home directory") {
        nix_remedy(error)
    } else {
        "fix what Nix reports: it must be able to write to /nix/store and /nix/var/nix"
    };
    remedy.to_owned()
}

fn sandbox_finding(store: &StoreState) -> Finding {
    let finding = Finding::new(
        "sandbox",
        "host-pkgs shows this machine's tools to builders in Nix's sandbox",
        Need::Main,
    );
    match &store.probe {
        SandboxProbe::Passed => finding.found("works: a test builder ran in it"),
        SandboxProbe::Impossible(error) => finding
            .found(error)
            .remedy(sandbox_remedy(&store.access, error)),
        SandboxProbe::NotRun | SandboxProbe::NoStore(_) | SandboxProbe::Ignored => Finding {
            state: State::Warning,
            remedy: Some("fix the store first".to_owned()),
            ..finding.found("not tested")
        },
    }
}

pub(super) fn disk_finding(disk: &Disk) -> Finding {
    let (why, needed_for, bytes) = if disk.free < MAIN_JOB_BYTES {
        (
            "the main job needs space in the store",
            Need::Main,
            MAIN_JOB_BYTES,
        )
    } else {
        (
            "the larger components need space in the store",
            Need::LargerComponents,
            LARGER_BYTES,
        )
    };
    let free = table::human_size(disk.free);
    let finding =
        Finding::new("disk", why, needed_for).found(&format!("{free} free in {}", disk.store));
    if disk.free >= bytes {
        return finding;
    }
    let needed = table::human_size(bytes);
    finding.remedy(format!(
        "free space until {needed} are available: `nix-collect-garbage` deletes store paths without GC roots"
    ))
}

pub(super) fn set_finding(choice: &Choice, system: &str) -> Finding {
    let finding = Finding::new("package set", "what components are built over", Need::Main)
        .found(&format!("{} ({})", choice.set.name(), choice.reason));
    if choice.set == PackageSet::Host && system != HOST_PKGS_SYSTEM {
        let (major, minor) = package_set::NIXPKGS_FLOOR;
        return finding.remedy(format!(
            "host-pkgs has no packages for {system}: use Nix {major}.{minor} or later where nixpkgs can \
             be reached"
        ));
    }
    finding
}

fn tool_finding(machine: &Machine, name: &str, tool: &HostTool, need: Need) -> Finding {
    let missing: Vec<&str> = tool
        .programs
        .iter()
        .filter(|program| machine.missing.contains(*program))
        .map(String::as_str)
        .collect();
    let why = match name {
        _ if tool.is_library => "host-pkgs compiles the Python backend with it",
        "dash" => "host-pkgs' builders use it as /bin/sh",
        "nodejs" | "npm" => "host-pkgs fetches npm packages with it, and sees only /usr",
        "python3" => "host-pkgs fetches Python packages with it, and sees only /usr",
        _ => "host-pkgs uses it from /usr/bin",
    };
    let finding = Finding::new(name, why, need).tool();
    let elsewhere = machine.on_path.get("node");
    match (elsewhere, &missing[..]) {
        (_, []) => finding.found("in /usr/bin"),
        (Some(node), missing) if missing.contains(&"node") => finding
            .found(&format!("{node}, which is not below /usr"))
            .package(&tool.debian),
        (_, missing) => {
            let folder = if tool.is_library { "/usr" } else { "/usr/bin" };
            let found = format!("no {folder}/{}", missing.join(", "));
            finding.found(&found).package(&tool.debian)
        }
    }
}

pub(super) fn program_finding(machine: &Machine, program: &Program) -> Finding {
    let finding = Finding::new(program.what, program.why, program.needed_for);
    let found = program
        .names
        .iter()
        .find_map(|name| machine.on_path.get(name));
    finding.found_or_package(found, program.package)
}

/// Whether the main job can't run.
pub fn is_blocked(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.state == State::Missing)
}

/// The packages to install for the components, each once; with `optional` those of all warnings, too.
pub fn packages(findings: &[Finding], optional: bool) -> Vec<&str> {
    let wanted = findings.iter().filter(|finding| {
        finding.state == State::Missing || finding.needed_for == Need::LargerComponents || optional
    });
    let packages: BTreeSet<&str> = wanted
        .filter_map(|finding| finding.package.as_deref())
        .collect();
    packages.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::examples::{daemon, root};
    use super::*;

    /// A finding about Nix's store or sandbox: whether it blocks the main job, and the remedy.
    fn state_and_remedy(finding: Finding) -> (bool, String) {
        let mut finding = finding;
        fill_in_remedies(std::slice::from_mut(&mut finding), Kind::Debian);
        let missing = finding.state == State::Missing;
        (missing, finding.remedy.unwrap_or_default())
    }

    #[test]
    fn access_to_the_store() {
        let closed = Access::Closed {
            remedy: "usermod -aG nix-users u".to_owned(),
        };
        let refused = "cannot connect to socket at '/s': Connection refused";
        let no_store = |error: &str| SandboxProbe::NoStore(error.to_owned());
        for (access, probe, remedy) in [
            (
                root("", 0),
                SandboxProbe::NotRun,
                "build-users-group = nixbld",
            ),
            (root("nixbld", 0), SandboxProbe::NotRun, "nix-setup-systemd"),
            (root("builders", 0), SandboxProbe::NotRun, "`builders`"),
            (Access::Nothing, SandboxProbe::NotRun, "nix-setup-systemd"),
            (
                Access::Stopped,
                SandboxProbe::NotRun,
                "systemctl start nix-daemon",
            ),
            (closed, SandboxProbe::NotRun, "usermod -aG nix-users u"),
            (
                daemon(false),
                SandboxProbe::Ignored,
                "extra-trusted-users = u",
            ),
            (
                daemon(true),
                SandboxProbe::Ignored,
                "systemctl restart nix-daemon",
            ),
            (
                daemon(true),
                no_store(refused),
                "systemctl start nix-daemon",
            ),
            (root("nixbld", 1), no_store(refused), "unset `NIX_REMOTE`"),
            (
                root("nixbld", 1),
                no_store("'/nix/var/nix/db/schema' is corrupt"),
                "from a backup",
            ),
            (
                root("nixbld", 1),
                no_store("opening lock file '/nix/var/nix/db/big-lock': Read-only file system"),
                "write to /nix/store",
            ),
        ] {
            let store = StoreState { access, probe };
            let (missing, said) = state_and_remedy(store_finding(&store, Need::Main, Kind::Debian));
            assert!(missing && said.contains(remedy), "{store:?}: {said}");
            // What is unknown is not a second error.
            let sandbox = sandbox_finding(&store);
            assert_eq!(sandbox.state, State::Warning, "{store:?}");
        }
        for access in [
            Access::Owner,
            daemon(true),
            daemon(false),
            root("nixbld", 1),
        ] {
            let store = StoreState {
                access,
                probe: SandboxProbe::Passed,
            };
            assert_eq!(
                state_and_remedy(store_finding(&store, Need::Main, Kind::Debian)),
                (false, String::new())
            );
            assert_eq!(
                state_and_remedy(sandbox_finding(&store)),
                (false, String::new())
            );
        }
    }

    #[test]
    fn a_machine_without_a_sandbox() {
        for (access, error, remedy) in [
            (
                root("nixbld", 1),
                "mounting /proc: Operation not permitted",
                "--privileged",
            ),
            (
                daemon(true),
                "mounting /proc: Operation not permitted",
                "--privileged",
            ),
            (
                Access::Owner,
                "mounting /proc: Operation not permitted",
                "sysctl",
            ),
            (
                root("nixbld", 1),
                "getting attributes of path '/usr/bin/dash': No such file or directory",
                "host tools",
            ),
        ] {
            let store = StoreState {
                access,
                probe: SandboxProbe::Impossible(error.to_owned()),
            };
            let (missing, said) = state_and_remedy(sandbox_finding(&store));
            assert!(missing && said.contains(remedy), "{store:?}: {said}");
            // host-pkgs has its tools from the sandbox.
            assert!(!said.contains("sandbox"), "{said}");
        }
    }

    #[test]
    fn disks() {
        for (free, state, needed_for) in [
            (0, State::Missing, Need::Main),
            (MAIN_JOB_BYTES - 1, State::Missing, Need::Main),
            (MAIN_JOB_BYTES, State::Warning, Need::LargerComponents),
            (LARGER_BYTES - 1, State::Warning, Need::LargerComponents),
            (LARGER_BYTES, State::Ok, Need::LargerComponents),
        ] {
            let finding = disk_finding(&Disk {
                store: "/nix/store".into(),
                free,
            });
            assert_eq!((finding.state, finding.needed_for), (state, needed_for));
        }
    }

    #[test]
    fn keys_of_a_line() {
        let finding = Finding::new("nix", "builds", Need::LargerComponents).package("nix-bin");
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"what":"nix","state":"warning","found":null,"why":"builds","needed_for":"larger-components","remedy":"","package":"nix-bin"}"#
        );
    }
}

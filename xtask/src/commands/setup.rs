//! `cargo xtask setup`: what this machine has and lacks for the other commands, and the remedies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::machine::hooks;
use crate::nix::PackageSet;
use crate::nix::{self, Nix};
use crate::package_set::{self, Choice};
use crate::pins::Nixpkgs;
use crate::pins::sources::{self, SourceOverride, Sources};
use crate::repo::Repo;
use nix_formats::log;
use nix_formats::version::NixVersion;
use sys::process::{Captured, Interrupted, Processes, is_missing_program};
use sys::table;
use sys::terminal;

/// The oldest Nix that the expressions are built with.
const NIX_FLOOR: (u32, u32) = (2, 8);

/// The file that lists what host-pkgs takes from this machine's /usr, by package.
const HOST_TOOLS: &str = "containers/host-pkgs/host-tools.json";
/// Which libraries host-pkgs takes from the host, below the root of the repository.
const LIBRARIES: &str = "containers/host-pkgs/libraries.json";

/// Where Debian has PostgreSQL's server programs: VERSION/bin below it.
const POSTGRESQL: &str = "/usr/lib/postgresql";

/// Has Debian's packages of PostgreSQL make no database and so start no server when they are installed:
/// they ask for the setting as the last line does. What is there already is left as it is.
const NO_MAIN_CLUSTER: &str = r#"set -e
folder=/etc/postgresql-common
mkdir -p $folder/createcluster.d
file=$folder/createcluster.d/zz-no-main-cluster.conf
[ -e $file ] || echo 'create_main_cluster = false' >$file
[ "$(pg_conftool $folder/createcluster.conf show -bs create_main_cluster)" = off ]"#;

/// The system that host-pkgs has packages for (containers/host-pkgs/default.nix).
pub const HOST_PKGS_SYSTEM: &str = "x86_64-linux";

/// The main job, as it is typed.
const MAIN_JOB: &str = "cargo xtask test-build client-ts client-go";

/// Free bytes that the main job needs. Measured over host-pkgs with Nix 2.8, from an empty store: 834 MiB
/// in /nix at its end, which is the most, and at most 322 MiB at once in build folders, which newer
/// versions of Nix keep below /nix as well.
const MAIN_JOB_BYTES: u64 = 1200 << 20;

/// Free bytes with which the larger components find room. An estimate: the web UI's trees of npm
/// packages alone are 1 GB, and lie there twice while it is built.
const LARGER_BYTES: u64 = 10 << 30;

/// A derivation whose builder runs in the sandbox and then fails, so that no output is ever there and
/// each run is a trial, though the name is the same each time and what it leaves is not more and more.
///
/// Its builder is where only the sandbox of host-pkgs shows it: no sandbox, no [`TRIAL_EXIT_CODE`].
const TRIAL: &str = r#"derivation {
  name = "sandbox-trial";
  system = builtins.currentSystem;
  builder = "/host/usr/bin/bash";
  args = [ "-c" "exit 42" ];
  preferLocalBuild = true;
  allowSubstitutes = false;
}"#;

/// How the builder of [`TRIAL`] ends, in Nix's words.
const TRIAL_EXIT_CODE: &str = "failed with exit code 42";

/// Where the installers of Nix put it when a shell has not read their profile.
const OFF_PATH: [&str; 2] = [
    "/nix/var/nix/profiles/default/bin",
    "/run/current-system/sw/bin",
];

/// Say what this machine has and lacks for the other commands
///
/// Nothing is installed without `--install`. With it, what is lacking for the main job and is a package
/// is installed by apt on Debian and its likes, through sudo for a user who is not root; elsewhere the
/// remedies are shown. What the main job can do without is a warning, and is installed only by
/// `--install --optional`. PostgreSQL is installed without a database of the machine's own, by a file in
/// /etc/postgresql-common/createcluster.d, so that no server is started.
///
/// Whether Nix can isolate builders is tried with a tiny derivation that has no output. It leaves its
/// `.drv` file and an empty lock in the store, the same ones each time.
///
/// `--json` prints a line for each finding on stdout, what is for people on stderr. The keys: what;
/// state (ok, warning, lacking); found; why; `needed_for` (main, host-pkgs, nixpkgs, larger-components,
/// commits, other-machines); remedy; package (of Debian). `found`, `remedy` and `package` may be null.
///
/// Exit codes: 0 the main job can run, 1 something is lacking for it, 2 could not look.
///
/// Example: `cargo xtask setup --install`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// Install what the main job lacks
    #[arg(long)]
    install: bool,
    /// With `--install`: install also what the main job can do without
    #[arg(long, requires = "install")]
    optional: bool,
    /// Print a JSON line for each finding; with `--install` as it is afterwards
    #[arg(long)]
    json: bool,
    /// Have git run the checks of .pre-commit-config.yaml at each commit, by prek or pre-commit
    #[arg(long, conflicts_with_all = ["install", "json"])]
    install_hooks: bool,
}

/// What was looked at.
#[derive(Debug)]
struct Machine {
    /// Whether packages can be had from apt.
    debian: bool,
    nix: NixState,
    /// How Nix's store is reached; not looked at without a Nix that runs.
    store: Option<Store>,
    /// The package set that would be taken; not looked at without a Nix that runs.
    set: Option<Choice>,
    /// Such as `x86_64-linux`.
    system: String,
    disk: Disk,
    /// What host-pkgs takes from /usr, by package.
    tools: BTreeMap<String, HostTool>,
    /// Which of its programs are not in /usr/bin.
    missing: BTreeSet<String>,
    /// The version of /usr/bin/python3's pip.
    pip: Option<String>,
    certificates: Option<Utf8PathBuf>,
    /// The folder of PostgreSQL's server programs.
    postgresql: Option<Utf8PathBuf>,
    /// The programs of [`PROGRAMS`], and `node`, wherever they are on PATH.
    on_path: BTreeMap<&'static str, Utf8PathBuf>,
}

/// The Nix on PATH.
#[derive(Debug)]
enum NixState {
    Missing,
    /// It is in this folder, which is not on PATH.
    OffPath(&'static str),
    /// It does not even tell its version: what it says instead, and what to do.
    Broken {
        error: String,
        remedy: String,
    },
    Runs(NixVersion),
}

/// What came of reaching for Nix's store.
#[derive(Debug)]
struct Store {
    access: Access,
    trial: Trial,
}

/// Where the store is or would be.
#[derive(Debug)]
struct Disk {
    store: Utf8PathBuf,
    /// In bytes, for users who are not root.
    free: u64,
}

/// A package of programs in [`HOST_TOOLS`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostTool {
    /// The Debian package that has them.
    debian: String,
    /// Their names in /usr/bin; with a slash they are files elsewhere below /usr.
    programs: Vec<String>,
    /// Whether only larger components need it.
    #[serde(skip)]
    is_library: bool,
}

/// A package of libraries in [`LIBRARIES`], as far as it matters here.
#[derive(Debug, Deserialize)]
struct Library {
    debian: String,
    libraries: Vec<String>,
}

/// How Nix's store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Access {
    /// By root, who needs users to build as: the group, and how many members it has.
    Root { group: String, members: usize },
    /// By the store's own owner.
    Owner,
    /// Through a daemon; `listed` says whether `trusted-users` has this user.
    Daemon { user: String, listed: bool },
    /// Not at all: only members of a group may come to the daemon's socket; how to become one.
    Closed { remedy: String },
    /// Not at all: the daemon is there, but does not run.
    Stopped,
    /// Not at all: no daemon.
    Nothing,
}

/// What came of building [`TRIAL`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trial {
    /// Not begun, because the store can't be reached; see [`Access`].
    NotTried,
    /// Nix could not write the derivation: what it said.
    NoStore(String),
    /// The daemon built with settings of its own.
    Ignored,
    /// Nix could not isolate the builder: what it said.
    Impossible(String),
    /// It ran in the sandbox.
    Passed,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    /// It is not, and the main job can do without.
    Warning,
    /// It is not, and the main job needs it.
    Lacking,
}

/// What something is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Need {
    Main,
    HostPkgs,
    Nixpkgs,
    LargerComponents,
    Commits,
    OtherMachines,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    state: State,
    /// What is there, or what Nix says in its place.
    found: Option<String>,
    why: &'static str,
    needed_for: Need,
    /// What to do, unless all is well.
    remedy: Option<String>,
    /// The Debian package that brings it, if that is the remedy.
    package: Option<String>,
    /// Whether it is one of the many things that host-pkgs takes from the host.
    #[serde(skip)]
    tool: bool,
}

/// When findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is to be installed; `debian` says whether it could be.
    Looked { debian: bool },
    /// Something is about to be.
    Installing,
    /// It was tried.
    Installed,
}

/// A program on PATH that no finding but its own needs.
struct Program {
    what: &'static str,
    /// The names that will do.
    names: &'static [&'static str],
    why: &'static str,
    needed_for: Need,
    package: &'static str,
}

const PROGRAMS: [Program; 4] = [
    Program {
        what: "curl",
        names: &["curl"],
        why: "asks whether nixpkgs can be reached",
        needed_for: Need::Nixpkgs,
        package: "curl",
    },
    Program {
        what: "git",
        names: &["git"],
        why: "commits changes, and pre-commit's checks need it",
        needed_for: Need::Commits,
        package: "git",
    },
    Program {
        what: "pre-commit",
        names: &["pre-commit", "prek"],
        why: "checks what is committed; prek does as well",
        needed_for: Need::Commits,
        package: "pre-commit",
    },
    Program {
        what: "ssh",
        names: &["ssh"],
        why: "reaches other machines to build on",
        needed_for: Need::OtherMachines,
        package: "openssh-client",
    },
];

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let processes = Processes::new(false)?;
    let repo = Repo::find()?;
    if args.install_hooks {
        return hooks::install(&repo, &processes);
    }
    let tools = host_tools(&repo)?;
    let os_release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = is_debian_like(&os_release);
    let judge = || Ok::<_, anyhow::Error>(findings(&look(&processes, &repo, &tools, debian)?));
    let show = |findings: &[Finding], step| {
        let text = render(findings, step);
        if args.json {
            terminal::say(text.trim_end());
            return Ok(());
        }
        terminal::emit(text.trim_end())
    };
    let mut findings = judge()?;
    let wanted = packages(&findings, args.optional);
    let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    if args.install && !wanted.is_empty() {
        show(&findings, Step::Installing)?;
        terminal::say("");
        if let Err(error) = install(&processes, &wanted, debian, args.json) {
            if error.downcast_ref::<Interrupted>().is_some() {
                return Err(error);
            }
            terminal::say(format!("error: {error:#}\n"));
        }
        findings = judge()?;
        show(&findings, Step::Installed)?;
    } else {
        show(&findings, Step::Looked { debian })?;
    }
    if args.json {
        findings.iter().try_for_each(terminal::emit_json)?;
    }
    Ok(ExitCode::from(u8::from(is_lacking(&findings))))
}

/// Why builds over host-pkgs can't work for this user and what to do, if it is because of the sandbox.
///
/// The daemon of a user whom it does not trust builds with another sandbox; elsewhere Nix may not be
/// able to isolate builders at all.
pub fn sandbox_problem(processes: &Processes) -> Result<Option<String>> {
    let Store { access, trial } = store(processes, &Repo::find()?)?;
    Ok(match (&access, &trial) {
        (Access::Daemon { user, listed }, Trial::Ignored) => Some(format!(
            "the Nix daemon ignores the settings of this build, the sandbox's among them, because it \
             does not trust this user: {} (`cargo xtask setup` looks again)",
            trust_remedy(user, *listed)
        )),
        (_, Trial::Impossible(error)) => Some(format!(
            "Nix can't isolate builders on this machine (`{error}`): {} (`cargo xtask setup` looks again)",
            sandbox_remedy(&access, error)
        )),
        _ => None,
    })
}

/// Judges a machine.
fn findings(machine: &Machine) -> Vec<Finding> {
    // Without Nix nobody knows which package set it will be: then it is host-pkgs, which needs more.
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
        findings.push(store_finding(store, host));
        findings.push(sandbox_finding(store, host));
    }
    findings.push(disk_finding(&machine.disk));
    if let Some(choice) = &machine.set {
        findings.push(set_finding(choice, &machine.system));
    }
    let certificates = Finding::new(
        "certificates",
        "builders that fetch check whom they talk to",
        host,
    );
    findings.push(match &machine.certificates {
        Some(file) => certificates.there(file.as_str()),
        None => certificates.package("ca-certificates"),
    });
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
        "`cargo xtask run` and the image's test of signing in have a server of it",
        larger,
    );
    let postgresql = match &machine.postgresql {
        Some(folder) => postgresql.there(folder.as_str()),
        None => postgresql.package("postgresql"),
    };
    findings.push(Finding {
        tool: true,
        ..postgresql
    });
    let pip = Finding::new("pip", "host-pkgs fetches Python packages with it", host);
    let pip = match &machine.pip {
        Some(version) => pip.there(version),
        None => pip.package("python3-pip"),
    };
    findings.push(Finding { tool: true, ..pip });
    findings.extend(PROGRAMS.iter().map(|it| program_finding(machine, it)));
    for finding in &mut findings {
        finding.say_how(machine.debian);
    }
    findings
}

impl Finding {
    fn new(what: &str, why: &'static str, needed_for: Need) -> Self {
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

    /// It is there.
    fn there(mut self, found: &str) -> Self {
        self.found = Some(found.to_owned());
        self
    }

    /// It is not there: what to do.
    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.state = match self.needed_for {
            Need::Main => State::Lacking,
            _ => State::Warning,
        };
        self.remedy = Some(remedy.into());
        self
    }

    /// It is not there: the Debian package that brings it; the remedy comes by [`Self::say_how`].
    fn package(self, package: &str) -> Self {
        let mut finding = self.remedy("");
        finding.package = Some(package.to_owned());
        finding
    }

    /// Completes the remedy of a finding that a package mends.
    fn say_how(&mut self, debian: bool) {
        let Some(package) = &self.package else {
            return;
        };
        let mut remedy = if debian {
            format!("apt-get install {package}")
        } else {
            format!("install what Debian's package `{package}` has")
        };
        if package == "pre-commit" {
            remedy.push_str(", or `pipx install pre-commit`, or `pipx install prek`");
        }
        self.remedy = Some(remedy);
    }
}

fn nix_finding(nix: &NixState) -> Finding {
    let finding = Finding::new("nix", "builds the components", Need::Main);
    let (major, minor) = NIX_FLOOR;
    match nix {
        NixState::Runs(version) if version.is_at_least(major, minor) => {
            finding.there(&version.to_string())
        }
        NixState::Runs(version) => finding.there(&version.to_string()).remedy(format!(
            "Nix {version} is too old: install {major}.{minor} or later, from \
             https://nixos.org/download where the distribution has none"
        )),
        NixState::Missing => finding.package("nix-bin"),
        NixState::OffPath(folder) => finding
            .there(&format!("in {folder}, which is not on PATH"))
            .remedy(format!(
                "open a new shell, or `export PATH=\"{folder}:$PATH\"`"
            )),
        NixState::Broken { error, remedy } => finding.there(error).remedy(remedy),
    }
}

/// What to do about a Nix that does not run.
fn nix_remedy(error: &str) -> &'static str {
    if error.contains("home directory") {
        "set `HOME` to a folder of yours"
    } else if error.contains("'NIX_CONFIG'") {
        "mend or unset the variable `NIX_CONFIG`"
    } else if error.contains("configuration") {
        "mend the setting that Nix names: it is in /etc/nix/nix.conf, ~/.config/nix/nix.conf or the \
         variable `NIX_CONFIG`"
    } else {
        "run `nix-store --version` and mend what it says"
    }
}

fn store_finding(store: &Store, host: Need) -> Finding {
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
            return finding(daemon).there("a daemon that does not run").remedy(
                "start the daemon: `systemctl start nix-daemon`, or as root `nix-daemon &`",
            );
        }
        Access::Closed { remedy } => {
            return finding(daemon)
                .there("a daemon for the members of a group only")
                .remedy(remedy);
        }
        Access::Nothing => return finding(daemon).package("nix-setup-systemd"),
        Access::Root { group, members } => {
            finding(users).there(&format!("as root, {members} users in `{group}`"))
        }
        Access::Owner => finding("who owns the store needs no daemon").there("its owner"),
        Access::Daemon { user, listed } => {
            let mut finding = finding(
                "the sandbox shows this machine's /usr to builders, which a daemon allows only to \
                 users whom it trusts",
            );
            if store.trial == Trial::Ignored {
                finding.needed_for = host;
                return finding
                    .there("a daemon that does not trust this user")
                    .remedy(trust_remedy(user, *listed));
            }
            finding.there("a daemon that trusts this user")
        }
    };
    match &store.trial {
        Trial::NoStore(error) => finding.there(error).remedy(store_remedy(error)),
        _ => finding,
    }
}

fn trust_remedy(user: &str, listed: bool) -> String {
    if listed {
        return format!(
            "restart the daemon, which does not know yet that it may trust `{user}`: \
             `systemctl restart nix-daemon`"
        );
    }
    format!("add `extra-trusted-users = {user}` to /etc/nix/nix.conf and restart nix-daemon")
}

/// What to do about a store that Nix can't write to.
fn store_remedy(error: &str) -> &'static str {
    if error.contains("connect to socket") {
        "start the daemon (`systemctl start nix-daemon`), or unset `NIX_REMOTE` if none is wanted"
    } else if error.contains("space left") {
        "make room: `nix-collect-garbage` deletes what no build is linked to"
    } else if error.contains("corrupt") {
        "restore /nix/var/nix/db from a backup, or move /nix away to begin with an empty store"
    } else if error.contains("configuration") || error.contains("home directory") {
        nix_remedy(error)
    } else {
        "mend what Nix says: it must be able to write to /nix/store and /nix/var/nix"
    }
}

fn sandbox_finding(store: &Store, host: Need) -> Finding {
    let finding = Finding::new(
        "sandbox",
        "builders over host-pkgs find this machine's tools only in Nix's sandbox",
        host,
    );
    match &store.trial {
        Trial::Passed => finding.there("tried: a builder ran in it"),
        Trial::Impossible(error) => finding
            .there(error)
            .remedy(sandbox_remedy(&store.access, error)),
        Trial::NotTried | Trial::NoStore(_) | Trial::Ignored => Finding {
            state: State::Warning,
            remedy: Some("do what is said of the store, then look again".to_owned()),
            ..finding.there("not tried")
        },
    }
}

/// What to do about a machine on which Nix can't isolate builders.
///
/// Switching the sandbox off is no remedy: host-pkgs has its tools from it.
fn sandbox_remedy(access: &Access, error: &str) -> &'static str {
    if error.contains("move the repository") {
        return "move the repository";
    }
    if error.contains("getting attributes of path") {
        return "bring what is not there, see the host tools, then look again";
    }
    if *access == Access::Owner {
        return "let users make namespaces: as root `sysctl -w user.max_user_namespaces=15000`, and where \
                they exist `kernel.unprivileged_userns_clone=1` and \
                `kernel.apparmor_restrict_unprivileged_userns=0`; in a container start it with \
                `--privileged`";
    }
    "Nix must be able to make namespaces and mount /proc in them: start the container with `--privileged` \
     (Docker, Podman; in Kubernetes `privileged: true` in its securityContext), or with `--cap-add \
     SYS_ADMIN` and `--security-opt` for each of `seccomp=unconfined`, `apparmor=unconfined` and \
     `systempaths=unconfined`; outside of containers leave a chroot, and run as a root who has all \
     capabilities"
}

fn disk_finding(disk: &Disk) -> Finding {
    let (why, needed_for, bytes) = if disk.free < MAIN_JOB_BYTES {
        (
            "the main job needs room in the store",
            Need::Main,
            MAIN_JOB_BYTES,
        )
    } else {
        (
            "the larger components need room in the store",
            Need::LargerComponents,
            LARGER_BYTES,
        )
    };
    let free = table::human_size(disk.free);
    let finding =
        Finding::new("disk", why, needed_for).there(&format!("{free} free in {}", disk.store));
    if disk.free >= bytes {
        return finding;
    }
    let needed = table::human_size(bytes);
    finding.remedy(format!(
        "make room until {needed} are free: `nix-collect-garbage` deletes what no build is linked to"
    ))
}

fn set_finding(choice: &Choice, system: &str) -> Finding {
    let finding = Finding::new("package set", "what components are built over", Need::Main)
        .there(&format!("{} ({})", choice.set.name(), choice.reason));
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
        "dash" => "host-pkgs' builders have it as /bin/sh",
        "nodejs" | "npm" => "host-pkgs fetches npm packages with it, and sees only /usr",
        "python3" => "host-pkgs fetches Python packages with it, and sees only /usr",
        _ => "host-pkgs takes it from /usr/bin",
    };
    let finding = Finding {
        tool: true,
        ..Finding::new(name, why, need)
    };
    let elsewhere = machine.on_path.get("node");
    match (elsewhere, &missing[..]) {
        (_, []) => finding.there("in /usr/bin"),
        (Some(node), missing) if missing.contains(&"node") => finding
            .there(&format!("{node}, which is not below /usr"))
            .package(&tool.debian),
        (_, missing) => finding
            .there(&if tool.is_library {
                format!("no /usr/{}", missing.join(", "))
            } else {
                format!("no /usr/bin/{}", missing.join(", "))
            })
            .package(&tool.debian),
    }
}

fn program_finding(machine: &Machine, program: &Program) -> Finding {
    let finding = Finding::new(program.what, program.why, program.needed_for);
    let found = program
        .names
        .iter()
        .find_map(|name| machine.on_path.get(name));
    match found {
        Some(path) => finding.there(path.as_str()),
        None => finding.package(program.package),
    }
}

fn is_lacking(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.state == State::Lacking)
}

/// The packages that bring what components need, each once; with `optional` those of all warnings.
fn packages(findings: &[Finding], optional: bool) -> Vec<&str> {
    let wanted = findings.iter().filter(|finding| {
        finding.state == State::Lacking || finding.needed_for == Need::LargerComponents || optional
    });
    let packages: BTreeSet<&str> = wanted
        .filter_map(|finding| finding.package.as_deref())
        .collect();
    packages.into_iter().collect()
}

/// The findings for people: a table, what to do, and whether the main job can run.
fn render(findings: &[Finding], step: Step) -> String {
    let header = ["what", "state", "found"].map(str::to_owned).to_vec();
    let mut rows = vec![header];
    rows.extend(findings.iter().map(|finding| {
        let (what, state, found) = if finding.tool {
            let (state, found) = summary(findings);
            ("host tools", state, found)
        } else {
            let found = finding.found.as_deref().unwrap_or("not there");
            (finding.what.as_str(), finding.state, found.to_owned())
        };
        vec![what.to_owned(), state.label().to_owned(), found]
    }));
    // The host tools follow one another.
    rows.dedup();
    let mut text = table::table(&rows);
    text.extend(findings.iter().filter_map(advice));
    text + &conclusion(findings, step)
}

/// How many of the host tools are there.
fn summary(findings: &[Finding]) -> (State, String) {
    let tools = || findings.iter().filter(|finding| finding.tool);
    let there = tools().filter(|tool| tool.state == State::Ok).count();
    let all = tools().count();
    let count = if there == all {
        format!("all {all}")
    } else {
        format!("{there} of {all}")
    };
    let state = tools().map(|tool| tool.state).max().unwrap_or(State::Ok);
    (
        state,
        format!("{count} that host-pkgs takes from this machine"),
    )
}

impl State {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Lacking => "LACKING",
        }
    }
}

/// What to do about a finding, if anything.
fn advice(finding: &Finding) -> Option<String> {
    // Where host-pkgs is not used there may be none of its tools: then their number will do.
    if finding.tool && finding.state == State::Warning {
        return None;
    }
    let remedy = finding.remedy.as_ref()?;
    let Finding { what, why, .. } = finding;
    let label = finding.state.label();
    let found = match &finding.found {
        Some(found) if finding.tool => format!(" ({found})"),
        _ => String::new(),
    };
    Some(format!("\n{label} {what}{found}: {why}\n  {remedy}\n"))
}

/// Whether the main job can run, and what to type next.
fn conclusion(findings: &[Finding], step: Step) -> String {
    if let Step::Installing = step {
        return String::new();
    }
    let offer = step == Step::Looked { debian: true };
    if !is_lacking(findings) {
        let optional = packages(findings, true);
        let hint = if offer && !optional.is_empty() {
            format!(
                "\nto install what the main job can do without: `cargo xtask setup --install --optional` \
                 (apt-get install {})\n",
                optional.join(" ")
            )
        } else {
            String::new()
        };
        return format!("{hint}\nthe main job can run: `{MAIN_JOB}`\n");
    }
    let packages = packages(findings, false);
    let next = if offer && !packages.is_empty() {
        format!(
            "`cargo xtask setup --install` installs what it can (apt-get install {})",
            packages.join(" ")
        )
    } else {
        "do what is said above, then `cargo xtask setup` again".to_owned()
    };
    format!("\nthe main job can't run yet: {next}\n")
}

/// Installs packages by apt, or says why not. With `json` stdout is not apt's.
fn install(processes: &Processes, packages: &[String], debian: bool, json: bool) -> Result<()> {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !debian {
        anyhow::bail!(
            "this is not Debian or a like of it: install by its own package manager what \
             `{by_hand}` installs there"
        );
    }
    let root = rustix::process::geteuid().is_root();
    if !root && find_on_path("sudo").is_none() {
        anyhow::bail!("only root can install, and there is no sudo: as root, run `{by_hand}`");
    }
    let as_root = |arguments: &[&str]| {
        let mut words = Vec::new();
        if json {
            words.extend(["sh", "-c", "exec \"$@\" >&2", "sh"]);
        }
        if !root {
            words.push("sudo");
        }
        words.extend(arguments);
        processes.foreground(processes.cmd(words[0]).args(&words[1..]))
    };
    let apt = |arguments: &[&str]| {
        let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
        as_root(&[&apt[..], arguments].concat())
    };
    if let Err(error) = apt(&["update"]) {
        if error.downcast_ref::<Interrupted>().is_some() {
            return Err(error);
        }
        // One place of many that does not answer is enough for this; the packages may be known still.
        terminal::say(format!("warning: {error:#}: what apt knew before is taken"));
    }
    let mut packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    if packages.contains(&"postgresql") {
        // What asks for the setting comes with the first package, which makes no database itself.
        let set = apt(&[
            "install",
            "-y",
            "--no-install-recommends",
            "postgresql-common",
        ])
        .and_then(|()| as_root(&["sh", "-c", NO_MAIN_CLUSTER]));
        if let Err(error) = set {
            if error.downcast_ref::<Interrupted>().is_some() {
                return Err(error);
            }
            terminal::say(format!(
                "warning: {error:#}: PostgreSQL is left out, for it would make a database and start a \
                 server; see create_main_cluster in /etc/postgresql-common/createcluster.conf"
            ));
            packages.retain(|package| *package != "postgresql");
        }
    }
    // With recommended packages: those of nix-bin make the users that builders run as.
    let mut arguments = vec!["install", "-y", "--install-recommends"];
    arguments.extend(packages);
    apt(&arguments).map_err(|error| {
        if error.downcast_ref::<Interrupted>().is_some() {
            return error;
        }
        error.context(
            "apt did not install what is lacking and says why above: can this machine reach the places \
             in /etc/apt/sources.list, does another apt run, is the disk full?",
        )
    })
}

/// Whether `/etc/os-release` (os-release(5)) is that of Debian or of something made from it.
fn is_debian_like(os_release: &str) -> bool {
    os_release.lines().any(|line| {
        let value = line
            .strip_prefix("ID=")
            .or_else(|| line.strip_prefix("ID_LIKE="));
        value.is_some_and(|value| {
            value
                .trim_matches(['"', '\''])
                .split_whitespace()
                .any(|word| word == "debian")
        })
    })
}

/// What host-pkgs takes from /usr, by package.
fn host_tools(repo: &Repo) -> Result<BTreeMap<String, HostTool>> {
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

/// Looks at this machine.
fn look(
    processes: &Processes,
    repo: &Repo,
    tools: &BTreeMap<String, HostTool>,
    debian: bool,
) -> Result<Machine> {
    let nix = nix_state(processes)?;
    let (store, set) = match &nix {
        NixState::Runs(version) => {
            let store = store(processes, repo)?;
            let set = package_set(processes, repo, version, &store)?;
            (Some(store), Some(set))
        }
        _ => (None, None),
    };
    let names = PROGRAMS.iter().flat_map(|program| program.names);
    let programs = tools.values().flat_map(|tool| &tool.programs);
    Ok(Machine {
        debian,
        nix,
        store,
        set,
        system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        disk: disk(&nix::store_dir())?,
        missing: programs.filter(|it| !is_in_usr(it)).cloned().collect(),
        tools: tools.clone(),
        pip: pip(processes)?,
        certificates: certificates(),
        postgresql: postgresql(POSTGRESQL.into()),
        on_path: names
            .chain(&["node"])
            .filter_map(|name| Some((*name, find_on_path(name)?)))
            .collect(),
    })
}

fn nix_state(processes: &Processes) -> Result<NixState> {
    let captured = match processes.capture(processes.cmd("nix-store").arg("--version")) {
        Err(error) if is_missing_program(&error) => {
            let elsewhere = OFF_PATH
                .into_iter()
                .find(|folder| Utf8Path::new(folder).join("nix-store").is_file());
            return Ok(elsewhere.map_or(NixState::Missing, NixState::OffPath));
        }
        other => other?,
    };
    if !captured.status.success() {
        let error = nix_error(&captured);
        // Nix 2.8 looks for the socket before it says anything.
        let remedy = if error.contains("socket") {
            closed(processes)?
        } else {
            None
        };
        let remedy = remedy.unwrap_or_else(|| nix_remedy(&error).to_owned());
        return Ok(NixState::Broken { error, remedy });
    }
    let said = captured.stdout.trim();
    if let Ok(version) = said.parse() {
        return Ok(NixState::Runs(version));
    }
    let error = format!("no version in `{}`", log::plain(said));
    let remedy = nix_remedy(&error).to_owned();
    Ok(NixState::Broken { error, remedy })
}

/// The package set that `test-build` would take.
fn package_set(
    processes: &Processes,
    repo: &Repo,
    version: &NixVersion,
    store: &Store,
) -> Result<Choice> {
    let resolve = |container| sources::resolve(repo, container, &SourceOverride::default());
    let containers = repo.containers()?;
    let sources: Vec<Sources> = containers.iter().map(resolve).collect::<Result<_>>()?;
    let nixpkgs: Vec<Option<&Nixpkgs>> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
    let reachable = !matches!(store.trial, Trial::NotTried | Trial::NoStore(_));
    package_set::choose(
        None,
        version,
        &nixpkgs,
        |nixpkgs| {
            Ok(reachable && package_set::is_in_store(&Nix::new(processes, Vec::new()), nixpkgs)?)
        },
        |nixpkgs| package_set::probe::probe(processes.into(), repo, nixpkgs),
    )
}

/// The disk that a folder is on or would be on.
fn disk(folder: &Utf8Path) -> Result<Disk> {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let there = there.unwrap_or(Utf8Path::new("/"));
    let disk = rustix::fs::statvfs(there.as_std_path())
        .with_context(|| format!("asking for the free space in `{there}`"))?;
    Ok(Disk {
        store: folder.to_owned(),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

/// Whether /usr/bin has a tool whose real file is below /usr, which is all that builders see.
fn is_in_usr(tool: &str) -> bool {
    let folder = if tool.contains('/') {
        "/usr"
    } else {
        "/usr/bin"
    };
    let path = Utf8Path::new(folder).join(tool);
    path.canonicalize_utf8()
        .is_ok_and(|real| real.starts_with("/usr") && real.is_file())
}

/// The folder of the highest version of PostgreSQL's server programs.
fn postgresql(versions: &Utf8Path) -> Option<Utf8PathBuf> {
    let entries = versions.read_dir_utf8().ok()?;
    let found = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let numbers = entry.file_name().split('.').map(str::parse);
        let version: Vec<u32> = numbers.collect::<Result<_, _>>().ok()?;
        let folder = entry.path().join("bin");
        let is_complete = ["initdb", "postgres"].map(|it| folder.join(it).is_file());
        (is_complete == [true, true]).then_some((version, folder))
    });
    Some(found.max()?.1)
}

/// The first file of this name on PATH.
fn find_on_path(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").ok()?;
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| Utf8Path::new(folder).join(program))
        .find(|file| file.is_file())
}

/// The version of the pip that host-pkgs calls. It is asked without starting it, which takes long.
fn pip(processes: &Processes) -> Result<Option<String>> {
    let ask = ["-c", "import pip; print(pip.__version__)"];
    match processes.capture(processes.cmd("/usr/bin/python3").args(ask)) {
        Ok(captured) if captured.status.success() => Ok(Some(captured.stdout.trim().to_owned())),
        Ok(_) => Ok(None),
        Err(error) if is_missing_program(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file with the certificates of the authorities that this machine trusts.
fn certificates() -> Option<Utf8PathBuf> {
    let named = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|path| !path.is_empty());
    let file = Utf8PathBuf::from(
        named
            .as_deref()
            .unwrap_or("/etc/ssl/certs/ca-certificates.crt"),
    );
    file.is_file().then_some(file)
}

/// Reaches for Nix's store with the settings of host-pkgs.
fn store(processes: &Processes, repo: &Repo) -> Result<Store> {
    let access = access(processes)?;
    let trial = match &access {
        Access::Root { members: 0, .. }
        | Access::Closed { .. }
        | Access::Stopped
        | Access::Nothing => Trial::NotTried,
        _ => {
            // What else builders are shown is of no matter here: something that is everywhere.
            match package_set::host::environment(repo, Some("/usr".into()), None, |name| {
                std::env::var(name).ok()
            }) {
                Ok(environment) => trial(processes, &environment, &access)?,
                // Over nixpkgs the settings are not needed.
                Err(error) => Trial::Impossible(format!("{error:#}")),
            }
        }
    };
    Ok(Store { access, trial })
}

/// Builds [`TRIAL`].
fn trial(
    processes: &Processes,
    environment: &[(String, String)],
    access: &Access,
) -> Result<Trial> {
    let command = |program| {
        let environment = environment.iter().map(|(key, value)| (key, value));
        processes.cmd(program).envs(environment)
    };
    let written = processes.capture(command("nix-instantiate").args(["-E", TRIAL]))?;
    if !written.status.success() {
        return Ok(Trial::NoStore(nix_error(&written)));
    }
    let mut build = command("nix-store").args(["--realise", written.stdout.trim()]);
    for (setting, value) in [
        // Without this Nix builds outside of a sandbox that can't be had, and does not say so.
        ("sandbox-fallback", "false"),
        // Here, on this machine, and nothing is kept of it.
        ("builders", ""),
        ("keep-failed", "false"),
    ] {
        build = build.args(["--option", setting, value]);
    }
    let built = processes.capture(build)?;
    Ok(judge_trial(&built, matches!(access, Access::Daemon { .. })))
}

fn judge_trial(built: &Captured, daemon: bool) -> Trial {
    let said = &built.stderr;
    if said.contains(TRIAL_EXIT_CODE) {
        return Trial::Passed;
    }
    // A daemon that takes no settings from this user builds without those of host-pkgs, where the
    // builder does not exist. Nix 2.8 does not say that it ignores them.
    if daemon
        && (said.contains("not a trusted user") || said.contains("executing '/host/usr/bin/bash'"))
    {
        return Trial::Ignored;
    }
    Trial::Impossible(nix_error(built))
}

/// What a failed program of Nix gives as the cause, in one line.
fn nix_error(captured: &Captured) -> String {
    let lines: Vec<String> = captured
        .stderr
        .lines()
        .map(|line| log::plain(line).into_owned())
        .collect();
    let errors: Vec<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once("error:")?.1.trim().trim_end_matches(';')))
        .filter(|error| !error.is_empty())
        .collect();
    // That a builder failed is the consequence; causes come before other consequences.
    let cause = errors
        .iter()
        .find(|error| !error.starts_with("builder for") && !error.starts_with("Cannot build"));
    let last = || {
        lines
            .iter()
            .rev()
            .map(|line| line.trim())
            .find(|line| !line.is_empty())
    };
    match cause.or(errors.first()).copied().or_else(last) {
        // What Nix advises here would leave builders without the tools of host-pkgs.
        Some(error) => error
            .split("; use '--no-sandbox'")
            .next()
            .unwrap_or(error)
            .to_owned(),
        None => format!("`{}` failed ({})", captured.command, captured.status),
    }
}

/// How this user reaches Nix's store.
fn access(processes: &Processes) -> Result<Access> {
    let settings = nix_settings(processes)?;
    let user = rustix::process::geteuid();
    if user.is_root() {
        let group = setting(&settings, "build-users-group")
            .unwrap_or("nixbld")
            .to_owned();
        return Ok(Access::Root {
            members: members_of(&etc_group()?, &group),
            group,
        });
    }
    // The database, or what Nix would make it in.
    let mut places = Utf8Path::new("/nix/var/nix/db").ancestors();
    if let Some(place) = places.find_map(|place| fs_err::metadata(place).ok())
        && place.uid() == user.as_raw()
    {
        return Ok(Access::Owner);
    }
    if let Some(remedy) = closed(processes)? {
        return Ok(Access::Closed { remedy });
    }
    if !socket().exists() {
        return Ok(if find_on_path("nix-daemon").is_some() {
            Access::Stopped
        } else {
            Access::Nothing
        });
    }
    let (user, groups) = (id(processes, "-un")?, id(processes, "-Gn")?);
    let groups: Vec<&str> = groups.split_whitespace().collect();
    let trusted = setting(&settings, "trusted-users").unwrap_or_default();
    Ok(Access::Daemon {
        listed: trusts(trusted, &user, &groups),
        user,
    })
}

/// The daemon's socket.
fn socket() -> Utf8PathBuf {
    std::env::var("NIX_DAEMON_SOCKET_PATH").map_or_else(
        |_| "/nix/var/nix/daemon-socket/socket".into(),
        Utf8PathBuf::from,
    )
}

/// What to do for a user whom the folder of the daemon's socket is closed to, as Debian's is to all but
/// the group nix-users.
fn closed(processes: &Processes) -> Result<Option<String>> {
    let socket = socket();
    let denied =
        fs_err::metadata(&socket).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let folder = socket.parent().map(fs_err::metadata);
    let Some(Ok(folder)) = folder.filter(|_| denied) else {
        return Ok(None);
    };
    if folder.mode() & 0o010 == 0 {
        return Ok(None);
    }
    let group = group_of(&etc_group()?, folder.gid());
    let user = id(processes, "-un")?;
    Ok(Some(format!(
        "as root `usermod -aG {group} {user}`, then log in anew"
    )))
}

fn etc_group() -> Result<String> {
    fs_err::read_to_string("/etc/group").context("reading the groups")
}

/// What id(1) says of this user.
fn id(processes: &Processes, argument: &str) -> Result<String> {
    let captured = processes.capture(processes.cmd("id").arg(argument))?;
    Ok(captured.stdout.trim().to_owned())
}

/// What Nix says its settings are: lines of `key = value`; nothing if it does not say.
fn nix_settings(processes: &Processes) -> Result<String> {
    // `nix config show` is the newer name of `nix show-config`.
    for words in [&["config", "show"][..], &["show-config"][..]] {
        let command = processes
            .cmd("nix")
            .args(["--extra-experimental-features", "nix-command"])
            .args(words);
        match processes.capture(command) {
            Ok(captured) if captured.status.success() => return Ok(captured.stdout),
            Ok(_) => {}
            Err(error) if is_missing_program(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::new())
}

fn setting<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim())
    })
}

/// How many members a group of `/etc/group` (group(5)) lists.
fn members_of(groups: &str, name: &str) -> usize {
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name) && fields.len() == 4)
        .map_or(0, |fields| {
            fields[3]
                .split(',')
                .filter(|member| !member.is_empty())
                .count()
        })
}

/// The name of a group of `/etc/group`, or its number.
fn group_of(groups: &str, number: u32) -> String {
    let number = number.to_string();
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&number.as_str()))
        .map_or(number.clone(), |fields| fields[0].to_owned())
}

/// Whether a `trusted-users` list (`root @wheel *`) holds a user.
fn trusts(list: &str, user: &str, groups: &[&str]) -> bool {
    list.split_whitespace()
        .any(|entry| match entry.strip_prefix('@') {
            Some(group) => groups.contains(&group),
            None => entry == "*" || entry == user,
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use sys::files;

    use super::*;

    const LOOKED: Step = Step::Looked { debian: true };

    fn tools() -> BTreeMap<String, HostTool> {
        host_tools(&Repo::find().unwrap()).unwrap()
    }

    fn root(group: &str, members: usize) -> Access {
        Access::Root {
            group: group.to_owned(),
            members,
        }
    }

    fn daemon(listed: bool) -> Access {
        Access::Daemon {
            user: "u".to_owned(),
            listed,
        }
    }

    fn complete() -> Machine {
        let names = ["curl", "git", "prek", "ssh", "node"];
        Machine {
            debian: true,
            nix: NixState::Runs(NixVersion::new(2, 8)),
            store: Some(Store {
                access: root("nixbld", 10),
                trial: Trial::Passed,
            }),
            set: Some(Choice {
                set: PackageSet::Host,
                reason: "r".to_owned(),
            }),
            system: HOST_PKGS_SYSTEM.to_owned(),
            disk: Disk {
                store: "/nix/store".into(),
                free: LARGER_BYTES,
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
    fn empty() -> Machine {
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

    fn in_state(state: State, machine: &Machine) -> Vec<String> {
        let findings = findings(machine)
            .into_iter()
            .filter(|finding| finding.state == state);
        findings.map(|finding| finding.what).collect()
    }

    fn lacking(machine: &Machine) -> Vec<String> {
        in_state(State::Lacking, machine)
    }

    #[test]
    fn a_complete_machine_lacks_nothing() {
        let findings = findings(&complete());
        assert!(
            findings
                .iter()
                .all(|it| it.state == State::Ok && it.remedy.is_none())
        );
        assert_eq!(packages(&findings, true), Vec::<&str>::new());
        let text = render(&findings, LOOKED);
        assert!(
            // pip and PostgreSQL are counted with them
            text.contains(&format!(
                "\nhost tools    ok     all {} that",
                tools().len() + 2
            )),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("\nthe main job can run: `{MAIN_JOB}`\n")),
            "{text}"
        );
        assert!(
            !text.contains("--install") && !text.contains("bzip2"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_machine_lacks_all_but_what_comes_with_nix() {
        let findings = findings(&empty());
        let needed = packages(&findings, false);
        for package in [
            "nix-bin",
            "git",
            "ca-certificates",
            "npm",
            "postgresql",
            "python3-pip",
            "xz-utils",
        ] {
            assert!(needed.contains(&package), "{package}: {needed:?}");
        }
        for package in ["nix-setup-systemd", "curl", "pre-commit", "openssh-client"] {
            assert!(!needed.contains(&package), "{needed:?}");
        }
        assert!(needed.is_sorted());
        let all = packages(&findings, true);
        for package in ["curl", "pre-commit", "openssh-client"] {
            assert!(all.contains(&package), "{all:?}");
        }
        let text = render(&findings, LOOKED);
        assert!(
            text.contains(&format!("(apt-get install {})", needed.join(" "))),
            "{text}"
        );
        assert!(
            text.contains("LACKING xz (no /usr/bin/xz): host-pkgs"),
            "{text}"
        );
    }

    #[test]
    fn what_is_optional_does_not_stop_the_main_job() {
        let machine = Machine {
            on_path: BTreeMap::new(),
            ..complete()
        };
        let found = findings(&machine);
        assert!(!is_lacking(&found));
        assert_eq!(
            in_state(State::Warning, &machine),
            ["curl", "git", "pre-commit", "ssh"]
        );
        let offer = "`cargo xtask setup --install --optional` (apt-get install curl git \
                     openssh-client pre-commit)";
        for (step, offered) in [
            (LOOKED, true),
            (Step::Looked { debian: false }, false),
            (Step::Installed, false),
        ] {
            let text = render(&found, step);
            assert_eq!(text.contains(offer), offered, "{text}");
            assert!(text.contains("the main job can run: "), "{text}");
        }
    }

    #[test]
    fn postgresql_is_for_larger_components() {
        let machine = Machine {
            postgresql: None,
            ..complete()
        };
        let found = findings(&machine);
        assert!(!is_lacking(&found));
        assert_eq!(in_state(State::Warning, &machine), ["postgresql"]);
        assert_eq!(packages(&found, false), ["postgresql"]);
    }

    #[test]
    fn the_highest_postgresql_that_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let add = |version: &str, programs: &[&str]| {
            let bin = folder.join(version).join("bin");
            fs_err::create_dir_all(&bin).unwrap();
            for program in programs {
                files::write_atomically(&bin.join(program), b"x", 0o755).unwrap();
            }
        };
        let found = || postgresql(folder).map(|bin| bin.strip_prefix(folder).unwrap().to_string());
        assert_eq!(postgresql(&folder.join("none")), None);
        assert_eq!(found(), None);
        // Client programs alone, a version to come, a folder of something else.
        add("17", &["psql"]);
        add("18", &["initdb"]);
        add("lib", &["initdb", "postgres"]);
        assert_eq!(found(), None);
        for (version, highest) in [("9.6", "9.6"), ("15", "15"), ("9.10", "15"), ("16", "16")] {
            add(version, &["initdb", "postgres"]);
            assert_eq!(found(), Some(format!("{highest}/bin")));
        }
    }

    #[test]
    fn remedies_elsewhere_than_on_debian() {
        let machine = Machine {
            debian: false,
            ..empty()
        };
        let text = render(&findings(&machine), Step::Looked { debian: false });
        assert!(
            text.contains("install what Debian's package `nix-bin` has"),
            "{text}"
        );
        assert!(
            !text.contains("apt-get") && !text.contains("--install"),
            "{text}"
        );
        assert!(
            text.ends_with("the main job can't run yet: do what is said above, then `cargo xtask setup` again\n"),
            "{text}"
        );
    }

    #[test]
    fn node_elsewhere_is_not_enough() {
        let mut machine = complete();
        machine.missing.insert("node".to_owned());
        machine
            .on_path
            .insert("node", "/home/u/.nvm/bin/node".into());
        assert_eq!(lacking(&machine), ["nodejs"]);
        let findings = findings(&machine);
        assert_eq!(packages(&findings, false), ["nodejs"]);
        let text = render(&findings, LOOKED);
        assert!(
            text.contains("LACKING nodejs (/home/u/.nvm/bin/node, which is not below /usr): "),
            "{text}"
        );
    }

    #[test]
    fn over_nixpkgs_the_host_need_not_have_tools() {
        let over = |set| {
            let reason = "r".to_owned();
            Some(Choice { set, reason })
        };
        for (access, trial) in [
            (root("nixbld", 10), Trial::Impossible("e".to_owned())),
            (daemon(false), Trial::Ignored),
        ] {
            let bare = |set| Machine {
                nix: complete().nix,
                store: Some(Store {
                    access: access.clone(),
                    trial: trial.clone(),
                }),
                set: over(set),
                ..empty()
            };
            assert!(lacking(&bare(PackageSet::Host)).len() > 19);
            assert_eq!(lacking(&bare(PackageSet::Nixpkgs)), Vec::<String>::new());
            let text = render(&findings(&bare(PackageSet::Nixpkgs)), LOOKED);
            let none = format!("host tools    warning  0 of {}", tools().len() + 2);
            assert!(text.contains(&none), "{text}");
            assert!(!text.contains("warning bzip2"), "{text}");
        }
        for (set, lacks) in [
            (PackageSet::Host, &["package set"][..]),
            (PackageSet::Nixpkgs, &[]),
        ] {
            let machine = Machine {
                system: "aarch64-linux".to_owned(),
                set: over(set),
                ..complete()
            };
            assert_eq!(lacking(&machine), lacks);
        }
    }

    /// A finding about Nix's store or sandbox: whether it is lacking, and what it says to do.
    fn told(finding: Finding) -> (bool, String) {
        let mut finding = finding;
        finding.say_how(true);
        let lacking = finding.state == State::Lacking;
        (lacking, finding.remedy.unwrap_or_default())
    }

    #[test]
    fn ways_to_the_store() {
        let closed = Access::Closed {
            remedy: "usermod -aG nix-users u".to_owned(),
        };
        let refused = "cannot connect to socket at '/s': Connection refused";
        let no_store = |error: &str| Trial::NoStore(error.to_owned());
        for (access, trial, remedy) in [
            (root("", 0), Trial::NotTried, "build-users-group = nixbld"),
            (root("nixbld", 0), Trial::NotTried, "nix-setup-systemd"),
            (root("builders", 0), Trial::NotTried, "`builders`"),
            (Access::Nothing, Trial::NotTried, "nix-setup-systemd"),
            (
                Access::Stopped,
                Trial::NotTried,
                "systemctl start nix-daemon",
            ),
            (closed, Trial::NotTried, "usermod -aG nix-users u"),
            (daemon(false), Trial::Ignored, "extra-trusted-users = u"),
            (daemon(true), Trial::Ignored, "systemctl restart nix-daemon"),
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
            let store = Store { access, trial };
            let (lacking, said) = told(store_finding(&store, Need::Main));
            assert!(lacking && said.contains(remedy), "{store:?}: {said}");
            // What is not known is no second fault.
            let sandbox = sandbox_finding(&store, Need::Main);
            assert_eq!(sandbox.state, State::Warning, "{store:?}");
        }
        for access in [
            Access::Owner,
            daemon(true),
            daemon(false),
            root("nixbld", 1),
        ] {
            let store = Store {
                access,
                trial: Trial::Passed,
            };
            assert_eq!(
                told(store_finding(&store, Need::Main)),
                (false, String::new())
            );
            assert_eq!(
                told(sandbox_finding(&store, Need::Main)),
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
            let store = Store {
                access,
                trial: Trial::Impossible(error.to_owned()),
            };
            let (lacking, said) = told(sandbox_finding(&store, Need::Main));
            assert!(lacking && said.contains(remedy), "{store:?}: {said}");
            // host-pkgs has its tools from the sandbox.
            assert!(!said.contains("sandbox"), "{said}");
        }
    }

    /// What Nix 2.8 and 2.26 were seen to say.
    #[test]
    fn trials() {
        let passed = "building '/nix/store/x-sandbox-trial.drv'...\n\
                      error: builder for '/nix/store/x-sandbox-trial.drv' failed with exit code 42\n";
        let cloning = "\u{1b}[31;1merror:\u{1b}[0m cloning builder process: \
                       \u{1b}[35;1mOperation not permitted\u{1b}[0m\n\
                       error: unable to start build process\n";
        let newer = "error: this system does not support the kernel namespaces that are required \
                     for sandboxing; use '--no-sandbox' to disable sandboxing\n";
        let mounting = "this derivation will be built:\n  /nix/store/x-sandbox-trial.drv\n\
                        error: mounting /proc: Operation not permitted\n\
                        (use '--show-trace' to show detailed location information)\n";
        let ignored = "building '/nix/store/x-sandbox-trial.drv'...\n\n       \
                       Error O       executing '/host/usr/bin/bash': No such file or directory\n\
                       error: builder for '/nix/store/x-sandbox-trial.drv' failed with exit code 1;\n       \
                       last 2 log lines:\n       > \n       \
                       >        Error O       executing '/host/usr/bin/bash': No such file or directory\n";
        let warned = "warning: ignoring the client-specified setting 'sandbox', because it is a \
                      restricted setting and you are not a trusted user\n\
                      error: builder for '/nix/store/x-sandbox-trial.drv' failed with exit code 1\n";
        let impossible = |error: &str| Trial::Impossible(error.to_owned());
        for (stderr, daemon, trial) in [
            (passed, false, Trial::Passed),
            (passed, true, Trial::Passed),
            (ignored, true, Trial::Ignored),
            (warned, true, Trial::Ignored),
            (
                ignored,
                false,
                impossible("builder for '/nix/store/x-sandbox-trial.drv' failed with exit code 1"),
            ),
            (
                cloning,
                false,
                impossible("cloning builder process: Operation not permitted"),
            ),
            (
                newer,
                false,
                impossible(
                    "this system does not support the kernel namespaces that are required for \
                     sandboxing",
                ),
            ),
            (
                mounting,
                true,
                impossible("mounting /proc: Operation not permitted"),
            ),
            ("", false, impossible("`c` failed (signal: 9 (SIGKILL))")),
            ("one\ntwo\n\n", false, impossible("two")),
        ] {
            let captured = Captured {
                status: std::process::ExitStatus::from_raw(9),
                stdout: String::new(),
                stderr: stderr.to_owned(),
                command: "c".to_owned(),
            };
            assert_eq!(judge_trial(&captured, daemon), trial, "{stderr}");
        }
    }

    #[test]
    fn a_nix_that_will_not_do() {
        let old = NixState::Runs(NixVersion::new(2, 3));
        let broken = |error: &str| NixState::Broken {
            error: error.to_owned(),
            remedy: nix_remedy(error).to_owned(),
        };
        for (nix, remedy) in [
            (old, "Nix 2.3 is too old: install 2.8 or later"),
            (NixState::OffPath("/p"), "export PATH=\"/p:$PATH\""),
            (
                broken("illegal configuration line 'x' in 'NIX_CONFIG'"),
                "unset the variable `NIX_CONFIG`",
            ),
            (
                broken("illegal configuration line 'x' in '/etc/nix/nix.conf'"),
                "/etc/nix/nix.conf",
            ),
            (
                broken("cannot determine user's home directory"),
                "set `HOME`",
            ),
            (broken("libnixmain.so: no such file"), "nix-store --version"),
        ] {
            let machine = Machine { nix, ..complete() };
            let findings = findings(&machine);
            assert_eq!(lacking(&machine), ["nix"]);
            assert_eq!(packages(&findings, true), Vec::<&str>::new());
            let text = render(&findings, LOOKED);
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn disks() {
        for (free, state, needed_for) in [
            (0, State::Lacking, Need::Main),
            (MAIN_JOB_BYTES - 1, State::Lacking, Need::Main),
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
    fn the_disk_of_what_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let below = disk(&folder.join("not/there")).unwrap();
        assert_eq!(below.store, folder.join("not/there"));
        assert!(below.free > 0);
        // Nothing can be written to it.
        assert_eq!(disk("/proc/self/none".into()).unwrap().free, 0);
    }

    #[test]
    fn keys_of_a_line() {
        let finding = Finding::new("nix", "builds", Need::LargerComponents).package("nix-bin");
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"what":"nix","state":"warning","found":null,"why":"builds","needed_for":"larger-components","remedy":"","package":"nix-bin"}"#
        );
    }

    #[test]
    fn os_release() {
        for (text, is) in [
            ("ID=debian\n", true),
            ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", true),
            ("ID=pop\nID_LIKE=\"ubuntu debian\"\n", true),
            ("ID=fedora\nPRETTY_NAME=\"not debian\"\n", false),
            ("ID=debianish\n", false),
            ("", false),
        ] {
            assert_eq!(is_debian_like(text), is, "{text}");
        }
    }

    #[test]
    fn groups_and_trust() {
        let groups = "root:x:0:\nnixbld:x:994:nixbld1,nixbld2\nempty:x:1:\n";
        assert_eq!(members_of(groups, "nixbld"), 2);
        assert_eq!(members_of(groups, "empty"), 0);
        assert_eq!(members_of(groups, "none"), 0);
        assert_eq!(group_of(groups, 994), "nixbld");
        assert_eq!(group_of(groups, 99), "99");
        assert!(trusts("root u", "u", &[]) && trusts("*", "u", &[]));
        assert!(trusts("root @wheel", "u", &["users", "wheel"]));
        assert!(!trusts("root @wheel", "u", &["users"]) && !trusts("", "u", &[]));
        assert_eq!(setting("a = b c\nab = d\n", "ab"), Some("d"));
        assert_eq!(setting("a = b\n", "x"), None);
    }
}

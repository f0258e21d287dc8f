//! `cargo xtask setup`: what this machine has and lacks for the other commands, and the remedies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::nix::{self, NixVersion};
use crate::output;
use crate::process::{Processes, is_missing_program};
use crate::repo::Repo;

/// The oldest Nix that the expressions are built with.
const NIX_FLOOR: (u32, u32) = (2, 8);

/// The file that lists what host-pkgs takes from this machine's /usr, by package.
const HOST_TOOLS: &str = "containers/host-pkgs/host-tools.json";

/// Say what this machine has and lacks for the other commands
///
/// Nothing is installed without `--install`. With it the remedies that are packages are installed by
/// apt on Debian and its likes, through sudo for a user who is not root; elsewhere they are shown.
///
/// Exit codes: 0 nothing is lacking, 1 something is, 2 could not run.
///
/// Example: `cargo xtask setup --install`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Install what is lacking
    #[arg(long)]
    install: bool,
}

/// What was looked at.
#[derive(Debug, Default)]
struct Machine {
    nix: Option<NixVersion>,
    /// Whether curl is on PATH.
    curl: bool,
    /// What host-pkgs takes from /usr, by package.
    tools: BTreeMap<String, HostTool>,
    /// Which of its programs are not in /usr/bin.
    missing: BTreeSet<String>,
    /// What `pip --version` says.
    pip: Option<String>,
    /// A `node` on PATH, wherever.
    other_node: Option<Utf8PathBuf>,
    certificates: Option<Utf8PathBuf>,
    access: Access,
}

/// A package of programs in [`HOST_TOOLS`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostTool {
    /// The Debian package that has them.
    debian: String,
    /// Their names.
    programs: Vec<String>,
}

/// How Nix's store is reached.
#[derive(Debug, Default, PartialEq, Eq)]
enum Access {
    /// By root, who needs users to build as: the group, and how many members it has.
    Root { group: String, members: usize },
    /// By the store's own owner.
    Owner,
    /// Through a daemon that does as this user says.
    Trusted,
    /// Through a daemon that ignores this user's settings.
    Untrusted { user: String },
    /// Not at all: the daemon is there, but does not run.
    Stopped,
    /// Not at all: no daemon.
    #[default]
    Nothing,
}

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    /// What is there; `None` when it is lacking.
    has: Option<String>,
    reason: &'static str,
    remedy: Remedy,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    /// A Debian package.
    Package(String),
    /// Something that a person decides.
    Advice(String),
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let processes = Processes::new(false)?;
    let tools = host_tools(&Repo::find()?)?;
    let mut findings = findings(&look(&processes, &tools)?);
    output::emit(render(&findings).trim_end())?;
    let packages: Vec<String> = packages(&findings).into_iter().map(str::to_owned).collect();
    if args.install && !packages.is_empty() {
        if let Err(error) = install(&processes, &packages) {
            if error
                .downcast_ref::<crate::process::Interrupted>()
                .is_some()
            {
                return Err(error);
            }
            output::say(format!("error: {error:#}"));
        }
        findings = self::findings(&look(&processes, &tools)?);
        output::emit("")?;
        output::emit(render(&findings).trim_end())?;
    } else if !packages.is_empty() {
        output::say(format!(
            "\nto install what is lacking: `cargo xtask setup --install` (apt-get install {})",
            packages.join(" ")
        ));
    }
    let lacking = findings.iter().any(|finding| finding.has.is_none());
    Ok(ExitCode::from(u8::from(lacking)))
}

/// Judges a machine.
fn findings(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![nix_finding(machine.nix.as_ref())];
    if machine.nix.is_some() {
        findings.push(access_finding(&machine.access));
    }
    findings.push(Finding {
        what: "curl".to_owned(),
        has: machine.curl.then(|| "on PATH".to_owned()),
        reason: "asks whether nixpkgs can be reached",
        remedy: package("curl"),
    });
    findings.push(Finding {
        what: "certificates".to_owned(),
        has: machine.certificates.as_ref().map(Utf8PathBuf::to_string),
        reason: "builders that fetch check whom they talk to",
        remedy: package("ca-certificates"),
    });
    let tools = machine.tools.iter();
    findings.extend(tools.map(|(name, tool)| tool_finding(machine, name, tool)));
    findings.push(Finding {
        what: "pip".to_owned(),
        has: machine.pip.clone(),
        reason: "host-pkgs fetches Python packages with it",
        remedy: package("python3-pip"),
    });
    findings
}

fn package(name: &str) -> Remedy {
    Remedy::Package(name.to_owned())
}

fn nix_finding(version: Option<&NixVersion>) -> Finding {
    let (major, minor) = NIX_FLOOR;
    let reason = "builds the components";
    let what = "nix".to_owned();
    match version {
        Some(version) if version.is_at_least(major, minor) => Finding {
            what,
            has: Some(version.to_string()),
            reason,
            remedy: package("nix-bin"),
        },
        Some(version) => {
            let remedy = format!("Nix {version} is too old: install {major}.{minor} or later");
            Finding {
                what,
                has: None,
                reason,
                remedy: Remedy::Advice(remedy),
            }
        }
        None => Finding {
            what,
            has: None,
            reason,
            remedy: package("nix-bin"),
        },
    }
}

fn access_finding(access: &Access) -> Finding {
    let what = "nix store".to_owned();
    let finding = |has, reason, remedy| Finding {
        what,
        has,
        reason,
        remedy,
    };
    let users = "builders run as users of their own, never as root";
    let daemon = "the sandbox shows this machine's /usr to builders, which a daemon allows only to \
                  users whom it trusts";
    match access {
        Access::Root { group, members: 0 } if group.is_empty() => finding(
            None,
            users,
            Remedy::Advice(
                "set `build-users-group = nixbld` in /etc/nix/nix.conf: it is empty, so that \
                 builders would run as root"
                    .to_owned(),
            ),
        ),
        Access::Root { group, members: 0 } if group == "nixbld" => {
            finding(None, users, package("nix-setup-systemd"))
        }
        Access::Root { group, members: 0 } => finding(
            None,
            users,
            Remedy::Advice(format!(
                "add users to the group `{group}`, which `build-users-group` in \
                 /etc/nix/nix.conf names"
            )),
        ),
        Access::Root { group, members } => finding(
            Some(format!("as root, {members} users in `{group}`")),
            users,
            package("nix-setup-systemd"),
        ),
        Access::Owner => finding(
            Some("its owner".to_owned()),
            "who owns the store needs no daemon",
            package("nix-setup-systemd"),
        ),
        Access::Trusted => finding(
            Some("a daemon that trusts this user".to_owned()),
            daemon,
            package("nix-setup-systemd"),
        ),
        Access::Untrusted { user } => finding(
            None,
            daemon,
            Remedy::Advice(format!(
                "add `extra-trusted-users = {user}` to /etc/nix/nix.conf and restart nix-daemon"
            )),
        ),
        Access::Stopped => finding(
            None,
            "a user who is not root needs a daemon that trusts them",
            Remedy::Advice(
                "start the daemon: `systemctl start nix-daemon`, or as root `nix-daemon &`"
                    .to_owned(),
            ),
        ),
        Access::Nothing => finding(
            None,
            "a user who is not root needs a daemon that trusts them",
            package("nix-setup-systemd"),
        ),
    }
}

fn tool_finding(machine: &Machine, name: &str, tool: &HostTool) -> Finding {
    let missing: Vec<&str> = tool
        .programs
        .iter()
        .filter(|program| machine.missing.contains(*program))
        .map(String::as_str)
        .collect();
    let reason = match name {
        "dash" => "host-pkgs' builders have it as /bin/sh",
        "nodejs" | "npm" => "host-pkgs fetches npm packages with it, and sees only /usr",
        "python3" => "host-pkgs fetches Python packages with it, and sees only /usr",
        _ => "host-pkgs takes it from /usr/bin",
    };
    let elsewhere = machine
        .other_node
        .as_ref()
        .filter(|_| missing.contains(&"node"));
    let what = match (elsewhere, &missing[..]) {
        (_, []) => name.to_owned(),
        (Some(node), _) => format!("/usr/bin/node ({node} is not below /usr)"),
        (None, missing) => format!("{name} (/usr/bin/{})", missing.join(", ")),
    };
    Finding {
        what,
        has: missing.is_empty().then(|| "there".to_owned()),
        reason,
        remedy: package(&tool.debian),
    }
}

/// The packages that would help, each once.
fn packages(findings: &[Finding]) -> Vec<&str> {
    let lacking = findings.iter().filter(|finding| finding.has.is_none());
    let mut packages: Vec<&str> = lacking
        .filter_map(|finding| match &finding.remedy {
            Remedy::Package(package) => Some(package.as_str()),
            Remedy::Advice(_) => None,
        })
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn render(findings: &[Finding]) -> String {
    let header = ["what", "state", "why", "remedy"]
        .map(str::to_owned)
        .to_vec();
    let row = |finding: &Finding| {
        let (state, remedy) = match (&finding.has, &finding.remedy) {
            (Some(has), _) => (has.clone(), String::new()),
            (None, Remedy::Package(package)) => {
                ("LACKING".to_owned(), format!("apt-get install {package}"))
            }
            (None, Remedy::Advice(advice)) => ("LACKING".to_owned(), advice.clone()),
        };
        vec![
            finding.what.clone(),
            state,
            finding.reason.to_owned(),
            remedy,
        ]
    };
    output::table(
        &[header]
            .into_iter()
            .chain(findings.iter().map(row))
            .collect::<Vec<_>>(),
    )
}

/// Installs packages by apt, or says why not.
fn install(processes: &Processes, packages: &[String]) -> Result<()> {
    let os_release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !is_debian_like(&os_release) {
        anyhow::bail!(
            "this is not Debian or a like of it: install by its own package manager what \
             `{by_hand}` installs there"
        );
    }
    let root = rustix::process::geteuid().is_root();
    if !root && find_on_path("sudo").is_none() {
        anyhow::bail!("only root can install, and there is no sudo: as root, run `{by_hand}`");
    }
    let apt = |arguments: &[&str]| {
        let command = if root {
            processes.cmd("env")
        } else {
            processes.cmd("sudo").arg("env")
        };
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(arguments)
    };
    processes.foreground(apt(&["update"]))?;
    // With recommended packages: those of nix-bin make the users that builders run as.
    let mut arguments = vec!["install", "-y", "--install-recommends"];
    arguments.extend(packages.iter().map(String::as_str));
    processes.foreground(apt(&arguments))
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
    let path = repo.root.join(HOST_TOOLS);
    let text = fs_err::read_to_string(&path)?;
    serde_json::from_str(&text).with_context(|| format!("reading `{path}`"))
}

/// Looks at this machine.
fn look(processes: &Processes, tools: &BTreeMap<String, HostTool>) -> Result<Machine> {
    let nix = match nix::version(processes) {
        Ok(version) => Some(version),
        Err(error) if is_missing_program(&error) => None,
        Err(error) => return Err(error),
    };
    let access = if nix.is_some() {
        access(processes)?
    } else {
        Access::Nothing
    };
    let programs = tools.values().flat_map(|tool| &tool.programs);
    Ok(Machine {
        nix,
        curl: find_on_path("curl").is_some(),
        missing: programs.filter(|it| !is_in_usr(it)).cloned().collect(),
        tools: tools.clone(),
        pip: pip(processes)?,
        other_node: find_on_path("node"),
        certificates: certificates(),
        access,
    })
}

/// Whether /usr/bin has a tool whose real file is below /usr, which is all that builders see.
fn is_in_usr(tool: &str) -> bool {
    let path = Utf8Path::new("/usr/bin").join(tool);
    path.canonicalize_utf8()
        .is_ok_and(|real| real.starts_with("/usr") && real.is_file())
}

/// The first file of this name on PATH.
fn find_on_path(program: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").ok()?;
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| Utf8Path::new(folder).join(program))
        .find(|file| file.is_file())
}

fn pip(processes: &Processes) -> Result<Option<String>> {
    match processes.capture(
        processes
            .cmd("/usr/bin/python3")
            .args(["-m", "pip", "--version"]),
    ) {
        Ok(captured) if captured.status.success() => {
            Ok(captured.stdout.split_whitespace().nth(1).map(str::to_owned))
        }
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

/// Whether this user goes through a daemon that does not trust them.
pub fn is_untrusted(processes: &Processes) -> Result<bool> {
    Ok(matches!(access(processes)?, Access::Untrusted { .. }))
}

/// How this user reaches Nix's store.
fn access(processes: &Processes) -> Result<Access> {
    let settings = nix_settings(processes)?;
    let user = rustix::process::geteuid();
    if user.is_root() {
        let group = setting(&settings, "build-users-group")
            .unwrap_or_default()
            .to_owned();
        let groups = fs_err::read_to_string("/etc/group").context("reading the groups")?;
        return Ok(Access::Root {
            members: members_of(&groups, &group),
            group,
        });
    }
    let database = fs_err::metadata("/nix/var/nix/db");
    if database.is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == user.as_raw()) {
        return Ok(Access::Owner);
    }
    let socket = std::env::var("NIX_DAEMON_SOCKET_PATH");
    let socket = socket
        .as_deref()
        .unwrap_or("/nix/var/nix/daemon-socket/socket");
    if !Utf8Path::new(socket).exists() {
        let there = find_on_path("nix-daemon").is_some();
        return Ok(if there {
            Access::Stopped
        } else {
            Access::Nothing
        });
    }
    let id = |argument| -> Result<String> {
        Ok(processes.capture(processes.cmd("id").arg(argument))?.stdout)
    };
    let (name, groups) = (id("-un")?.trim().to_owned(), id("-Gn")?);
    let groups: Vec<&str> = groups.split_whitespace().collect();
    let trusted = setting(&settings, "trusted-users").unwrap_or_default();
    Ok(if trusts(trusted, &name, &groups) {
        Access::Trusted
    } else {
        Access::Untrusted { user: name }
    })
}

/// What Nix says its settings are: lines of `key = value`.
fn nix_settings(processes: &Processes) -> Result<String> {
    // `nix config show` is the newer name of `nix show-config`.
    for words in [&["config", "show"][..], &["show-config"][..]] {
        let command = processes
            .cmd("nix")
            .args(["--extra-experimental-features", "nix-command"])
            .args(words);
        let captured = processes.capture(command)?;
        if captured.status.success() {
            return Ok(captured.stdout);
        }
    }
    anyhow::bail!("neither `nix config show` nor `nix show-config` gives Nix's settings")
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
    use super::*;

    fn tools() -> BTreeMap<String, HostTool> {
        host_tools(&Repo::find().unwrap()).unwrap()
    }

    fn complete() -> Machine {
        Machine {
            nix: Some(NixVersion::new(2, 8)),
            curl: true,
            tools: tools(),
            missing: BTreeSet::new(),
            pip: Some("23.0".to_owned()),
            other_node: Some("/usr/bin/node".into()),
            certificates: Some("/c".into()),
            access: Access::Root {
                group: "nixbld".to_owned(),
                members: 10,
            },
        }
    }

    fn lacking(machine: &Machine) -> Vec<String> {
        let findings = findings(machine)
            .into_iter()
            .filter(|finding| finding.has.is_none());
        findings.map(|finding| finding.what).collect()
    }

    #[test]
    fn a_complete_machine_lacks_nothing() {
        assert_eq!(lacking(&complete()), Vec::<String>::new());
        assert!(packages(&findings(&complete())).is_empty());
        assert!(!render(&findings(&complete())).contains("LACKING"));
    }

    #[test]
    fn an_empty_machine_lacks_all_but_what_comes_with_nix() {
        let tools = tools();
        let missing = tools.values().flat_map(|it| it.programs.clone()).collect();
        let machine = Machine {
            tools,
            missing,
            ..Machine::default()
        };
        let findings = findings(&machine);
        let packages = packages(&findings);
        for package in [
            "nix-bin",
            "git",
            "curl",
            "ca-certificates",
            "npm",
            "python3-pip",
            "xz-utils",
        ] {
            assert!(packages.contains(&package), "{package}: {packages:?}");
        }
        assert!(!packages.contains(&"nix-setup-systemd"), "{packages:?}");
        assert!(packages.is_sorted());
    }

    #[test]
    fn node_elsewhere_is_not_enough() {
        let mut machine = complete();
        machine.missing.insert("node".to_owned());
        machine.other_node = Some("/home/u/.nvm/bin/node".into());
        assert_eq!(
            lacking(&machine),
            ["/usr/bin/node (/home/u/.nvm/bin/node is not below /usr)"]
        );
        assert_eq!(packages(&findings(&machine)), ["nodejs"]);
    }

    #[test]
    fn ways_to_the_store() {
        let root = |group: &str, members| Access::Root {
            group: group.to_owned(),
            members,
        };
        for (access, package, advice) in [
            (root("", 0), None, Some("build-users-group = nixbld")),
            (root("nixbld", 0), Some("nix-setup-systemd"), None),
            (root("builders", 0), None, Some("`builders`")),
            (Access::Nothing, Some("nix-setup-systemd"), None),
            (Access::Stopped, None, Some("systemctl start nix-daemon")),
            (
                Access::Untrusted {
                    user: "u".to_owned(),
                },
                None,
                Some("extra-trusted-users = u"),
            ),
        ] {
            let finding = access_finding(&access);
            assert_eq!(finding.has, None, "{access:?}");
            match finding.remedy {
                Remedy::Package(found) => assert_eq!(Some(&*found), package, "{access:?}"),
                Remedy::Advice(text) => {
                    assert!(advice.is_some_and(|part| text.contains(part)), "{text}");
                }
            }
        }
        for access in [Access::Owner, Access::Trusted, root("nixbld", 1)] {
            assert!(access_finding(&access).has.is_some(), "{access:?}");
        }
    }

    #[test]
    fn an_old_nix_is_no_package_matter() {
        let machine = Machine {
            nix: Some(NixVersion::new(2, 3)),
            ..complete()
        };
        assert_eq!(lacking(&machine), ["nix"]);
        assert!(render(&findings(&machine)).contains("Nix 2.3 is too old: install 2.8 or later"));
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
        assert!(trusts("root u", "u", &[]) && trusts("*", "u", &[]));
        assert!(trusts("root @wheel", "u", &["users", "wheel"]));
        assert!(!trusts("root @wheel", "u", &["users"]) && !trusts("", "u", &[]));
        assert_eq!(setting("a = b c\nab = d\n", "ab"), Some("d"));
        assert_eq!(setting("a = b\n", "x"), None);
    }
}

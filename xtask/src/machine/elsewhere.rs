//! A machine that host-pkgs has no packages for, such as a Mac, or that has neither Nix nor apt: what works
//! there, what that needs, and that components are built on another machine, or there over nixpkgs.

use super::findings::{
    Finding, OVER_NIXPKGS, State, disk_finding, fill_in_remedies, is_blocked, program_finding,
    set_finding, store_finding,
};
use super::look::{Machine, NixState};
use super::render::Step;
use super::requirements::{GO, MAIN_JOB, Need, PROGRAMS};
use super::sandbox_probe::StoreState;
use super::store_access::Access;
use super::system::Kind;
use crate::nix::PackageSet;
use crate::package_set::{HOST_PKGS_SYSTEM, NIXPKGS_FLOOR};
use sys::table;

/// How Nix's own installer is run, from any shell.
const INSTALLER: &str = "curl -L https://nixos.org/nix/install | sh -s -- --daemon";

/// Whether a machine is one of these.
pub fn is_meant(machine: &Machine) -> bool {
    let has_nix = !matches!(machine.nix, NixState::Missing);
    machine.system != HOST_PKGS_SYSTEM || !has_nix && machine.kind != Kind::Debian
}

/// Judges the machine. Only ssh may be what the main job lacks: without it nothing can be built elsewhere,
/// and then only where nothing is missing for builds over nixpkgs.
pub fn findings(machine: &Machine) -> Vec<Finding> {
    let builds = build_findings(machine);
    let builds_here = builds.iter().all(|finding| finding.state == State::Ok);
    let programs = PROGRAMS.iter().filter(|it| it.what != "curl").chain([&GO]);
    let mut findings: Vec<Finding> = programs
        .map(|program| {
            let mut finding = program_finding(machine, program);
            if program.what == "ssh" && finding.state != State::Ok && !builds_here {
                finding.state = State::Missing;
                finding.needed_for = Need::Main;
            }
            finding
        })
        .collect();
    findings.extend(builds);
    fill_in_remedies(&mut findings, machine.kind);
    findings
}

/// What builds on the machine itself need, over nixpkgs.
fn build_findings(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![nix_finding(machine)];
    if let Some(store) = &machine.store {
        let kind = machine.kind;
        let access = match &store.access {
            // Groups of a Mac are not in /etc/group.
            Access::Root { group, members: 0 } if kind == Kind::MacOs => Access::Root {
                group: group.clone(),
                members: 1,
            },
            access => access.clone(),
        };
        let probe = store.probe.clone();
        let store = StoreState { access, probe };
        let mut finding = store_finding(&store, Need::Nixpkgs, kind);
        finding.why = OVER_NIXPKGS;
        if kind == Kind::MacOs && finding.package.take().is_some() {
            finding.remedy = Some(INSTALLER.to_owned());
        }
        findings.push(finding);
        findings.push(disk_finding(&machine.disk));
    }
    if let Some(choice) = &machine.set {
        findings.push(set_finding(choice, &machine.system));
    }
    for finding in &mut findings {
        finding.needed_for = Need::Nixpkgs;
        finding.state = finding.state.min(State::Warning);
    }
    findings
}

fn nix_finding(machine: &Machine) -> Finding {
    let finding = Finding::new("nix", "builds on this machine, over nixpkgs", Need::Nixpkgs);
    let (major, minor) = NIXPKGS_FLOOR;
    match &machine.nix {
        NixState::Runs(version) if version.is_at_least(major, minor) => {
            finding.found(&version.to_string())
        }
        NixState::Runs(version) => finding
            .found(&version.to_string())
            .remedy(format!("install {major}.{minor} or later: {INSTALLER}")),
        NixState::Missing => finding.remedy(INSTALLER),
        NixState::OffPath(folder) => finding
            .found(&format!("in {folder}, which is not on PATH"))
            .remedy(format!(
                "open a new shell, or add {folder} to the shell's PATH"
            )),
        NixState::Broken { error, remedy } => finding.found(error).remedy(remedy),
    }
}

/// The human-readable report.
pub fn render(machine: &Machine, findings: &[Finding], step: Step) -> String {
    let mut text = format!(
        "this is a machine of {}: the documentation, `hash`, `patch-version`, `strip-refs` and \
         `compute-vendor-hash` work here\n\
         components are built on another machine, `--on HOST` (`cargo xtask setup --on HOST` looks whether \
         it can), or here over nixpkgs\n\n",
        machine.system
    );
    let header = ["what", "state", "found, or what to do"].map(str::to_owned);
    let mut rows = vec![header.to_vec()];
    rows.extend(findings.iter().map(|finding| {
        let found = finding.found.clone();
        let last = match &finding.remedy {
            None => found.unwrap_or_default(),
            Some(remedy) => {
                let found = found.map_or_else(String::new, |found| format!("{found}: "));
                format!("{found}{remedy} ({})", finding.why)
            }
        };
        vec![finding.what.clone(), finding.state.label().to_owned(), last]
    }));
    text += &table::table(&rows);
    let builds_here = machine
        .set
        .as_ref()
        .is_some_and(|choice| choice.set == PackageSet::Nixpkgs)
        && findings
            .iter()
            .all(|it| it.needed_for != Need::Nixpkgs || it.state == State::Ok);
    let conclusion = match step {
        Step::Installing => return text,
        _ if is_blocked(findings) => {
            "nothing can be built yet, neither here nor elsewhere: see ssh and nix above".to_owned()
        }
        _ if builds_here => format!("components can be built here: `{MAIN_JOB}`"),
        _ => format!("components can be built elsewhere: `{MAIN_JOB} --on HOST`"),
    };
    text + "\n" + &conclusion + "\n"
}

#[cfg(test)]
mod tests {
    use nix_formats::version::NixVersion;

    use super::super::examples::{complete, daemon, empty};
    use super::super::sandbox_probe::SandboxProbe;
    use super::*;
    use crate::package_set::Choice;

    const CHECKED: Step = Step::Checked { debian: false };

    fn mac(machine: Machine) -> Machine {
        Machine {
            system: "aarch64-darwin".to_owned(),
            kind: Kind::MacOs,
            ..machine
        }
    }

    fn over(set: PackageSet) -> Choice {
        let reason = "r".to_owned();
        Choice { set, reason }
    }

    fn text(machine: &Machine) -> String {
        let text = render(machine, &findings(machine), CHECKED);
        assert!(text.lines().count() <= 15, "{text}");
        for foreign in ["apt-get", "systemctl", "Debian", "usermod", "host tools"] {
            assert!(!text.contains(foreign), "{text}");
        }
        text
    }

    fn says(machine: &Machine, parts: &[&str]) {
        let text = text(machine);
        for part in parts {
            assert!(text.contains(part), "lacks `{part}`:\n{text}");
        }
    }

    #[test]
    fn a_mac_with_nothing_and_one_with_ssh() {
        let bare = mac(empty());
        assert!(is_blocked(&findings(&bare)));
        says(
            &bare,
            &[
                "a machine of aarch64-darwin",
                "xcode-select --install",
                "brew install go",
                "brew install prek",
                "curl -L https://nixos.org/nix/install | sh",
                "nothing can be built yet",
            ],
        );
        let mut with_ssh = mac(empty());
        with_ssh.on_path.insert("ssh", "/usr/bin/ssh".into());
        assert!(!is_blocked(&findings(&with_ssh)));
        says(
            &with_ssh,
            &["--on HOST`\n", "`cargo xtask setup --on HOST`"],
        );
    }

    #[test]
    fn a_mac_with_nix() {
        let with_nix = |access, probe, set| {
            let nix = NixState::Runs(NixVersion::new(2, 26));
            mac(Machine {
                nix,
                store: Some(StoreState { access, probe }),
                set: Some(over(set)),
                ..empty()
            })
        };
        // It isolates no builders as host-pkgs wants it, and needs not.
        for probe in [
            SandboxProbe::Ignored,
            SandboxProbe::Impossible("e".to_owned()),
        ] {
            let machine = with_nix(daemon(false), probe, PackageSet::Nixpkgs);
            assert!(!is_blocked(&findings(&machine)));
            let here = format!("components can be built here: `{MAIN_JOB}`");
            says(&machine, &[&here]);
        }
        let refused = "cannot connect to socket at '/s': Connection refused";
        for (access, probe) in [
            (Access::Stopped, SandboxProbe::NotRun),
            (daemon(false), SandboxProbe::NoStore(refused.to_owned())),
        ] {
            let machine = with_nix(access, probe, PackageSet::Nixpkgs);
            says(&machine, &["launchctl kickstart", "nothing can be built"]);
        }
        let mut machine = with_nix(daemon(true), SandboxProbe::Passed, PackageSet::Host);
        machine.on_path.insert("ssh", "/usr/bin/ssh".into());
        says(
            &machine,
            &[
                "host-pkgs has no packages for aarch64-darwin",
                "built elsewhere",
            ],
        );
        machine.nix = NixState::Runs(NixVersion::new(2, 3));
        says(&machine, &["2.3: install 2.18 or later: curl"]);
    }

    #[test]
    fn whose_machine_it_is() {
        assert!(is_meant(&mac(complete())));
        assert!(!is_meant(&complete()) && !is_meant(&empty()));
        let other = |machine| Machine {
            kind: Kind::Linux,
            ..machine
        };
        assert!(is_meant(&other(empty())) && !is_meant(&other(complete())));
    }

    #[test]
    fn debian_on_arm() {
        let machine = Machine {
            system: "aarch64-linux".to_owned(),
            set: Some(over(PackageSet::Host)),
            nix: NixState::Missing,
            store: None,
            ..complete()
        };
        let text = render(&machine, &findings(&machine), CHECKED);
        assert!(text.contains("apt-get install golang-go"), "{text}");
        assert!(!text.contains("nix-bin"), "{text}");
        assert_eq!(machine.kind, Kind::Debian);
    }
}

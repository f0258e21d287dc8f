//! The findings as text: a table, what to do, and whether the main job can run.

use super::findings::{Finding, State, is_blocked, packages};
use super::requirements::MAIN_JOB;
use sys::table;

/// When findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing will be installed; `debian` says whether it could be.
    Checked { debian: bool },
    /// Packages are about to be installed.
    Installing,
    /// After installing, whether it succeeded or not.
    Installed,
}

/// The human-readable report.
pub fn render(findings: &[Finding], step: Step) -> String {
    body(findings) + &conclusion(findings, step)
}

/// The table, and what to do.
fn body(findings: &[Finding]) -> String {
    let header = ["what", "state", "found"].map(str::to_owned).to_vec();
    let mut rows = vec![header];
    rows.extend(findings.iter().map(|finding| {
        let (what, state, found) = if finding.tool {
            let (state, found) = summary(findings);
            ("host tools", state, found)
        } else {
            let found = finding.found.as_deref().unwrap_or("not found");
            (finding.what.as_str(), finding.state, found.to_owned())
        };
        vec![what.to_owned(), state.label().to_owned(), found]
    }));
    // The host tools are adjacent.
    rows.dedup();
    let mut text = table::table(&rows);
    text.extend(findings.iter().filter_map(advice));
    text
}

/// The human-readable report about another machine.
pub fn render_there(findings: &[Finding], host: &str) -> String {
    let conclusion = if is_blocked(findings) {
        format!(
            "the main job can't run on {host} yet: follow the steps above there, then run `cargo xtask setup \
             --on {host}` again"
        )
    } else {
        format!("the main job can run on {host}: `{MAIN_JOB} --on {host}`")
    };
    format!("on {host}:\n{}\n{conclusion}\n", body(findings))
}

/// How many of the host tools were found.
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
        format!("{count} that host-pkgs uses from this machine"),
    )
}

impl State {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Missing => "MISSING",
        }
    }
}

/// What to do about a finding, if anything.
fn advice(finding: &Finding) -> Option<String> {
    // Where host-pkgs is not used, all its tools may be missing: then their number is enough.
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

/// Whether the main job can run, and the next command.
fn conclusion(findings: &[Finding], step: Step) -> String {
    if let Step::Installing = step {
        return String::new();
    }
    let offer = step == Step::Checked { debian: true };
    if !is_blocked(findings) {
        let optional = packages(findings, true);
        let hint = if offer && !optional.is_empty() {
            format!(
                "\nto install the optional packages: `cargo xtask setup --install --optional` (apt-get \
                 install {})\n",
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
            "`cargo xtask setup --install` installs the missing packages (apt-get install {})",
            packages.join(" ")
        )
    } else {
        "follow the steps above, then run `cargo xtask setup` again".to_owned()
    };
    format!("\nthe main job can't run yet: {next}\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nix_formats::version::NixVersion;

    use super::super::examples::{complete, daemon, empty, root, tools};
    use super::super::findings::{findings, findings_there};
    use super::super::look::{Machine, NixState, nix_remedy};
    use super::super::sandbox_probe::{SandboxProbe, StoreState};
    use super::super::system::Kind;
    use super::*;
    use crate::nix::PackageSet;
    use crate::package_set::Choice;

    const CHECKED: Step = Step::Checked { debian: true };

    fn in_state(state: State, machine: &Machine) -> Vec<String> {
        let findings = findings(machine)
            .into_iter()
            .filter(|finding| finding.state == state);
        findings.map(|finding| finding.what).collect()
    }

    fn missing(machine: &Machine) -> Vec<String> {
        in_state(State::Missing, machine)
    }

    #[test]
    fn nothing_is_missing_on_a_complete_machine() {
        let findings = findings(&complete());
        assert!(
            findings
                .iter()
                .all(|it| it.state == State::Ok && it.remedy.is_none())
        );
        assert_eq!(packages(&findings, true), Vec::<&str>::new());
        let text = render(&findings, CHECKED);
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
    fn on_an_empty_machine_all_is_missing_but_what_comes_with_nix() {
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
        let text = render(&findings, CHECKED);
        assert!(
            text.contains(&format!("(apt-get install {})", needed.join(" "))),
            "{text}"
        );
        assert!(
            text.contains("MISSING xz (no /usr/bin/xz): host-pkgs"),
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
        assert!(!is_blocked(&found));
        assert_eq!(
            in_state(State::Warning, &machine),
            ["curl", "git", "pre-commit", "ssh"]
        );
        let offer = "`cargo xtask setup --install --optional` (apt-get install curl git \
                     openssh-client pre-commit)";
        for (step, offered) in [
            (CHECKED, true),
            (Step::Checked { debian: false }, false),
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
        assert!(!is_blocked(&found));
        assert_eq!(in_state(State::Warning, &machine), ["postgresql"]);
        assert_eq!(packages(&found, false), ["postgresql"]);
    }

    #[test]
    fn remedies_on_other_systems_than_debian() {
        let machine = Machine {
            kind: Kind::Linux,
            ..empty()
        };
        let text = render(&findings(&machine), Step::Checked { debian: false });
        assert!(
            text.contains("install the equivalent of Debian's package `nix-bin`"),
            "{text}"
        );
        assert!(
            !text.contains("apt-get") && !text.contains("--install"),
            "{text}"
        );
        assert!(
            text.ends_with("the main job can't run yet: follow the steps above, then run `cargo xtask setup` again\n"),
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
        assert_eq!(missing(&machine), ["nodejs"]);
        let findings = findings(&machine);
        assert_eq!(packages(&findings, false), ["nodejs"]);
        let text = render(&findings, CHECKED);
        assert!(
            text.contains("MISSING nodejs (/home/u/.nvm/bin/node, which is not below /usr): "),
            "{text}"
        );
    }

    #[test]
    fn over_nixpkgs_the_host_need_not_have_tools() {
        let over = |set| {
            let reason = "r".to_owned();
            Some(Choice { set, reason })
        };
        for (access, probe) in [
            (root("nixbld", 10), SandboxProbe::Impossible("e".to_owned())),
            (daemon(false), SandboxProbe::Ignored),
        ] {
            let bare = |set| Machine {
                nix: complete().nix,
                store: Some(StoreState {
                    access: access.clone(),
                    probe: probe.clone(),
                }),
                set: over(set),
                ..empty()
            };
            assert!(missing(&bare(PackageSet::Host)).len() > 19);
            assert_eq!(missing(&bare(PackageSet::Nixpkgs)), Vec::<String>::new());
            let text = render(&findings(&bare(PackageSet::Nixpkgs)), CHECKED);
            let none = format!("host tools    warning  0 of {}", tools().len() + 2);
            assert!(text.contains(&none), "{text}");
            // Nor trust in the user, nor a sandbox that shows /usr.
            for foreign in ["warning bzip2", "nix.conf", "sandbox"] {
                assert!(!text.contains(foreign), "{text}");
            }
        }
        for (set, missing_there) in [(PackageSet::Host, 1), (PackageSet::Nixpkgs, 0)] {
            let machine = Machine {
                system: "aarch64-linux".to_owned(),
                set: over(set),
                ..complete()
            };
            // This machine need not build (elsewhere.rs); another one that is to build does.
            let there = findings_there(&machine).into_iter();
            let missing = there.filter(|it| it.state == State::Missing);
            assert_eq!(missing.count(), missing_there);
        }
    }

    #[test]
    fn a_nix_that_does_not_work() {
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
            assert_eq!(missing(&machine), ["nix"]);
            assert_eq!(packages(&findings, true), Vec::<&str>::new());
            let text = render(&findings, CHECKED);
            assert!(text.contains(remedy), "{text}");
        }
    }
}

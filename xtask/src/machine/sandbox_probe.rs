//! Whether Nix can isolate builders on this machine, tested with a tiny derivation.

use anyhow::Result;

use super::store_access::{self, Access, trust_remedy};
use super::system::Kind;
use crate::nix::Machine;
use crate::package_set;
use crate::repo::Repo;
use nix_formats::log;
use sys::process::{Captured, Processes};

/// A derivation whose builder runs in the sandbox and then fails: without an output it is built each
/// time, and with the same name each time it does not fill the store.
///
/// Its builder exists in the sandbox of host-pkgs only: no sandbox, no [`PROBE_EXIT_CODE`].
const PROBE: &str = r#"derivation {
  name = "sandbox-probe";
  system = builtins.currentSystem;
  builder = "/host/usr/bin/bash";
  args = [ "-c" "exit 42" ];
  preferLocalBuild = true;
  allowSubstitutes = false;
}"#;

/// How Nix reports that the builder of [`PROBE`] ran.
const PROBE_EXIT_CODE: &str = "failed with exit code 42";

/// How Nix's store is reached, and whether its sandbox works.
#[derive(Debug)]
pub struct StoreState {
    pub access: Access,
    pub probe: SandboxProbe,
}

/// The outcome of building [`PROBE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SandboxProbe {
    /// Not run, because the store can't be reached; see [`Access`].
    NotRun,
    /// Nix could not write the derivation: its error.
    NoStore(String),
    /// The daemon ignored the settings of host-pkgs.
    Ignored,
    /// Nix could not isolate the builder: its error.
    Impossible(String),
    /// The builder ran in the sandbox.
    Passed,
}

/// Why builds over host-pkgs can't work for this user and what to do, if the sandbox is the reason.
///
/// A daemon that does not trust the user builds with another sandbox; elsewhere Nix may not be able to
/// isolate builders at all.
pub fn sandbox_problem(processes: &Processes) -> Result<Option<String>> {
    let StoreState { access, probe } = store_state(processes, &Repo::find()?)?;
    Ok(match (&access, &probe) {
        (Access::Daemon { user, listed }, SandboxProbe::Ignored) => Some(format!(
            "the Nix daemon ignores the settings of this build, the sandbox's among them, because it \
             does not trust this user: {} (`cargo xtask setup` checks again)",
            trust_remedy(user, *listed, Kind::here())
        )),
        (_, SandboxProbe::Impossible(error)) => Some(format!(
            "Nix can't isolate builders on this machine (`{error}`): {} (`cargo xtask setup` checks again)",
            sandbox_remedy(&access, error)
        )),
        _ => None,
    })
}

/// Looks at Nix's store and sandbox, with the settings of host-pkgs.
pub fn store_state(processes: &Processes, repo: &Repo) -> Result<StoreState> {
    let access = store_access::access(processes)?;
    let probe = match &access {
        Access::Root { members: 0, .. }
        | Access::Closed { .. }
        | Access::Stopped
        | Access::Nothing => SandboxProbe::NotRun,
        _ => {
            // The folder that builders see as /host/clients does not matter here: any that exists.
            match package_set::host_pkgs::settings(repo, Some("/usr".into()), None, |name| {
                std::env::var(name).ok()
            }) {
                Ok(environment) => probe(processes.into(), &environment, &access)?,
                // Over nixpkgs the settings are not needed.
                Err(error) => SandboxProbe::Impossible(format!("{error:#}")),
            }
        }
    };
    Ok(StoreState { access, probe })
}

/// Builds [`PROBE`].
pub fn probe(
    machine: Machine<'_>,
    environment: &[(String, String)],
    access: &Access,
) -> Result<SandboxProbe> {
    let command = |program| {
        let environment = environment.iter().map(|(key, value)| (key, value));
        machine.cmd(program).envs(environment)
    };
    let written = machine.capture(command("nix-instantiate").args(["-E", PROBE]))?;
    if !written.status.success() {
        return Ok(SandboxProbe::NoStore(nix_error(&written)));
    }
    let mut build = command("nix-store").args(["--realise", written.stdout.trim()]);
    for (setting, value) in [
        // Without this Nix builds without a sandbox where it can't have one, and does not report it.
        ("sandbox-fallback", "false"),
        // On this machine, without keeping the build folder.
        ("builders", ""),
        ("keep-failed", "false"),
    ] {
        build = build.args(["--option", setting, value]);
    }
    let built = machine.capture(build)?;
    Ok(judge(&built, matches!(access, Access::Daemon { .. })))
}

pub fn judge(built: &Captured, daemon: bool) -> SandboxProbe {
    let said = &built.stderr;
    if said.contains(PROBE_EXIT_CODE) {
        return SandboxProbe::Passed;
    }
    // A daemon that ignores this user's settings builds without those of host-pkgs, so that the builder
    // does not exist. Nix 2.8 does not report that it ignores them.
    if daemon
        && (said.contains("not a trusted user") || said.contains("executing '/host/usr/bin/bash'"))
    {
        return SandboxProbe::Ignored;
    }
    SandboxProbe::Impossible(nix_error(built))
}

/// The cause that a failed program of Nix reports, in one line.
pub fn nix_error(captured: &Captured) -> String {
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

/// What to do about a machine on which Nix can't isolate builders.
///
/// Disabling the sandbox is no remedy: host-pkgs needs it for its tools.
pub fn sandbox_remedy(access: &Access, error: &str) -> &'static str {
    if error.contains("move the repository") {
        return "move the repository";
    }
    if error.contains("getting attributes of path") {
        return "install the file that is missing: `setup` counts it among the host tools";
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// Messages of Nix 2.8 and 2.26.
    #[test]
    fn outcomes() {
        let passed = "building '/nix/store/x-sandbox-probe.drv'...\n\
                      error: builder for '/nix/store/x-sandbox-probe.drv' failed with exit code 42\n";
        let cloning = "\u{1b}[31;1merror:\u{1b}[0m cloning builder process: \
                       \u{1b}[35;1mOperation not permitted\u{1b}[0m\n\
                       error: unable to start build process\n";
        let newer = "error: this system does not support the kernel namespaces that are required \
                     for sandboxing; use '--no-sandbox' to disable sandboxing\n";
        let mounting = "this derivation will be built:\n  /nix/store/x-sandbox-probe.drv\n\
                        error: mounting /proc: Operation not permitted\n\
                        (use '--show-trace' to show detailed location information)\n";
        let ignored = "building '/nix/store/x-sandbox-probe.drv'...\n\n       \
                       Error O       executing '/host/usr/bin/bash': No such file or directory\n\
                       error: builder for '/nix/store/x-sandbox-probe.drv' failed with exit code 1;\n       \
                       last 2 log lines:\n       > \n       \
                       >        Error O       executing '/host/usr/bin/bash': No such file or directory\n";
        let warned = "warning: ignoring the client-specified setting 'sandbox', because it is a \
                      restricted setting and you are not a trusted user\n\
                      error: builder for '/nix/store/x-sandbox-probe.drv' failed with exit code 1\n";
        let impossible = |error: &str| SandboxProbe::Impossible(error.to_owned());
        for (stderr, daemon, probe) in [
            (passed, false, SandboxProbe::Passed),
            (passed, true, SandboxProbe::Passed),
            (ignored, true, SandboxProbe::Ignored),
            (warned, true, SandboxProbe::Ignored),
            (
                ignored,
                false,
                impossible("builder for '/nix/store/x-sandbox-probe.drv' failed with exit code 1"),
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
            assert_eq!(judge(&captured, daemon), probe, "{stderr}");
        }
    }
}

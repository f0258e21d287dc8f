//! Whether nixpkgs' address answers: asked over HTTP. That it does is remembered for a day, that it does not for
//! minutes: a network that drops what is sent to it would make each command wait for the whole limit.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::nix::Machine;
use crate::pins::Nixpkgs;
use crate::repo::Repo;
use sys::files;

/// How long it is remembered that the address answered.
const ANSWER_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is remembered that it did not, in minutes.
const FAILURE_LASTS: u64 = 5;
/// How long a probe may take, in seconds.
const PROBE_LIMIT: &str = "3";

/// What a probe of nixpkgs' address said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    url: String,
    reachable: bool,
    /// When, in seconds since 1970.
    at: u64,
}

/// Why nixpkgs' address is not one that answers a machine, if it is not: by what is remembered, or asked now.
pub fn probe(machine: Machine<'_>, repo: &Repo, nixpkgs: &Nixpkgs) -> Result<Option<String>> {
    match remembered(&file(machine, repo)) {
        Some(known) if known.holds(&nixpkgs.url, now()) => {
            Ok((!known.reachable).then(|| failed_before(machine)))
        }
        _ => probe_anew(machine, repo, nixpkgs),
    }
}

/// The same, asked now.
pub fn probe_anew(machine: Machine<'_>, repo: &Repo, nixpkgs: &Nixpkgs) -> Result<Option<String>> {
    let command = machine.cmd("curl").args([
        "--silent",
        "--head",
        "--fail",
        "--location",
        "--output",
        "/dev/null",
        "--max-time",
        PROBE_LIMIT,
        "--",
        &nixpkgs.url,
    ]);
    let no_curl = || Ok(Some("there is no curl to ask its address".to_owned()));
    let reachable = match machine.capture(command) {
        // What a shell says there of a program that it does not find.
        Ok(captured) if captured.status.code() == Some(127) => return no_curl(),
        Ok(captured) => captured.status.success(),
        Err(error) if sys::process::is_missing_program(&error) => return no_curl(),
        Err(error) => return Err(error),
    };
    let answer = Probe {
        url: nixpkgs.url.clone(),
        reachable,
        at: now(),
    };
    remember(&file(machine, repo), &answer)?;
    Ok((!reachable).then(|| "its address does not answer".to_owned()))
}

fn failed_before(machine: Machine<'_>) -> String {
    let on = match machine {
        Machine::Here(_) => String::new(),
        Machine::There(remote) => format!(" --on {}", remote.host()),
    };
    format!(
        "its address did not answer a short time ago, which is remembered for {FAILURE_LASTS} minutes: \
         `cargo xtask setup{on}` asks again"
    )
}

/// Where the last answer is remembered.
fn file(machine: Machine<'_>, repo: &Repo) -> Utf8PathBuf {
    let name = match machine {
        Machine::Here(_) => "probe.json".to_owned(),
        Machine::There(remote) => format!("probe-{}.json", remote.host().replace('/', "-")),
    };
    repo.state().join(name)
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// The last answer; a file that can't be read is as good as none.
fn remembered(file: &Utf8Path) -> Option<Probe> {
    serde_json::from_slice(&fs_err::read(file).ok()?).ok()
}

fn remember(file: &Utf8PathBuf, answer: &Probe) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs_err::create_dir_all(folder)?;
    }
    files::write_atomically(file, serde_json::to_string(answer)?.as_bytes(), 0o644)
}

impl Probe {
    /// Whether the answer is for this address and not too old. A clock that went backwards makes it
    /// an answer from the future, which does not hold.
    fn holds(&self, url: &str, now: u64) -> bool {
        let lasts = if self.reachable {
            ANSWER_LASTS.as_secs()
        } else {
            FAILURE_LASTS * 60
        };
        self.url == url && now.checked_sub(self.at).is_some_and(|age| age < lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_day_and_a_failure_for_minutes() {
        for (reachable, url, now, holds) in [
            (true, "u", 1_000_000, true),
            (true, "u", 1_086_399, true),
            (true, "u", 1_086_400, false),
            (true, "u", 999_999, false),
            (true, "u", 0, false),
            (true, "v", 1_000_000, false),
            (false, "u", 1_000_299, true),
            (false, "u", 1_000_300, false),
        ] {
            let answer = Probe {
                url: "u".to_owned(),
                reachable,
                at: 1_000_000,
            };
            assert_eq!(answer.holds(url, now), holds, "{reachable} {url} {now}");
        }
    }
}

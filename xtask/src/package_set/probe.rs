//! Whether nixpkgs' address answers: asked over HTTP, and remembered for a day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::nix::Machine;
use crate::pins::Nixpkgs;
use crate::repo::Repo;
use sys::files;

/// How long the answer of a probe is remembered.
const PROBE_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
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

/// Whether nixpkgs' address answers a machine: asked now, or within the last day.
pub fn probe(machine: Machine<'_>, repo: &Repo, nixpkgs: &Nixpkgs) -> Result<bool> {
    let file = match machine {
        Machine::Here(_) => "probe.json".to_owned(),
        Machine::There(remote) => format!("probe-{}.json", remote.host().replace('/', "-")),
    };
    let file = repo.state().join(file);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if let Some(known) = remembered(&file)
        && known.holds(&nixpkgs.url, now)
    {
        return Ok(known.reachable);
    }
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
    let reachable = match machine.capture(command) {
        Ok(captured) => captured.status.success(),
        // Without curl the address can't be asked; that is not worth an end.
        Err(error) if sys::process::is_missing_program(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let answer = Probe {
        url: nixpkgs.url.clone(),
        reachable,
        at: now,
    };
    remember(&file, &answer)?;
    Ok(reachable)
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
        self.url == url
            && now
                .checked_sub(self.at)
                .is_some_and(|age| age < PROBE_LASTS.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_day() {
        let answer = Probe {
            url: "u".to_owned(),
            reachable: true,
            at: 1_000_000,
        };
        for (url, now, holds) in [
            ("u", 1_000_000, true),
            ("u", 1_086_399, true),
            ("u", 1_086_400, false),
            ("u", 999_999, false),
            ("u", 0, false),
            ("v", 1_000_000, false),
        ] {
            assert_eq!(answer.holds(url, now), holds, "{url} {now}");
        }
    }
}

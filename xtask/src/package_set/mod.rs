//! The package set that components are built over: the pinned nixpkgs or host-pkgs, and why.

pub mod package_managers;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::nix::{self, Nix};
use crate::pins::Nixpkgs;
use crate::remote::Machine;
use crate::repo::Repo;
use nix_formats::store_path;
use nix_formats::version::NixVersion;
use sys::files;
use sys::process::Processes;

/// The oldest Nix that nixpkgs works with (`lib/minver.nix` of nixos-25.11).
pub const NIXPKGS_FLOOR: (u32, u32) = (2, 18);
/// The oldest Nix that the expressions are tested with.
pub const NIX_FLOOR: (u32, u32) = (2, 8);
/// The system that host-pkgs has packages for (containers/host-pkgs/default.nix).
pub const HOST_PKGS_SYSTEM: &str = "x86_64-linux";
/// How long the answer of a probe is remembered.
const PROBE_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a probe may take, in seconds.
const PROBE_LIMIT: &str = "3";

/// A package set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PackageSet {
    /// The nixpkgs that pins.json pins
    Nixpkgs,
    /// The stand-in made from this machine's own tools
    Host,
}

/// A package set and why it is taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The package set.
    pub set: PackageSet,
    /// Why, for people.
    pub reason: String,
}

/// What a probe of nixpkgs' address said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    url: String,
    reachable: bool,
    /// When, in seconds since 1970.
    at: u64,
}

/// Chooses: the one that was asked for, else nixpkgs where it can be had, else host-pkgs.
///
/// `nixpkgs` is what the pins of each container name, all of which has to be there. `in_store` says whether its copy is in
/// the store, `probe` whether its address answers.
pub fn choose(
    asked: Option<PackageSet>,
    version: &NixVersion,
    nixpkgs: &[Option<&Nixpkgs>],
    in_store: impl Fn(&Nixpkgs) -> Result<bool>,
    probe: impl Fn(&Nixpkgs) -> Result<bool>,
) -> Result<Choice> {
    let (major, minor) = NIXPKGS_FLOOR;
    let new_enough = version.is_at_least(major, minor);
    let choice = |set, reason: String| Ok(Choice { set, reason });
    match asked {
        Some(PackageSet::Host) => {
            return choice(PackageSet::Host, "asked for by `--pkgs`".to_owned());
        }
        Some(PackageSet::Nixpkgs) => {
            if !new_enough {
                bail!(
                    "`--pkgs nixpkgs` needs Nix {major}.{minor} or later, this is Nix {version}: \
                     install a newer Nix, or use `--pkgs host`"
                );
            }
            return choice(PackageSet::Nixpkgs, "asked for by `--pkgs`".to_owned());
        }
        None => {}
    }
    if !new_enough {
        let reason = format!("Nix {version} is older than {major}.{minor}, which nixpkgs needs");
        return choice(PackageSet::Host, reason);
    }
    let Some(pinned) = nixpkgs.iter().copied().collect::<Option<Vec<_>>>() else {
        return choice(PackageSet::Host, "the pins name no nixpkgs".to_owned());
    };
    let mut known: Vec<&Nixpkgs> = Vec::new();
    let mut reasons = Vec::new();
    for nixpkgs in pinned {
        if known.iter().any(|it| it.hash == nixpkgs.hash) {
            continue;
        }
        known.push(nixpkgs);
        let short = nixpkgs.rev.get(..8).unwrap_or(&nixpkgs.rev);
        if in_store(nixpkgs)? {
            reasons.push(format!("revision {short} is in the store"));
        } else if probe(nixpkgs)? {
            reasons.push(format!("the address of revision {short} answers"));
        } else {
            let reason =
                format!("nixpkgs {short} is not in the store and its address does not answer");
            return choice(PackageSet::Host, reason);
        }
    }
    choice(PackageSet::Nixpkgs, reasons.join(", "))
}

/// Where the pinned nixpkgs lies in a store, as an unpacked source.
pub fn path_in_store(store: &Utf8Path, nixpkgs: &Nixpkgs) -> Option<Utf8PathBuf> {
    let hash = nixpkgs.hash.as_sha256()?;
    Some(store_path::recursive_sha256(store, "source", hash))
}

/// Whether the pinned nixpkgs is in the store.
pub fn is_in_store(nix: &Nix<'_>, nixpkgs: &Nixpkgs) -> Result<bool> {
    let Some(path) = path_in_store(&nix::store_dir(), nixpkgs) else {
        return Ok(false);
    };
    Ok(!nix.valid(&BTreeSet::from([path.into_string()]))?.is_empty())
}

/// The settings that Nix gets for host-pkgs beside the inherited ones.
///
/// host-pkgs brings settings of its own (the sandbox and what it shows of this machine); they go
/// before the user's. `clients` is shown to builders as `/host/clients`, the Rust toolchain `rust`
/// as `/host/rust`.
pub fn host_environment(
    repo: &Repo,
    clients: Option<&Utf8Path>,
    rust: Option<&Utf8Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>> {
    let conf = repo.host_pkgs().join("nix.conf");
    if let Some(bad) = conf
        .as_str()
        .chars()
        .find(|c| c.is_whitespace() || [':', '='].contains(c))
    {
        bail!(
            "the repository's path `{}` holds {bad:?}, which Nix's settings can't express: \
             move the repository, or, on a machine that it was sent to, set TMPDIR to another folder",
            repo.root
        );
    }
    let inexpressible = |path: &Utf8Path| {
        path.as_str().contains(char::is_whitespace) || path.as_str().contains('=')
    };
    if let Some(clients) = clients.filter(|clients| inexpressible(clients)) {
        bail!(
            "the path `{clients}` can't be shown to builders, for Nix's settings can't express \
             it: set TMPDIR to a folder without blanks and `=` in its path"
        );
    }
    if let Some(rust) = rust.filter(|rust| inexpressible(rust)) {
        bail!(
            "the Rust toolchain `{rust}` can't be shown to builders, for Nix's settings can't express \
             its path: set RUSTUP_HOME to a folder without blanks and `=` in its path"
        );
    }
    let users = variable("NIX_USER_CONF_FILES").or_else(|| {
        let home = || Some(format!("{}/.config", variable("HOME")?));
        let config = variable("XDG_CONFIG_HOME")
            .filter(|path| !path.is_empty())
            .or_else(home)?;
        Some(format!("{config}/nix/nix.conf"))
    });
    let files = match users {
        Some(users) if !users.is_empty() => format!("{conf}:{users}"),
        _ => conf.into_string(),
    };
    let mut settings = variable("NIX_CONFIG").unwrap_or_default();
    let shown = [("clients", clients), ("rust", rust)];
    let shown = shown
        .into_iter()
        .filter_map(|(name, path)| Some(format!(" /host/{name}={}", path?)));
    let shown: String = shown.collect();
    if !shown.is_empty() {
        if !settings.is_empty() {
            settings.push('\n');
        }
        settings = settings + "extra-sandbox-paths =" + &shown;
    }
    Ok(vec![
        ("NIX_USER_CONF_FILES".to_owned(), files),
        ("NIX_CONFIG".to_owned(), settings),
    ])
}

/// The folder of the Rust toolchain in use, with `bin/cargo` and `bin/rustc`; none if there is no Rust.
///
/// cargo says where it is itself to what it runs, which saves asking; rustup's own links say nothing.
pub fn rust_toolchain(
    processes: &Processes,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Utf8PathBuf>> {
    let of_cargo = variable("CARGO").and_then(|cargo| {
        let bin = Utf8Path::new(&cargo).parent()?;
        (bin.join("cargo").is_file() && bin.join("rustc").is_file() && bin.ends_with("bin"))
            .then(|| bin.parent().map(Utf8Path::to_owned))?
    });
    if let Some(folder) = of_cargo.filter(|folder| folder.join("lib/rustlib").is_dir()) {
        return Ok(Some(folder));
    }
    match processes.capture(processes.cmd("rustc").args(["--print", "sysroot"])) {
        Ok(captured) if captured.status.success() => {
            Ok(Some(Utf8PathBuf::from(captured.stdout.trim())))
        }
        // What wants Rust says so itself.
        Ok(_) => Ok(None),
        Err(error) if sys::process::is_missing_program(&error) => Ok(None),
        Err(error) => Err(error),
    }
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

impl PackageSet {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nixpkgs => "nixpkgs",
            Self::Host => "host-pkgs",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn nixpkgs() -> Nixpkgs {
        Nixpkgs {
            url: "u".to_owned(),
            rev: "r".to_owned(),
            hash: nix_formats::sri::Sri::sha256([0; 32]),
        }
    }

    #[test]
    fn choices() {
        use PackageSet::{Host, Nixpkgs};
        let pin = nixpkgs();
        let old = NixVersion::new(2, 8);
        let new = NixVersion::new(2, 18);
        for (asked, version, pinned, in_store, answers, set, reason) in [
            (Some(Host), &new, true, true, true, Host, "--pkgs"),
            (Some(Nixpkgs), &new, true, false, false, Nixpkgs, "--pkgs"),
            (
                None,
                &old,
                true,
                true,
                true,
                Host,
                "Nix 2.8 is older than 2.18",
            ),
            (None, &new, false, true, true, Host, "no nixpkgs"),
            (None, &new, true, true, false, Nixpkgs, "in the store"),
            (
                None,
                &new,
                true,
                false,
                true,
                Nixpkgs,
                "of revision r answers",
            ),
            (None, &new, true, false, false, Host, "does not answer"),
        ] {
            let pin = pinned.then_some(&pin);
            let (in_store, answers) = (|_: &_| Ok(in_store), |_: &_| Ok(answers));
            let choice = choose(asked, version, &[pin, pin], in_store, answers).unwrap();
            assert_eq!(choice.set, set, "{choice:?}");
            assert!(choice.reason.contains(reason), "{choice:?}");
        }
        let never = |_: &_| -> Result<bool> { bail!("asked though it need not be") };
        choose(None, &old, &[Some(&pin)], never, never).unwrap();
        let error = choose(Some(Nixpkgs), &old, &[], never, never)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2.18") && error.contains("Nix 2.8:"),
            "{error}"
        );
    }

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

    #[test]
    fn settings_go_before_the_users() {
        let repo = Repo { root: "/r".into() };
        let environment = |known: &[(&str, &str)]| {
            let known: HashMap<String, String> = known
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let found = host_environment(&repo, Some("/c".into()), Some("/t".into()), |name| {
                known.get(name).cloned()
            });
            found
                .unwrap()
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        let conf = "/r/containers/host-pkgs/nix.conf";
        let paths = "extra-sandbox-paths = /host/clients=/c /host/rust=/t";
        assert_eq!(environment(&[]), [conf, paths]);
        assert_eq!(
            environment(&[("HOME", "/h"), ("NIX_CONFIG", "cores = 1")]),
            [
                format!("{conf}:/h/.config/nix/nix.conf"),
                format!("cores = 1\n{paths}")
            ]
        );
        assert_eq!(
            environment(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")])[0],
            format!("{conf}:/x/nix/nix.conf")
        );
        assert_eq!(
            environment(&[("NIX_USER_CONF_FILES", "/a:/b")])[0],
            format!("{conf}:/a:/b")
        );
        assert_eq!(
            environment(&[("NIX_USER_CONF_FILES", ""), ("HOME", "/h")])[0],
            conf
        );
        for root in ["/a b", "/a:b", "/a=b"] {
            let repo = Repo { root: root.into() };
            let error = host_environment(&repo, Some("/c".into()), None, |_| None)
                .unwrap_err()
                .to_string();
            assert!(error.contains(root), "{error}");
        }
    }
}

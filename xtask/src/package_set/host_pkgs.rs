//! The settings that Nix gets for host-pkgs, and the Rust toolchain that builders see.

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::repo::Repo;
use sys::process::Processes;

/// The settings that Nix gets for host-pkgs beside the inherited ones.
///
/// host-pkgs brings settings of its own (the sandbox and what it shows of this machine); they go
/// before the user's. `clients` is shown to builders as `/host/clients`, the Rust toolchain `rust`
/// as `/host/rust`.
pub fn settings(
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn settings_go_before_the_users() {
        let repo = Repo { root: "/r".into() };
        let environment = |known: &[(&str, &str)]| {
            let known: HashMap<String, String> = known
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let found = settings(&repo, Some("/c".into()), Some("/t".into()), |name| {
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
            let error = settings(&repo, Some("/c".into()), None, |_| None)
                .unwrap_err()
                .to_string();
            assert!(error.contains(root), "{error}");
        }
    }
}

//! Installs missing packages with apt.

use anyhow::{Context as _, Result, bail};

use sys::process::{Interrupted, Processes, find_program};
use sys::terminal;

/// Keeps Debian's packages of PostgreSQL from creating a database and starting its server when they are
/// installed: they read the setting as the last line does. An existing file is left alone.
const NO_MAIN_CLUSTER: &str = r#"set -e
folder=/etc/postgresql-common
mkdir -p $folder/createcluster.d
file=$folder/createcluster.d/zz-no-main-cluster.conf
[ -e $file ] || echo 'create_main_cluster = false' >$file
[ "$(pg_conftool $folder/createcluster.conf show -bs create_main_cluster)" = off ]"#;

/// Installs packages with apt, or says why not. With `json` apt's output goes to stderr.
pub fn install(processes: &Processes, packages: &[String], debian: bool, json: bool) -> Result<()> {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !debian {
        bail!(
            "this is not a Debian-based system: install the equivalents with its package manager; on \
             Debian it is `{by_hand}`"
        );
    }
    let root = rustix::process::geteuid().is_root();
    if !root && find_program("sudo").is_none() {
        bail!("installing needs root, and sudo is not found: as root, run `{by_hand}`");
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
    // One unreachable repository of many fails this; apt may know the packages nevertheless.
    warn(
        apt(&["update"]),
        "using the package lists that apt already has",
    )?;
    let mut packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    if packages.contains(&"postgresql") {
        // The first package reads the setting, and creates no database itself.
        let set = apt(&[
            "install",
            "-y",
            "--no-install-recommends",
            "postgresql-common",
        ])
        .and_then(|()| as_root(&["sh", "-c", NO_MAIN_CLUSTER]));
        let consequence = "PostgreSQL is not installed, because it would create a database and start a \
                           server; see create_main_cluster in /etc/postgresql-common/createcluster.conf";
        if !warn(set, consequence)? {
            packages.retain(|package| *package != "postgresql");
        }
    }
    // With recommended packages: those of nix-bin create the users that builders run as.
    let mut arguments = vec!["install", "-y", "--install-recommends"];
    arguments.extend(packages);
    apt(&arguments).context(
        "apt-get could not install the missing packages, see its output above: are the repositories in \
         /etc/apt/sources.list reachable, is another apt running, is the disk full?",
    )
}

/// Whether a step succeeded; a failure is a warning, unless a signal interrupted it.
fn warn(outcome: Result<()>, consequence: &str) -> Result<bool> {
    match outcome {
        Err(error) if !error.is::<Interrupted>() => {
            terminal::say(format!("warning: {error:#}: {consequence}"));
            Ok(false)
        }
        outcome => outcome.map(|()| true),
    }
}

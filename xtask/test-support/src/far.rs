//! Another machine: an sshd of its own on loopback, with accounts, keys and settings of its own.
//!
//! It runs in mounts of its own, in which other accounts are in /etc/passwd: all are root by number, for
//! only root can use the store without a daemon, and each has another login shell.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::common::{free_port, not_tested, stdout, wait_until};
use crate::harness::Harness;

/// The programs that a test of this kind needs, beside Nix.
const NEEDED: [&str; 5] = [
    "/usr/sbin/sshd",
    "/usr/bin/ssh",
    "/usr/bin/fish",
    "/usr/bin/dash",
    "/usr/bin/ssh-keygen",
];
/// The accounts: name and login shell.
pub const SHELLS: [(&str, &str); 3] = [
    ("basher", "/bin/bash"),
    ("dasher", "/usr/bin/dash"),
    ("fisher", "/usr/bin/fish"),
];

/// The machine; it ends when this is dropped.
pub struct Far {
    folder: tempfile::TempDir,
    sshd: Child,
}

impl Far {
    /// Starts the machine. `environment` are variables that logins get, as `NAME=VALUE`; `mounts` is shell
    /// text that may mount something in `$D`. `None` where that can't be done.
    pub fn start_with(environment: &[&str], mounts: &str) -> Option<Self> {
        let missing: Vec<&&str> = NEEDED
            .iter()
            .filter(|program| !Utf8Path::new(program).exists())
            .collect();
        let is_root = stdout(Command::new("id").arg("-u")).trim() == "0";
        if !is_root || !missing.is_empty() {
            not_tested(&format!(
                "another machine takes root, and {missing:?} (openssh-server, fish, dash)"
            ));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        for name in ["far", "home", "etc"] {
            fs_err::create_dir(path.join(name)).unwrap();
        }
        // Builders that are users of their own pass through.
        stdout(Command::new("chmod").args(["711", path.as_str()]));
        for key in ["host", "user", "stranger"] {
            let file = path.join(key);
            stdout(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(&file),
            );
        }
        fs_err::copy(path.join("user.pub"), path.join("authorized")).unwrap();
        let mut passwd = fs_err::read_to_string("/etc/passwd").unwrap();
        let mut shadow = fs_err::read_to_string("/etc/shadow").unwrap();
        for (name, shell) in SHELLS {
            writeln!(passwd, "{name}:x:0:0::{path}/home:{shell}").unwrap();
            writeln!(shadow, "{name}:*:19000:0:99999:7:::").unwrap();
        }
        write(&path.join("etc/passwd"), &passwd);
        write(&path.join("etc/shadow"), &shadow);
        let port = free_port();
        let environment: Vec<String> = environment
            .iter()
            .map(|variable| format!(" \"{}\"", variable.replace("$D", path.as_str())))
            .collect();
        write(
            &path.join("sshd_config"),
            &format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {path}/host\n\
                 AuthorizedKeysFile {path}/authorized\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n\
                 PidFile none\nMaxStartups 100\nSetEnv \"TMPDIR={path}/far\"{}\n",
                environment.concat()
            ),
        );
        let key = fs_err::read_to_string(path.join("host.pub")).unwrap();
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        write(
            &path.join("known_hosts"),
            &format!("[127.0.0.1]:{port} {}\n", key.join(" ")),
        );
        let mut config = String::new();
        for (name, _) in SHELLS {
            write!(config, "Host {name}\n  User {name}\n").unwrap();
        }
        write!(
            config,
            "Host *\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {path}/user\n  \
             IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {path}/known_hosts\n  \
             GlobalKnownHostsFile /dev/null\n  ControlPath {path}/%r\n"
        )
        .unwrap();
        write(&path.join("config"), &config);
        fs_err::create_dir_all("/run/sshd").unwrap();
        let script = format!(
            // From OpenSSH 9.8 on, who breaks off connections is soon let in no more: tests do nothing else.
            "mount --bind $D/etc/passwd /etc/passwd; mount --bind $D/etc/shadow /etc/shadow; {mounts}\n\
             patient=-oPerSourcePenalties=no\n\
             /usr/sbin/sshd -t -f $D/sshd_config $patient 2>/dev/null || patient=\n\
             exec /usr/sbin/sshd -D -e -f $D/sshd_config $patient 2>$D/log"
        );
        let sshd = Command::new("unshare")
            .args(["--mount", "sh", "-ec", &script])
            .env("D", &path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let far = Self { folder, sshd };
        wait_until("sshd listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(far)
    }

    /// Starts a machine with nothing special about it.
    pub fn start() -> Option<Self> {
        Self::start_with(&[], "")
    }

    /// The folder with all that the machine has of its own.
    pub fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    /// The process of sshd that listens.
    pub fn sshd(&self) -> u32 {
        self.sshd.id()
    }

    /// `test-build` on this machine as this account, not yet started.
    pub fn command(&self, harness: &Harness, account: &str, arguments: &[&str]) -> Command {
        let mut command = harness.command(arguments);
        command
            .args(["--on", account])
            .env("NIX_SSHOPTS", format!("-F {}/config", self.path()))
            .env("USER", "somebody");
        command
    }

    /// The folders of runs that are there.
    pub fn folders(&self) -> Vec<Utf8PathBuf> {
        let entries = self.path().join("far").read_dir_utf8().unwrap();
        entries
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.file_name().unwrap().starts_with("xtask-on."))
            .collect()
    }

    /// The processes that belong to runs on this machine: those that have its folder in their environment,
    /// and builders that have it in their mounts.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = self.path().file_name().unwrap();
        let mut found = Vec::new();
        for entry in fs_err::read_dir("/proc").unwrap().flatten() {
            let Some(process) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let read = |name: &str| fs_err::read(entry.path().join(name)).unwrap_or_default();
            let holds = |name: &str| String::from_utf8_lossy(&read(name)).contains(mark);
            let of_builder =
                || holds("mountinfo") && !holds_only_accounts(&read("mountinfo"), mark);
            if holds("environ") && !is_near(&read("environ")) || of_builder() {
                let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
                let serves = ["/usr/sbin/sshd", "nix-daemon"];
                let serves = serves.iter().any(|name| command.contains(name));
                if !command.is_empty() && !serves {
                    found.push((process, command));
                }
            }
        }
        found
    }
}

/// Whether an environment is that of this side: the program's own, and of what it starts.
fn is_near(environment: &[u8]) -> bool {
    String::from_utf8_lossy(environment).contains("NIX_SSHOPTS=")
}

/// Whether mounts are those that every process of the machine has.
fn holds_only_accounts(mounts: &[u8], mark: &str) -> bool {
    String::from_utf8_lossy(mounts)
        .lines()
        .filter(|line| line.contains(mark))
        .all(|line| !line.contains("/far/"))
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

pub fn write(path: &Utf8Path, text: &str) {
    fs_err::write(path, text).unwrap();
}

//! Git, as a process in a folder.
//!
//! The repository may be anybody's, and its configuration can name programs: none of them runs. There is no
//! monitor of files, hook, filter, pager, signature check or transport, and files are read out of objects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;
use xshell::Cmd;

use crate::process::{Captured, Processes};
use crate::quote;

/// Runs git in a folder.
pub struct Git<'a> {
    processes: &'a Processes,
    folder: &'a Utf8Path,
    is_isolated: bool,
}

/// Settings that take the place of the repository's own; paths are printed without quotes.
const SETTINGS: [&str; 8] = [
    "core.quotePath=off",
    "core.fsmonitor=false",
    "core.useBuiltinFSMonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "log.showSignature=false",
    "submodule.recurse=false",
    "grep.fallbackToNoIndex=false",
];
/// What nothing may fetch by, not even an object that a partial clone lacks.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
];
/// How long git may take to end after its last answer.
const ENDING: Duration = Duration::from_secs(10);

/// A value for `GIT_SSH_COMMAND`: the ssh that git would take by this user's settings, without questions if it is
/// OpenSSH's. What a repository says counts for nothing.
pub fn ssh_without_questions(processes: &Processes) -> String {
    let variable = |name| std::env::var(name).ok();
    let configured = || {
        let command = processes
            .cmd("git")
            .args(["-C", "/", "config", "--get", "core.sshCommand"]);
        let captured = processes.capture(command.env_remove("GIT_DIR")).ok()?;
        Some(captured.stdout.trim().to_owned())
    };
    let is_some = |command: &String| !command.trim().is_empty();
    let users = variable("GIT_SSH_COMMAND").filter(is_some);
    let users = users.or_else(|| configured().filter(is_some));
    let users = users.or_else(|| Some(quote::quoted(&variable("GIT_SSH").filter(is_some)?)));
    without_questions(users.as_deref().unwrap_or("ssh"))
}

fn without_questions(command: &str) -> String {
    let program = command.split_whitespace().next().unwrap_or_default();
    let program = program.trim_matches(['\'', '"']);
    if program.rsplit('/').next() == Some("ssh") {
        return format!("{command} -o BatchMode=yes -o ConnectTimeout=20");
    }
    command.to_owned()
}

impl<'a> Git<'a> {
    /// Git in this folder, or in the repository that the environment names.
    pub fn new(processes: &'a Processes, folder: &'a Utf8Path) -> Self {
        Self {
            processes,
            folder,
            is_isolated: false,
        }
    }

    /// Ignores a repository that the environment names, as it does in git's hooks.
    #[must_use]
    pub fn isolated(mut self) -> Self {
        self.is_isolated = true;
        self
    }

    fn command(&self, arguments: &[&str]) -> Cmd<'a> {
        let command = self.processes.cmd("git").args(["-C", self.folder.as_str()]);
        let settings = SETTINGS.iter().flat_map(|setting| ["-c", *setting]);
        let mut command = command.args(["--no-pager", "--literal-pathspecs"]);
        command = command.args(settings).args(arguments);
        for (name, value) in ENVIRONMENT {
            command = command.env(name, value);
        }
        if self.is_isolated {
            for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
                command = command.env_remove(variable);
            }
        }
        command
    }

    /// Runs git, whatever its exit code.
    pub fn capture(&self, arguments: &[&str]) -> Result<Captured> {
        self.processes.capture(self.command(arguments))
    }

    /// Runs git and returns its stdout; an error is what git says.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        let captured = self.capture(arguments)?;
        if !captured.status.success() {
            bail!("git says: {}", captured.stderr.trim().replace('\n', "; "));
        }
        Ok(captured.stdout)
    }

    /// The contents of these objects, in order, as they are stored: no filter changes them. One of more than `limit` bytes
    /// is an error.
    pub fn objects(&self, names: &[&str], limit: u64) -> Result<Vec<Vec<u8>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut git = self
            .processes
            .converse(self.command(&["cat-file", "--batch"]))?;
        let (mut stdin, stdout, _stderr) = git.streams().context("talking to git")?;
        let asked: String = names.iter().flat_map(|name| [*name, "\n"]).collect();
        let asking = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
        let mut stdout = BufReader::new(stdout);
        let mut answer = |name: &str| -> Result<Vec<u8>> {
            let mut head = String::new();
            stdout.read_line(&mut head)?;
            let size = head.trim_end().rsplit_once(' ');
            let size = size.and_then(|(_, size)| size.parse::<u64>().ok());
            let size = size.with_context(|| format!("git has no object `{name}`"))?;
            ensure!(
                size <= limit,
                "the object `{name}` has more than {limit} bytes"
            );
            let mut contents = Vec::new();
            let read = stdout.by_ref().take(size + 1).read_to_end(&mut contents)?;
            ensure!(
                read as u64 == size + 1,
                "git ended before the object `{name}` did"
            );
            contents.pop();
            Ok(contents)
        };
        let contents = names
            .iter()
            .map(|name| answer(name))
            .collect::<Result<_>>()?;
        // What it could not be asked was not answered.
        let _ = asking.join();
        git.wait(ENDING);
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssh_asks_nothing() {
        let questions = " -o BatchMode=yes -o ConnectTimeout=20";
        for ssh in ["ssh", "ssh -i key", "'/usr/bin/ssh'"] {
            assert_eq!(without_questions(ssh), format!("{ssh}{questions}"));
        }
        assert_eq!(without_questions("plink -batch"), "plink -batch");
    }

    #[test]
    fn objects_are_read_as_they_are_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let processes = Processes::new(false).unwrap();
        let git = Git::new(&processes, path).isolated();
        git.output(&["init", "--quiet"]).unwrap();
        let write = |name: &str, bytes: &[u8]| {
            crate::files::write_atomically(&path.join(name), bytes, 0o644).unwrap();
            git.output(&["hash-object", "-w", "--no-filters", name])
                .unwrap()
        };
        let many: Vec<(String, Vec<u8>)> = (0..300)
            .map(|n| {
                let bytes = [&b"\xff\r\n\0"[..], &vec![b'x'; n * 100]].concat();
                (write("f", &bytes), bytes)
            })
            .collect();
        let names: Vec<&str> = many.iter().map(|(name, _)| name.trim()).collect();
        let contents: Vec<Vec<u8>> = many.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(git.objects(&names, 1 << 20).unwrap(), contents);
        let none = "0123456789012345678901234567890123456789";
        let error = git.objects(&[names[0], none], 99).unwrap_err().to_string();
        assert!(error.contains("git has no object"), "{error}");
        let error = git.objects(&names[9..10], 99).unwrap_err().to_string();
        assert!(error.contains("more than 99 bytes"), "{error}");
        let error = git.output(&["log"]).unwrap_err().to_string();
        assert!(error.starts_with("git says: fatal: "), "{error}");
    }

    /// The configuration names a program for all that git can be made to start.
    #[test]
    fn no_program_of_the_configuration_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let processes = Processes::new(false).unwrap();
        let git = Git::new(&processes, path).isolated();
        git.output(&["init", "--quiet"]).unwrap();
        let canary = path.join("canary");
        let program = format!("#!/bin/sh\necho ran >> {canary}.ran\ncat\n");
        crate::files::write_atomically(&canary, program.as_bytes(), 0o755).unwrap();
        crate::files::write_atomically(&path.join("f"), b"x", 0o644).unwrap();
        for key in [
            "core.fsmonitor",
            "core.pager",
            "gpg.program",
            "core.sshCommand",
        ] {
            git.output(&["config", key, canary.as_str()]).unwrap();
        }
        git.output(&["config", "core.hooksPath", path.as_str()])
            .unwrap();
        let identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"];
        let commit = ["commit", "--quiet", "--no-gpg-sign", "--message", "m"];
        git.output(&["add", "f"]).unwrap();
        git.output(&[&identity[..], &commit].concat()).unwrap();
        git.output(&["config", "log.showSignature", "true"])
            .unwrap();
        for arguments in [&["ls-files", "-z"][..], &["log"], &["grep", "x"]] {
            git.output(arguments).unwrap();
        }
        assert!(!path.join("canary.ran").exists());
        // They would run by a plain git.
        let plain = processes.cmd("git").args(["-C", path.as_str(), "status"]);
        processes.capture(plain).unwrap();
        assert!(path.join("canary.ran").exists());
    }
}

//! Git, as a process in a folder.

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::process::{Captured, Processes};

/// Runs git in a folder.
pub struct Git<'a> {
    processes: &'a Processes,
    folder: &'a Utf8Path,
    is_isolated: bool,
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

    /// Runs git, whatever its exit code; paths are printed without quotes.
    pub fn capture(&self, arguments: &[&str]) -> Result<Captured> {
        let command = self.processes.cmd("git").args(["-C", self.folder.as_str()]);
        let mut command = command.args(["-c", "core.quotePath=off"]).args(arguments);
        if self.is_isolated {
            for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
                command = command.env_remove(variable);
            }
        }
        self.processes.capture(command)
    }

    /// Runs git and returns its stdout; an error is what git says.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        let captured = self.capture(arguments)?;
        if !captured.status.success() {
            bail!("git says: {}", captured.stderr.trim());
        }
        Ok(captured.stdout)
    }
}

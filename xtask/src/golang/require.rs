//! What a go.mod requires: which versions there are of it, and other versions of it by Go itself.

use std::time::Duration;

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::golang::modules::{self, Go};
use sys::printable;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;

/// How long a module proxy may take to say which versions there are.
const ASKING: Duration = Duration::from_secs(60);
/// How long Go may take to fetch what it needs to move a requirement.
const FETCHING: Duration = Duration::from_secs(600);
/// The most that is read of what Go answers, in bytes.
const MOST: u64 = 8 << 20;

/// The direct requirements of a go.mod, each with its version.
pub fn direct(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let line = line.trim();
        if line == "require (" {
            is_inside = true;
        } else if line == ")" {
            is_inside = false;
        } else if !line.ends_with("// indirect") {
            let rest = line
                .strip_prefix("require ")
                .or_else(|| is_inside.then_some(line));
            let mut words = rest.unwrap_or_default().split_whitespace();
            if let (Some(module), Some(version)) = (words.next(), words.next()) {
                found.push((module.to_owned(), version.to_owned()));
            }
        }
    }
    found
}

/// The versions of a module that the module proxy knows.
pub fn versions(processes: &Processes, go: &Go, module: &str) -> Result<Vec<String>> {
    let scratch = Scratch::new()?;
    // In a folder without a module of its own.
    let _note = terminal::Note::new(&format!("asking for the versions of {module}"));
    let format = "{{range .Versions}}{{.}} {{end}}";
    let arguments = ["list", "-m", "-versions", "-f", format, module];
    let said = run(processes, go, &scratch, scratch.path(), ASKING, &arguments)?;
    Ok(said.split_whitespace().map(str::to_owned).collect())
}

/// What came of moving a requirement.
pub enum Moved {
    /// It is required now.
    Done,
    /// It requires this newer Go.
    NeedsGo(String),
}

/// Requires a module at a version.
pub fn get(
    processes: &Processes,
    go: &Go,
    folder: &Utf8Path,
    module: &str,
    version: &str,
) -> Result<Moved> {
    let scratch = Scratch::new()?;
    let _note = terminal::Note::new(&format!("go get {module}"));
    let wanted = format!("{module}@{version}");
    match run(processes, go, &scratch, folder, FETCHING, &["get", &wanted]) {
        Ok(_) => Ok(Moved::Done),
        Err(error) => match needed_go(&error.to_string()) {
            Some(needed) => Ok(Moved::NeedsGo(needed)),
            None => Err(error),
        },
    }
}

/// Tidies go.mod and go.sum.
pub fn tidy(processes: &Processes, go: &Go, folder: &Utf8Path) -> Result<()> {
    let scratch = Scratch::new()?;
    run(processes, go, &scratch, folder, FETCHING, &["mod", "tidy"]).map(|_| ())
}

/// The Go that a module requires, if that is why Go refused it.
fn needed_go(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("requires go >= ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some(rest[..end].to_owned())
}

fn run(
    processes: &Processes,
    go: &Go,
    scratch: &Scratch,
    folder: &Utf8Path,
    longest: Duration,
    arguments: &[&str],
) -> Result<String> {
    let command = modules::plain(processes, go, scratch, folder).args(arguments);
    let captured = processes.capture_within(command, longest, MOST)?;
    if !captured.status.success() {
        bail!(
            "`go {}` of Go {} failed ({}):\n{}",
            arguments.join(" "),
            go.version,
            captured.status,
            printable::lines(captured.stderr.trim_end())
        );
    }
    Ok(captured.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_directly() {
        let text = "module a\n\ngo 1.25\n\nrequire (\n\tb.io/c v1.0.0\n\td.io v2.0.0 // indirect\n)\n\nrequire e.io v3.0.0\n\n\
                    exclude (\n\tf.io v1.0.0\n)\n";
        let found: Vec<String> = direct(text)
            .iter()
            .map(|(it, version)| format!("{it} {version}"))
            .collect();
        assert_eq!(found, ["b.io/c v1.0.0", "e.io v3.0.0"]);
        let said = "go: b.io/c@v1.1.0 requires go >= 1.26.0 (running go 1.25.5; GOTOOLCHAIN=local)";
        assert_eq!(needed_go(said).as_deref(), Some("1.26.0"));
    }
}

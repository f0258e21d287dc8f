//! Human-readable text about a run of nix-build, from the model.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use crate::build::model::{FailedBuild, Row, Run};
use crate::nix::{Component, Description};
use nix_formats::log::{Failure, plain};
use sys::printable::printable;
use sys::table::human_seconds;
use sys::table::human_size;
use sys::table::table;

/// Phases shorter than this, in seconds, are left out of the table.
const SHORT_PHASE: f64 = 0.1;

/// The table at the end. Below a component that was built stand its phases, but for the shortest.
pub fn rows_table(rows: &[Row], sizes: &BTreeMap<String, u64>) -> String {
    let header = ["component", "state", "time", "size", "output"]
        .map(str::to_owned)
        .to_vec();
    let mut lines = vec![header];
    for row in rows {
        let time = if row.seconds > 0.0 {
            human_seconds(row.seconds)
        } else {
            "-".to_owned()
        };
        let size = row.out.as_ref().and_then(|out| sizes.get(out));
        let size = size.map_or_else(|| "-".to_owned(), |size| human_size(*size));
        let output = match (&row.host, &row.out) {
            (Some(host), Some(out)) => format!("{host}:{out}"),
            (None, Some(out)) => out.clone(),
            (_, None) => row.note.clone(),
        };
        lines.push(vec![
            row.label.clone(),
            row.state.to_string(),
            time,
            size,
            output,
        ]);
        let phases = row
            .phases
            .iter()
            .filter(|phase| phase.seconds >= SHORT_PHASE);
        lines.extend(phases.map(|phase| {
            vec![
                format!("  {}", phase.phase),
                String::new(),
                human_seconds(phase.seconds),
            ]
        }));
    }
    table(&lines)
}

/// A hash mismatch, and what to do about it.
pub fn mismatch(label: &str, specified: &str, got: &str, remedy: &str) -> String {
    let remedy = remedy
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect::<String>();
    format!("{label}: hash mismatch\n  specified: {specified}\n  got:       {got}\n{remedy}")
}

/// What failed, why and where to read on.
///
/// `log_of` knows a derivation's log, `remedy_of` what to do about a hash mismatch of it.
pub fn failures(
    run: &Run,
    log_of: impl Fn(&str) -> Option<Utf8PathBuf>,
    remedy_of: impl Fn(&str) -> String,
) -> Vec<(String, String)> {
    let one = |broken: FailedBuild<'_>| {
        let label = run.label(broken.drv);
        let mut text = match broken.failure {
            Failure::Mismatch { specified, got, .. } => {
                mismatch(label, specified, got, &remedy_of(broken.drv))
            }
            Failure::Build { reason, .. } => {
                let place = broken
                    .phase
                    .map(|phase| format!(" in {phase}"))
                    .unwrap_or_default();
                format!("{label}{place}: {reason}\n")
            }
            Failure::Consequence
            | Failure::TimedOut(_)
            | Failure::Interrupted
            | Failure::Other(_) => String::new(),
        };
        for line in &broken.tail {
            text.push_str("  | ");
            text.push_str(plain(line).trim_end());
            text.push('\n');
        }
        if matches!(broken.failure, Failure::Build { .. }) {
            if let Some(program) = missing_program(&broken.tail) {
                text = text
                    + "  `"
                    + program
                    + "` is in no input of the derivation: add the package that has it to \
                       `nativeBuildInputs`\n";
            }
            if let Some(file) = broken.file {
                text = text + "  defined in: " + file + "\n";
            }
        }
        text = text + "  derivation: " + broken.drv + "\n";
        if let Some(log) = log_of(broken.drv) {
            text = text + "  whole log: " + log.as_str() + "\n";
        }
        (broken.drv.to_owned(), text)
    };
    run.failed_builds().into_iter().map(one).collect()
}

/// The program that a shell did not find, according to the last lines of a log.
///
/// bash says `bash: line 1: tsc: command not found`, dash `sh: 1: tsc: not found`, env
/// `env: 'tsc': No such file or directory`.
fn missing_program<'a>(tail: &[&'a str]) -> Option<&'a str> {
    tail.iter().rev().find_map(|line| {
        let line = line.trim_end();
        let named = line
            .strip_suffix(": command not found")
            .or_else(|| line.strip_suffix(": not found"))
            .and_then(|rest| rest.rsplit(": ").next())
            .or_else(|| {
                let rest = line.split_once("env: ")?.1;
                let name = rest.strip_suffix(": No such file or directory")?;
                Some(name.trim_matches(['\'', '‘', '’', '"']))
            })?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        (!named.is_empty() && named.chars().all(is_name)).then_some(named)
    })
}

/// The components with version, description and tests, below the container that they belong to.
pub fn list(containers: &[Description]) -> String {
    let header = ["component", "version", "description", "tests"]
        .map(str::to_owned)
        .to_vec();
    let row = |component: &Component| {
        let tests: Vec<&str> = component
            .tests
            .iter()
            .map(|test| test.name.as_str())
            .collect();
        let one_line = |text: &str| printable(text).into_owned();
        let (version, description) = (
            one_line(&component.version),
            one_line(&component.description),
        );
        vec![
            format!("  {}", component.name),
            version,
            description,
            tests.join(", "),
        ]
    };
    let mut lines = vec![header];
    for container in containers {
        lines.push(vec![format!("{}/", container.container)]);
        lines.extend(container.components.iter().map(row));
    }
    table(&lines)
}

/// Why a name is no component, with the nearest name and all of them.
pub fn unknown(name: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = nearest
        .map(|(_, name)| format!(": did you mean `{name}`?"))
        .unwrap_or_default();
    if let Some((component, _)) = name.split_once(".tests.")
        && known.iter().any(|it| it == component)
    {
        return format!("`{name}` is a test, it runs with its component: give `{component}`");
    }
    let known = known
        .iter()
        .map(|name| format!("\n  {name}"))
        .collect::<String>();
    format!("there is no component `{name}`{hint}\nthe components are:{known}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::build::model::{PhaseTime, State};
    use nix_formats::log::Event;

    #[test]
    fn the_table() {
        let row = |label: &str, state, out: Option<&str>, seconds, note: &str| Row {
            container: "app".to_owned(),
            component: String::new(),
            label: label.to_owned(),
            host: None,
            state,
            drv: "/d".to_owned(),
            out: out.map(str::to_owned),
            seconds,
            phases: vec![PhaseTime {
                phase: "p".to_owned(),
                seconds,
            }],
            note: note.to_owned(),
            culprit: None,
        };
        let rows = [
            row("client-ts", State::Built, Some("/o"), 12.34, ""),
            row(
                "client-ts.tests.types",
                State::Failed,
                None,
                0.0,
                "dependency x failed",
            ),
            row("z", State::Skipped, None, 0.0, ""),
        ];
        assert_eq!(
            rows_table(&rows, &BTreeMap::from([("/o".to_owned(), 2048)])),
            "component              state    time    size     output\n\
             client-ts              built    12.3 s  2.0 KiB  /o\n  \
             p                             12.3 s\n\
             client-ts.tests.types  failed   -       -        dependency x failed\n\
             z                      skipped  -       -\n"
        );
    }

    #[test]
    fn failures_say_all() {
        let hash = "sha256-1iFc8xdnNoal0IzrvjMMDl376Ks7Ok7CEzoKEl8cJIg=";
        let mut run = Run::new(&[]);
        let drv = |name: &str| format!("/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-{name}.drv");
        let now = Duration::ZERO;
        run.apply(
            Event::BuildStarts {
                id: 1,
                drv: drv("b").into(),
            },
            now,
        );
        run.apply(
            Event::Phase {
                id: 1,
                phase: "buildPhase".to_owned(),
            },
            now,
        );
        run.apply(
            Event::Log {
                id: 1,
                line: "\u{1b}[31moops".into(),
            },
            now,
        );
        for text in [
            format!("builder for '{}' failed with exit code 3", drv("b")),
            format!(
                "hash mismatch in fixed-output derivation '{}':\n specified: {hash}\n got: sha256-g",
                drv("a")
            ),
        ] {
            run.apply(Event::Error { text }, now);
        }
        let log = |drv: &str| drv.contains("-b").then(|| "logs/b.log".into());
        let texts: Vec<String> = failures(&run, log, |_| "accept it\nor not".to_owned())
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            texts,
            [
                format!(
                    "a: hash mismatch\n  specified: {hash}\n  got:       sha256-g\n  accept it\n  \
                     or not\n  derivation: {}\n",
                    drv("a")
                ),
                format!(
                    "b in buildPhase: failed with exit code 3\n  | oops\n  derivation: {}\n  \
                     whole log: logs/b.log\n",
                    drv("b")
                ),
            ]
        );
    }

    #[test]
    fn programs_that_were_not_found() {
        for (tail, expected) in [
            (&["bash: line 3: tsc: command not found"][..], Some("tsc")),
            (
                &["sh: 1: tsc: not found", "npm error code 127"],
                Some("tsc"),
            ),
            (
                &["/nix/store/a-stdenv/setup: line 9: g++: command not found"],
                Some("g++"),
            ),
            (&["env: 'node': No such file or directory"], Some("node")),
            (
                &["/usr/bin/env: ‘python3’: No such file or directory"],
                Some("python3"),
            ),
            (&["error: module x: not a module: not found"], None),
            (&["header.h: No such file or directory"], None),
            (&["GET /a b: not found"], None),
            (&[], None),
        ] {
            assert_eq!(missing_program(tail), expected, "{tail:?}");
        }
    }

    #[test]
    fn unknown_names() {
        let known = ["client-go".to_owned(), "client-ts".to_owned()];
        let message = unknown("cleint-ts", &known);
        assert!(message.contains("did you mean `client-ts`?"), "{message}");
        assert!(message.ends_with("\n  client-go\n  client-ts"), "{message}");
        assert!(!unknown("zzz", &known).contains("did you mean"));
    }
}

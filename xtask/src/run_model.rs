//! A run of nix-build as a model: events in, what to show and the state of each row out.
//!
//! No I/O and no clock: times come in as durations since the start of the run.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::nix_log::{self, Event, Failure};
use crate::store_path::name_of;

/// How many lines of the failing phase are kept to be shown.
const TAIL_LINES: usize = 30;
/// How many characters of each of these lines.
const TAIL_WIDTH: usize = 2000;

/// What is to be built: a component or one of its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `client-ts` or `client-ts.tests.types`.
    pub label: String,
    /// The store path of its derivation.
    pub drv: String,
    /// The store path of its first output.
    pub out: String,
}

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// Built in this run.
    #[serde(rename = "built")]
    Built,
    /// Nothing to do: it was in the store, or came from a cache.
    #[serde(rename = "cached")]
    Cached,
    /// It, or something it needs, failed.
    #[serde(rename = "failed")]
    Failed,
    /// A fixed output, its own or one it needs, has other content than its hash says.
    #[serde(rename = "hash mismatch")]
    HashMismatch,
    /// The run ended before its turn.
    #[serde(rename = "skipped")]
    Skipped,
}

/// A target's row: of the table, and as a JSON line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The label of the target.
    pub component: String,
    /// How it ended.
    pub state: State,
    /// The store path of its derivation.
    pub drv: String,
    /// The store path of its output, when it is there.
    pub out: Option<String>,
    /// How long its own build took, in seconds; 0 when it was not built.
    pub seconds: f64,
    /// The phases of its own build, in order.
    pub phases: Vec<PhaseTime>,
    /// Why it is not there.
    #[serde(skip)]
    pub note: String,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// Its name.
    pub phase: String,
    /// In seconds.
    pub seconds: f64,
}

/// What an event asks to be shown and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A derivation's build starts.
    Starts {
        /// The derivation.
        drv: String,
    },
    /// A builder's line.
    Log {
        /// The derivation.
        drv: String,
        /// The line as it came.
        line: String,
    },
    /// A builder's new phase.
    Phase {
        /// The derivation.
        drv: String,
        /// Its name.
        phase: String,
    },
    /// A build ended, well or not.
    Ends {
        /// The derivation.
        drv: String,
    },
    /// A build may have ended: time for [`Run::note_outputs`].
    Counts,
    /// Nix says something.
    Nix {
        /// Whether it is for `-v` only.
        detail: bool,
        /// All its lines.
        text: String,
    },
}

/// What is known about the store after the run.
#[derive(Debug, Default)]
pub struct After {
    /// Outputs that were valid before the run.
    pub valid_before: BTreeSet<String>,
    /// Outputs that are valid now.
    pub valid: BTreeSet<String>,
    /// For the derivations of targets that are not valid: all derivations that they need.
    pub requisites: BTreeMap<String, BTreeSet<String>>,
    /// Whether nix-build said that all went well.
    pub success: bool,
}

/// A derivation that failed, for the report.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken<'a> {
    /// The derivation.
    pub drv: &'a str,
    /// Why.
    pub failure: &'a Failure,
    /// The phase it was in, if the builder named any.
    pub phase: Option<&'a str>,
    /// The last lines of that phase.
    pub tail: Vec<&'a str>,
}

/// The model.
#[derive(Debug, Default)]
pub struct Run {
    labels: BTreeMap<String, String>,
    outs: BTreeMap<String, String>,
    active: HashMap<u64, String>,
    builds: BTreeMap<String, Build>,
    failures: BTreeMap<String, Failure>,
    other_errors: Vec<String>,
    /// What messages without proof say of a derivation: a daemon's on all but the last failure, or
    /// those that a builder makes up.
    said: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Build {
    started: Duration,
    ended: Option<Duration>,
    phases: Vec<(String, Duration)>,
    tail: VecDeque<String>,
}

impl Run {
    /// A run that builds these targets.
    pub fn new(targets: &[Target]) -> Self {
        let mut labels = BTreeMap::new();
        for target in targets {
            labels
                .entry(target.drv.clone())
                .or_insert_with(|| target.label.clone());
        }
        let outs = targets
            .iter()
            .map(|target| (target.drv.clone(), target.out.clone()))
            .collect();
        Self {
            labels,
            outs,
            ..Self::default()
        }
    }

    /// What people call a derivation: its target's label, else its name.
    pub fn label<'a>(&'a self, drv: &'a str) -> &'a str {
        self.labels
            .get(drv)
            .map_or_else(|| name_of(drv), String::as_str)
    }

    /// Takes in an event that came `at` this time.
    pub fn apply(&mut self, event: Event, at: Duration) -> Option<Said> {
        match event {
            Event::BuildStarts { id, drv } => {
                self.active.insert(id, drv.clone());
                self.builds.insert(
                    drv.clone(),
                    Build {
                        started: at,
                        ..Build::default()
                    },
                );
                Some(Said::Starts { drv })
            }
            Event::Stops { id } => {
                let drv = self.active.remove(&id)?;
                self.builds.get_mut(&drv)?.ended.get_or_insert(at);
                Some(Said::Ends { drv })
            }
            Event::Log { id, line } => {
                let drv = self.active.get(&id)?.clone();
                self.builds.get_mut(&drv)?.remember(&line);
                Some(Said::Log { drv, line })
            }
            Event::Phase { id, phase } => {
                let drv = self.active.get(&id)?.clone();
                let build = self.builds.get_mut(&drv)?;
                build.phases.push((phase.clone(), at));
                build.tail.clear();
                Some(Said::Phase { drv, phase })
            }
            Event::Counts => Some(Said::Counts),
            Event::Error { text } => {
                self.note_failure(&text);
                Some(Said::Nix {
                    detail: false,
                    text: format!("error: {text}"),
                })
            }
            Event::Message { detail, text } => {
                if let Some(error) = text.strip_prefix("error: ")
                    && let Failure::Build { drv, reason } = nix_log::failure(error)
                {
                    self.said.entry(drv).or_insert(reason);
                }
                Some(Said::Nix { detail, text })
            }
        }
    }

    /// Marks the targets as ended whose output `exists`.
    ///
    /// Nix 2.8 reports the end of each build only when the whole run is over.
    pub fn note_outputs(&mut self, at: Duration, exists: impl Fn(&str) -> bool) {
        for drv in self.active.values() {
            if let Some(build) = self.builds.get_mut(drv)
                && build.ended.is_none()
                && self.outs.get(drv).is_some_and(|out| exists(out))
            {
                build.ended = Some(at);
            }
        }
    }

    fn note_failure(&mut self, text: &str) {
        match nix_log::failure(text) {
            failure @ (Failure::Mismatch { .. } | Failure::Build { .. }) => {
                let (Failure::Mismatch { drv, .. } | Failure::Build { drv, .. }) = &failure else {
                    return;
                };
                // The first message gives the cause.
                self.failures.entry(drv.clone()).or_insert(failure);
            }
            Failure::Other(text) => self.other_errors.push(text),
            Failure::Consequence | Failure::Interrupted => {}
        }
    }

    /// The derivations whose build began, in order of their names.
    pub fn started(&self) -> impl Iterator<Item = &str> {
        self.builds.keys().map(String::as_str)
    }

    /// The last phase of a derivation's build.
    pub fn phase(&self, drv: &str) -> Option<&str> {
        self.builds.get(drv)?.phase()
    }

    /// Nix's errors that named no derivation.
    pub fn other_errors(&self) -> &[String] {
        &self.other_errors
    }

    /// Whether some derivation is known to have failed.
    pub fn any_failure(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Lays what was said without proof, else the errors that named no derivation, at the door of
    /// `drv`, whose build is known to have failed.
    pub fn blame(&mut self, drv: &str) {
        let reason = if let Some(said) = self.said.get(drv) {
            said.clone()
        } else if self.other_errors.is_empty() {
            "ended without an output; Nix gave no reason".to_owned()
        } else {
            self.other_errors.join("\n")
        };
        let failure = Failure::Build {
            drv: drv.to_owned(),
            reason,
        };
        self.failures.entry(drv.to_owned()).or_insert(failure);
    }

    /// What failed, for the report.
    pub fn broken(&self) -> Vec<Broken<'_>> {
        let broken = |(drv, failure)| {
            let build: Option<&Build> = self.builds.get::<String>(drv);
            Broken {
                drv,
                failure,
                phase: build.and_then(Build::phase),
                tail: build.map_or_else(Vec::new, |build| {
                    build.tail.iter().map(String::as_str).collect()
                }),
            }
        };
        self.failures.iter().map(broken).collect()
    }

    /// The rows of the targets, in their order.
    pub fn rows(&self, targets: &[Target], after: &After, now: Duration) -> Vec<Row> {
        targets
            .iter()
            .map(|target| self.row(target, after, now))
            .collect()
    }

    fn row(&self, target: &Target, after: &After, now: Duration) -> Row {
        let build = self.builds.get(&target.drv);
        let (state, note) = if after.valid.contains(&target.out) {
            let built = build.is_some() && !after.valid_before.contains(&target.out);
            (
                if built { State::Built } else { State::Cached },
                String::new(),
            )
        } else {
            self.why_missing(target, after)
        };
        Row {
            component: target.label.clone(),
            state,
            drv: target.drv.clone(),
            out: after
                .valid
                .contains(&target.out)
                .then(|| target.out.clone()),
            seconds: build.map_or(0.0, |build| build.seconds(now)),
            phases: build.map_or_else(Vec::new, |build| build.phase_times(now)),
            note,
        }
    }

    fn why_missing(&self, target: &Target, after: &After) -> (State, String) {
        match self.failures.get(&target.drv) {
            Some(Failure::Mismatch { got, .. }) => {
                return (State::HashMismatch, format!("got {got}"));
            }
            Some(Failure::Build { reason, .. }) => {
                let first = reason.lines().next().unwrap_or_default();
                return (State::Failed, first.to_owned());
            }
            _ => {}
        }
        let empty = BTreeSet::new();
        let needed = after.requisites.get(&target.drv).unwrap_or(&empty);
        let mut mismatch = None;
        for (drv, failure) in self
            .failures
            .iter()
            .filter(|(drv, _)| needed.contains(*drv))
        {
            let name = self.label(drv);
            match failure {
                Failure::Mismatch { .. } => {
                    mismatch.get_or_insert_with(|| format!("in dependency {name}"));
                }
                _ => return (State::Failed, format!("dependency {name} failed")),
            }
        }
        if let Some(note) = mismatch {
            return (State::HashMismatch, note);
        }
        if after.success {
            let note = "nix-build said that it went well, but the output is not in the store";
            return (State::Failed, note.to_owned());
        }
        (State::Skipped, String::new())
    }
}

impl Build {
    fn phase(&self) -> Option<&str> {
        self.phases.last().map(|(name, _)| name.as_str())
    }

    fn remember(&mut self, line: &str) {
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        let end = line
            .char_indices()
            .nth(TAIL_WIDTH)
            .map_or(line.len(), |(at, _)| at);
        self.tail.push_back(line[..end].to_owned());
    }

    fn end(&self, now: Duration) -> Duration {
        self.ended.unwrap_or(now)
    }

    fn seconds(&self, now: Duration) -> f64 {
        seconds(self.started, self.end(now))
    }

    fn phase_times(&self, now: Duration) -> Vec<PhaseTime> {
        let ends = self.phases.iter().skip(1).map(|(_, start)| *start);
        self.phases
            .iter()
            .zip(ends.chain([self.end(now)]))
            .map(|((phase, start), end)| PhaseTime {
                phase: phase.clone(),
                seconds: seconds(*start, end),
            })
            .collect()
    }
}

/// To the millisecond: more would be noise.
fn seconds(start: Duration, end: Duration) -> f64 {
    let millis = end.saturating_sub(start).as_millis();
    f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1000.0
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Built => "built",
            Self::Cached => "cached",
            Self::Failed => "failed",
            Self::HashMismatch => "hash mismatch",
            Self::Skipped => "skipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a-1.drv";
    const DEP: &str = "/nix/store/dddddddddddddddddddddddddddddddd-dep-2.drv";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn target() -> Target {
        Target {
            label: "a".to_owned(),
            drv: A.to_owned(),
            out: "/out/a".to_owned(),
        }
    }

    fn needs_dep() -> After {
        After {
            requisites: BTreeMap::from([(A.to_owned(), BTreeSet::from([DEP.to_owned()]))]),
            ..After::default()
        }
    }

    fn run_of(errors: &[&str]) -> Run {
        let mut run = Run::new(&[target()]);
        for text in errors {
            run.apply(
                Event::Error {
                    text: (*text).to_owned(),
                },
                at(1),
            );
        }
        run
    }

    #[test]
    fn a_build_with_phases() {
        let mut run = Run::new(&[target()]);
        let phase = |name: &str| Event::Phase {
            id: 1,
            phase: name.to_owned(),
        };
        run.apply(
            Event::BuildStarts {
                id: 1,
                drv: A.to_owned(),
            },
            at(1),
        );
        run.apply(phase("buildPhase"), at(2));
        let said = run.apply(
            Event::Log {
                id: 1,
                line: "hello".to_owned(),
            },
            at(3),
        );
        assert_eq!(
            said,
            Some(Said::Log {
                drv: A.to_owned(),
                line: "hello".to_owned()
            })
        );
        assert_eq!(run.phase(A), Some("buildPhase"));
        run.apply(phase("installPhase"), at(5));
        run.apply(Event::Stops { id: 1 }, at(9));
        assert_eq!(run.started().collect::<Vec<_>>(), [A]);
        let valid = BTreeSet::from(["/out/a".to_owned()]);
        let after = After {
            valid,
            success: true,
            ..After::default()
        };
        let rows = run.rows(&[target()], &after, at(20));
        assert_eq!(
            serde_json::to_value(&rows[0]).unwrap(),
            serde_json::json!({
                "component": "a", "state": "built", "drv": A, "out": "/out/a", "seconds": 8.0,
                "phases": [
                    { "phase": "buildPhase", "seconds": 3.0 },
                    { "phase": "installPhase", "seconds": 4.0 },
                ],
            })
        );
    }

    #[test]
    fn states() {
        let valid = BTreeSet::from(["/out/a".to_owned()]);
        let cached = After {
            valid: valid.clone(),
            valid_before: valid,
            ..After::default()
        };
        let builder = format!("builder for '{A}' failed with exit code 3");
        let mismatch = |drv| {
            format!(
                "hash mismatch in fixed-output derivation '{drv}':\n specified: sha256-x\n got: sha256-y"
            )
        };
        let dep = format!("builder for '{DEP}' failed with exit code 1");
        for (errors, after, state, note) in [
            (vec![], cached, State::Cached, ""),
            (vec![], needs_dep(), State::Skipped, ""),
            (
                vec![builder],
                needs_dep(),
                State::Failed,
                "failed with exit code 3",
            ),
            (
                vec![mismatch(A)],
                needs_dep(),
                State::HashMismatch,
                "got sha256-y",
            ),
            (
                vec![mismatch(DEP)],
                needs_dep(),
                State::HashMismatch,
                "in dependency dep-2",
            ),
            (
                vec![dep],
                needs_dep(),
                State::Failed,
                "dependency dep-2 failed",
            ),
            (
                vec![],
                After {
                    success: true,
                    ..After::default()
                },
                State::Failed,
                "nix-build said that it went well, but the output is not in the store",
            ),
        ] {
            let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
            let rows = run_of(&errors).rows(&[target()], &after, at(1));
            assert_eq!(
                (rows[0].state, rows[0].note.as_str()),
                (state, note),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_daemon_s_words_count_for_what_failed() {
        let mut run = run_of(&[]);
        let text = format!("error: builder for '{A}' failed with exit code 3;");
        run.apply(
            Event::Message {
                detail: false,
                text,
            },
            at(1),
        );
        assert!(!run.any_failure());
        run.blame(A);
        let row = &run.rows(&[target()], &After::default(), at(2))[0];
        assert_eq!(
            (row.state, &*row.note),
            (State::Failed, "failed with exit code 3")
        );
    }

    #[test]
    fn errors_without_a_derivation_can_be_blamed() {
        let mut run = run_of(&["output '/x' is not allowed to refer to the following paths:\n /y"]);
        assert!(!run.any_failure());
        assert_eq!(run.other_errors().len(), 1);
        run.blame(A);
        let rows = run.rows(&[target()], &After::default(), at(1));
        assert_eq!(rows[0].state, State::Failed);
        assert!(
            rows[0].note.starts_with("output '/x' is not allowed"),
            "{}",
            rows[0].note
        );
    }

    #[test]
    fn the_tail_is_that_of_the_last_phase_and_short() {
        let mut run = Run::new(&[]);
        let log = |line: String| Event::Log { id: 1, line };
        run.apply(
            Event::BuildStarts {
                id: 1,
                drv: DEP.to_owned(),
            },
            at(0),
        );
        run.apply(log("before".to_owned()), at(0));
        run.apply(
            Event::Phase {
                id: 1,
                phase: "checkPhase".to_owned(),
            },
            at(0),
        );
        for n in 0..100 {
            run.apply(log(format!("line {n}")), at(1));
        }
        run.apply(log("ä".repeat(5000)), at(1));
        run.apply(Event::Stops { id: 1 }, at(2));
        run.note_failure(&format!("builder for '{DEP}' failed with exit code 3"));
        let broken = run.broken();
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0].phase, Some("checkPhase"));
        assert_eq!(broken[0].tail.len(), TAIL_LINES);
        assert_eq!(broken[0].tail[0], "line 71");
        assert_eq!(broken[0].tail[29].chars().count(), TAIL_WIDTH);
        assert_eq!(run.label(DEP), "dep-2");
    }

    #[test]
    fn events_of_unknown_activities_are_passed_over() {
        let mut run = Run::new(&[]);
        assert_eq!(run.apply(Event::Stops { id: 9 }, at(0)), None);
        assert_eq!(
            run.apply(
                Event::Log {
                    id: 9,
                    line: "x".to_owned()
                },
                at(0)
            ),
            None
        );
        assert_eq!(
            run.apply(
                Event::Phase {
                    id: 9,
                    phase: "x".to_owned()
                },
                at(0)
            ),
            None
        );
    }
}

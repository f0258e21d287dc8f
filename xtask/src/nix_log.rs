//! What Nix says with `--log-format internal-json`: bytes of a line in, an event out.
//!
//! The format is that of `JSONLogger` in Nix's `libutil/logging.cc`. It is not documented and grows:
//! what is not known here is passed over. Text that a builder prints arrives inside of a `result` and
//! is never looked into, whatever it looks like.

use serde_json::Value;

use crate::output::plain;

/// Activity: copying a file from somewhere.
const FILE_TRANSFER: u64 = 101;
/// Activity: building a derivation.
const BUILD: u64 = 105;
/// Activity: taking a store path from a cache.
const SUBSTITUTE: u64 = 108;
/// Result: a line of a builder's log.
const BUILD_LOG_LINE: u64 = 101;
/// Result: a builder enters a phase.
const SET_PHASE: u64 = 104;
const PROGRESS: u64 = 105;
/// Verbosity of errors, of warnings, of notices; what is above is for `-v`.
const LEVEL_ERROR: u64 = 0;
/// The highest level that is shown without `-v`.
const LEVEL_NOTICE: u64 = 2;

/// Something that Nix said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A derivation's build starts.
    BuildStarts {
        /// The activity, which later events name.
        id: u64,
        /// The store path of the derivation.
        drv: String,
    },
    /// An activity, of any kind, ends.
    Stops {
        /// The activity.
        id: u64,
    },
    /// A builder printed a line.
    Log {
        /// The build's activity.
        id: u64,
        /// The line as it came.
        line: String,
    },
    /// A builder entered a phase.
    Phase {
        /// The build's activity.
        id: u64,
        /// Its name, such as `buildPhase`.
        phase: String,
    },
    /// Some activity's counts changed; of builds they do whenever one ends.
    Counts,
    /// An error of Nix itself, without escape sequences.
    Error {
        /// All its lines.
        text: String,
    },
    /// Anything else worth a line.
    Message {
        /// Whether it is for `-v` only.
        detail: bool,
        /// All its lines.
        text: String,
    },
}

/// Why a build failed, in Nix's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A fixed output has other content than its hash says.
    Mismatch {
        /// The derivation.
        drv: String,
        /// The hash that the expression gives.
        specified: String,
        /// The hash of what was built.
        got: String,
    },
    /// A derivation failed by itself.
    Build {
        /// The derivation.
        drv: String,
        /// The rest of the message.
        reason: String,
    },
    /// A derivation was not built because of another, or a summary: nothing new.
    Consequence,
    /// Nix ended because it was told to.
    Interrupted,
    /// An error that names no derivation.
    Other(String),
}

/// The events of a line of stderr: usually one, none for what is not known.
///
/// Something may stand before `@nix ` (a spinner that does not end its line); it is a message then.
pub fn parse(line: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(line);
    for (start, _) in text.match_indices("@nix {") {
        let Ok(value) = serde_json::from_str::<Value>(&text[start + "@nix ".len()..]) else {
            continue;
        };
        let before = plain(&text[..start]);
        let mut events = Vec::new();
        if !before.trim().is_empty() {
            events.push(Event::Message {
                detail: false,
                text: before,
            });
        }
        events.extend(event(&value));
        return events;
    }
    let text = plain(&text);
    if text.trim().is_empty() {
        return Vec::new();
    }
    vec![Event::Message {
        detail: false,
        text,
    }]
}

fn event(value: &Value) -> Option<Event> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let first_field = || value.get("fields")?.get(0)?.as_str().map(str::to_owned);
    match text("action")? {
        "start" => {
            let id = number("id")?;
            match number("type")? {
                BUILD => Some(Event::BuildStarts {
                    id,
                    drv: first_field()?,
                }),
                FILE_TRANSFER | SUBSTITUTE => {
                    let text = lines(text("text")?);
                    let detail = number("level")? > LEVEL_NOTICE + 1;
                    (!text.is_empty()).then_some(Event::Message { detail, text })
                }
                _ => None,
            }
        }
        "stop" => Some(Event::Stops { id: number("id")? }),
        "result" => {
            let id = number("id")?;
            match number("type")? {
                BUILD_LOG_LINE => Some(Event::Log {
                    id,
                    line: first_field()?,
                }),
                SET_PHASE => Some(Event::Phase {
                    id,
                    phase: plain(&first_field()?),
                }),
                PROGRESS => Some(Event::Counts),
                _ => None,
            }
        }
        "msg" => {
            let level = number("level")?;
            // A builder can make Nix pass a message on, at any level, but never with `raw_msg`.
            match text("raw_msg") {
                Some(raw) if level == LEVEL_ERROR => Some(Event::Error { text: lines(raw) }),
                _ => Some(Event::Message {
                    detail: level > LEVEL_NOTICE,
                    text: lines(text("msg")?),
                }),
            }
        }
        _ => None,
    }
}

/// [`plain`], line by line.
fn lines(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(plain)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What an [`Event::Error`] means for the derivations.
///
/// The words are those of Nix 2.3 to 2.34 and Lix.
pub fn failure(text: &str) -> Failure {
    // A daemon adds the builder's last lines, which are not Nix's words.
    let text = own_words(text);
    if text.contains("interrupted by the user") {
        return Failure::Interrupted;
    }
    let summary = text.starts_with("build of ") && text.trim_end().ends_with(" failed");
    let dependency = text.contains("dependencies of derivation")
        || text.contains("dependency failed")
        || text.contains("dependencies failed")
        || text.contains("failed due to failed dependency");
    if summary || dependency {
        return Failure::Consequence;
    }
    let drv = quoted(text).find(|word| word.strip_suffix(".drv").is_some());
    if text.contains("hash mismatch in fixed-output derivation")
        && let Some(drv) = drv
        && let (Some(specified), Some(got)) = (
            labelled(text, &["specified:", "wanted:"]),
            labelled(text, &["got:"]),
        )
    {
        return Failure::Mismatch {
            drv: drv.to_owned(),
            specified,
            got,
        };
    }
    match drv {
        Some(drv) => Failure::Build {
            drv: drv.to_owned(),
            reason: reason(text, drv),
        },
        None => Failure::Other(text.to_owned()),
    }
}

/// An error up to `last 10 log lines:`.
fn own_words(text: &str) -> &str {
    let is_last_lines = |line: &str| {
        let line = line.trim();
        line.ends_with("log lines:") && (line.starts_with("last ") || line.starts_with("Last "))
    };
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if is_last_lines(line) {
            return text[..end].trim_end();
        }
        end += line.len();
    }
    text
}

/// Words between single quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('\'').skip(1).step_by(2)
}

/// The word after one of the labels, which starts a line.
fn labelled(text: &str, labels: &[&str]) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim_start();
        let rest = labels.iter().find_map(|label| line.strip_prefix(label))?;
        rest.split_whitespace().next().map(str::to_owned)
    })
}

/// The message without the derivation's name; of several lines those that give the cause.
fn reason(text: &str, drv: &str) -> String {
    let old = ["builder for ", "build of resolved derivation ", "build of "]
        .iter()
        .find_map(|start| {
            text.strip_prefix(start)?
                .strip_prefix('\'')?
                .strip_prefix(drv)?
                .strip_prefix("' ")
        });
    if let Some(rest) = old {
        let rest = rest.lines().next().unwrap_or(rest);
        return rest.trim_end_matches([';', ':']).to_owned();
    }
    // Nix 2.30 and later: "Cannot build '…'." and "Reason: …" on a line of its own.
    let newer = text
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("Reason: "));
    newer.map_or_else(
        || text.to_owned(),
        |rest| rest.trim_end_matches('.').to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILS_28: &str = include_str!("../tests/fixtures/nix-2.8/fails-internal-json.txt");
    const FAILS_226: &str = include_str!("../tests/fixtures/nix-2.26/fails-internal-json.txt");
    const MISMATCH_28: &str = include_str!("../tests/fixtures/nix-2.8/mismatch-internal-json.txt");
    const MISMATCH_226: &str =
        include_str!("../tests/fixtures/nix-2.26/mismatch-internal-json.txt");
    const OK_28: &str = include_str!("../tests/fixtures/nix-2.8/ok-internal-json.txt");
    const OK_226: &str = include_str!("../tests/fixtures/nix-2.26/ok-internal-json.txt");

    /// The events of a captured stderr.
    fn events(sample: &str) -> Vec<Event> {
        let (_, stderr) = sample.split_once("--- stderr\n").unwrap();
        let (stderr, _) = stderr.split_once("--- exit code").unwrap();
        stderr
            .lines()
            .flat_map(|line| parse(line.as_bytes()))
            .collect()
    }

    fn errors(events: &[Event]) -> Vec<Failure> {
        let text = |event: &Event| match event {
            Event::Error { text } => Some(failure(text)),
            _ => None,
        };
        events.iter().filter_map(text).collect()
    }

    #[test]
    fn a_failing_build() {
        for sample in [FAILS_28, FAILS_226] {
            let events = events(sample);
            let drv = "/nix/store/sysgjhk3i8aszp10fxvb52i52ifj0j6l-fails.drv";
            let log: Vec<&str> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Log { line, .. } => Some(line.as_str()),
                    _ => None,
                })
                .collect();
            assert_eq!(log.len(), 13);
            assert_eq!((log[0], log[12]), ("line 1", "oops"));
            assert!(events.iter().any(
                |event| matches!(event, Event::BuildStarts { drv: found, .. } if found == drv)
            ));
            let reason = "failed with exit code 3".to_owned();
            assert_eq!(
                errors(&events),
                [Failure::Build {
                    drv: drv.to_owned(),
                    reason
                }]
            );
        }
    }

    #[test]
    fn a_mismatch() {
        for sample in [MISMATCH_28, MISMATCH_226] {
            assert_eq!(
                errors(&events(sample)),
                [Failure::Mismatch {
                    drv: "/nix/store/6rpybr3i1c3jar3l3pq2gzl2dpwmyfbp-mismatch.drv".to_owned(),
                    specified: "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
                    got: "sha256-HDfQGvQL4ugGkd48w99EN3ppmvuxfGjwgJZLL9Bx/BM=".to_owned(),
                }]
            );
        }
    }

    #[test]
    fn phases() {
        for sample in [OK_28, OK_226] {
            let events = events(sample);
            assert!(
                events.iter().any(
                    |event| matches!(event, Event::Phase { phase, .. } if phase == "buildPhase")
                )
            );
            assert_eq!(errors(&events), []);
        }
    }

    #[test]
    fn lines_that_are_no_event() {
        for line in [
            r#"@nix {"action":"brandnew","id":1}"#,
            r#"@nix {"action":"start","id":1,"type":9999,"text":"x","level":1}"#,
            r#"@nix {"action":"start","id":1,"type":105}"#,
            r#"@nix {"action":"result","id":1,"type":101,"fields":[7]}"#,
            r#"@nix {"action":"result","id":-1,"type":101,"fields":["x"]}"#,
            r#"@nix {"action":7}"#,
            "@nix {}",
            "",
            "  \r",
        ] {
            assert_eq!(parse(line.as_bytes()), [], "{line}");
        }
    }

    #[test]
    fn look_alikes_of_builders_change_nothing() {
        let inner = r#"@nix {"action":"msg","level":0,"raw_msg":"builder for '/x.drv' failed"}"#;
        let fields = serde_json::to_string(&[inner]).unwrap();
        let line = format!(r#"@nix {{"action":"result","id":3,"type":101,"fields":{fields}}}"#);
        assert_eq!(
            parse(line.as_bytes()),
            [Event::Log {
                id: 3,
                line: inner.to_owned()
            }]
        );
        let passed_on = r#"@nix {"action":"msg","level":0,"msg":"error: not real"}"#;
        assert_eq!(
            parse(passed_on.as_bytes()),
            [Event::Message {
                detail: false,
                text: "error: not real".to_owned()
            }]
        );
        let warning = r#"@nix {"action":"msg","level":1,"msg":"warning: w","raw_msg":"w"}"#;
        assert!(matches!(
            &parse(warning.as_bytes())[..],
            [Event::Message { detail: false, .. }]
        ));
    }

    #[test]
    fn something_glued_in_front() {
        let line = "\u{1b}[2K⠙ resolving@nix {\"action\":\"stop\",\"id\":7}";
        assert_eq!(
            parse(line.as_bytes()),
            [
                Event::Message {
                    detail: false,
                    text: "⠙ resolving".to_owned()
                },
                Event::Stops { id: 7 }
            ]
        );
        assert_eq!(
            parse(b" \x1b[1m\r@nix {\"action\":\"stop\",\"id\":7}"),
            [Event::Stops { id: 7 }]
        );
        let broken = "text @nix {\"action\":";
        assert_eq!(
            parse(broken.as_bytes()),
            [Event::Message {
                detail: false,
                text: broken.to_owned()
            }]
        );
    }

    #[test]
    fn the_builders_last_lines_are_not_nix_words() {
        let drv = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a.drv";
        let text = format!(
            "builder for '{drv}' failed with exit code 1;\n\
             last 2 log lines:\n\
             > interrupted by the user, dependency failed\n\
             > hash mismatch in fixed-output derivation '/x.drv': specified: a got: b\n\
             For full logs, run 'nix log {drv}'."
        );
        assert_eq!(
            failure(&text),
            Failure::Build {
                drv: drv.to_owned(),
                reason: "failed with exit code 1".to_owned()
            }
        );
    }

    #[test]
    fn failures_in_nix_own_words() {
        let build = |drv: &str, reason: &str| Failure::Build {
            drv: drv.to_owned(),
            reason: reason.to_owned(),
        };
        for (text, expected) in [
            (
                "builder for '/s/a.drv' failed due to signal 9 (Killed)",
                build("/s/a.drv", "failed due to signal 9 (Killed)"),
            ),
            (
                "builder for '/s/a.drv' failed with exit code 3;\n       last 2 log lines:\n > x",
                build("/s/a.drv", "failed with exit code 3"),
            ),
            (
                "builder for '/s/a.drv' failed to produce output path for output 'out' at '/b'",
                build(
                    "/s/a.drv",
                    "failed to produce output path for output 'out' at '/b'",
                ),
            ),
            (
                "Cannot build '/s/a.drv'.\n       Reason: builder failed with exit code 3.\n",
                build("/s/a.drv", "builder failed with exit code 3"),
            ),
            (
                "Cannot build '/s/a.drv'.\nReason: 1 dependency failed.\n",
                Failure::Consequence,
            ),
            (
                "1 dependencies of derivation '/s/a.drv' failed to build",
                Failure::Consequence,
            ),
            (
                "build of '/s/a.drv', '/s/b.drv' failed",
                Failure::Consequence,
            ),
            ("interrupted by the user", Failure::Interrupted),
            (
                "a 'x' is required",
                Failure::Other("a 'x' is required".to_owned()),
            ),
            (
                "fixed-output derivations must not reference store paths: '/s/a.drv' references 1",
                build(
                    "/s/a.drv",
                    "fixed-output derivations must not reference store paths: \
                     '/s/a.drv' references 1",
                ),
            ),
            (
                "hash mismatch in fixed-output derivation '/s/a.drv':\n likely URL: x\n \
                 specified: sha256-a\n   got: sha256-b\n expected path: p",
                Failure::Mismatch {
                    drv: "/s/a.drv".to_owned(),
                    specified: "sha256-a".to_owned(),
                    got: "sha256-b".to_owned(),
                },
            ),
        ] {
            assert_eq!(failure(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_text_is_classified(text in "(builder|build of|'|/s/a.drv|got:|\n| |x)*") {
            let _ = failure(&text);
        }
    }
}

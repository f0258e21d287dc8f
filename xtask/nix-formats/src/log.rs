//! What Nix says with `--log-format internal-json`: bytes in, events out.
//!
//! The format is that of `JSONLogger` in Nix's `libutil/logging.cc`. It is not documented and grows:
//! what is not known here is passed over. Text that a builder prints arrives inside of a `result` and
//! is never looked into, whatever it looks like.

mod lines;
mod text;

use std::borrow::Cow;
use std::fmt;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use self::lines::Lines;
pub use self::text::{beginning, coloured, plain};
use crate::store_path;

/// Activity: copying a file from somewhere.
const FILE_TRANSFER: u64 = 101;
/// Activity: all builds of the run.
const BUILDS: u64 = 104;
/// Activity: building a derivation.
const BUILD: u64 = 105;
/// Activity: taking a store path from a cache.
const SUBSTITUTE: u64 = 108;
/// Result: a line of a builder's log.
const BUILD_LOG_LINE: u64 = 101;
/// Result: a builder enters a phase.
const SET_PHASE: u64 = 104;
/// Result: the counts of an activity.
const PROGRESS: u64 = 105;
/// Verbosity of errors, of warnings, of notices; what is above is for `-v`.
const LEVEL_ERROR: u64 = 0;
/// The highest level that is shown without `-v`.
const LEVEL_NOTICE: u64 = 2;

/// Something that Nix said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A derivation's build starts.
    BuildStarts {
        /// The activity, which later events name.
        id: u64,
        /// The store path of the derivation.
        drv: Cow<'a, str>,
    },
    /// The counts of all builds will come under this activity.
    BuildsStart {
        /// The activity.
        id: u64,
    },
    /// Something is fetched, by Nix itself.
    FetchStarts {
        /// The activity.
        id: u64,
        /// A store path or a URL.
        what: Cow<'a, str>,
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
        line: Cow<'a, str>,
    },
    /// A builder entered a phase.
    Phase {
        /// The build's activity.
        id: u64,
        /// Its name, such as `buildPhase`.
        phase: String,
    },
    /// Some activity's counts changed; those of all builds do whenever one ends.
    Counts {
        /// The activity.
        id: u64,
        /// The counts.
        counts: Counts,
    },
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

/// How far an activity is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What is done.
    pub done: u64,
    /// What there is to do in all, as far as is known.
    pub expected: u64,
    /// What runs now.
    pub running: u64,
    /// What failed.
    pub failed: u64,
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
    /// The build that ended just before took too long.
    TimedOut(String),
    /// Nix ended because it was told to.
    Interrupted,
    /// An error that names no derivation.
    Other(String),
}

/// A line of JSON, as far as it is looked at. What has another type than expected counts as absent.
#[derive(Debug, Default)]
struct Line<'a> {
    action: Option<Cow<'a, str>>,
    id: Option<u64>,
    kind: Option<u64>,
    level: Option<u64>,
    fields: Vec<Field<'a>>,
    msg: Option<Cow<'a, str>>,
    raw_msg: Option<Cow<'a, str>>,
}

/// A value, of whatever type.
#[derive(Debug)]
enum Field<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    List(Vec<Field<'a>>),
    Other,
}

/// Longer lines than this (bytes) are not kept whole: a builder may print anything.
const LONGEST_LINE: usize = 64 << 20;

/// Reads what Nix writes to stderr, piece by piece.
#[derive(Debug)]
pub struct Reader {
    lines: Lines,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            lines: Lines::new(LONGEST_LINE),
        }
    }
}

impl Reader {
    /// Takes in a piece and hands over the events of the lines that end in it.
    pub fn read(
        &mut self,
        piece: &[u8],
        on_event: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        self.lines.push(piece, &mut |line| parse(line, on_event))
    }

    /// Hands over the events of a last line without an end.
    pub fn end(&mut self, on_event: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        self.lines.end(&mut |line| parse(line, on_event))
    }
}

/// The events of a line of stderr: usually one, none for what is not known.
///
/// Something may stand before `@nix ` (a spinner that does not end its line); it is a message then. A NUL
/// stands where the middle of a very long line was left out.
fn parse(line: &[u8], on_event: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
    let text = String::from_utf8_lossy(line);
    let text = if text.contains('\0') {
        Cow::Owned(mend(&text))
    } else {
        text
    };
    for (start, _) in text.match_indices("@nix {") {
        let Ok(line) = serde_json::from_str::<Line<'_>>(&text[start + "@nix ".len()..]) else {
            continue;
        };
        let before = plain(&text[..start]);
        if !before.trim().is_empty() {
            on_event(Event::Message {
                detail: false,
                text: before.into_owned(),
            })?;
        }
        return line.event().map_or(Ok(()), on_event);
    }
    let text = plain(&text);
    if text.trim().is_empty() {
        return Ok(());
    }
    on_event(Event::Message {
        detail: false,
        text: text.into_owned(),
    })
}

/// A line of JSON whose middle was left out, made whole again: neither of the two ends may lie within
/// an escape sequence.
fn mend(text: &str) -> String {
    /// The length of the longest escape sequence, `\u0000`.
    const ESCAPE: usize = 6;
    let Some((head, tail)) = text.split_once('\0') else {
        return text.to_owned();
    };
    let head = match head.rfind('\\') {
        Some(last) if last + ESCAPE >= head.len() => {
            let before = head[..last].trim_end_matches('\\').len();
            // Of an even number each second one is escaped itself.
            let is_escape = (last - before).is_multiple_of(2);
            if is_escape { &head[..last] } else { head }
        }
        _ => head,
    };
    let tail = tail
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= ESCAPE - 1 && !tail.as_bytes()[at - (ESCAPE - 1)..*at].contains(&b'\\'))
        .map_or("", |at| &tail[at..]);
    format!("{head} [...] {tail}")
}

impl<'a> Line<'a> {
    fn event(mut self) -> Option<Event<'a>> {
        match self.action.as_deref()? {
            "start" => {
                let id = self.id?;
                match self.kind? {
                    BUILD => Some(Event::BuildStarts {
                        id,
                        // It becomes the label of lines and the name of a file.
                        drv: self
                            .first_field()
                            .filter(|drv| derivation(drv) == Some(drv))?,
                    }),
                    BUILDS => Some(Event::BuildsStart { id }),
                    FILE_TRANSFER | SUBSTITUTE => Some(Event::FetchStarts {
                        id,
                        what: self.first_field()?,
                    }),
                    _ => None,
                }
            }
            "stop" => Some(Event::Stops { id: self.id? }),
            "result" => {
                let id = self.id?;
                match self.kind? {
                    BUILD_LOG_LINE => Some(Event::Log {
                        id,
                        line: self.first_field()?,
                    }),
                    SET_PHASE => Some(Event::Phase {
                        id,
                        phase: plain(&self.first_field()?).into_owned(),
                    }),
                    PROGRESS => match self.fields[..] {
                        [
                            Field::Number(done),
                            Field::Number(expected),
                            Field::Number(running),
                            Field::Number(failed),
                        ] => Some(Event::Counts {
                            id,
                            counts: Counts {
                                done,
                                expected,
                                running,
                                failed,
                            },
                        }),
                        _ => None,
                    },
                    _ => None,
                }
            }
            "msg" => {
                let level = self.level?;
                // A builder can make Nix pass a message on, at any level, but never with `raw_msg`.
                match self.raw_msg {
                    Some(raw) if level == LEVEL_ERROR => Some(Event::Error { text: lines(&raw) }),
                    _ => Some(Event::Message {
                        detail: level > LEVEL_NOTICE,
                        text: lines(&self.msg?),
                    }),
                }
            }
            _ => None,
        }
    }

    fn first_field(&mut self) -> Option<Cow<'a, str>> {
        if self.fields.is_empty() {
            return None;
        }
        self.fields.swap_remove(0).text()
    }
}

impl<'a> Field<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

// By hand, because a line of a log may be long: what has no escapes is borrowed, and nothing is kept
// that is not looked at.
impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line<'de>, A::Error> {
                let mut line = Line::default();
                while let Some(key) = map.next_key::<Field<'_>>()? {
                    match &*key.text().unwrap_or_default() {
                        "action" => line.action = map.next_value::<Field<'_>>()?.text(),
                        "id" => line.id = map.next_value::<Field<'_>>()?.number(),
                        "type" => line.kind = map.next_value::<Field<'_>>()?.number(),
                        "level" => line.level = map.next_value::<Field<'_>>()?.number(),
                        "msg" => line.msg = map.next_value::<Field<'_>>()?.text(),
                        "raw_msg" => line.raw_msg = map.next_value::<Field<'_>>()?.text(),
                        "fields" => {
                            if let Field::List(fields) = map.next_value()? {
                                line.fields = fields;
                            }
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(line)
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Field<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Field::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Field::Number(number))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Field::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Field::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }

        deserializer.deserialize_any(Value)
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

impl Failure {
    /// The derivation that failed.
    pub fn drv(&self) -> Option<&str> {
        match self {
            Self::Mismatch { drv, .. } | Self::Build { drv, .. } => Some(drv),
            Self::Consequence | Self::TimedOut(_) | Self::Interrupted | Self::Other(_) => None,
        }
    }
}

/// What an [`Event::Error`] means for the derivations.
///
/// The words are those of Nix 2.3 to 2.36, Lix to 2.95 and Determinate Nix to 3.22.
pub fn failure(text: &str) -> Failure {
    // A daemon adds the builder's last lines, which are not Nix's words.
    let text = own_words(text);
    // "by the user" up to Nix 2.34.
    if text.contains("interrupted by the user") || text.contains("interrupted by user") {
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
    // From Nix 2.34 on, whatever took too long.
    if text.starts_with("timed out after ") {
        return Failure::TimedOut(text.lines().next().unwrap_or_default().to_owned());
    }
    let drv = quoted(text).find_map(derivation);
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

/// What an evaluation says of a file that it fetched and that has another hash than the expression
/// gives: the URL, and the hash that it has.
pub fn download_mismatch(text: &str) -> Option<(String, String)> {
    let text = lines(text);
    let (_, rest) = text.split_once("hash mismatch in file downloaded from ")?;
    let url = quoted(rest).next()?.to_owned();
    Some((url, labelled(rest, &["got:"])?))
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

/// The derivation that a word names: of timeouts older versions say `….drv!out` or `….drv^out`.
fn derivation(word: &str) -> Option<&str> {
    let end = word.find(['!', '^']).unwrap_or(word.len());
    let named = |drv: &&str| name_part(drv).is_some_and(store_path::is_name);
    Some(&word[..end]).filter(named)
}

/// The name of a store derivation, with or without its hash.
fn name_part(drv: &str) -> Option<&str> {
    let base = drv.rsplit('/').next()?;
    base.strip_suffix(".drv")
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
    let cause = cause(text, drv);
    let disk = "build failure may have been caused by lack of free disk space";
    if text.contains(disk) && !cause.contains(disk) {
        return format!("{cause}; {disk}");
    }
    cause
}

fn cause(text: &str, drv: &str) -> String {
    // The name before it differs from version to version: "building of '….drv!out' from .drv file", ...
    let limit = [" timed out after ", " killed after writing more than "]
        .iter()
        .find_map(|limit| text.find(limit));
    if let Some(limit) = limit
        && text.starts_with("building ")
    {
        let rest = text[limit + 1..].lines().next().unwrap_or_default();
        return rest.to_owned();
    }
    let old = ["builder for ", "build of resolved derivation ", "build of "]
        .iter()
        .find_map(|start| {
            text.strip_prefix(start)?
                .strip_prefix('\'')?
                .strip_prefix(drv)?
                .strip_prefix("' ")
        });
    if let Some(rest) = old {
        // On a remote builder: "build of '…' on 'ssh://…' failed: ", then its words.
        let remote = rest
            .strip_prefix("on '")
            .and_then(|rest| rest.split_once("' failed: "));
        if let Some((machine, words)) = remote {
            let words = words.strip_prefix("error: ").unwrap_or(words);
            return format!("{} (on {machine})", cause(words, drv));
        }
        let rest = rest.lines().next().unwrap_or(rest);
        // Where it lies in the sandbox differs from version to version and helps nobody.
        let rest = match rest.split_once(" at ") {
            Some((what, _)) if what.starts_with("failed to produce output path") => what,
            _ => rest,
        };
        return rest.trim_end_matches([';', ':']).to_owned();
    }
    // Nix 2.29 and later: "Cannot build '…'.", then "Reason: …" on a line of its own, from 2.34 on several
    // of them, each with lines that explain it.
    let mut causes = Vec::new();
    for line in text.lines().map(str::trim) {
        let explains = ["Required ", "Current ", "Available ", "Hint: "]
            .iter()
            .any(|start| line.starts_with(start));
        if let Some(rest) = line.strip_prefix("Reason: ") {
            // "builder failed with …", as older ones say "builder for '…' failed with …".
            let rest = rest.strip_prefix("builder ").unwrap_or(rest);
            causes.push(rest.trim_end_matches('.'));
        } else if explains && !causes.is_empty() {
            causes.push(line);
        }
    }
    if causes.is_empty() {
        return text.to_owned();
    }
    causes.join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILS_28: &str = include_str!("../../tests/fixtures/nix-2.8/fails-internal-json.txt");
    const FAILS_226: &str = include_str!("../../tests/fixtures/nix-2.26/fails-internal-json.txt");
    const MISMATCH_28: &str =
        include_str!("../../tests/fixtures/nix-2.8/mismatch-internal-json.txt");
    const MISMATCH_226: &str =
        include_str!("../../tests/fixtures/nix-2.26/mismatch-internal-json.txt");
    const FAILS_234: &str = include_str!("../../tests/fixtures/nix-2.34/fails-internal-json.txt");
    const MISMATCH_234: &str =
        include_str!("../../tests/fixtures/nix-2.34/mismatch-internal-json.txt");
    const OK_234: &str = include_str!("../../tests/fixtures/nix-2.34/ok-internal-json.txt");
    const DEPENDENCY_234: &str =
        include_str!("../../tests/fixtures/nix-2.34/dependency-failure-internal-json.txt");
    const NO_OUTPUT_234: &str =
        include_str!("../../tests/fixtures/nix-2.34/no-output-internal-json.txt");
    const OK_28: &str = include_str!("../../tests/fixtures/nix-2.8/ok-internal-json.txt");
    const OK_226: &str = include_str!("../../tests/fixtures/nix-2.26/ok-internal-json.txt");

    /// The events of a line.
    fn parsed(line: &[u8]) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        parse(line, &mut |event| {
            events.push(match event {
                Event::BuildStarts { id, drv } => Event::BuildStarts {
                    id,
                    drv: drv.into_owned().into(),
                },
                Event::FetchStarts { id, what } => Event::FetchStarts {
                    id,
                    what: what.into_owned().into(),
                },
                Event::Log { id, line } => Event::Log {
                    id,
                    line: line.into_owned().into(),
                },
                Event::BuildsStart { id } => Event::BuildsStart { id },
                Event::Stops { id } => Event::Stops { id },
                Event::Phase { id, phase } => Event::Phase { id, phase },
                Event::Counts { id, counts } => Event::Counts { id, counts },
                Event::Error { text } => Event::Error { text },
                Event::Message { detail, text } => Event::Message { detail, text },
            });
            Ok(())
        })
        .unwrap();
        events
    }

    /// The events of a captured stderr.
    fn events(sample: &str) -> Vec<Event<'static>> {
        let (_, stderr) = sample.split_once("--- stderr\n").unwrap();
        let (stderr, _) = stderr.split_once("--- exit code").unwrap();
        stderr
            .lines()
            .flat_map(|line| parsed(line.as_bytes()))
            .collect()
    }

    fn errors(events: &[Event<'_>]) -> Vec<Failure> {
        let text = |event: &Event<'_>| match event {
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
                    Event::Log { line, .. } => Some(&**line),
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
        for sample in [OK_28, OK_226, OK_234] {
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
    fn what_nix_2_34_says() {
        let failures = errors(&events(FAILS_234));
        let [Failure::Build { drv, reason }] = &failures[..] else {
            panic!("{failures:?}");
        };
        assert!(drv.ends_with("-fails.drv"), "{drv}");
        assert_eq!(reason, "failed with exit code 3");

        let failures = errors(&events(MISMATCH_234));
        let [Failure::Mismatch { drv, got, .. }] = &failures[..] else {
            panic!("{failures:?}");
        };
        assert!(drv.ends_with("-mismatch.drv"), "{drv}");
        assert_eq!(got, "sha256-HDfQGvQL4ugGkd48w99EN3ppmvuxfGjwgJZLL9Bx/BM=");

        let failures = errors(&events(NO_OUTPUT_234));
        let [Failure::Build { reason, .. }] = &failures[..] else {
            panic!("{failures:?}");
        };
        assert_eq!(reason, "failed to produce output path for output 'out'");

        let failures = errors(&events(DEPENDENCY_234));
        let builds = failures.iter().filter(|failure| failure.drv().is_some());
        assert_eq!(builds.count(), 1, "{failures:?}");
        assert!(
            failures[1..]
                .iter()
                .all(|failure| *failure == Failure::Consequence),
            "{failures:?}"
        );
    }

    #[test]
    fn lines_that_are_no_event() {
        for line in [
            // What 109 means depends on whose Nix it is: a path that was fetched, or a mismatch of which
            // the error that follows says all.
            r#"@nix {"action":"result","id":1,"type":109,"fields":["/nix/store/a"]}"#,
            r#"@nix {"action":"result","id":1,"type":109,"payload":{"storePath":"/nix/store/a.drv","wanted":"sha256-a","got":"sha256-b"}}"#,
            r#"@nix {"action":"result","id":0,"type":110,"payload":{"status":"HashMismatch"}}"#,
            r#"@nix {"action":"start","id":1,"type":109,"text":"querying info","level":4,"fields":["/nix/store/a","x"]}"#,
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
            assert_eq!(parsed(line.as_bytes()), [], "{line}");
        }
    }

    #[test]
    fn look_alikes_of_builders_change_nothing() {
        let inner = r#"@nix {"action":"msg","level":0,"raw_msg":"builder for '/x.drv' failed"}"#;
        let fields = serde_json::to_string(&[inner]).unwrap();
        let line = format!(r#"@nix {{"action":"result","id":3,"type":101,"fields":{fields}}}"#);
        assert_eq!(
            parsed(line.as_bytes()),
            [Event::Log {
                id: 3,
                line: inner.into()
            }]
        );
        let passed_on = r#"@nix {"action":"msg","level":0,"msg":"error: not real"}"#;
        assert_eq!(
            parsed(passed_on.as_bytes()),
            [Event::Message {
                detail: false,
                text: "error: not real".to_owned()
            }]
        );
        let warning = r#"@nix {"action":"msg","level":1,"msg":"warning: w","raw_msg":"w"}"#;
        assert!(matches!(
            &parsed(warning.as_bytes())[..],
            [Event::Message { detail: false, .. }]
        ));
    }

    #[test]
    fn of_a_long_line_the_two_ends_are_understood() {
        for (head, tail, expected) in [
            ("abc", "123456", "abc [...] 6 end"),
            // Cut within an escape sequence, or right behind one.
            (r"ab\\", "123456", r"ab\ [...] 6 end"),
            (r"ab\u00", "123456", "ab [...] 6 end"),
            (r"ab\\\", "123456", r"ab\ [...] 6 end"),
            (r"ab\n", "123456", "ab [...] 6 end"),
            ("abc", r#"\"123456"#, "abc [...] 56 end"),
            ("abc", r#""12345"#, "abc [...] 5 end"),
        ] {
            let text = format!(
                r#"@nix {{"action":"result","fields":["{head}{}{tail} end"],"id":7,"type":101}}"#,
                '\0'
            );
            let line = expected.into();
            assert_eq!(
                parsed(text.as_bytes()),
                [Event::Log { id: 7, line }],
                "{head} {tail}"
            );
        }
    }

    #[test]
    fn counts() {
        let line = br#"@nix {"action":"result","fields":[1,4,2,0],"id":9,"type":105}"#;
        let counts = Counts {
            done: 1,
            expected: 4,
            running: 2,
            failed: 0,
        };
        assert_eq!(parsed(line), [Event::Counts { id: 9, counts }]);
    }

    #[test]
    fn something_glued_in_front() {
        let line = "\u{1b}[2K⠙ resolving@nix {\"action\":\"stop\",\"id\":7}";
        assert_eq!(
            parsed(line.as_bytes()),
            [
                Event::Message {
                    detail: false,
                    text: "⠙ resolving".to_owned()
                },
                Event::Stops { id: 7 }
            ]
        );
        assert_eq!(
            parsed(b" \x1b[1m\r@nix {\"action\":\"stop\",\"id\":7}"),
            [Event::Stops { id: 7 }]
        );
        let broken = "text @nix {\"action\":";
        assert_eq!(
            parsed(broken.as_bytes()),
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
                build("/s/a.drv", "failed to produce output path for output 'out'"),
            ),
            (
                "Cannot build '/s/a.drv'.\n       Reason: builder failed with exit code 3.\n",
                build("/s/a.drv", "failed with exit code 3"),
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
            ("interrupted by user", Failure::Interrupted),
            (
                "building of '/s/a.drv!out' timed out after 2 seconds of silence",
                build("/s/a.drv", "timed out after 2 seconds of silence"),
            ),
            (
                "building of '/s/a.drv^out,dev' from .drv file timed out after 2 seconds",
                build("/s/a.drv", "timed out after 2 seconds"),
            ),
            (
                "building derivation '/s/a.drv' killed after writing more than 9 bytes of log output",
                build(
                    "/s/a.drv",
                    "killed after writing more than 9 bytes of log output",
                ),
            ),
            (
                "timed out after 2 seconds",
                Failure::TimedOut("timed out after 2 seconds".to_owned()),
            ),
            (
                "builder for '/s/a.drv' failed with exit code 1\n\
                 note: build failure may have been caused by lack of free disk space",
                build(
                    "/s/a.drv",
                    "failed with exit code 1; \
                     build failure may have been caused by lack of free disk space",
                ),
            ),
            (
                "Cannot build '/s/a.drv'.\nReason: platform mismatch\nRequired system: 'x'\n\
                 Current system: 'y'\nReason: missing system features\nRequired features: {kvm}",
                build(
                    "/s/a.drv",
                    "platform mismatch; Required system: 'x'; Current system: 'y'; \
                     missing system features; Required features: {kvm}",
                ),
            ),
            (
                "build of '/s/a.drv' on 'ssh://m' failed: error: Cannot build '/s/a.drv'.\n\
                 Reason: builder failed with exit code 1.\nOutput paths:\n  /s/a",
                build("/s/a.drv", "failed with exit code 1 (on ssh://m)"),
            ),
            (
                "build of '/s/a.drv' on 'ssh://m' failed: builder for '/s/a.drv' failed with exit code 1",
                build("/s/a.drv", "failed with exit code 1 (on ssh://m)"),
            ),
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
            let _ = parsed(&line);
        }

        #[test]
        fn any_text_is_classified(text in "(builder|build of|'|/s/a.drv|got:|\n| |x)*") {
            let _ = failure(&text);
        }
    }

    #[test]
    fn what_an_evaluation_fetched() {
        let said = "error: hash mismatch in file downloaded from 'https://x/nixpkgs.tar.gz':\n         \
                    specified: sha256:0aaa\n         got:       sha256:1bbb\n";
        let found = Some((
            "https://x/nixpkgs.tar.gz".to_owned(),
            "sha256:1bbb".to_owned(),
        ));
        assert_eq!(download_mismatch(said), found);
        assert_eq!(
            download_mismatch("error: unable to download 'https://x': HTTP error 404"),
            None
        );
        // a word of Nix's that is cut off
        let cut = said.split_once("got:").unwrap().0;
        assert_eq!(download_mismatch(cut), None);
    }
}

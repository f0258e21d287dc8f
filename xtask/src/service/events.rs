//! The lines in which the program that starts a service tells what happens.

use nix_formats::log::beginning;
use serde::Deserialize;

/// How much of a line is kept, in bytes.
const LONGEST: usize = 64 << 10;

/// What happened.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A part of the service is in another state.
    Part {
        /// Its name.
        part: String,
        /// `starting`, `ready` or `ended`.
        state: String,
    },
    /// A part said something.
    Log {
        /// Its name.
        part: String,
        /// A line of it.
        line: String,
    },
    /// The service can be used.
    Ready {
        /// Where: a URL.
        address: String,
        /// Who may sign in.
        user: String,
        /// With what.
        password: String,
    },
    /// Why it does not run, or runs no more.
    Error {
        /// Human-readable.
        message: String,
    },
    /// A line that is none of these: of a program that could not even be started.
    #[serde(skip)]
    Other(String),
}

/// Takes bytes as they come apart into events.
#[derive(Debug, Default)]
pub struct Events {
    rest: Vec<u8>,
}

impl Events {
    /// The events that end in these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            // Whoever never ends a line does not fill the memory.
            self.rest.truncate(LONGEST * 4);
            return Vec::new();
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(event)
            .collect()
    }

    /// What came without an end of line.
    pub fn finish(&mut self) -> Option<Event> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| event(&rest))
    }
}

fn event(line: &[u8]) -> Event {
    serde_json::from_slice(line).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(line);
        Event::Other(beginning(&text, LONGEST).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_pieces() {
        let mut events = Events::default();
        assert_eq!(events.push(br#"{"event": "log", "part": "a", "#), []);
        let log = Event::Log {
            part: "a".to_owned(),
            line: "x".to_owned(),
        };
        let other = Event::Other("sh: not found".to_owned());
        assert_eq!(
            events.push(b"\"line\": \"x\"}\nsh: not found\n{\"event\":"),
            [log, other]
        );
        assert_eq!(
            events.finish(),
            Some(Event::Other("{\"event\":".to_owned()))
        );
        assert_eq!(events.finish(), None);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut events = Events::default();
        for _ in 0..100 {
            assert_eq!(events.push(&vec![b'x'; LONGEST]), []);
        }
        assert!(events.rest.len() <= 5 * LONGEST);
    }

    #[test]
    fn an_unknown_event_is_shown_as_it_is() {
        let line = r#"{"event": "more", "x": 1}"#;
        assert_eq!(
            Events::default().push(format!("{line}\n").as_bytes()),
            [Event::Other(line.to_owned())]
        );
    }
}

//! The text of a failed evaluation, read: message, places, excerpts and frames.

use nix_formats::log::plain;

/// What Nix says below an error when it was not asked for the trace.
const HINT: &str = "(use '--show-trace' to show ";

/// A place in a file, as Nix gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: Option<u32>,
}

/// A place with the lines that Nix shows of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Spot {
    pub place: Place,
    pub excerpt: Vec<String>,
}

/// A frame of the trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Such as `while evaluating the attribute 'x'`.
    pub what: String,
    pub spot: Option<Spot>,
}

/// What Nix said of the failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub message: Vec<String>,
    pub spot: Option<Spot>,
    /// What else is said of the error itself, such as names that may have been meant.
    pub notes: Vec<String>,
    /// From the inside out.
    pub frames: Vec<Frame>,
    /// How many frames Nix left out, for they were like others.
    pub omitted: usize,
    /// The frames came before the message, so that nothing of the message can look like one.
    pub frames_first: bool,
}

pub fn begins_an_error(line: &str) -> bool {
    line.starts_with("error:") || (line.starts_with('\u{1b}') && plain(line).starts_with("error:"))
}

/// A line without escape sequences and other control characters.
pub fn cleaned(line: &str) -> String {
    plain(&line.replace('\r', " ")).trim_end().to_owned()
}

/// Reads the lines of an error, the first of which begins with `error:`.
pub fn parse(lines: &[&str]) -> Failure {
    // Nix indents what follows the first line by the width of `error: `.
    let lines: Vec<String> = lines
        .iter()
        .map(|line| cleaned(line))
        .filter(|line| !line.starts_with(HINT))
        .map(|line| line.strip_prefix("       ").unwrap_or(&line).to_owned())
        .collect();
    let is_frame = |line: &String| line.starts_with("… ");
    let is_note = |line: &String| line.starts_with("(stack trace ");
    let mut failure = Failure::default();
    let Some((first, rest)) = lines.split_first() else {
        return failure;
    };
    let message = rest.iter().position(|line| line.starts_with("error:"));
    let filled = rest.iter().find(|line| !line.is_empty());
    if first == "error:"
        && let Some(message) = message
        && filled.is_some_and(|line| is_frame(line) || is_note(line))
    {
        failure.frames_first = true;
        let frames: Vec<String> = rest[..message]
            .iter()
            .filter(|line| !is_note(line))
            .cloned()
            .collect();
        failure.add_frames(&frames);
        failure.frames.reverse();
        failure.add_message(&rest[message..]);
    } else {
        let frames = lines.iter().position(is_frame).unwrap_or(lines.len());
        failure.add_message(&lines[..frames]);
        failure.add_frames(&lines[frames..]);
    }
    failure
}

impl Failure {
    /// Reads the message with its place and what follows, up to the frames or to the end.
    fn add_message(&mut self, lines: &[String]) {
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                let text = line.strip_prefix("error:").unwrap_or(line);
                self.message.push(text.trim().to_owned());
            } else if let Some(spot) = &mut self.spot {
                if is_excerpt(line) {
                    spot.excerpt.push(line.clone());
                } else if !line.is_empty() {
                    self.notes.push(line.clone());
                }
            } else if let Some(place) = position(line) {
                self.spot = Some(Spot::new(place));
            } else {
                self.message.push(line.clone());
            }
        }
        while self.message.last().is_some_and(String::is_empty) {
            self.message.pop();
        }
        if self.message.len() > 1 && self.message[0].is_empty() {
            self.message.remove(0);
        }
        // Without a place the suggestions follow the message at once.
        if self.message.len() > 1
            && let Some(last) = self.message.pop_if(|line| is_suggestion(line))
        {
            self.notes.push(last);
        }
    }

    /// Reads frames, the first line of which begins with `… `.
    fn add_frames(&mut self, lines: &[String]) {
        for line in lines {
            if let Some(what) = line.strip_prefix("… ") {
                self.frames.push(Frame {
                    what: what.to_owned(),
                    spot: None,
                });
            } else if let Some(count) = omitted(line) {
                self.omitted += count;
            } else if let Some(frame) = self.frames.last_mut() {
                frame.add(line, &mut self.notes);
            } else if !line.is_empty() {
                self.notes.push(line.clone());
            }
        }
    }
}

/// The number in `(19 duplicate frames omitted)`.
fn omitted(line: &str) -> Option<usize> {
    line.strip_prefix('(')?
        .strip_suffix(" duplicate frames omitted)")?
        .parse()
        .ok()
}

/// The place in `at FILE:LINE:COLUMN:`.
fn position(line: &str) -> Option<Place> {
    Place::parse(line.trim().strip_prefix("at ")?.strip_suffix(':')?)
}

/// Whether a line is one of the source, or the one with the caret: `  12| text`, `    |  ^`.
fn is_excerpt(line: &str) -> bool {
    line.trim_start()
        .trim_start_matches(|character: char| character.is_ascii_digit())
        .starts_with('|')
}

impl Frame {
    /// Takes a line that follows the frame's first; what belongs to no frame goes to `notes`.
    fn add(&mut self, line: &str, notes: &mut Vec<String>) {
        let name = "whose name attribute is located at ";
        let of_name = || Place::parse(line.trim().strip_prefix(name)?);
        match &mut self.spot {
            _ if line.is_empty() => {}
            None => match position(line).or_else(of_name) {
                Some(place) => self.spot = Some(Spot::new(place)),
                None => self.what = format!("{} {}", self.what, line.trim()),
            },
            Some(spot) if is_excerpt(line) => spot.excerpt.push(line.to_owned()),
            Some(_) => notes.push(line.to_owned()),
        }
    }

    /// Whether it is a call of a function, whose caller has a frame of its own.
    pub fn is_call(&self) -> bool {
        let of = |verb| self.what.strip_prefix(verb);
        self.what.ends_with(" anonymous lambda")
            || of("while evaluating ")
                .or_else(|| of("while calling "))
                .is_some_and(|what| what.starts_with('\''))
    }
}

impl Spot {
    fn new(place: Place) -> Self {
        Self {
            place,
            excerpt: Vec::new(),
        }
    }
}

impl Place {
    /// Reads `FILE:LINE:COLUMN` or `FILE:LINE`.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, last) = text.rsplit_once(':')?;
        let last = last.parse().ok()?;
        let with_column = rest
            .rsplit_once(':')
            .and_then(|(file, line)| Some((file, line.parse().ok()?)));
        let (file, line, column) = match with_column {
            Some((file, line)) => (file, line, Some(last)),
            None => (rest, last, None),
        };
        Some(Self {
            file: file.to_owned(),
            line,
            column,
        })
    }
}

pub fn is_suggestion(note: &str) -> bool {
    note.starts_with("Did you mean ") && note.ends_with('?')
}

//! What is seen of a run while it runs: on a terminal a few lines that are redrawn, elsewhere lines
//! with the component's name before them.
//!
//! What to draw and how are pure functions; [`Display`] holds what is on the screen and writes it.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::build::model::{Ended, Running};
use nix_formats::log::{coloured, plain};
use sys::terminal::stderr_takes_escapes;

/// The least time between two drawings of the live lines.
const BETWEEN_FRAMES: Duration = Duration::from_millis(80);
/// How many of the lines above the live ones are kept, to be shown again after the window shrank.
const KEPT_LINES: usize = 500;
/// How much text may wait to be written, in bytes.
const BUFFER: usize = 64 << 10;
/// Columns that a name may take in the live lines.
const NAME_COLUMNS: usize = 32;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Live lines at the bottom of a terminal.
    Live,
    /// Each line of a builder as it comes, after the name of its component.
    Plain,
    /// Neither.
    Quiet,
}

/// A window's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// All that the live lines show.
#[derive(Debug, Default)]
pub struct View<'a> {
    /// Builds that run, in order of their beginning.
    pub running: Vec<Running<'a>>,
    /// What Nix fetches itself.
    pub fetching: Vec<&'a str>,
    /// How many builds ended well.
    pub done: u64,
    /// How many are to be done in all, as far as is known.
    pub expected: u64,
    /// How many failed.
    pub failed: u64,
    /// Since the beginning.
    pub elapsed: Duration,
    /// How much longer it takes, going by earlier runs.
    pub left: Option<Duration>,
    /// What the last line says in the place of counts of builds; no last line if it is empty.
    pub totals: Option<String>,
}

/// A colour or weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
}

/// What is on the screen, and what waits to be written.
#[derive(Debug)]
pub struct Display {
    mode: Mode,
    /// Lines to be written above the live ones.
    pending: Vec<u8>,
    /// Lines that were written there, latest last.
    above: VecDeque<String>,
    drawn: Vec<String>,
    size: Size,
    last: Option<Instant>,
}

/// A time human-readable, at a glance: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn glance(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The line that is left of a build that ended.
pub fn ended_line(ended: &Ended<'_>) -> String {
    let time = glance(ended.time);
    let name = ended.label;
    match (ended.well, ended.phase) {
        (true, _) => format!("{}  {name}  {time}", styled(Style::Green, "built ")),
        (false, Some(phase)) => {
            format!(
                "{}  {name}  {time}, in {phase}",
                styled(Style::Red, "failed")
            )
        }
        (false, None) => format!("{}  {name}  {time}", styled(Style::Red, "failed")),
    }
}

/// The live lines: none wider than the window, not more of them than fit with a line to spare.
pub fn frame(view: &View<'_>, size: Size) -> Vec<String> {
    let builds = view.running.iter();
    let name_columns = builds
        .map(|running| running.label.width())
        .max()
        .unwrap_or(0)
        .min(NAME_COLUMNS);
    let fetches = view.fetching.iter().map(|what| {
        let name = what.rsplit('/').next().unwrap_or(what);
        vec![(Style::Plain, format!("fetching  {name}"))]
    });
    let builds = view
        .running
        .iter()
        .map(|running| running_line(running, name_columns));
    let mut lines: Vec<Vec<(Style, String)>> = builds.chain(fetches).collect();
    // One line for the totals, one for the cursor.
    let room = size.rows.saturating_sub(2);
    if lines.len() > room {
        let kept = room.saturating_sub(1);
        let more = lines.len() - kept;
        lines.truncate(kept);
        if room > 0 {
            lines.push(vec![(Style::Dim, format!("and {more} more"))]);
        }
    }
    if size.rows > 1 {
        match view.totals.as_deref() {
            None => lines.push(totals(view)),
            Some("") => {}
            Some(text) => lines.push(vec![(Style::Plain, text.to_owned())]),
        }
    }
    // Some terminals wrap as soon as the last column is written.
    let columns = size.columns.saturating_sub(1);
    lines.iter().map(|parts| fitted(parts, columns)).collect()
}

fn running_line(running: &Running<'_>, name_columns: usize) -> Vec<(Style, String)> {
    let name = cut(running.label, name_columns);
    let padding = name_columns - name.width();
    let mut time = glance(running.time);
    if let Some(usual) = running.usual {
        time = format!("{time} of usually {}", glance(usual));
    }
    let mut parts = vec![
        (Style::Bold, name),
        (Style::Plain, " ".repeat(padding + 2)),
        (Style::Plain, time),
    ];
    if let Some(phase) = running.phase {
        parts.push((Style::Plain, format!("  {phase}")));
    }
    if !running.line.is_empty() {
        parts.push((Style::Dim, format!("  {}", running.line)));
    }
    parts
}

fn totals(view: &View<'_>) -> Vec<(Style, String)> {
    let mut text = format!("building {}, {} built", view.running.len(), view.done);
    // Nix expects no more what failed.
    let expected = view.expected + view.failed;
    if expected > 0 {
        text = format!("{text} of {expected}");
    }
    let mut parts = vec![(Style::Plain, text)];
    if view.failed > 0 {
        parts.push((Style::Plain, ", ".to_owned()));
        parts.push((Style::Red, format!("{} failed", view.failed)));
    }
    if !view.fetching.is_empty() {
        parts.push((Style::Plain, format!(", fetching {}", view.fetching.len())));
    }
    parts.push((Style::Plain, format!("; {}", glance(view.elapsed))));
    if let Some(left) = view.left {
        parts.push((Style::Plain, format!(", about {} left", glance(left))));
    }
    parts
}

/// The beginning of `text` that takes at most so many columns, without control characters.
fn cut(text: &str, columns: usize) -> String {
    let mut taken = 0;
    let fits = |character: &char| {
        taken += character.width().unwrap_or(0);
        taken <= columns
    };
    plain(text)
        .replace('\t', " ")
        .chars()
        .take_while(fits)
        .collect()
}

/// Parts of a line, cut to the columns.
fn fitted(parts: &[(Style, String)], columns: usize) -> String {
    let mut left = columns;
    let mut line = String::new();
    for (style, text) in parts {
        let text = cut(text, left);
        left -= text.width();
        line.push_str(&styled(*style, &text));
    }
    line
}

fn styled(style: Style, text: &str) -> String {
    let code = match style {
        Style::Plain => return text.to_owned(),
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Red => 31,
        Style::Green => 32,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// What makes a terminal, whose cursor is below `drawn`, show `above` and then `lines`.
///
/// Nothing is cleared before it is overwritten, and terminals that can are told to show it all at once
/// (mode 2026): nothing flickers.
fn redraw(drawn: usize, above: &[u8], lines: &[String]) -> Vec<u8> {
    let mut bytes = b"\x1b[?2026h\r".to_vec();
    if drawn > 0 {
        bytes.extend(format!("\u{1b}[{drawn}A").bytes());
    }
    for line in above.split_inclusive(|byte| *byte == b'\n') {
        bytes.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        bytes.extend_from_slice(b"\x1b[K\r\n");
    }
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\x1b[K\r\n");
    }
    bytes.extend(b"\x1b[J\x1b[?2026l");
    bytes
}

/// The same on a window that shrank, where nobody knows what became of the lines drawn: what was above
/// them is rewritten, as much as fits.
fn redraw_all<'a>(
    kept: impl DoubleEndedIterator<Item = &'a String>,
    lines: &[String],
    size: Size,
) -> Vec<u8> {
    let mut rows = size.rows.saturating_sub(lines.len() + 1);
    let fits = |line: &&String| {
        let needed = plain(line).width().div_ceil(size.columns.max(1)).max(1);
        let fits = needed <= rows;
        rows = rows.saturating_sub(needed);
        fits
    };
    let shown: Vec<&String> = kept.rev().take_while(fits).collect();
    let above: Vec<u8> = shown
        .into_iter()
        .rev()
        .flat_map(|line| [line.as_bytes(), b"\n"].concat())
        .collect();
    [b"\x1b[2J\x1b[H".to_vec(), redraw(0, &above, lines)].concat()
}

/// The size of the terminal on stderr; of one that says nothing of it the classic one.
fn size() -> Size {
    let told = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let or = |told: Option<u16>, classic| told.filter(|it| *it > 0).map_or(classic, usize::from);
    Size {
        columns: or(told.map(|it| it.ws_col), 80),
        rows: or(told.map(|it| it.ws_row), 24),
    }
}

impl Mode {
    /// Live on a terminal that takes escape sequences, unless it is to be quiet.
    pub fn choose(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if stderr_takes_escapes() {
            Self::Live
        } else {
            Self::Plain
        }
    }
}

impl Display {
    /// A display on which nothing is yet.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            pending: Vec::new(),
            above: VecDeque::new(),
            drawn: Vec::new(),
            size: size(),
            last: None,
        }
    }

    /// How the run is shown.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Adds lines that stay, above the live ones.
    pub fn line(&mut self, text: &str) {
        for line in text.lines() {
            self.pending.extend_from_slice(line.as_bytes());
            self.pending.push(b'\n');
            if self.mode == Mode::Live {
                if self.above.len() == KEPT_LINES {
                    self.above.pop_front();
                }
                self.above.push_back(line.to_owned());
            }
        }
        if self.pending.len() > BUFFER && self.mode != Mode::Live {
            self.flush();
        }
    }

    /// Writes what waits; draws the live lines when there are any, it is time and they changed.
    pub fn refresh<'a>(&mut self, view: impl FnOnce() -> View<'a>) {
        if self.mode != Mode::Live {
            self.flush();
            return;
        }
        let early = self
            .last
            .is_some_and(|last| last.elapsed() < BETWEEN_FRAMES);
        if early && self.pending.len() < BUFFER {
            return;
        }
        self.last = Some(Instant::now());
        let size = size();
        let lines = frame(&view(), size);
        let shrank = size.columns < self.size.columns || size.rows < self.size.rows;
        if shrank && !self.drawn.is_empty() {
            write(&redraw_all(self.above.iter(), &lines, size));
        } else if lines != self.drawn || !self.pending.is_empty() {
            write(&redraw(self.drawn.len(), &self.pending, &lines));
        }
        self.size = size;
        self.pending.clear();
        self.drawn = lines;
    }

    /// Takes the live lines away and writes what waits.
    pub fn finish(&mut self) {
        if self.drawn.is_empty() {
            self.flush();
        } else {
            write(&redraw(self.drawn.len(), &self.pending, &[]));
            self.pending.clear();
            self.drawn.clear();
        }
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            write(&self.pending);
            self.pending.clear();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Writes to stderr in one go. A closed stderr is no reason to stop a build.
fn write(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}

/// Each line of `text` with a label before it.
pub fn labelled(label: &str, text: &str, colours: bool) -> String {
    let mut labelled = String::with_capacity(label.len() + text.len() + 8);
    for line in text.lines() {
        if !labelled.is_empty() {
            labelled.push('\n');
        }
        labelled.push_str(label);
        labelled.push_str("> ");
        labelled.push_str(&if colours { coloured(line) } else { plain(line) });
        if colours {
            labelled.push_str("\u{1b}[0m");
        }
    }
    labelled
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Size = Size {
        columns: 80,
        rows: 24,
    };

    fn running<'a>(label: &'a str, line: &'a str) -> Running<'a> {
        Running {
            label,
            phase: Some("buildPhase"),
            line,
            time: Duration::from_millis(12_300),
            usual: None,
        }
    }

    fn view(running: Vec<Running<'_>>) -> View<'_> {
        View {
            running,
            done: 3,
            expected: 7,
            elapsed: Duration::from_secs(65),
            ..View::default()
        }
    }

    fn plain_frame(view: &View<'_>, size: Size) -> Vec<String> {
        frame(view, size)
            .iter()
            .map(|line| plain(line).into_owned())
            .collect()
    }

    /// What a terminal shows after these bytes.
    fn shown(size: Size, bytes: &[&[u8]]) -> String {
        let rows = u16::try_from(size.rows).unwrap();
        let columns = u16::try_from(size.columns).unwrap();
        let mut parser = vt100::Parser::new(rows, columns, 0);
        for bytes in bytes {
            parser.process(bytes);
        }
        parser.screen().contents()
    }

    #[test]
    fn times_at_a_glance() {
        for (millis, text) in [
            (0, "0.0 s"),
            (9_990, "9.9 s"),
            (59_999, "59 s"),
            (65_000, "1 min 05 s"),
            (3_600_000, "1 h 00 min"),
        ] {
            assert_eq!(glance(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_line_for_each_build_and_one_for_the_totals() {
        let mut usual = running("a-longer-name", "");
        usual.usual = Some(Duration::from_secs(30));
        let mut view = view(vec![running("client-ts", "> tsc\u{1b}[31m\tx"), usual]);
        view.failed = 1;
        view.left = Some(Duration::from_secs(18));
        view.fetching = vec!["/nix/store/abc-x"];
        assert_eq!(
            plain_frame(&view, WIDE),
            [
                "client-ts      12 s  buildPhase  > tsc x",
                "a-longer-name  12 s of usually 30 s  buildPhase",
                "fetching  abc-x",
                "building 2, 3 built of 8, 1 failed, fetching 1; 1 min 05 s, about 18 s left",
            ]
        );
    }

    #[test]
    fn nothing_is_wider_than_the_window_or_higher() {
        let labels: Vec<String> = (0..30).map(|n| format!("component-{n}")).collect();
        let lines = "漢字".repeat(50);
        let view = view(labels.iter().map(|label| running(label, &lines)).collect());
        for columns in 0..100 {
            for rows in 0..35 {
                let frame = plain_frame(&view, Size { columns, rows });
                assert!(frame.len() < rows.max(1), "{columns}x{rows}: {frame:?}");
                let fits = |line: &String| line.width() <= columns.saturating_sub(1);
                assert!(frame.iter().all(fits), "{columns}x{rows}: {frame:?}");
            }
        }
        let few = plain_frame(
            &view,
            Size {
                columns: 40,
                rows: 5,
            },
        );
        assert_eq!(few.len(), 4);
        assert_eq!(few[2], "and 28 more");
    }

    #[test]
    fn lines_that_stay_come_above_those_that_change() {
        let lines = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let first = redraw(0, b"first\n", &lines(&["one", "two", "three"]));
        let second = redraw(3, b"second\nthird\n", &lines(&["four"]));
        let last = redraw(1, b"", &[]);
        let size = Size {
            columns: 20,
            rows: 6,
        };
        assert_eq!(shown(size, &[&first]), "first\none\ntwo\nthree");
        assert_eq!(
            shown(size, &[&first, &second]),
            "first\nsecond\nthird\nfour"
        );
        assert_eq!(
            shown(size, &[&first, &second, &last]),
            "first\nsecond\nthird"
        );
        // Also when the window's end is reached, and with a line that does not fit into one row.
        let size = Size {
            columns: 6,
            rows: 6,
        };
        let long = redraw(3, b"a longer line\n", &lines(&["four", "five"]));
        assert_eq!(shown(size, &[&first, &long]), "a longer line\nfour\nfive");
    }

    #[test]
    fn a_window_that_shrank_shows_what_there_was() {
        let lines = ["one".to_owned(), "two".to_owned()];
        let kept = ["first", "a line of 20 columns", "last"].map(str::to_owned);
        let size = Size {
            columns: 10,
            rows: 6,
        };
        let before = redraw(0, b"a line of 20 columns\nlast\n", &lines);
        let bytes = redraw_all(kept.iter(), &lines, size);
        assert_eq!(
            shown(size, &[&before, &bytes]),
            "a line of 20 columns\nlast\none\ntwo"
        );
    }

    #[test]
    fn labels() {
        assert_eq!(labelled("a", "x\n\u{1b}[1my", false), "a> x\na> y");
        assert_eq!(labelled("a", "x", true), "a> x\u{1b}[0m");
    }
}

//! Makes README's picture of the live display: `cargo run -p xtask --example picture`.
//!
//! It builds the sample for real, on a terminal, and draws what that terminal showed. An SVG keeps the
//! words as words, is small, and is played by the CSS in it alone: forges strip scripts. So that the
//! store has nothing of it yet, a copy of the expressions is built whose schema has one line more; it
//! is built twice, so that the display knows how long builds usually take.
#![expect(
    clippy::disallowed_methods,
    reason = "it starts the program on the terminal of the end-to-end tests, and processes as they do"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use vt100::Color;

use test_support::terminal::Terminal;

/// What is typed.
const TYPED: &str = "cargo xtask test-build --sample client-ts client-go";
/// Where the picture lies below the root.
const PICTURE: &str = "docs/pictures/test-build.svg";
/// The window, in characters.
const ROWS: u16 = 21;
const COLUMNS: u16 = 122;
/// A character, in units of the picture: its width is 0.6 of its height in most fonts.
const FONT: f64 = 14.0;
const WIDTH: f64 = 8.4;
const LINE: u32 = 20;
const MARGIN: u32 = 16;
/// How much faster than the build the picture plays.
const FASTER: f64 = 4.0;
/// The least time between two frames, and how long the last one stays, in seconds of the picture.
const BETWEEN_FRAMES: f64 = 0.25;
const LAST_STAYS: f64 = 6.0;

/// What the terminal showed from some time on.
struct Frame {
    /// Since the beginning, in seconds of the picture.
    at: f64,
    rows: Vec<Row>,
}

/// A line of the terminal.
type Row = Vec<Piece>;

/// Text of one look, without wide gaps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Piece {
    column: u16,
    text: String,
    /// The names of its classes in the picture's style sheet.
    classes: String,
}

fn main() -> Result<()> {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("finding the root")?;
    let program = built_program(root)?;
    let folder = tempfile::tempdir()?;
    let copy = Utf8Path::from_path(folder.path()).context("a temporary folder without UTF-8")?;
    let copy = copy.join("copy");
    run(Command::new("mkdir").arg(&copy))?;
    run(Command::new("cp")
        .arg("-r")
        .arg(root.join("containers"))
        .arg(&copy))?;
    make_new(&copy, &program)?;
    record(&copy, &program)?;
    make_new(&copy, &program)?;
    let text = draw(&record(&copy, &program)?);
    let (picture, temporary) = (root.join(PICTURE), root.join(format!("{PICTURE}.new")));
    fs_err::write(&temporary, text)?;
    fs_err::rename(&temporary, &picture)?;
    Ok(())
}

/// Builds the program as `cargo xtask` does.
fn built_program(root: &Utf8Path) -> Result<Utf8PathBuf> {
    run(Command::new("cargo")
        .args(["build", "--quiet", "--package", "xtask"])
        .current_dir(root))?;
    // This is `examples/picture` beside it.
    let own = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let folder = own.parent().and_then(Utf8Path::parent);
    Ok(folder.context("finding the built program")?.join("xtask"))
}

/// Gives the sample of a copy a schema that has never been built.
fn make_new(copy: &Utf8Path, program: &Utf8Path) -> Result<()> {
    let sample = copy.join("containers/authentik/sample");
    let (schema, pins) = (sample.join("schema.yml"), sample.join("pins.json"));
    let hash = || run(Command::new(program).args(["hash", "--flat"]).arg(&schema));
    let old = hash()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let text = fs_err::read_to_string(&schema)?;
    fs_err::write(&schema, format!("{text}# {now}\n"))?;
    let text = fs_err::read_to_string(&pins)?;
    ensure!(
        text.contains(old.trim()),
        "`{pins}` lacks the hash of the schema"
    );
    fs_err::write(&pins, text.replace(old.trim(), hash()?.trim()))?;
    Ok(())
}

/// The stdout of a command that has to succeed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the build on a terminal and looks at it until it ends.
fn record(copy: &Utf8Path, program: &Utf8Path) -> Result<Vec<Frame>> {
    let mut command = Command::new(program);
    command
        .args(TYPED.split(' ').skip(2))
        .current_dir(copy)
        .env_remove("CARGO_MANIFEST_DIR");
    let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
    parser.process(format!("\x1b[1m$ {TYPED}\x1b[0m\r\n").as_bytes());
    let mut terminal = Terminal::start(&command, ROWS, COLUMNS);
    let start = Instant::now();
    let mut frames: Vec<Frame> = Vec::new();
    let mut seen = 0;
    let mut look = |terminal: &Terminal| {
        let bytes = terminal.bytes();
        parser.process(bytes.get(seen..).unwrap_or_default());
        seen = bytes.len();
        let rows = (0..ROWS).map(|row| row_of(parser.screen(), row)).collect();
        let at = start.elapsed().as_secs_f64() / FASTER;
        if frames.last().is_none_or(|last| last.rows != rows) {
            frames.push(Frame { at, rows });
        }
    };
    while terminal.child.try_wait()?.is_none() {
        look(&terminal);
        std::thread::sleep(Duration::from_secs_f64(BETWEEN_FRAMES * FASTER));
    }
    let code = terminal.wait();
    look(&terminal);
    ensure!(code == Some(0), "the build failed:\n{}", terminal.screen());
    Ok(frames)
}

/// A line of a screen, in pieces.
fn row_of(screen: &vt100::Screen, row: u16) -> Row {
    let mut pieces: Row = Vec::new();
    let mut blanks = u16::MAX;
    for column in 0..COLUMNS {
        let Some(cell) = screen
            .cell(row, column)
            .filter(|it| !it.is_wide_continuation())
        else {
            continue;
        };
        if cell.contents().trim().is_empty() {
            blanks = blanks.saturating_add(1);
            continue;
        }
        let classes = classes(cell);
        match pieces.last_mut() {
            Some(last) if blanks < 2 && last.classes == classes => {
                last.text.extend(std::iter::repeat_n(' ', blanks.into()));
                last.text.push_str(cell.contents());
            }
            _ => pieces.push(Piece {
                column,
                text: cell.contents().to_owned(),
                classes,
            }),
        }
        blanks = 0;
    }
    pieces
}

/// The look of a character.
fn classes(cell: &vt100::Cell) -> String {
    let colour = match cell.fgcolor() {
        Color::Idx(1) => "red",
        Color::Idx(2) => "green",
        _ => "",
    };
    let names = [
        (cell.bold(), "bold"),
        (cell.dim(), "dim"),
        (!colour.is_empty(), colour),
    ];
    let names: Vec<&str> = names.iter().filter(|it| it.0).map(|it| it.1).collect();
    names.join(" ")
}

/// The frame that stands for all where nothing moves: of those with the most that runs at once while
/// something is built already, the fullest.
fn still(frames: &[Frame]) -> usize {
    let merit = |frame: &Frame| {
        let pieces = || frame.rows.iter().flatten().map(|it| it.text.as_str());
        let totals = pieces().find(|it| it.starts_with("building "));
        let is_built = pieces().any(|it| it == "built");
        let letters: usize = pieces().map(str::len).sum();
        // `building 2, ..`: as text, for there are never ten.
        (
            totals.is_some() && is_built,
            totals.map(|it| it.chars().take(10).collect::<String>()),
            letters,
        )
    };
    let best = frames
        .iter()
        .enumerate()
        .max_by_key(|(_, frame)| merit(frame));
    best.map_or(0, |(index, _)| index)
}

/// The picture: each line that was ever seen once, and the frames above each other like a film.
fn draw(frames: &[Frame]) -> String {
    let height = u32::from(ROWS) * LINE;
    let width = f64::from(COLUMNS) * WIDTH;
    let mut rows: HashMap<&Row, usize> = HashMap::new();
    let (mut lines, mut film, mut times) = (String::new(), String::new(), String::new());
    let end = frames.last().map_or(0.0, |last| last.at) + LAST_STAYS;
    let mut top = 0;
    let mut still_top = 0;
    let still = still(frames);
    for (number, frame) in frames.iter().enumerate() {
        if number == still {
            still_top = top;
        }
        let at = if number == 0 { 0.0 } else { frame.at };
        let _ = writeln!(
            times,
            "{:.2}%{{transform:translateY(-{top}px)}}",
            at / end * 100.0
        );
        let mut y = top;
        for row in &frame.rows {
            y += LINE;
            if row.is_empty() {
                continue;
            }
            let new = rows.len();
            let id = *rows.entry(row).or_insert_with(|| {
                let _ = write!(lines, "<g id=\"l{new}\">");
                for piece in row {
                    lines.push_str(&element(piece));
                }
                lines.push_str("</g>\n");
                new
            });
            let _ = write!(film, "<use href=\"#l{id}\" y=\"{y}\"/>");
        }
        film.push('\n');
        top += height;
    }
    let (whole_width, whole_height) = (width + 2.0 * f64::from(MARGIN), height + 2 * MARGIN);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole_width:.0} {whole_height}" width="{whole_width:.0}" height="{whole_height}" role="img" aria-labelledby="title">
<!-- Made from a real run by the example `picture` of xtask; not to be edited. -->
<title id="title">{TYPED}: two builds run, each with its time, phase and last line; then the table</title>
<style>
text{{font:{FONT}px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",Consolas,monospace;fill:#1f2328;white-space:pre}}
.back{{fill:#f6f8fa;stroke:#d1d9e0}}
.bold{{font-weight:bold}}
.dim{{fill:#6b7480}}
.red{{fill:#c4262f}}
.green{{fill:#1a7f37}}
@media (prefers-color-scheme:dark){{
text{{fill:#d8dee6}}
.back{{fill:#161b22;stroke:#3d444d}}
.dim{{fill:#8b949e}}
.red{{fill:#ff7b72}}
.green{{fill:#56d364}}
}}
#film{{animation:play {end:.1}s step-end infinite}}
@media (prefers-reduced-motion:reduce){{#film{{animation:none}}}}
@keyframes play{{
{times}}}
</style>
<defs>
{lines}</defs>
<rect class="back" x="0.5" y="0.5" width="{:.0}" height="{}" rx="8"/>
<svg x="{MARGIN}" y="{MARGIN}" width="{width:.0}" height="{height}" viewBox="0 -4 {width:.0} {height}" overflow="hidden">
<g id="film" transform="translate(0 -{still_top})">
{film}</g>
</svg>
</svg>
"#,
        whole_width - 1.0,
        whole_height - 1,
    )
}

/// A piece as text at its column; how wide it is does not hang on the font.
fn element(piece: &Piece) -> String {
    let count = u32::try_from(piece.text.chars().count()).unwrap_or(u32::MAX);
    let text = piece.text.replace('&', "&amp;").replace('<', "&lt;");
    let class = match piece.classes.as_str() {
        "" => String::new(),
        classes => format!(" class=\"{classes}\""),
    };
    format!(
        "<text{class} x=\"{:.0}\" textLength=\"{:.0}\">{text}</text>",
        f64::from(piece.column) * WIDTH,
        f64::from(count) * WIDTH
    )
}

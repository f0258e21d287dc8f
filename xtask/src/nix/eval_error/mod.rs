//! What Nix says of a failing evaluation, told shortly: the error, where in our files it is and came
//! from, and what to do about it.
//!
//! Nix's whole trace goes through the expression that asks (`describe.nix`), the package set and its
//! `lib`; whoever writes a component looks for the few frames in between that are theirs. Nix 2.8
//! prints the error first, then frames from the inside out; later ones and Lix print the frames first,
//! from the outside in. What is not understood is passed on as it is: no message is lost.

mod parse;

use camino::{Utf8Path, Utf8PathBuf};

use self::parse::{Failure, Frame, Place, Spot, begins_an_error, cleaned, is_suggestion, parse};
use crate::nix::describe::PackageSet;

/// How much of what came before the error is shown, in lines: warnings, and what `builtins.trace` says.
const LINES_BEFORE: usize = 40;
/// How much of such a line is shown, in characters.
const LINE_BEFORE: usize = 1000;
/// How many frames are shown from each end of a long trace.
const FRAMES: usize = 8;

/// What Nix calls the frame of a function's caller.
const CALL_SITE: &str = "from call site";
/// The folder of the stand-in for nixpkgs, below the repository's root.
const HOST_PKGS: &str = "containers/host-pkgs";
/// What in host-pkgs stands in for nixpkgs' own machinery: each package goes through it.
const MACHINERY: [&str; 2] = ["lib.nix", "stdenv.nix"];

/// Who reads an error, and what they know.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The repository's root.
    pub root: &'a Utf8Path,
    /// The expressions that were evaluated, as they are shown.
    pub expression: String,
    /// A source tree in place of the pinned one.
    pub source: Option<&'a Utf8Path>,
    /// The containers whose expressions these are.
    pub containers: Vec<Expressions>,
    /// The package set that components are evaluated over.
    pub set: PackageSet,
    /// Whether they see the whole text anyway.
    pub verbose: bool,
}

/// The expressions of a container.
#[derive(Debug)]
pub struct Expressions {
    /// Their folder, below the repository's root.
    pub folder: Utf8PathBuf,
    /// The pins file.
    pub pins: Utf8PathBuf,
}

/// A failed evaluation as text.
#[derive(Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Warnings and traces that came before the error, if they are to be shown.
    pub before: String,
    /// The error.
    pub error: String,
}

/// A function's frame and that of its caller as one, or another frame.
#[derive(Debug)]
struct Call<'a> {
    what: &'a str,
    spot: Option<&'a Spot>,
    caller: Option<&'a Spot>,
    frames: usize,
}

/// Whose a place is.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// A file of the repository, of the source tree, or the pins.
    Ours,
    /// The package set.
    Set,
    /// Nix itself, or an expression of its command line.
    Nix,
}

/// Something that a function needs and the package set doesn't have.
#[derive(Debug, PartialEq, Eq)]
struct Lack<'a> {
    name: &'a str,
    place: Option<Place>,
    similar: Vec<&'a str>,
}

/// An error in our own words.
#[derive(Debug)]
struct Explained<'a> {
    text: String,
    /// The place whose lines show it.
    spot: Option<&'a Spot>,
}

/// Tells an evaluation that failed.
///
/// `stderr` is what Nix printed, `status` how it ended.
pub fn tell(stderr: &str, status: &str, reader: &Reader<'_>) -> Explanation {
    let lines: Vec<&str> = stderr.lines().collect();
    let Some(start) = lines.iter().rposition(|line| begins_an_error(line)) else {
        let mut error = format!("evaluating {} failed ({status})", reader.expression);
        if !reader.verbose && !stderr.trim().is_empty() {
            error = format!("{error}:\n{}", stderr.trim_end());
        }
        return Explanation {
            before: String::new(),
            error,
        };
    };
    let before = if reader.verbose {
        String::new()
    } else {
        last_lines(&lines[..start])
    };
    let error = render(&parse(&lines[start..]), reader);
    Explanation { before, error }
}

/// The last of these lines, cut to a length that can be read.
fn last_lines(lines: &[&str]) -> String {
    let left_out = lines.len().saturating_sub(LINES_BEFORE);
    let mut shown = Vec::new();
    if left_out > 0 {
        shown.push(format!("({left_out} lines before these: `-v` shows them)"));
    }
    shown.extend(lines[left_out..].iter().map(|line| {
        let mut start: String = line.chars().take(LINE_BEFORE).collect();
        if start.len() < line.len() {
            start.push('…');
        }
        cleaned(&start)
    }));
    shown.join("\n")
}

impl Reader<'_> {
    /// A file's path below the repository's root.
    fn relative<'p>(&self, file: &'p str) -> Option<&'p Utf8Path> {
        Utf8Path::new(file).strip_prefix(self.root).ok()
    }

    fn owner(&self, place: &Place) -> Owner {
        let path = Utf8Path::new(&place.file);
        if let Some(relative) = self.relative(&place.file) {
            let machinery = relative
                .strip_prefix(HOST_PKGS)
                .is_ok_and(|file| MACHINERY.contains(&file.as_str()));
            return if machinery { Owner::Set } else { Owner::Ours };
        }
        let is_pins = self.containers.iter().any(|it| it.pins == path);
        if is_pins || self.source.is_some_and(|tree| path.starts_with(tree)) {
            return Owner::Ours;
        }
        // `«string»`, `«nix-internal»/derivation-internal.nix`, `<nix/derivation-internal.nix>`, but
        // also `«github:NixOS/nixpkgs/REVISION»/lib/x.nix`
        let set = path.is_absolute() || (place.file.contains(':') && place.file.contains("»/"));
        if set { Owner::Set } else { Owner::Nix }
    }

    fn is_ours(&self, spot: Option<&Spot>) -> bool {
        spot.is_some_and(|spot| self.owner(&spot.place) == Owner::Ours)
    }

    /// Whether a place is in a file that users edit: ours, or the machinery of host-pkgs.
    fn knows(&self, spot: &Spot) -> bool {
        self.owner(&spot.place) == Owner::Ours || self.relative(&spot.place.file).is_some()
    }

    /// A place as it is shown.
    fn label(&self, place: &Place) -> String {
        let file = self
            .relative(&place.file)
            .map_or(place.file.as_str(), Utf8Path::as_str);
        match place.column {
            Some(column) => format!("{file}:{}:{column}", place.line),
            None => format!("{file}:{}", place.line),
        }
    }

    /// The container whose expressions a place is in.
    fn container(&self, place: &Place) -> Option<&Expressions> {
        let file = self.relative(&place.file)?;
        self.containers
            .iter()
            .find(|container| file.starts_with(&container.folder))
    }

    /// A file as it is shown.
    fn shown<'p>(&self, file: &'p Utf8Path) -> &'p Utf8Path {
        self.relative(file.as_str()).unwrap_or(file)
    }
}

fn render(failure: &Failure, reader: &Reader<'_>) -> String {
    let trace = Trace::of(failure, reader);
    let explained = explain(failure, reader);
    let is_explained = explained.is_some();
    let (mut lines, focus) = match explained {
        Some(explained) => (vec![explained.text], explained.spot),
        None => located(failure, reader, trace.lines.is_empty()),
    };
    lines.extend(excerpt(focus));
    let notes = failure.notes.iter().filter(|note| !is_suggestion(note));
    lines.extend(notes.cloned());
    let mut trace_lines = trace.lines.into_iter();
    lines.extend(trace_lines.next());
    if focus.is_none() && !is_explained {
        lines.extend(excerpt(trace.innermost));
    }
    lines.extend(trace_lines);
    if !reader.verbose {
        lines.extend(trace.left_out);
    }
    lines.join("\n")
}

fn excerpt(spot: Option<&Spot>) -> Vec<String> {
    spot.map_or_else(Vec::new, |spot| spot.excerpt.clone())
}

/// The error in Nix's words with its place and a remedy, and the place whose lines show it.
fn located<'a>(
    failure: &'a Failure,
    reader: &Reader<'_>,
    no_trace: bool,
) -> (Vec<String>, Option<&'a Spot>) {
    let mut lines = failure.message.clone();
    if lines.is_empty() {
        lines.push("Nix gives no reason".to_owned());
    }
    let one_line = lines.len() == 1;
    let focus = failure.spot.as_ref().filter(|spot| reader.knows(spot));
    if let Some(spot) = focus {
        lines[0] = format!("{}: {}", reader.label(&spot.place), lines[0]);
    } else if let Some(spot) = &failure.spot {
        lines.push(format!("  at {}", reader.label(&spot.place)));
    } else if no_trace {
        lines[0] = format!("evaluating {} failed: {}", reader.expression, lines[0]);
    }
    match remedy(failure, reader) {
        Some(remedy) if one_line => lines[0] = format!("{}: {remedy}", lines[0]),
        Some(remedy) => lines.push(remedy),
        None => {}
    }
    (lines, focus)
}

/// What is shown of a trace.
#[derive(Debug, Default)]
struct Trace<'a> {
    lines: Vec<String>,
    /// The place in the first line, if that is the innermost frame.
    innermost: Option<&'a Spot>,
    /// What is not shown.
    left_out: Option<String>,
}

impl<'a> Trace<'a> {
    fn of(failure: &'a Failure, reader: &Reader<'_>) -> Self {
        let mut trace = Self::default();
        let mut shown: Vec<(String, usize)> = Vec::new();
        let mut left_out = failure.omitted;
        let mut owners = Vec::new();
        for (index, call) in calls(&failure.frames).iter().enumerate() {
            let ours = |spot: &&Spot| reader.owner(&spot.place) == Owner::Ours;
            let spot = call.caller.filter(ours).or(call.spot.filter(ours));
            let line = if let Some(spot) = spot {
                if index == 0 {
                    trace.innermost = Some(spot);
                }
                format!("  {} at {}", call.what, reader.label(&spot.place))
            } else if call.spot.is_none() && call.what != CALL_SITE && !failure.frames_first {
                // It may be a part of the message that only looks like a frame.
                format!("  … {}", call.what)
            } else {
                left_out += call.frames;
                owners.push(
                    call.spot
                        .map_or(Owner::Nix, |spot| reader.owner(&spot.place)),
                );
                continue;
            };
            match shown.last_mut() {
                Some((last, times)) if *last == line => *times += 1,
                _ => shown.push((line, 1)),
            }
        }
        let mut whose = match (owners.contains(&Owner::Set), owners.contains(&Owner::Nix)) {
            // Whose frames Nix omitted it does not say.
            _ if failure.omitted > 0 => String::new(),
            (true, true) => format!(" in {} and Nix", reader.set.name()),
            (true, false) => format!(" in {}", reader.set.name()),
            (false, true) => " in Nix".to_owned(),
            (false, false) => String::new(),
        };
        let line = |(line, times): &(String, usize)| match times {
            1 => line.clone(),
            _ => format!("{line} ({times} times)"),
        };
        if shown.len() > 2 * FRAMES + 1 {
            let middle = FRAMES..shown.len() - FRAMES;
            left_out += shown[middle.clone()]
                .iter()
                .map(|(_, times)| times)
                .sum::<usize>();
            whose.clear();
            trace.lines.extend(shown[..middle.start].iter().map(line));
            trace.lines.push("  …".to_owned());
            trace.lines.extend(shown[middle.end..].iter().map(line));
        } else {
            trace.lines = shown.iter().map(line).collect();
        }
        trace.left_out = match left_out {
            0 => None,
            1 => Some(format!("1 more frame{whose}: `-v` shows it")),
            _ => Some(format!("{left_out} more frames{whose}: `-v` shows them")),
        };
        trace
    }
}

/// The frames, those of a function and its caller as one.
fn calls(frames: &[Frame]) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut callee = false;
    for frame in frames {
        if callee
            && frame.what == CALL_SITE
            && let Some(last) = calls.last_mut()
        {
            last.caller = frame.spot.as_ref();
            last.frames = 2;
            callee = false;
            continue;
        }
        callee = frame.is_call();
        calls.push(Call {
            what: &frame.what,
            spot: frame.spot.as_ref(),
            caller: None,
            frames: 1,
        });
    }
    calls
}

/// The error in our own words, if it is one that has to do with the package set or the pins.
fn explain<'a>(failure: &'a Failure, reader: &Reader<'_>) -> Option<Explained<'a>> {
    let [message] = failure.message.as_slice() else {
        return None;
    };
    if let Some(lack) = host_lack(message).or_else(|| nixpkgs_lack(message)) {
        let text = lack_text(&lack, reader);
        return Some(Explained { text, spot: None });
    }
    if let Some((refusal, rest)) = message.split_once(" (given at ")
        && let Some(place) = rest.strip_suffix(')').and_then(Place::parse)
    {
        let place = reader.label(&place);
        let text = match between(refusal, "does not carry out `", "`") {
            Some(argument) => format!(
                "host-pkgs does not carry out `{argument}`, which {place} gives: \
                 do without it, or carry it out in {HOST_PKGS}/stdenv.nix"
            ),
            None => format!("{place}: {refusal}"),
        };
        return Some(Explained { text, spot: None });
    }
    explain_attribute(message, failure, reader)
}

/// What host-pkgs' `callPackage` says when an argument is missing (its `lib.nix`).
fn host_lack(message: &str) -> Option<Lack<'_>> {
    let rest = message.strip_prefix("the package set has no `")?;
    let (name, rest) = rest.split_once('`')?;
    let place = between(rest, "which the function at ", " calls for").and_then(Place::parse);
    let similar = rest
        .split_once("; it has ")
        .map_or_else(Vec::new, |(_, names)| names.split(", ").collect());
    Some(Lack {
        name,
        place,
        similar,
    })
}

/// What nixpkgs' `callPackage` says when an argument is missing (its `lib/customisation.nix`).
fn nixpkgs_lack(message: &str) -> Option<Lack<'_>> {
    let (caller, rest) = message.split_once("Function called without required argument \"")?;
    if !caller.is_empty() && !caller.ends_with("callPackageWith: ") {
        return None;
    }
    let (name, rest) = rest.split_once('"')?;
    // `abort` puts what it says in quotes.
    let rest = rest.strip_suffix('\'').unwrap_or(rest);
    let (place, names) = rest.split_once(", did you mean ").unwrap_or((rest, ""));
    Some(Lack {
        name,
        place: place.strip_prefix(" at ").and_then(Place::parse),
        similar: names.split('"').skip(1).step_by(2).collect(),
    })
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

fn lack_text(lack: &Lack<'_>, reader: &Reader<'_>) -> String {
    let set = reader.set.name();
    let needs = lack
        .place
        .as_ref()
        .map_or_else(|| "a function".to_owned(), |place| reader.label(place));
    let text = format!("{set} has no `{}`, which {needs} needs", lack.name);
    let place = lack.place.as_ref();
    let folder = place.and_then(|place| Some(&reader.container(place)?.folder));
    let remedy = match (did_you_mean(&lack.similar), reader.set, folder) {
        (Some(question), _, _) => question,
        (None, PackageSet::Host, Some(folder)) => format!(
            "add it to {HOST_PKGS}/default.nix, or, if it is a component, to {folder}/scope.nix"
        ),
        (None, PackageSet::Host, None) => format!("add it to {HOST_PKGS}/default.nix"),
        (None, PackageSet::Nixpkgs, Some(folder)) => {
            format!("if it is a component, add it to {folder}/scope.nix")
        }
        (None, PackageSet::Nixpkgs, None) => return text,
    };
    format!("{text}: {remedy}")
}

/// An attribute that is not there, with what should have it and what needs it.
fn explain_attribute<'a>(
    message: &str,
    failure: &'a Failure,
    reader: &Reader<'_>,
) -> Option<Explained<'a>> {
    let name = message
        .strip_prefix("attribute '")?
        .strip_suffix("' missing")?;
    // Nix 2.8 gives no right place for `inherit (set) name`, but that of its innermost frame is.
    let innermost = failure.frames.first().and_then(|frame| frame.spot.as_ref());
    let (spot, set) = [failure.spot.as_ref(), innermost]
        .into_iter()
        .flatten()
        .filter(|spot| reader.knows(spot))
        .find_map(|spot| Some((spot, owner_of(name, spot)?)))?;
    let place = reader.label(&spot.place);
    let container = reader.container(&spot.place);
    let (root, below) = set.split_once('.').unwrap_or((&set, ""));
    let of_set = ["pkgs", "lib"].contains(&root) || root.ends_with("Packages");
    let (lacks, remedy) = if of_set {
        let path = match (root, below) {
            ("pkgs", "") => name.to_owned(),
            ("pkgs", below) => format!("{below}.{name}"),
            _ => format!("{set}.{name}"),
        };
        let file = if path.starts_with("lib.") {
            "lib"
        } else {
            "default"
        };
        let remedy =
            (reader.set == PackageSet::Host).then(|| format!("add it to {HOST_PKGS}/{file}.nix"));
        (format!("{} has no `{path}`", reader.set.name()), remedy)
    } else if let Some(container) = container.filter(|_| set == "sources") {
        let pins = reader.shown(&container.pins);
        let remedy = format!("add it to `sources` in {pins}");
        (format!("the pins have no `{name}`"), Some(remedy))
    } else {
        (format!("`{set}` has no `{name}`"), None)
    };
    let remedy = suggestion(failure).or(remedy);
    let mut text = format!("{lacks}, which {place} needs");
    if let Some(remedy) = remedy {
        text = format!("{text}: {remedy}");
    }
    Some(Explained {
        text,
        spot: Some(spot),
    })
}

/// The expression without the attribute `name`, as far as it is a path of names: `a.b` in `a.b.name`
/// or in `inherit (a.b) name`.
fn owner_of(name: &str, spot: &Spot) -> Option<String> {
    // The line before the one with the caret is what it is about.
    let caret = spot
        .excerpt
        .iter()
        .position(|line| line.trim_start().starts_with('|'))?;
    let sources: Vec<&str> = spot.excerpt[..caret]
        .iter()
        .filter_map(|line| line.split_once('|'))
        .map(|(_, source)| source.strip_prefix(' ').unwrap_or(source))
        .collect();
    let is_part = |c: char| c.is_alphanumeric() || ['_', '-', '\'', '.'].contains(&c);
    let line = sources.last()?;
    let column = usize::try_from(spot.place.column?).ok()?.checked_sub(1)?;
    // The caret stands at the start of the path, or at the attribute itself.
    let start = line.get(..column)?.trim_end_matches(is_part).len();
    let path = line[start..].split(|c: char| !is_part(c)).next()?;
    let path: Vec<&str> = path.split('.').collect();
    if let Some(found) = path.iter().skip(1).position(|part| *part == name) {
        return Some(path[..=found].join("."));
    }
    let text = sources.join("\n");
    let (set, names) = text.rsplit_once("inherit (")?.1.split_once(')')?;
    let ended = names.contains(';');
    let names = names.split(';').next()?;
    let inherits = names.split_whitespace().any(|word| word == name) || !ended;
    (inherits && !set.is_empty() && set.chars().all(is_part)).then(|| set.to_owned())
}

/// What Nix thinks was meant: `Did you mean x?`, `Did you mean one of x, y or z?`.
fn suggestion(failure: &Failure) -> Option<String> {
    let note = failure.notes.iter().find(|note| is_suggestion(note))?;
    let names = note.strip_prefix("Did you mean ")?.strip_suffix('?')?;
    let names = names.strip_prefix("one of ").unwrap_or(names);
    let names: Vec<&str> = names.split(", ").flat_map(|it| it.split(" or ")).collect();
    did_you_mean(&names)
}

fn did_you_mean(names: &[&str]) -> Option<String> {
    let (last, others) = names.split_last()?;
    let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
    Some(if others.is_empty() {
        format!("did you mean `{last}`?")
    } else {
        format!("did you mean {} or `{last}`?", others.join(", "))
    })
}

/// What to do about an error, where that is certain.
fn remedy(failure: &Failure, reader: &Reader<'_>) -> Option<String> {
    if let Some(suggestion) = suggestion(failure) {
        return Some(suggestion);
    }
    let message = failure.message.first()?;
    let over_nixpkgs = reader.set == PackageSet::Nixpkgs;
    let remedy = if message.starts_with("undefined variable '") {
        if !reader.is_ours(failure.spot.as_ref()) {
            return None;
        }
        "if the package set has it, name it among the file's arguments"
    } else if message.starts_with("host-pkgs has no packages for ") {
        "`--pkgs nixpkgs` builds over nixpkgs"
    } else if over_nixpkgs && message.starts_with("unable to download '") {
        "`--pkgs host` builds over this machine's own tools"
    } else if over_nixpkgs && message.starts_with("hash mismatch in file downloaded from '") {
        "nixpkgs is pinned as `nixpkgs.hash`"
    } else if message.starts_with("cannot connect to ")
        || (message.contains("'/nix/var/nix/") && message.ends_with("Permission denied"))
    {
        "`cargo xtask setup` says how this user gets at Nix's store"
    } else {
        return None;
    };
    Some(remedy.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A captured run: `stderr` of the version's file of that name.
    macro_rules! sample {
        ($version:literal, $name:literal) => {
            include_str!(concat!(
                "../../../tests/fixtures/nix-",
                $version,
                "/",
                $name,
                ".txt"
            ))
            .split_once("--- stderr\n")
            .and_then(|(_, rest)| rest.split_once("--- exit code"))
            .unwrap()
            .0
        };
    }

    fn reader(set: PackageSet) -> Reader<'static> {
        Reader {
            root: "/build/samples".into(),
            expression: "`containers/authentik/test-build.nix`".to_owned(),
            source: Some("/src/authentik".into()),
            containers: vec![Expressions {
                folder: "containers/authentik".into(),
                pins: "/elsewhere/pins.json".into(),
            }],
            set,
            verbose: false,
        }
    }

    /// The error in this text, over host-pkgs.
    fn told(text: &str) -> String {
        tell(text, "exit status: 1", &reader(PackageSet::Host)).error
    }

    #[test]
    fn samples_of_both_versions() {
        for (text, expected) in [
            (
                sample!("2.8", "eval-assert"),
                "s.nix:20:13: assertion '(1 == 2)' failed
    19|   syntax = import ./syntax.nix;
    20|   asserts = assert 1 == 2; 1;
      |             ^
    21| }",
            ),
            (
                sample!("2.26", "eval-assert"),
                "an integer with value '1' is not equal to an integer with value '2'
  while evaluating the condition of the assertion '(1 == 2)' at s.nix:20:13
    19|   syntax = import ./syntax.nix;
    20|   asserts = assert 1 == 2; 1;
      |             ^
    21| }",
            ),
            (
                sample!("2.8", "eval-show-trace"),
                "evaluating `containers/authentik/test-build.nix` failed: \
                 unsupported host platform x86_64-linux",
            ),
            (
                sample!("2.26", "eval-show-trace"),
                "unsupported host platform x86_64-linux
  while calling the 'throw' builtin at s.nix:16:12
    15|   slow = sh { name = \"slow\"; script = \"echo starting; sleep 30; echo > $out\"; };
    16|   throws = throw \"unsupported host platform x86_64-linux\";
      |            ^
    17|   typo = { name = \"x\"; }.nmae;",
            ),
            (
                sample!("2.8", "eval-syntax"),
                "syntax.nix:2:5: syntax error, unexpected '=', expecting ';'
     1| { a = 1
     2|   b = 2; }
      |     ^",
            ),
            (
                sample!("2.26", "eval-syntax"),
                "syntax.nix:2:5: syntax error, unexpected '=', expecting ';'
     1| { a = 1
     2|   b = 2; }
      |     ^
     3|
  while calling the 'import' builtin at s.nix:19:12",
            ),
            (
                sample!("2.8", "eval-undefined-variable"),
                "undef.nix:1:7: undefined variable 'foo': \
                 if the package set has it, name it among the file's arguments
     1| { a = foo; }
      |       ^",
            ),
            (
                sample!("2.26", "eval-undefined-variable"),
                "undef.nix:1:7: undefined variable 'foo': \
                 if the package set has it, name it among the file's arguments
     1| { a = foo; }
      |       ^
     2|
  while calling the 'import' builtin at s.nix:18:18",
            ),
            (
                sample!("2.8", "file-missing"),
                "evaluating `containers/authentik/test-build.nix` failed: \
                 getting status of '/build/samples/nosuch.nix': No such file or directory",
            ),
            (
                sample!("2.26", "file-missing"),
                "evaluating `containers/authentik/test-build.nix` failed: \
                 path '/build/samples/nosuch.nix' does not exist",
            ),
        ] {
            assert_eq!(told(text), expected);
        }
        for text in [
            sample!("2.8", "eval-missing-attribute-inside"),
            sample!("2.26", "eval-missing-attribute-inside"),
        ] {
            assert_eq!(
                told(text),
                "s.nix:17:10: attribute 'nmae' missing: did you mean `name`?
    16|   throws = throw \"unsupported host platform x86_64-linux\";
    17|   typo = { name = \"x\"; }.nmae;
      |          ^
    18|   undefinedvar = import ./undef.nix;"
            );
        }
    }

    #[test]
    fn what_components_want_and_the_set_lacks() {
        // The word for a call, the columns of two `inherit`, the frames left out.
        for (samples, calling, inherit, column, left_out) in [
            (
                [
                    sample!("2.8", "component-missing-argument"),
                    sample!("2.8", "component-missing-attribute"),
                    sample!("2.8", "component-refused-argument"),
                ],
                "evaluating",
                18,
                20,
                [
                    "6 more frames in Nix",
                    "16 more frames in host-pkgs and Nix",
                    "10 more frames in host-pkgs and Nix",
                ],
            ),
            (
                [
                    sample!("2.26", "component-missing-argument"),
                    sample!("2.26", "component-missing-attribute"),
                    sample!("2.26", "component-refused-argument"),
                ],
                "calling",
                29,
                28,
                [
                    "11 more frames in host-pkgs and Nix",
                    "26 more frames in host-pkgs and Nix",
                    "17 more frames in host-pkgs and Nix",
                ],
            ),
        ] {
            let [argument, attribute, refused] = samples;
            let component = format!(
                "  while {calling} 'mkDerivation' at containers/authentik/client-ts.nix:12:1
  while {calling} anonymous lambda at containers/authentik/client-ts.nix:2:1
"
            );
            let scope = format!(
                "  while {calling} 'callPackageWith' at containers/authentik/scope.nix:24:17
  while evaluating the attribute 'client-ts' at containers/authentik/scope.nix:24:5
  while evaluating the attribute 'client-ts' at containers/authentik/test-build.nix:12:{inherit}
"
            );
            assert_eq!(
                told(argument),
                format!(
                    "host-pkgs has no `typescrypt`, which containers/authentik/client-ts.nix:9 \
                     needs: did you mean `typescript`?\n{scope}{}: `-v` shows them",
                    left_out[0]
                )
            );
            let caret = " ".repeat(column);
            assert_eq!(
                told(attribute),
                format!(
                    "the pins have no `openapi`, which \
                     containers/authentik/client-ts.nix:24:{column} needs: \
                     add it to `sources` in /elsewhere/pins.json
    23|
    24|   inherit (sources) schema openapi;
      |{caret}^
    25|   templates = sources.ts-templates;
  while evaluating the attribute 'openapi' at containers/authentik/client-ts.nix:24:{column}
{component}{scope}{}: `-v` shows them",
                    left_out[1]
                )
            );
            assert_eq!(
                told(refused),
                format!(
                    "host-pkgs does not carry out `hardeningDisable`, which \
                     containers/authentik/client-ts.nix:18 gives: do without it, or carry it out \
                     in containers/host-pkgs/stdenv.nix\n\
                     {component}{scope}{}: `-v` shows them",
                    left_out[2]
                )
            );
        }
    }

    #[test]
    fn arguments_that_call_package_misses() {
        let aborted = "evaluation aborted with the following error message: \
                       'lib.customisation.callPackageWith: ";
        let called = "Function called without required argument";
        let client = "/build/samples/containers/authentik/client-ts.nix";
        let cases = [
            (
                format!("{aborted}{called} \"foo\" at {client}:3'"),
                "nixpkgs has no `foo`, which containers/authentik/client-ts.nix:3 needs: \
                 if it is a component, add it to containers/authentik/scope.nix",
            ),
            (
                format!("{called} \"foo\" at {client}:3, did you mean \"fop\"?"),
                "nixpkgs has no `foo`, which containers/authentik/client-ts.nix:3 needs: \
                 did you mean `fop`?",
            ),
            (
                format!(
                    "lib.customisation.callPackageWith: {called} \"foo\" at {client}:3, \
                     did you mean \"a\", \"b\" or \"c\"?"
                ),
                "nixpkgs has no `foo`, which containers/authentik/client-ts.nix:3 needs: \
                 did you mean `a`, `b` or `c`?",
            ),
            (
                format!("{aborted}{called} \"foo\" at /nix/store/x-source/pkgs/a/b.nix:7'"),
                "nixpkgs has no `foo`, which /nix/store/x-source/pkgs/a/b.nix:7 needs",
            ),
            (
                format!("{aborted}{called} \"foo\" at <unknown location>'"),
                "nixpkgs has no `foo`, which a function needs",
            ),
        ];
        for (message, expected) in &cases {
            // as Nix 2.8 prints it, and as later ones do
            let later = format!(
                "error:\n       … while calling the 'abort' builtin\n         \
                 at /nix/store/x-source/lib/customisation.nix:323:7:\n          322|     else\n          \
                 323|       abort \"lib\";\n             |       ^\n          324|\n\n       \
                 error: {message}\n"
            );
            for (text, more) in [
                (format!("error: {message}\n"), ""),
                (later, "\n1 more frame in nixpkgs: `-v` shows it"),
            ] {
                let told = tell(&text, "exit status: 1", &reader(PackageSet::Nixpkgs));
                assert_eq!(told.error, format!("{expected}{more}"), "{text}");
            }
        }
        let host = |place: &str| {
            let message = format!(
                "error: the package set has no `foo`, which the function at {place} calls for"
            );
            told(&message)
        };
        assert_eq!(
            host("/build/samples/containers/authentik/client-ts.nix:3"),
            "host-pkgs has no `foo`, which containers/authentik/client-ts.nix:3 needs: add it to \
             containers/host-pkgs/default.nix, or, if it is a component, to \
             containers/authentik/scope.nix"
        );
        assert_eq!(
            host("/build/samples/containers/host-pkgs/go.nix:3"),
            "host-pkgs has no `foo`, which containers/host-pkgs/go.nix:3 needs: add it to \
             containers/host-pkgs/default.nix"
        );
    }

    #[test]
    fn attributes_that_are_missing() {
        use PackageSet::{Host, Nixpkgs};
        for (set, line, column, name, expected) in [
            (
                Host,
                "  x = pkgs.foo;",
                7,
                "foo",
                "host-pkgs has no `foo`, which F:2:7 needs: add it to \
                 containers/host-pkgs/default.nix",
            ),
            (
                Nixpkgs,
                "  x = pkgs.foo;",
                7,
                "foo",
                "nixpkgs has no `foo`, which F:2:7 needs",
            ),
            (
                Host,
                "  x = lib.strings.foo a;",
                7,
                "foo",
                "host-pkgs has no `lib.strings.foo`, which F:2:7 needs: add it to \
                 containers/host-pkgs/lib.nix",
            ),
            (
                Host,
                "  x = lib.strings.foo a;",
                7,
                "strings",
                "host-pkgs has no `lib.strings`, which F:2:7 needs: add it to \
                 containers/host-pkgs/lib.nix",
            ),
            // The caret at the attribute itself.
            (
                Host,
                "  x = pkgs.python3Packages.foo;",
                28,
                "foo",
                "host-pkgs has no `python3Packages.foo`, which F:2:28 needs: add it to \
                 containers/host-pkgs/default.nix",
            ),
            (
                Host,
                "  inherit (lib) id foo;",
                20,
                "foo",
                "host-pkgs has no `lib.foo`, which F:2:20 needs: add it to \
                 containers/host-pkgs/lib.nix",
            ),
            (
                Host,
                "  x = sources.foo;",
                7,
                "foo",
                "the pins have no `foo`, which F:2:7 needs: add it to `sources` in \
                 /elsewhere/pins.json",
            ),
            (
                Host,
                "  x = finalAttrs.foo;",
                7,
                "foo",
                "`finalAttrs` has no `foo`, which F:2:7 needs",
            ),
            // No path of names.
            (
                Host,
                "  x = (f y).foo;",
                7,
                "foo",
                "F:2:7: attribute 'foo' missing",
            ),
            (
                Host,
                "  x = a.${b};",
                7,
                "foo",
                "F:2:7: attribute 'foo' missing",
            ),
            (
                Host,
                "  inherit (a b) foo;",
                17,
                "foo",
                "F:2:17: attribute 'foo' missing",
            ),
            (Host, "  é", 99, "foo", "F:2:99: attribute 'foo' missing"),
        ] {
            let file = "containers/authentik/x.nix";
            let excerpt = format!("     1| {{\n     2| {line}\n      | ^\n     3| }}");
            let nix = excerpt.replace("\n ", "\n        ");
            let text = format!(
                "error: attribute '{name}' missing\n\n       at /build/samples/{file}:2:{column}:\n\n       {nix}\n"
            );
            let told = tell(&text, "exit status: 1", &reader(set)).error;
            let expected = format!("{}\n{excerpt}", expected.replace('F', file));
            assert_eq!(told, expected, "{line}");
        }
    }

    #[test]
    fn the_last_nix_and_lix() {
        // Without a place of its own, the frame before the message has it.
        assert_eq!(
            told(
                "error:
       … while evaluating the attribute 'outPath'
         at «nix-internal»/derivation-internal.nix:50:7:
           49|     value = commonAttrs // {
           50|       outPath = strict.${outputName};
             |       ^
           51|       drvPath = strict.drvPath;

       … while evaluating derivation 'client-ts-1'
         whose name attribute is located at «github:NixOS/nixpkgs/abc»/pkgs/make.nix:1:2

       … while evaluating the attribute 'schema'
         at /build/samples/containers/authentik/client-ts.nix:24:3:
           23|
           24|   schema = lib.foo;
             |   ^
           25| }

       … while evaluating the attribute 'lib.foo'
         at /build/samples/containers/authentik/client-ts.nix:24:12:
           23|
           24|   schema = lib.foo;
             |            ^
           25| }

       error: attribute 'foo' missing
       Did you mean one of fob, foe or for?
"
            ),
            "host-pkgs has no `lib.foo`, which containers/authentik/client-ts.nix:24:12 needs: \
             did you mean `fob`, `foe` or `for`?
    23|
    24|   schema = lib.foo;
      |            ^
    25| }
  while evaluating the attribute 'lib.foo' at containers/authentik/client-ts.nix:24:12
  while evaluating the attribute 'schema' at containers/authentik/client-ts.nix:24:3
2 more frames in host-pkgs and Nix: `-v` shows them"
        );
        assert_eq!(
            told(
                "warning: 'x' is deprecated
\u{1b}[31;1merror:\u{1b}[0m
       \u{1b}[34;1m… \u{1b}[0mfrom call site
         at «string»:1:1:
            1| f 1
             | ^

       … while calling 'f'
         at /build/samples/a.nix:2:3:
            1| {
            2|   f = x: throw \"bad\";
             |   ^
            3| }

       (17 duplicate frames omitted)

       … caused by explicit throw
         at /build/samples/a.nix:2:10:
            1| {
            2|   f = x: throw \"bad\";
             |          ^
            3| }

       error: first

         … second
       at last:
"
            ),
            "first

  … second
at last:
  caused by explicit throw at a.nix:2:10
     1| {
     2|   f = x: throw \"bad\";
      |          ^
     3| }
  while calling 'f' at a.nix:2:3
17 more frames: `-v` shows them"
        );
    }

    #[test]
    fn long_traces_are_cut_in_the_middle() {
        let frame = |name: usize, line: usize| {
            format!(
                "\n       … while evaluating 'f{name}'\n\n       at /build/samples/a.nix:{line}:1:\n"
            )
        };
        let recursion: String = (0..1000).map(|_| frame(1, 1)).collect();
        assert_eq!(
            told(&format!("error: deep\n{recursion}{}", frame(2, 2))),
            "deep\n  while evaluating 'f1' at a.nix:1:1 (1000 times)\n  while evaluating 'f2' at a.nix:2:1"
        );
        let others: String = (1..=1000).map(|line| frame(line, line)).collect();
        let told = told(&format!("error: deep\n{others}"));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 19, "{told}");
        assert_eq!(lines[8], "  while evaluating 'f8' at a.nix:8:1");
        assert_eq!(lines[9], "  …");
        assert_eq!(lines[10], "  while evaluating 'f993' at a.nix:993:1");
        assert_eq!(lines[18], "984 more frames: `-v` shows them");
    }

    #[test]
    fn what_came_before_is_kept() {
        let reader = reader(PackageSet::Host);
        let told = tell(
            "warning: old\ntrace: a\nerror: no error\nerror: bad\n",
            "exit status: 1",
            &reader,
        );
        assert_eq!(told.before, "warning: old\ntrace: a\nerror: no error");
        assert!(told.error.ends_with(": bad"), "{told:?}");

        let mut many: String = (0..100_000)
            .map(|number| format!("trace: {number} and so on and on\n"))
            .collect();
        many += &["trace: ", &"x".repeat(2000), "\n"].concat();
        let told = tell(&format!("{many}error: bad\n"), "exit status: 1", &reader);
        let lines: Vec<&str> = told.before.lines().collect();
        assert_eq!(lines[0], "(99961 lines before these: `-v` shows them)");
        assert_eq!(lines.len(), 41);
        assert_eq!(lines[39], "trace: 99999 and so on and on");
        assert!(lines[40].ends_with("x…"), "{}", lines[40]);
        assert_eq!(lines[40].chars().count(), 1001);
    }

    #[test]
    fn what_is_not_understood_is_passed_on() {
        let failed = "evaluating `containers/authentik/test-build.nix` failed";
        for (text, expected) in [
            ("", format!("{failed} (signal: 9)")),
            (
                "Killed\nfor good\n",
                format!("{failed} (signal: 9):\nKilled\nfor good"),
            ),
            ("error:", format!("{failed}: Nix gives no reason")),
            // Looks like the frames of a later Nix, but no message follows.
            (
                "error: \n       … x\n       y",
                "Nix gives no reason\n  … x y".to_owned(),
            ),
            ("error: \n       (x\n       y", format!("{failed}: (x\ny")),
            (
                "error: a\n       at /nix/store/x.nix:1:2:\n            1| b\n       c\nd",
                "a\n  at /nix/store/x.nix:1:2\nc\nd".to_owned(),
            ),
            (
                "error: a\r\n       b\u{7}\rc\n",
                format!("{failed}: a\nb c"),
            ),
            (
                "error: Did you mean x?",
                format!("{failed}: Did you mean x?"),
            ),
        ] {
            let told = tell(text, "signal: 9", &reader(PackageSet::Host));
            assert_eq!(told.error, expected, "{text:?}");
        }
    }

    #[test]
    fn who_sees_all_is_told_nothing_twice() {
        let reader = Reader {
            verbose: true,
            ..reader(PackageSet::Host)
        };
        let whole = sample!("2.8", "component-missing-argument");
        let told = tell(&format!("trace: x\n{whole}"), "exit status: 1", &reader);
        assert_eq!(told.before, "");
        assert!(!told.error.contains("-v"), "{told:?}");
        let told = tell("Killed\n", "signal: 9", &reader);
        assert!(told.error.ends_with("failed (signal: 9)"), "{told:?}");
    }

    #[test]
    fn remedies() {
        use PackageSet::{Host, Nixpkgs};
        for (set, message, remedy) in [
            (
                Host,
                "host-pkgs has no packages for riscv64-linux, only for x86_64-linux",
                "`--pkgs nixpkgs`",
            ),
            (
                Nixpkgs,
                "unable to download 'https://x': Could not resolve hostname (6)",
                "`--pkgs host`",
            ),
            (
                Nixpkgs,
                "hash mismatch in file downloaded from 'https://x':\n         specified: sha256:a\n         got:       sha256:b",
                "`nixpkgs.hash`",
            ),
            (
                Host,
                "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': No such file",
                "`cargo xtask setup`",
            ),
            (
                Host,
                "opening lock file '/nix/var/nix/db/big-lock': Permission denied",
                "`cargo xtask setup`",
            ),
        ] {
            let text = tell(
                &format!("error: {message}\n"),
                "exit status: 1",
                &reader(set),
            )
            .error;
            assert!(text.lines().last().unwrap().contains(remedy), "{text}");
            for line in message.lines() {
                assert!(text.contains(line.trim()), "{text}");
            }
        }
        let text = told("error: unable to download 'https://x': y\n");
        assert!(!text.contains("--pkgs"), "{text}");
    }

    #[test]
    fn places() {
        let reader = reader(PackageSet::Nixpkgs);
        for (file, owner) in [
            ("/build/samples/a.nix", Owner::Ours),
            ("/build/samples/containers/host-pkgs/go.nix", Owner::Ours),
            ("/build/samples/containers/host-pkgs/lib.nix", Owner::Set),
            ("/build/samples-not/a.nix", Owner::Set),
            ("/src/authentik/a.nix", Owner::Ours),
            ("/elsewhere/pins.json", Owner::Ours),
            ("/elsewhere/other.json", Owner::Set),
            ("/nix/store/x-source/lib/a.nix", Owner::Set),
            ("«github:NixOS/nixpkgs/abc»/lib/a.nix", Owner::Set),
            ("«string»", Owner::Nix),
            ("(string)", Owner::Nix),
            ("<nix/derivation-internal.nix>", Owner::Nix),
            ("«nix-internal»/derivation-internal.nix", Owner::Nix),
        ] {
            let place = Place::parse(&format!("{file}:1:2")).unwrap();
            assert_eq!((place.line, place.column), (1, Some(2)), "{file}");
            assert_eq!(reader.owner(&place), owner, "{file}");
        }
        assert_eq!(Place::parse("/a b:c:7").unwrap().file, "/a b:c");
        assert_eq!(Place::parse("/a:b"), None);
    }

    proptest! {
        /// Whatever the text, nothing breaks, and the words of the message are all there.
        #[test]
        fn no_message_is_lost(
            message in proptest::collection::vec("[ a-z(|…:0-9'\"?.é]{0,12}", 1..6),
            later: bool,
            framed: bool,
        ) {
            let indented = message.join("\n       ");
            let frame = "at /nix/store/a.nix:1:2:\n            1| x\n";
            let text = match (later, framed) {
                (false, false) => format!("error: {indented}\n"),
                (false, true) => format!("error: {indented}\n\n       … while evaluating 'x'\n\n       {frame}"),
                (true, _) => format!("error:\n       … while evaluating 'x'\n         {frame}\n       error: {indented}\n"),
            };
            let told = told(&text);
            for word in message.iter().flat_map(|line| line.split_whitespace()) {
                prop_assert!(told.contains(word), "{word:?} lost from {text:?}:\n{told}");
            }
        }

        #[test]
        fn any_text_is_told(text in "(error:|warning:|… |at |[ -~\n«»:|^]|\n){0,200}") {
            prop_assert!(!told(&text).is_empty());
        }
    }
}

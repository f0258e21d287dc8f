//! `cargo xtask completions`: scripts that complete `cargo xtask` in shells, and the answers they get.
//!
//! A script sees by itself whether a line is one of `cargo xtask` in this repository, leaves all others
//! to cargo's own completion, and asks this program what may come next: `completions SHELL -- WORDS`.
//! It runs the program that is built and not `cargo xtask`, which compiles when a source has changed
//! and waits for other cargos' locks: the tab key must do neither, and a source that does not compile
//! takes no completion away. What it offers is that of the last `cargo xtask`, whichever that was.
//!
//! The answer comes from clap's description of the arguments, so that commands need not know of this:
//! a value is a path by its type (or its `value_hint`), and a container or
//! component by its name `CONTAINER` or `COMPONENT`.
//!
//! The crate `clap_complete` would cost 0.8 s of a cold build and not do it: it registers for a command
//! of one word, in the place of cargo's own completion; its engine, which is unstable, offers what is
//! already given or conflicts with that, and tells a function that completes a value nothing of the
//! other words.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Arg, ArgAction, Command, CommandFactory as _, Id, ValueHint};
use rustix::process::{Signal, getpid, kill_process};

use crate::build::selection;
use crate::nix::{Description, Inputs, Nix, Request};
use crate::repo::{self, Repo};
use sys::process::Processes;
use sys::terminal;

/// Print a script that completes `cargo xtask` in a shell
///
/// Commands, flags, values, paths and the names of components are completed; all else that follows
/// `cargo` is left to cargo's own completion, whichever of the two is loaded first. In a shell that
/// runs, in this repository:
///
///   bash  `source <(cargo xtask completions bash)`
///   zsh   `source <(cargo xtask completions zsh)`, after compinit
///   fish  `cargo xtask completions fish | source`
///
/// For all shells to come, print it to a file that the shell's own start file sources; fish finds it
/// as ~/.config/fish/conf.d/xtask.fish. One serves all copies of this repository, and keeps silent
/// outside of them. Each copy is asked by its built program: after a change of the sources, `cargo
/// xtask` has to run once before what is new is offered.
///
/// Exit codes: 0 printed, 2 could not run.
///
/// Example: `cargo xtask completions bash > ~/.xtask.bash && echo '. ~/.xtask.bash' >> ~/.bashrc`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// What the scripts ask: the words after `cargo xtask`, the last one up to the cursor. Bash, which
    /// has no words without their quotes, asks with its word breaks and the text after `cargo xtask`
    #[arg(last = true, hide = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    /// Bash, 4.4 or later
    Bash,
    /// Zsh
    Zsh,
    /// Fish, 3.1 or later
    Fish,
}

/// What may come next on a line.
#[derive(Debug, Default)]
struct Next {
    /// The part of the current word that is no part of the value: `--flag=`.
    prefix: String,
    /// Words that can stand after the prefix, whatever of them is typed already.
    words: Vec<Word>,
    /// What can stand there besides.
    more: More,
    /// What has been given and is not to be offered again.
    given: Vec<String>,
}

/// A word that can be chosen.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    help: String,
}

/// Values that are not in clap's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum More {
    /// None.
    #[default]
    Nothing,
    /// Files and folders, which the shell completes.
    Files,
    /// Folders, which the shell completes.
    Folders,
    /// Containers, which are folders of the repository.
    Containers,
    /// Components, which the harness names.
    Components,
}

/// The value name of arguments that take components.
const COMPONENT: &str = "COMPONENT";
/// That of arguments that take a container.
const CONTAINER: &str = "CONTAINER";

/// How long the harness may take to name the components: a tab key that does nothing for longer is
/// taken for a hanging shell.
const NAMES_LIMIT: Duration = Duration::from_secs(3);
/// How long Nix may take to end after that.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.words.is_empty() {
        let repo = Repo::find()?;
        let program = std::env::current_exe().context("finding this program")?;
        let program = Utf8PathBuf::try_from(program).context("finding this program")?;
        let root = repo.root.canonicalize_utf8()?;
        terminal::emit(script(args.shell, &root, &program).trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<String> = args
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let typed = match (args.shell, words.as_slice()) {
        (Shell::Bash, [breaks, text]) => Typed::from_line(text, breaks),
        _ => Typed::from_words(words),
    };
    let mut command = crate::Cli::command();
    command.build();
    let mut next = typed.next(&command);
    if next.more == More::Containers {
        let containers = Repo::find().and_then(|repo| repo.containers());
        next.words
            .extend(containers.unwrap_or_default().into_iter().map(|it| Word {
                text: it.name,
                help: String::new(),
            }));
    }
    if next.more == More::Components {
        let components = Repo::find().and_then(|repo| components(&repo, &typed.current));
        next.words.extend(components.unwrap_or_default());
    }
    terminal::emit(render(args.shell, &typed, &next).trim_end_matches('\n'))?;
    Ok(ExitCode::SUCCESS)
}

/// The script for a shell.
///
/// It names the program below the root that it finds, so that it serves other working trees too; a
/// program that lies elsewhere (a shared target folder) it names as it is.
fn script(shell: Shell, root: &Utf8Path, program: &Utf8Path) -> String {
    let (text, quote): (_, fn(&str) -> String) = match shell {
        Shell::Bash => (
            include_str!("../completions/completions.bash"),
            in_posix_quotes,
        ),
        Shell::Zsh => (
            include_str!("../completions/completions.zsh"),
            in_posix_quotes,
        ),
        Shell::Fish => (
            include_str!("../completions/completions.fish"),
            in_fish_quotes,
        ),
    };
    let program = match program.strip_prefix(root) {
        Ok(below) => format!("\"$root\"/{}", quote(below.as_str())),
        Err(_) => quote(program.as_str()),
    };
    text.replace("@mark@", repo::MARK)
        .replace("@program@", &program)
}

/// A word that bash and zsh read back as `text`.
fn in_posix_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word that fish reads back as `text`.
fn in_fish_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A word that bash reads back as `text`, in the way of its own completions.
fn with_backslashes(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-+@%=:,./".contains(c);
    text.chars().fold(String::new(), |mut quoted, c| {
        if !plain(c) {
            quoted.push('\\');
        }
        quoted.push(c);
        quoted
    })
}

/// The answer for a script: what it has to do itself (`words`: nothing) and the prefix, then words.
fn render(shell: Shell, typed: &Typed, next: &Next) -> String {
    let kind = match next.more {
        More::Files => "files",
        More::Folders => "folders",
        More::Nothing | More::Components | More::Containers => "words",
    };
    let mut text = format!("{kind}\t{}\n", next.prefix);
    for word in &next.words {
        if next.given.contains(&word.text) {
            continue;
        }
        let Word { text: value, help } = word;
        let line = match shell {
            Shell::Bash => {
                let whole = format!("{}{value}", next.prefix);
                if !whole.starts_with(&typed.current) {
                    continue;
                }
                let rest = whole.get(typed.kept..).unwrap_or_default();
                if typed.in_quotes {
                    rest.to_owned()
                } else {
                    with_backslashes(rest)
                }
            }
            Shell::Zsh => {
                let value = value.replace('\\', r"\\").replace(':', r"\:");
                format!("{value}:{help}")
            }
            Shell::Fish => format!("{}{value}\t{help}", next.prefix),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// What the containers offer; nothing where Nix can't say, for a tab key has no place for errors.
///
/// `current` is the current word: where it names a container, so does what is offered.
fn components(repo: &Repo, current: &str) -> Result<Vec<Word>> {
    let processes = Processes::new(false)?;
    // As if the user had lost patience: what runs is told to end, and nothing starts any more. The
    // second signal kills.
    std::thread::spawn(|| {
        for (limit, signal) in [(NAMES_LIMIT, Signal::TERM), (END_LIMIT, Signal::INT)] {
            std::thread::sleep(limit);
            let _ = kill_process(getpid(), signal);
        }
    });
    // A tab key builds nothing. Evaluating without the right to write does, through a daemon.
    let mut settings = std::env::var("NIX_CONFIG").unwrap_or_default();
    settings.push_str("\nallow-import-from-derivation = false");
    let nix = Nix::new(&processes, vec![("NIX_CONFIG".to_owned(), settings)]);
    let containers = repo.containers()?;
    // host-pkgs, whatever the components will be built over: nothing has to be fetched for it.
    let inputs: Vec<Inputs> = containers
        .into_iter()
        .map(|container| Inputs {
            container,
            host_pkgs: Some(repo.host_pkgs()),
            source: None,
            pins: None,
        })
        .collect();
    let describe = |inputs: &[Inputs], names: Option<Vec<String>>| {
        let request = Request {
            containers: inputs.iter().map(|it| (it, names.clone())).collect(),
            ..Request::default()
        };
        Ok::<_, anyhow::Error>(nix.describe(&request, repo, false)?.0)
    };
    // A component that does not evaluate takes the others' descriptions away, but no names; and a
    // container that does not, nothing of the others.
    let one_by_one = || {
        let one = |it| describe(std::slice::from_ref(it), Some(Vec::new()));
        inputs
            .iter()
            .filter_map(|it| one(it).ok())
            .flatten()
            .collect()
    };
    let described = describe(&inputs, None)
        .or_else(|_| describe(&inputs, Some(Vec::new())))
        .unwrap_or_else(|_| one_by_one());
    Ok(described_words(&described, current))
}

/// The components as words, and the containers if there are several.
fn described_words(described: &[Description], current: &str) -> Vec<Word> {
    let help = |description: &Description, name: &String| {
        let component = description.components.iter().find(|it| it.name == *name);
        component.map_or_else(String::new, |it| first_line(&it.description))
    };
    let mut words = Vec::new();
    let mut shortest = selection::shortest(described).into_iter();
    for description in described {
        let container = &description.container;
        if described.len() > 1 {
            words.push(Word {
                text: format!("{container}/"),
                help: format!("all of {container}"),
            });
        }
        let in_full = current.starts_with(&format!("{container}/"));
        words.extend(
            description
                .names
                .iter()
                .zip(&mut shortest)
                .map(|(name, text)| Word {
                    help: help(description, name),
                    text: if in_full {
                        format!("{container}/{name}")
                    } else {
                        text
                    },
                }),
        );
    }
    words
}

/// What fits beside a candidate.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.replace('\t', " ")
}

/// What has been typed after `cargo xtask`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Typed {
    /// The words before the current one, without quotes.
    before: Vec<String>,
    /// The current word up to the cursor, without quotes.
    current: String,
    /// How many bytes of it bash leaves alone, because it puts in what comes after a break.
    kept: usize,
    /// Whether the cursor is between quotes.
    in_quotes: bool,
    /// Whether the current word is where output goes to or input comes from.
    redirects: bool,
}

impl Typed {
    fn from_words(mut before: Vec<String>) -> Self {
        Self {
            current: before.pop().unwrap_or_default(),
            before,
            ..Self::default()
        }
    }

    /// Reads a line as bash does: backslashes, quotes, redirections. `breaks` are its
    /// `COMP_WORDBREAKS`.
    fn from_line(line: &str, breaks: &str) -> Self {
        let mut typed = Self::default();
        // None between words.
        let mut word: Option<String> = None;
        let mut quote: Option<char> = None;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            if quote.is_none() && c.is_whitespace() {
                typed.end_word(word.take());
                continue;
            }
            if quote.is_none() && matches!(c, '<' | '>') {
                // A number before it is the stream's.
                let is_number = |word: &String| word.bytes().all(|byte| byte.is_ascii_digit());
                typed.end_word(word.take().filter(|word| !is_number(word)));
                typed.redirects = true;
                continue;
            }
            let text = word.get_or_insert_default();
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some('"'), '\\') if !characters.peek().is_some_and(|c| "\\\"$`".contains(*c)) => {
                    text.push(c);
                }
                (None | Some('"'), '\\') => text.extend(characters.next()),
                (None, '"' | '\'') => {
                    quote = Some(c);
                    typed.kept = text.len();
                }
                _ => {
                    text.push(c);
                    if quote.is_none() && breaks.contains(c) {
                        typed.kept = text.len();
                    }
                }
            }
        }
        typed.current = word.unwrap_or_default();
        typed.in_quotes = quote.is_some();
        typed
    }

    fn end_word(&mut self, word: Option<String>) {
        if let Some(word) = word {
            // What a redirection names is no argument.
            if !std::mem::take(&mut self.redirects) {
                self.before.push(word);
            }
        }
        self.kept = 0;
    }

    /// What may come next for a command, which has to be built.
    fn next(&self, command: &Command) -> Next {
        if self.redirects {
            return Next {
                more: More::Files,
                ..Next::default()
            };
        }
        let mut line = Line {
            command,
            given: BTreeMap::new(),
            open: None,
            only_values: false,
        };
        for word in &self.before {
            line.read(word);
        }
        line.next(&self.current)
    }
}

/// The part of a line that has been read.
struct Line<'a> {
    /// The innermost sub-command.
    command: &'a Command,
    /// The arguments given to it, with their values.
    given: BTreeMap<&'a Id, Vec<String>>,
    /// A flag that takes the next word as its value, and how many it has.
    open: Option<(&'a Arg, usize)>,
    /// Whether what comes is no flag, because `--` has come.
    only_values: bool,
}

impl<'a> Line<'a> {
    fn read(&mut self, word: &str) {
        if let Some((arg, count)) = self.open.take()
            && (!is_flag(word) || arg.is_allow_hyphen_values_set())
        {
            self.give(arg, Some(word));
            if count + 1 < value_count(arg).1 {
                self.open = Some((arg, count + 1));
            }
        } else if self.only_values || !is_flag(word) {
            self.read_value(word);
        } else if word == "--" {
            self.only_values = true;
        } else {
            for (arg, value) in self.flags(word) {
                let value = value.map(|start| &word[start..]);
                self.give(arg, value);
                let takes_next =
                    value.is_none() && value_count(arg).1 > 0 && !arg.is_require_equals_set();
                self.open = takes_next.then_some((arg, 0));
            }
        }
    }

    /// Reads a word that is neither a flag nor a flag's value.
    fn read_value(&mut self, word: &str) {
        let sub_command = if self.only_values {
            None
        } else {
            self.command.find_subcommand(word)
        };
        if let Some(sub_command) = sub_command {
            self.command = sub_command;
            self.given.retain(|id, _| {
                let mut arguments = sub_command.get_arguments();
                arguments.any(|arg| arg.get_id() == *id && arg.is_global_set())
            });
        } else if let Some(arg) = self.positional() {
            self.give(arg, Some(word));
            self.only_values |= arg.is_trailing_var_arg_set();
        }
    }

    fn give(&mut self, arg: &'a Arg, value: Option<&str>) {
        let values = self.given.entry(arg.get_id()).or_default();
        values.extend(value.map(str::to_owned));
    }

    /// The positional that takes the next word.
    fn positional(&self) -> Option<&'a Arg> {
        let mut positionals: Vec<&Arg> = self.command.get_positionals().collect();
        positionals.sort_by_key(|arg| arg.get_index());
        let last = positionals.iter().position(|arg| arg.is_last_set());
        if let Some(last) = last {
            // What comes after `--` alone, and nothing else does.
            if self.only_values {
                positionals.drain(..last);
            } else {
                positionals.truncate(last);
            }
        }
        let takes_more = |arg: &&Arg| {
            let given = self.given.get(arg.get_id()).map_or(0, Vec::len);
            given < value_count(arg).1
        };
        positionals.into_iter().find(takes_more)
    }

    /// The flags in a word that begins with a dash, and where in the word the value of the last begins.
    fn flags(&self, word: &str) -> Vec<(&'a Arg, Option<usize>)> {
        let find = |test: &dyn Fn(&Arg) -> bool| self.command.get_arguments().find(|arg| test(arg));
        if let Some(long) = word.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or(long);
            let is_named = |arg: &Arg| {
                arg.get_long() == Some(name)
                    || arg
                        .get_all_aliases()
                        .is_some_and(|aliases| aliases.contains(&name))
            };
            let value = long.contains('=').then_some("--=".len() + name.len());
            return find(&is_named)
                .map(|arg| (arg, value))
                .into_iter()
                .collect();
        }
        let mut flags = Vec::new();
        for (start, short) in word.char_indices().skip(1) {
            let is_named = |arg: &Arg| {
                arg.get_short() == Some(short)
                    || arg
                        .get_all_short_aliases()
                        .is_some_and(|aliases| aliases.contains(&short))
            };
            let Some(arg) = find(&is_named) else {
                break;
            };
            if value_count(arg).1 == 0 {
                flags.push((arg, None));
                continue;
            }
            let start = start + short.len_utf8();
            let start = start + usize::from(word[start..].starts_with('='));
            flags.push((arg, (start < word.len()).then_some(start)));
            break;
        }
        flags
    }

    /// What may come next, given what is typed of it.
    fn next(&self, current: &str) -> Next {
        let typing_flag = current.starts_with('-');
        let mut next = Next::default();
        if let Some((arg, count)) = self.open
            && (!typing_flag || arg.is_allow_hyphen_values_set())
        {
            next = self.values(arg);
            if count < value_count(arg).0 {
                return next;
            }
        }
        if !self.only_values && typing_flag {
            if let Some((arg, Some(start))) = self.flags(current).pop() {
                next = self.values(arg);
                current[..start].clone_into(&mut next.prefix);
            } else {
                next.words = self.offered_flags();
            }
            return next;
        }
        let positional = self.positional().filter(|arg| self.is_offered(arg));
        if let Some(arg) = positional {
            let Next {
                words, more, given, ..
            } = self.values(arg);
            next.words.extend(words);
            next.given.extend(given);
            if next.more == More::Nothing {
                next.more = more;
            }
        }
        if !self.only_values {
            next.words.extend(self.sub_commands());
            // Where nothing else is possible, a flag is meant.
            if positional.is_none() && next.words.is_empty() && next.more == More::Nothing {
                next.words = self.offered_flags();
            }
        }
        next
    }

    /// The values of an argument.
    fn values(&self, arg: &Arg) -> Next {
        let possible = arg.get_possible_values();
        let words = possible.iter().filter(|value| !value.is_hide_set());
        let words = words.map(|value| Word {
            text: value.get_name().to_owned(),
            help: first_line(
                &value
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
        });
        Next {
            words: words.collect(),
            more: more_values(arg),
            given: self.given.get(arg.get_id()).cloned().unwrap_or_default(),
            ..Next::default()
        }
    }

    fn sub_commands(&self) -> impl Iterator<Item = Word> {
        let visible = self
            .command
            .get_subcommands()
            .filter(|it| !it.is_hide_set());
        visible.map(|command| Word {
            text: command.get_name().to_owned(),
            help: first_line(
                &command
                    .get_about()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ),
        })
    }

    /// The flags that can be given now, the long ones first.
    fn offered_flags(&self) -> Vec<Word> {
        let flags: Vec<&Arg> = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_positional() && self.is_offered(arg))
            .collect();
        let word = |arg: &Arg, text: String| Word {
            text,
            help: first_line(&arg.get_help().map(ToString::to_string).unwrap_or_default()),
        };
        let long = |arg: &&Arg| Some(word(arg, format!("--{}", arg.get_long()?)));
        let short = |arg: &&Arg| Some(word(arg, format!("-{}", arg.get_short()?)));
        let (longs, shorts) = (
            flags.iter().filter_map(long),
            flags.iter().filter_map(short),
        );
        longs.chain(shorts).collect()
    }

    /// Whether an argument is shown and can be given beside what is given.
    fn is_offered(&self, arg: &Arg) -> bool {
        if arg.is_hide_set() {
            return false;
        }
        let repeats = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let mut given = self
            .command
            .get_arguments()
            .filter(|other| self.given.contains_key(other.get_id()));
        given.all(|other| {
            if other.get_id() == arg.get_id() {
                return repeats || arg.is_positional();
            }
            !(arg.is_exclusive_set() || other.is_exclusive_set() || self.exclude(arg, other))
        })
    }

    /// Whether two arguments do not go together.
    fn exclude(&self, one: &Arg, other: &Arg) -> bool {
        let names = |one: &Arg, other: &Arg| {
            let conflicts = self.command.get_arg_conflicts_with(one);
            conflicts.iter().any(|arg| arg.get_id() == other.get_id())
        };
        let only_one_of = |group: &clap::ArgGroup| {
            let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
            has(one) && has(other) && !group.clone().is_multiple()
        };
        names(one, other) || names(other, one) || self.command.get_groups().any(only_one_of)
    }
}

/// Whether a word is one or more flags; a lone dash is a value.
fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word != "-"
}

/// How many values an argument takes at once, at least and at most; a positional: in all.
fn value_count(arg: &Arg) -> (usize, usize) {
    let range = arg.get_num_args().unwrap_or_default();
    (range.min_values(), range.max_values())
}

/// Which values of an argument clap does not know.
fn more_values(arg: &Arg) -> More {
    let mut names = arg.get_value_names().unwrap_or_default().iter();
    if let Some(name) = names.find(|name| [COMPONENT, CONTAINER].contains(&name.as_str())) {
        return if name == COMPONENT {
            More::Components
        } else {
            More::Containers
        };
    }
    let kind = arg.get_value_parser().type_id();
    match arg.get_value_hint() {
        ValueHint::DirPath => More::Folders,
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::ExecutablePath => More::Files,
        // clap knows the type of paths of the standard library only.
        ValueHint::Unknown
            if [TypeId::of::<Utf8PathBuf>(), TypeId::of::<OsString>()]
                .iter()
                .any(|path| kind == *path) =>
        {
            More::Files
        }
        _ => More::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use clap::{ArgGroup, value_parser};

    use super::*;

    /// The words that may come next, with `PATHS`, `FOLDERS` or `COMPONENTS` for what clap does not
    /// know. Words as a shell without quotes would have them.
    fn offered(command: &Command, line: &str) -> String {
        let mut command = command.clone();
        command.build();
        let words = line.split(' ').map(str::to_owned).collect();
        let next = Typed::from_words(words).next(&command);
        let words = next.words.iter().map(|word| word.text.as_str());
        let words = words.filter(|word| !next.given.iter().any(|given| given == word));
        let mut words: Vec<String> = words.map(|word| next.prefix.clone() + word).collect();
        let more = match next.more {
            More::Nothing => "",
            More::Files => "PATHS",
            More::Folders => "FOLDERS",
            More::Components => "COMPONENTS",
            More::Containers => "CONTAINERS",
        };
        if !more.is_empty() {
            words.push(next.prefix + more);
        }
        words.join(" ")
    }

    /// A program with all that this repository's own has not.
    fn other() -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let option = |name: &'static str| Arg::new(name).long(name);
        let add = Command::new("add")
            .visible_alias("a")
            .arg(Arg::new("kind").value_parser(["one", "two"]))
            .arg(Arg::new("path").value_parser(value_parser!(OsString)))
            .arg(
                Arg::new("rest")
                    .last(true)
                    .value_parser(["r1", "r2"])
                    .num_args(1..),
            )
            .arg(
                option("dir")
                    .short('d')
                    .value_hint(ValueHint::DirPath)
                    .alias("folder"),
            )
            .arg(option("pair").num_args(2).value_parser(["l", "r"]))
            .arg(
                option("when")
                    .num_args(0..=1)
                    .require_equals(true)
                    .value_parser(["now"]),
            )
            .arg(option("perhaps").num_args(0..=1).value_parser(["sure"]))
            .arg(
                option("name")
                    .action(ArgAction::Append)
                    .value_parser(["x", "y"]),
            )
            .arg(option("text"))
            .arg(flag("only").exclusive(true).short('o'))
            .arg(flag("hidden").hide(true))
            .arg(flag("big"))
            .arg(flag("small"))
            .group(ArgGroup::new("size").args(["big", "small"]).multiple(false))
            .disable_help_flag(true);
        let run = Command::new("run")
            .arg(Arg::new("program").value_parser(["sh"]))
            .arg(
                Arg::new("arguments")
                    .num_args(0..)
                    .trailing_var_arg(true)
                    .value_parser(["arg"]),
            )
            .arg(flag("loud"))
            .disable_help_flag(true);
        let bare = Command::new("bare").disable_help_flag(true);
        Command::new("other")
            .arg(flag("global").global(true))
            .arg(flag("local").conflicts_with("global"))
            .arg(flag("count").short('c').action(ArgAction::Count))
            .subcommands([add, run, bare, Command::new("secret").hide(true)])
            .disable_help_subcommand(true)
            .disable_help_flag(true)
    }

    #[test]
    fn what_may_come_next() {
        let all = "--dir --pair --when --perhaps --name --text --only --big --small --global -d -o";
        let without = |names: &[&str]| {
            let words = all.split(' ').filter(|word| !names.contains(word));
            words.collect::<Vec<_>>().join(" ")
        };
        for (line, expected) in [
            // Sub-commands, flags where a dash asks for them, or where nothing else can come.
            ("", "add run bare"),
            ("-", "--global --local --count -c"),
            ("--", "--global --local --count -c"),
            ("--global ", "add run bare"),
            ("bare ", "--global"),
            ("bare --global ", ""),
            ("nonsense ", "add run bare"),
            // What repeats, what does not; conflicts both ways, groups, flags that stand alone.
            ("--count -", "--global --local --count -c"),
            ("-cc -", "--global --local --count -c"),
            ("--local -", "--count -c"),
            ("--global -", "--count -c"),
            ("--global add -", &without(&["--global", "--only", "-o"])),
            ("--local add -", all),
            ("a -", all),
            (
                "add --big -",
                &without(&["--big", "--small", "--only", "-o"]),
            ),
            ("add --only -", ""),
            ("add --only ", ""),
            ("add --dir x -", &without(&["--dir", "-d", "--only", "-o"])),
            (
                "add --folder=x -",
                &without(&["--dir", "-d", "--only", "-o"]),
            ),
            ("add -dx -", &without(&["--dir", "-d", "--only", "-o"])),
            ("add --name x -", &without(&["--only", "-o"])),
            // Values, as words of their own or not.
            ("add --name ", "x y"),
            ("add --name=", "--name=x --name=y"),
            ("add --name x --name ", "y"),
            ("add --name=x --name=", "--name=y"),
            ("add --pair ", "l r"),
            ("add --pair l ", "r"),
            ("add --pair l r ", "one two"),
            ("add --text ", ""),
            ("add --text x ", "one two"),
            ("add --when=", "--when=now"),
            ("add --when ", "one two"),
            ("add --perhaps ", "sure one two"),
            ("add --perhaps -", &without(&["--perhaps", "--only", "-o"])),
            ("add --dir ", "FOLDERS"),
            ("add --dir=", "--dir=FOLDERS"),
            ("add -d ", "FOLDERS"),
            ("add -dx", "-dFOLDERS"),
            ("add -d=x", "-d=FOLDERS"),
            // Positionals in their order; after `--` nothing else.
            ("add ", "one two"),
            ("add one ", "PATHS"),
            ("add one - ", &without(&["--only", "-o"])),
            ("add one x ", &without(&["--only", "-o"])),
            ("add -- ", "r1 r2"),
            ("add -- -", "r1 r2"),
            ("add one -- r1 ", "r2"),
            ("-- ", ""),
            ("run ", "sh"),
            ("run -- ", "sh"),
            ("run sh ", "arg"),
            ("run sh -", "--loud --global"),
            ("run sh x -", "arg"),
        ] {
            assert_eq!(offered(&other(), line), expected, "`{line}`");
        }
    }

    #[test]
    fn the_commands_of_this_program() {
        for (line, expected) in [
            ("test-build ", "COMPONENTS"),
            ("test-build client-ts ", "COMPONENTS"),
            ("test-build --list ", "COMPONENTS"),
            ("test-build --all ", "--pins --pkgs --keep-going"),
            ("test-build --pkgs ", "nixpkgs host"),
            ("compute-vendor-hash --container ", "CONTAINERS"),
            ("test-build --pkgs=ho", "--pkgs=nixpkgs --pkgs=host"),
            ("test-build --source ", "PATHS"),
            ("test-build --pins=", "--pins=PATHS"),
            ("hash ", "PATHS"),
            ("hash -- ", "PATHS"),
            ("setup ", "--install --help -h"),
            ("setup --install ", "--help -h"),
            ("completions ", "bash zsh fish"),
            ("completions bash -- ", ""),
            ("help completions ", ""),
        ] {
            let offered = offered(&crate::Cli::command(), line);
            for word in expected.split(' ') {
                assert!(
                    offered.split(' ').any(|it| it == word),
                    "`{line}`: {offered}"
                );
            }
            if !expected.contains("--") {
                assert_eq!(offered, expected, "`{line}`");
            }
        }
    }

    #[test]
    fn every_command_is_offered_with_all_its_flags() {
        let mut command = crate::Cli::command();
        command.build();
        let commands = offered(&command, "");
        for sub_command in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = sub_command.get_name();
            assert!(commands.split(' ').any(|it| it == name), "{commands}");
            let flags = offered(&command, &format!("{name} --"));
            for flag in sub_command.get_arguments().filter_map(Arg::get_long) {
                let flag = format!("--{flag}");
                assert!(flags.split(' ').any(|it| it == flag), "{name}: {flags}");
            }
        }
    }

    #[test]
    fn lines_as_bash_reads_them() {
        let breaks = " \t\n\"'><=;|&(:";
        for (line, before, current, kept, in_quotes) in [
            ("", "", "", 0, false),
            ("  a ", "a", "", 0, false),
            ("a b", "a", "b", 0, false),
            ("a \"\" b", "a||", "b", 0, false),
            ("a 'b c' d", "a|b c", "d", 0, false),
            (r"a b\ c", "a", "b c", 0, false),
            (r"a b\", "a", "b", 0, false),
            (r#"a "b\"c\d\\"#, "a", r#"b"c\d\"#, 0, true),
            (r"a 'b\", "a", r"b\", 0, true),
            ("a --b=c", "a", "--b=c", 4, false),
            (r"a --b\=c", "a", "--b=c", 0, false),
            ("a --b=c:d", "a", "--b=c:d", 6, false),
            ("a --b=\"c d", "a", "--b=c d", 4, true),
            ("a \"--b=c", "a", "--b=c", 0, true),
            ("a --b=c ", "a|--b=c", "", 0, false),
            ("a > b c", "a", "c", 0, false),
            ("a >b 2>&1 c", "a", "c", 0, false),
            ("a 2 >b c", "a|2", "c", 0, false),
            ("a x>b c", "a|x", "c", 0, false),
            ("ä ö", "ä", "ö", 0, false),
        ] {
            let typed = Typed::from_line(line, breaks);
            let expected = Typed {
                before: before.split_terminator('|').map(str::to_owned).collect(),
                current: current.to_owned(),
                kept,
                in_quotes,
                redirects: false,
            };
            assert_eq!(typed, expected, "`{line}`");
        }
        for line in ["a >", "a > b", "a b>> c", "a <", "a 2> "] {
            let next = Typed::from_line(line, breaks).next(&other());
            assert_eq!((next.more, next.words), (More::Files, vec![]), "`{line}`");
        }
    }

    #[test]
    fn components_of_several_containers() {
        let described = |container: &str, names: &[&str]| Description {
            container: container.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            components: Vec::new(),
        };
        let both = [
            described("app", &["image", "server"]),
            described("proxy", &["image", "proxy"]),
        ];
        for (described, current, expected) in [
            (&both[..1], "", "image server"),
            (&both, "", "app/ app/image server proxy/ proxy/image proxy"),
            (
                &both,
                "proxy/",
                "app/ app/image server proxy/ proxy/image proxy/proxy",
            ),
            (
                &both,
                "app/s",
                "app/ app/image app/server proxy/ proxy/image proxy",
            ),
        ] {
            let words = described_words(described, current).into_iter();
            let words: Vec<String> = words.map(|word| word.text).collect();
            assert_eq!(words.join(" "), expected, "{current}");
        }
    }

    #[test]
    fn answers() {
        let next = |prefix: &str, words: &[&str]| {
            let word = |text: &&str| Word {
                text: (*text).to_owned(),
                help: "helps".to_owned(),
            };
            Next {
                prefix: prefix.to_owned(),
                words: words.iter().map(word).collect(),
                ..Next::default()
            }
        };
        let typed = |line| Typed::from_line(line, "=:\"");
        let odd = ["a:b", "a c", "d"];
        for (shell, line, next, expected) in [
            (Shell::Bash, "", next("", &odd), "words\t\na:b\na\\ c\nd\n"),
            (Shell::Bash, "a", next("", &odd), "words\t\na:b\na\\ c\n"),
            (Shell::Bash, "a:", next("", &odd), "words\t\nb\n"),
            (Shell::Bash, "\"a", next("", &odd), "words\t\na:b\na c\n"),
            (Shell::Bash, "--f=d", next("--f=", &odd), "words\t--f=\nd\n"),
            (
                Shell::Zsh,
                "a",
                next("--f=", &odd),
                "words\t--f=\na\\:b:helps\na c:helps\nd:helps\n",
            ),
            (
                Shell::Fish,
                "a",
                next("--f=", &odd),
                "words\t--f=\n--f=a:b\thelps\n--f=a c\thelps\n--f=d\thelps\n",
            ),
        ] {
            assert_eq!(
                render(shell, &typed(line), &next),
                expected,
                "{shell:?} `{line}`"
            );
        }
        for (more, expected) in [
            (More::Files, "files\t--f=\n"),
            (More::Folders, "folders\t--f=\n"),
            (More::Components, "words\t--f=\n"),
            (More::Containers, "words\t--f=\n"),
        ] {
            let next = Next {
                more,
                ..next("--f=", &[])
            };
            assert_eq!(render(Shell::Zsh, &typed(""), &next), expected);
        }
        let next = Next {
            given: vec!["d".to_owned()],
            ..next("", &odd)
        };
        assert_eq!(
            render(Shell::Bash, &typed(""), &next),
            "words\t\na:b\na\\ c\n"
        );
    }

    #[test]
    fn scripts_name_the_program() {
        let root = Utf8Path::new("/r");
        for (shell, program, expected) in [
            (
                Shell::Bash,
                "/r/target/debug/xtask",
                "\"$root\"/'target/debug/xtask'",
            ),
            (Shell::Zsh, "/else/it's", r"'/else/it'\''s'"),
            (Shell::Fish, "/r/target/xtask", "\"$root\"/'target/xtask'"),
            (Shell::Fish, r"/a\b/it's", r"'/a\\b/it\'s'"),
        ] {
            let text = script(shell, root, program.into());
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(repo::MARK), "{text}");
            assert!(
                !text.contains("@mark@") && !text.contains("@program@"),
                "{text}"
            );
        }
    }
}

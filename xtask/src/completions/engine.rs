//! What can follow on a command line, from clap's description of the arguments.
//!
//! Commands need not know of this: a value is a path by its type (or its `value_hint`), and a container or
//! component by its value name `CONTAINER` or `COMPONENT`.
//!
//! The crate `clap_complete` would cost 0.8 s of a cold build and not do it: it registers for a command of
//! one word, in the place of cargo's own completion; its engine, which is unstable, offers what is already
//! given or conflicts with that, and does not give the other words to a function that completes a value.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::OsString;

use camino::Utf8PathBuf;
use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, Id, ValueHint};

use super::line::CommandLine;

/// What can be the current word of a line.
#[derive(Debug, Default)]
pub struct Candidates {
    /// The part of the current word before the value: `--flag=`.
    pub prefix: String,
    /// Words that can follow the prefix, whatever part of them is typed already.
    pub words: Vec<Candidate>,
    /// What else can follow it.
    pub kind: ValueKind,
    /// Values that are given already and not offered again.
    pub given: Vec<String>,
}

/// A word that is offered.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    pub text: String,
    pub help: String,
}

impl Candidate {
    fn new(text: &str, help: Option<&StyledStr>) -> Self {
        Self {
            text: text.to_owned(),
            help: help.map_or_else(String::new, |help| first_line(&help.to_string())),
        }
    }
}

/// Values that clap's description does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueKind {
    /// None.
    #[default]
    Nothing,
    /// Files and folders, which the shell completes.
    Files,
    /// Folders, which the shell completes.
    Folders,
    /// Containers: folders of the repository.
    Containers,
    /// Components: Nix lists them.
    Components,
}

/// The value name of arguments that take components.
const COMPONENT: &str = "COMPONENT";

/// That of arguments that take a container.
const CONTAINER: &str = "CONTAINER";

/// The candidates for the current word of a line, for a command that has been built.
pub fn candidates(typed: &CommandLine, command: &Command) -> Candidates {
    if typed.redirects {
        return Candidates {
            kind: ValueKind::Files,
            ..Candidates::default()
        };
    }
    let mut parser = Parser {
        command,
        given: BTreeMap::new(),
        open: None,
        only_values: false,
    };
    for word in &typed.before {
        parser.read(word);
    }
    parser.next(&typed.current)
}

/// The part of a line that has been parsed.
struct Parser<'a> {
    /// The innermost sub-command.
    command: &'a Command,
    /// The arguments given to it, with their values.
    given: BTreeMap<&'a Id, Vec<String>>,
    /// A flag that takes the next word as its value, and how many values it has.
    open: Option<(&'a Arg, usize)>,
    /// Whether no flags can follow, because `--` was given.
    only_values: bool,
}

impl<'a> Parser<'a> {
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
            // This one takes the words after `--`, and no others do.
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

    /// The candidates for a word of which `current` is typed.
    fn next(&self, current: &str) -> Candidates {
        let typing_flag = current.starts_with('-');
        let mut next = Candidates::default();
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
            let Candidates {
                words, kind, given, ..
            } = self.values(arg);
            next.words.extend(words);
            next.given.extend(given);
            if next.kind == ValueKind::Nothing {
                next.kind = kind;
            }
        }
        if !self.only_values {
            next.words.extend(self.sub_commands());
            // Where nothing else is possible, offer flags.
            if positional.is_none() && next.words.is_empty() && next.kind == ValueKind::Nothing {
                next.words = self.offered_flags();
            }
        }
        next
    }

    /// The values of an argument.
    fn values(&self, arg: &Arg) -> Candidates {
        let possible = arg.get_possible_values();
        let words = possible.iter().filter(|value| !value.is_hide_set());
        let words = words.map(|value| Candidate::new(value.get_name(), value.get_help()));
        Candidates {
            words: words.collect(),
            kind: value_kind(arg),
            given: self.given.get(arg.get_id()).cloned().unwrap_or_default(),
            ..Candidates::default()
        }
    }

    fn sub_commands(&self) -> impl Iterator<Item = Candidate> {
        let visible = self
            .command
            .get_subcommands()
            .filter(|it| !it.is_hide_set());
        visible.map(|command| Candidate::new(command.get_name(), command.get_about()))
    }

    /// The flags that can be given now, the long ones first.
    fn offered_flags(&self) -> Vec<Candidate> {
        let flags: Vec<&Arg> = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_positional() && self.is_offered(arg))
            .collect();
        let word = |arg: &Arg, text: &str| Candidate::new(text, arg.get_help());
        let long = |arg: &&Arg| Some(word(arg, &format!("--{}", arg.get_long()?)));
        let short = |arg: &&Arg| Some(word(arg, &format!("-{}", arg.get_short()?)));
        let longs = flags.iter().filter_map(long);
        longs.chain(flags.iter().filter_map(short)).collect()
    }

    /// Whether an argument is visible and does not conflict with the given ones.
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

    /// Whether two arguments conflict.
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

/// Which values an argument has that clap does not list.
fn value_kind(arg: &Arg) -> ValueKind {
    let mut names = arg.get_value_names().unwrap_or_default().iter();
    if let Some(name) = names.find(|name| [COMPONENT, CONTAINER].contains(&name.as_str())) {
        return if name == COMPONENT {
            ValueKind::Components
        } else {
            ValueKind::Containers
        };
    }
    let value = arg.get_value_parser().type_id();
    match arg.get_value_hint() {
        ValueHint::DirPath => ValueKind::Folders,
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::ExecutablePath => ValueKind::Files,
        // clap knows the type of paths of the standard library only.
        ValueHint::Unknown
            if [TypeId::of::<Utf8PathBuf>(), TypeId::of::<OsString>()]
                .iter()
                .any(|path| value == *path) =>
        {
            ValueKind::Files
        }
        _ => ValueKind::Nothing,
    }
}

/// The description beside a candidate.
pub fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.replace('\t', " ")
}

/// The words that are offered, with `PATHS`, `FOLDERS` or `COMPONENTS` for what clap does not
/// list, for the tests. The line has no quotes.
#[cfg(test)]
pub fn offered(command: &Command, line: &str) -> String {
    let mut command = command.clone();
    command.build();
    let words = line.split(' ').map(str::to_owned).collect();
    let next = candidates(&CommandLine::from_words(words), &command);
    let words = next.words.iter().map(|word| word.text.as_str());
    let words = words.filter(|word| !next.given.iter().any(|given| given == word));
    let mut words: Vec<String> = words.map(|word| next.prefix.clone() + word).collect();
    let more = match next.kind {
        ValueKind::Nothing => "",
        ValueKind::Files => "PATHS",
        ValueKind::Folders => "FOLDERS",
        ValueKind::Components => "COMPONENTS",
        ValueKind::Containers => "CONTAINERS",
    };
    if !more.is_empty() {
        words.push(next.prefix + more);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{ArgGroup, value_parser};

    use super::*;

    /// A command line with what that of `cargo xtask` does not have.
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
            // Sub-commands; flags after a dash, or where nothing else is possible.
            ("", "add run bare"),
            ("-", "--global --local --count -c"),
            ("--", "--global --local --count -c"),
            ("--global ", "add run bare"),
            ("bare ", "--global"),
            ("bare --global ", ""),
            ("nonsense ", "add run bare"),
            // Repeated flags; conflicts in both directions, groups, exclusive flags.
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
            // Values, as separate words or not.
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
    fn redirections_take_files() {
        let breaks = " \t\n\"'><=;|&(:";
        for line in ["a >", "a > b", "a b>> c", "a <", "a 2> "] {
            let next = candidates(&CommandLine::from_line(line, breaks), &other());
            assert_eq!(
                (next.kind, next.words),
                (ValueKind::Files, vec![]),
                "`{line}`"
            );
        }
    }
}

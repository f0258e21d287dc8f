//! `cargo xtask` lines in cards, against the program's own command line.

use clap::error::ErrorKind;

/// What a `cargo xtask` line that asks for help prints; nothing where it is another line.
pub fn help(commands: &mut clap::Command, line: &str) -> Option<String> {
    let words = our_commands(line).into_iter().next()?;
    let error = commands.try_get_matches_from_mut(&words[1..]).err()?;
    (error.kind() == ErrorKind::DisplayHelp).then(|| error.to_string())
}

/// What is wrong with a line's `cargo xtask` commands, according to this program's own command line.
pub fn command_fault(commands: &mut clap::Command, line: &str) -> Option<String> {
    let mut ours = our_commands(line).into_iter();
    ours.find_map(|words| fault_of(commands, &words))
}

fn fault_of(commands: &mut clap::Command, words: &[String]) -> Option<String> {
    let is_place_holder = |word: &str| {
        word.len() > 1
            && word
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-')
    };
    // `cargo xtask` alone, or `cargo xtask COMMAND`.
    if words.get(2).is_none_or(|word| is_place_holder(word)) {
        return None;
    }
    let error = commands.try_get_matches_from_mut(&words[1..]).err()?;
    let has_place_holder = words.iter().any(|word| is_place_holder(word));
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if has_place_holder => None,
        // The name of a command alone is a mention of it.
        ErrorKind::MissingRequiredArgument if words.len() == 3 => None,
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Some(first.strip_prefix("error: ").unwrap_or(first).to_owned())
        }
    }
}

/// The words of each whole `cargo xtask` command of a shell line. What precedes it, variables and
/// `sudo`, is left out, and so is where its output goes.
fn our_commands(line: &str) -> Vec<Vec<String>> {
    let mut all = shell_commands(line);
    for words in &mut all {
        let is_before = |word: &String| {
            matches!(word.as_str(), "sudo" | "env" | "time" | "nice" | "exec")
                || word.split_once('=').is_some_and(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                })
        };
        let before = words.iter().take_while(|word| is_before(word)).count();
        words.drain(..before);
    }
    all.retain(
        |words| matches!(&words[..], [cargo, xtask, ..] if cargo == "cargo" && xtask == "xtask"),
    );
    all
}

/// The words of each command of a shell line, but of those in which something else would be put in.
fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let (mut all, mut words) = (Vec::new(), Vec::new());
    let mut word: Option<String> = None;
    let (mut quote, mut is_whole, mut is_output) = (None, true, false);
    for c in line.chars() {
        let is_number = |word: &String| word.bytes().all(|b| b.is_ascii_digit());
        if quote.is_none() && (c.is_whitespace() || "|&;()>".contains(c)) {
            let is_word = |word: &String| !(is_output || c == '>' && is_number(word));
            words.extend(word.take().filter(is_word));
        }
        match (quote, c) {
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '(' | ')') => {
                let done = std::mem::take(&mut words);
                all.extend(is_whole.then_some(done));
                (is_whole, is_output) = (true, false);
            }
            (None, '>') => is_output = true,
            // Place-holders, and what a shell would put there.
            (None, '[' | '<' | '$' | '`' | '\\' | '…') => is_whole = false,
            (None, c) if c.is_whitespace() => {}
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.filter(|_| !is_output));
    all.extend((is_whole && quote.is_none()).then_some(words));
    all.retain(|words| !words.iter().any(|word| word.contains("...")));
    all
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn commands() -> Command {
        let hash = Command::new("hash")
            .arg(Arg::new("path").required(true).num_args(1..))
            .arg(Arg::new("flat").long("flat").num_args(0));
        let setup = Command::new("setup").arg(Arg::new("install").long("install").num_args(0));
        let shell = Arg::new("shell").required(true).value_parser(["bash"]);
        let max_age = Arg::new("age")
            .long("max-age")
            .value_parser(clap::value_parser!(i64));
        let extract = Arg::new("extract").long("extract");
        Command::new("cargo xtask")
            .bin_name("cargo xtask")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(hash)
            .subcommand(setup)
            .subcommand(Command::new("completions").arg(shell))
            .subcommand(Command::new("test-build").arg(Arg::new("component")))
            .subcommand(Command::new("docs-check").arg(max_age))
            .subcommand(Command::new("docs-move").args([extract, Arg::new("new")]))
    }

    #[test]
    fn commands_that_run_and_that_do_not() {
        let mut commands = commands();
        for line in [
            "cargo xtask hash a b",
            "cargo xtask",
            "cargo xtask COMMAND --help",
            "cargo xtask hash",
            "cargo xtask hash PATH --flat | sort",
            "cargo xtask setup --install && cargo test",
            "cargo xtask completions SHELL",
            "cargo xtask test-build [COMPONENT]",
            "cargo xtask hash 'two words' # a comment",
            "cargo xtask hash --help",
            "cargo xtask docs-move --extract a#B c",
            "make nonsense && echo cargo xtask nonsense",
            "cargo xtask hash $(cat nonsense) --nonsense",
            "cargo xtask hash . >out --nonsense",
        ] {
            assert_eq!(command_fault(&mut commands, line), None, "{line}");
        }
        for (line, fault) in [
            ("cargo xtask nonsense", "unrecognized subcommand"),
            ("cargo xtask hash --nonsense a", "unexpected argument"),
            (
                "cargo xtask hash a && cargo xtask nonsense",
                "unrecognized subcommand",
            ),
            ("A=1 sudo cargo xtask nonsense", "unrecognized subcommand"),
            ("(cargo xtask nonsense)", "unrecognized subcommand"),
            ("x=$(cargo xtask nonsense)", "unrecognized subcommand"),
            (
                "cargo xtask hash . 2>&1 | cargo xtask nonsense",
                "unrecognized subcommand",
            ),
            ("cargo xtask docs-check --max-age many", "invalid value"),
        ] {
            let found = command_fault(&mut commands, line).unwrap();
            assert!(found.contains(fault), "{found}");
        }
    }

    #[test]
    fn what_help_prints() {
        let mut commands = commands();
        let printed = help(&mut commands, "cargo xtask hash --help").unwrap();
        assert!(printed.contains("Usage: cargo xtask hash"), "{printed}");
        assert_eq!(help(&mut commands, "cargo xtask hash ."), None);
    }
}

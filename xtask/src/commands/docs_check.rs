//! `cargo xtask docs-check`: wiki links, anchors, front matter, indexes, orphans, file names, and whether
//! what the cards say is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use serde_json::json;
use vault::check::{self, Code, Finding, Fix, Rules, World};
use vault::date::Date;
use vault::{Place, Tree, card, edits};
use xshell::{Shell, cmd};

use crate::commands::docs_move;
use crate::repo::Repo;
use sys::files;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;

/// The house rules of a vault, in its folder or the nearest one above it in the repository.
const RULES: &str = "docs-check.toml";
/// Findings that were there before the checker, in the vault's root.
const BASELINE: &str = ".docs-check-baseline";
/// How often mending is tried again: one mend may show another fault.
const ROUNDS: usize = 4;
/// How many paths are given to git at once.
const PATHS: usize = 500;

/// Check the cards of docs/: links, anchors, front matter, indexes, names
///
/// All findings of one run, `path:line:column: code: message; what to do`, in order of their places.
/// docs/reference/docs-check.md explains the codes and the rules of the house, which stand in
/// `docs-check.toml` in the vault, or in a folder above it up to the repository's root; without that file
/// the documented defaults hold. Findings that stand in `.docs-check-baseline` in the vault are not
/// reported, so that an old vault can start today.
///
/// Exit codes: 0 nothing, or warnings only, 1 findings, 2 could not run.
///
/// Example: `cargo xtask docs-check docs/how-to`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// Report only what is found in these cards and folders; links lead anywhere in the vault
    #[arg(value_name = "PATH")]
    paths: Vec<Utf8PathBuf>,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
    /// How findings are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print a JSON line for each finding: path, line, column, code, message; as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Mend what is certain: case, blanks, renamed stems, paths, missing entries of landing pages
    #[arg(long, conflicts_with = "staged")]
    fix: bool,
    /// Check what is staged in git, not what lies in the working tree
    #[arg(long)]
    staged: bool,
    /// Compare `modified` with the last change in git
    #[arg(long)]
    git: bool,
    /// Warn of cards that were not reviewed for so many days
    #[arg(long, value_name = "DAYS")]
    max_age: Option<i64>,
    /// Write the findings into the baseline: from now on only new ones are reported
    #[arg(long, conflicts_with_all = ["fix", "staged", "paths"])]
    write_baseline: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line each, for people
    Text,
    /// A JSON line each
    Json,
    /// One SARIF document
    Sarif,
    /// Workflow commands, which a forge shows beside the lines
    Github,
}

/// Where the cards come from.
struct Source<'a> {
    repo: &'a Repo,
    processes: &'a Processes,
    /// The vault's folder, absolute.
    root: Utf8PathBuf,
    /// The repository that git knows the vault in.
    git: Utf8PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let processes = Processes::new(false)?;
    let root = vault_root(&repo, args.vault.as_deref())?;
    if docs_move::is_interrupted(&root) {
        bail!("a move of cards was interrupted: `cargo xtask docs-move --finish` completes it");
    }
    let git = root.ancestors().find(|folder| folder.join(".git").exists());
    let source = Source {
        repo: &repo,
        processes: &processes,
        git: git.unwrap_or(&root).to_owned(),
        root,
    };
    let staged = if args.staged {
        Some(source.staged()?)
    } else {
        None
    };
    let rules = match &staged {
        Some(staged) => source.staged_rules(staged)?,
        None => rules(&source.root)?,
    };
    let changed = if args.git {
        source.changed()?
    } else {
        HashMap::new()
    };
    let renamed = if args.fix {
        source.renamed()
    } else {
        HashMap::new()
    };
    let mut mended = 0;
    for _ in 0..ROUNDS {
        let (cards, mut findings) =
            source.findings(args, staged.as_ref(), &rules, &changed, &renamed)?;
        if !args.paths.is_empty() {
            let wanted = source.wanted(&args.paths)?;
            findings.retain(|finding| wanted.iter().any(|path| finding.path.starts_with(path)));
        }
        if args.fix {
            let count = mend(&source.root, &findings)?;
            mended += count;
            if count > 0 {
                continue;
            }
        }
        return source.report(args, cards, findings, mended);
    }
    bail!("mending comes to no end: `--fix` still changed something after {ROUNDS} rounds");
}

/// The folder of the cards: the one that was named, or `docs` of this repository.
pub fn vault_root(repo: &Repo, named: Option<&Utf8Path>) -> Result<Utf8PathBuf> {
    let root = named.map_or_else(|| repo.root.join("docs"), Utf8Path::to_owned);
    root.canonicalize_utf8()
        .with_context(|| format!("looking for the vault `{root}`; `--vault DIR` names another"))
}

impl Source<'_> {
    /// How many cards there are, and what is found.
    fn findings(
        &self,
        args: &Args,
        staged: Option<&Staged>,
        rules: &Rules,
        changed: &HashMap<Utf8PathBuf, Date>,
        renamed: &HashMap<String, String>,
    ) -> Result<(usize, Vec<Finding>)> {
        let tree = match staged {
            Some(staged) => Tree::of(staged.below(self.below_git())),
            None => Tree::walk(&self.root)?,
        };
        // The closures are called by several threads.
        let (root, git, below) = (&self.root, &self.git, self.below_git());
        let read = |path: &Utf8Path| match staged {
            Some(staged) => vault::read_text(&staged.place_of(git, &below.join(path))),
            None => vault::read_text(&root.join(path)),
        };
        // Where paths lead from; a vault in no repository has none.
        let base = if git.join(".git").exists() {
            Some(git)
        } else {
            Some(&self.repo.root).filter(|repo| root.starts_with(repo))
        };
        // Another repository may have commands of its own by this name.
        let has_own =
            base.is_some_and(|base| *base != self.repo.root && base.join("xtask").exists());
        let in_repo = |path: &str| -> Option<bool> {
            let first = path.split('/').next()?;
            let exists = |path: &str| match staged {
                Some(staged) => staged.has(path),
                None => base.is_some_and(|base| base.join(path).exists()),
            };
            // What is built is not always there.
            (base.is_some() && first != "target" && exists(first))
                .then(|| exists(path.trim_end_matches('/')))
        };
        let (paths, faults) = (Answers::default(), Answers::default());
        let file_exists = |path: &Utf8Path| match staged {
            Some(staged) => vault::joined(&below.join("card"), path.as_str())
                .is_some_and(|path| staged.has(path.as_str())),
            None => root.join(path).exists(),
        };
        let commands = Mutex::new(crate::Cli::command());
        let world = World {
            today: Date::of(SystemTime::now()),
            max_age: args.max_age,
            path_exists: &|path| paths.to(path, || in_repo(path)),
            command_fault: &|line| {
                faults.to(line, || {
                    let mut commands = commands.lock().ok().filter(|_| !has_own)?;
                    command_fault(&mut commands, line)
                })
            },
            help: &|line| {
                let mut commands = commands.lock().ok().filter(|_| !has_own)?;
                help(&mut commands, line)
            },
            file_exists: &file_exists,
            renamed: &|stem| renamed.get(stem).cloned(),
            changed: &|path| changed.get(path).copied(),
        };
        let findings = check::check(&tree, &read, rules, &world);
        Ok((tree.cards.len(), findings))
    }

    fn report(
        &self,
        args: &Args,
        cards: usize,
        mut findings: Vec<Finding>,
        mended: usize,
    ) -> Result<ExitCode> {
        let baseline = self.root.join(BASELINE);
        if args.write_baseline {
            let mut lines: Vec<String> = findings.iter().map(known_as).collect();
            lines.sort_unstable();
            files::write_atomically(&baseline, (lines.join("\n") + "\n").as_bytes(), 0o644)?;
            let shown = self.repo.shown(&baseline);
            terminal::say(format!(
                "{} written to {shown}",
                counted(lines.len(), "finding")
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let known = forget_known(&mut findings, &baseline)?;
        let format = if args.json { Format::Json } else { args.format };
        let folder = self.repo.shown(&self.root);
        print(format, folder, &findings)?;
        let errors = findings
            .iter()
            .filter(|finding| !is_warning(finding.code))
            .count();
        let mut summary = format!(
            "{} in {}",
            counted(findings.len(), "finding"),
            counted(cards, "card")
        );
        if known > 0 {
            summary = format!("{summary}, {known} more stand in the baseline");
        }
        if mended > 0 {
            summary = format!("{summary}; {mended} mended");
        }
        terminal::say(summary);
        Ok(ExitCode::from(u8::from(errors > 0)))
    }

    /// Paths as they lie in the vault.
    fn wanted(&self, paths: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
        let wanted = |path: &Utf8PathBuf| {
            let full = path
                .canonicalize_utf8()
                .with_context(|| format!("looking for `{path}`"))?;
            match full.strip_prefix(&self.root) {
                Ok(below) => Ok(below.to_owned()),
                Err(_) => bail!("`{path}` does not lie in the vault `{}`", self.root),
            }
        };
        paths.iter().map(wanted).collect()
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let shell = Shell::new().context("finding the current folder")?;
        let folder = &self.git;
        let captured = self.processes.capture(cmd!(
            shell,
            "git -C {folder} -c core.quotePath=off {arguments...}"
        ))?;
        if !captured.status.success() {
            bail!("git says: {}", captured.stderr.trim());
        }
        Ok(captured.stdout)
    }

    /// The vault's folder as git knows it; empty where it is the root.
    fn below_git(&self) -> &Utf8Path {
        self.root.strip_prefix(&self.git).unwrap_or(&self.root)
    }

    /// The day of each card's last change.
    fn changed(&self) -> Result<HashMap<Utf8PathBuf, Date>> {
        if self.git(&["rev-parse", "--is-shallow-repository"])?.trim() == "true" {
            terminal::say(
                "NOT CHECKED: `modified` against git, because this is a shallow clone: \
                 `git fetch --unshallow` brings the rest",
            );
            return Ok(HashMap::new());
        }
        let folder = self.root.as_str();
        let log = self.git(&[
            "log",
            "--no-renames",
            "--format=%x01%cs",
            "--name-only",
            "-z",
            "--",
            folder,
        ])?;
        Ok(days_of_changes(&log, self.below_git()))
    }

    /// What cards were called before. Where there is no history, nothing.
    fn renamed(&self) -> HashMap<String, String> {
        let folder = self.root.as_str();
        let log = self.git(&[
            "log",
            "--diff-filter=R",
            "-M",
            "--format=",
            "--name-status",
            "HEAD",
            "--",
            folder,
        ]);
        renames(&log.unwrap_or_default())
    }

    /// What is staged. Cards that differ from it in the working tree are laid out in a folder of their own.
    fn staged(&self) -> Result<Staged> {
        let listed = self.git(&["ls-files", "-z"])?;
        let rules = rules_places(&self.root);
        let mut arguments = vec![
            "diff-files",
            "--name-status",
            "-z",
            "--",
            self.root.as_str(),
        ];
        arguments.extend(rules.iter().map(|path| path.as_str()));
        let changes = self.git(&arguments)?;
        let mut staged = Staged {
            folder: Scratch::new()?,
            differ: BTreeSet::new(),
            paths: listed.split_terminator('\0').map(str::to_owned).collect(),
        };
        let mut changes = changes.split_terminator('\0');
        while let (Some(status), Some(path)) = (changes.next(), changes.next()) {
            match status {
                // Only announced, by `git add -N`: a commit will not hold it.
                "A" => drop(staged.paths.remove(path)),
                "U" => bail!("`{path}` has conflicts: resolve them, and `git add` it"),
                _ => drop(staged.differ.insert(path.to_owned())),
            }
        }
        let prefix = format!("--prefix={}/", staged.folder.path());
        let cards: Vec<&str> = staged.differ.iter().map(String::as_str).collect();
        for chunk in cards.chunks(PATHS) {
            let mut arguments = vec!["checkout-index", "--force", "--quiet", &prefix, "--"];
            arguments.extend(chunk);
            self.git(&arguments)?;
        }
        Ok(staged)
    }

    /// The rules as they are staged.
    fn staged_rules(&self, staged: &Staged) -> Result<Rules> {
        let places = rules_places(&self.root);
        let mut places = places
            .iter()
            .filter_map(|path| path.strip_prefix(&self.git).ok());
        match places.find(|path| staged.has(path.as_str())) {
            Some(path) => read_rules(&staged.place_of(&self.git, path)),
            None => Ok(Rules::default()),
        }
    }
}

/// What is staged. Paths are those of the repository.
struct Staged {
    folder: Scratch,
    /// Cards and rules that differ from the working tree's.
    differ: BTreeSet<String>,
    /// All files.
    paths: BTreeSet<String>,
}

impl Staged {
    /// Whether a file or folder is there.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.paths.contains(path)
            || self
                .paths
                .range(folder.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&folder))
    }

    /// The files below a folder, as they lie there.
    fn below(&self, folder: &Utf8Path) -> impl Iterator<Item = String> {
        self.paths.iter().filter_map(move |path| {
            let below = Utf8Path::new(path).strip_prefix(folder).ok()?;
            Some(below.to_string())
        })
    }

    /// Where a staged file can be read.
    fn place_of(&self, git: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
        let folder = if self.differ.contains(path.as_str()) {
            self.folder.path()
        } else {
            git
        };
        folder.join(path)
    }
}

/// Days by path from `git log --format=%x01%cs --name-only -z`: the newest comes first.
fn days_of_changes(log: &str, below: &Utf8Path) -> HashMap<Utf8PathBuf, Date> {
    let mut days = HashMap::new();
    let mut day = None;
    for part in log.split(['\0', '\n', '\u{1}']) {
        if let Some(date) = Date::parse(part) {
            day = Some(date);
        } else if let Some(day) = day
            && let Ok(path) = Utf8Path::new(part).strip_prefix(below)
            && !part.is_empty()
        {
            days.entry(path.to_owned()).or_insert(day);
        }
    }
    days
}

/// Stems of old and new from lines `R100<tab>old<tab>new`, newest first. Chains are followed.
fn renames(log: &str) -> HashMap<String, String> {
    let mut renamed: HashMap<String, String> = HashMap::new();
    for line in log.lines() {
        let mut parts = line.split('\t');
        let (Some(_), Some(old), Some(new)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let stem = |path| {
            Utf8Path::new(path)
                .file_stem()
                .unwrap_or_default()
                .to_owned()
        };
        let (old, new) = (stem(old), stem(new));
        if old != new {
            let now = renamed.get(&new).cloned().unwrap_or(new);
            renamed.entry(old).or_insert(now);
        }
    }
    renamed
}

/// Answers to questions that cards ask again and again, by several threads.
#[derive(Default)]
struct Answers<T>(Mutex<HashMap<String, T>>);

impl<T: Clone> Answers<T> {
    /// The answer to a question: the one that was given before, if there was one.
    fn to(&self, question: &str, answer: impl FnOnce() -> T) -> T {
        let known = |answers: &HashMap<String, T>| answers.get(question).cloned();
        if let Some(known) = self.0.lock().ok().and_then(|answers| known(&answers)) {
            return known;
        }
        let answer = answer();
        if let Ok(mut answers) = self.0.lock() {
            answers.insert(question.to_owned(), answer.clone());
        }
        answer
    }
}

/// Where the rules of a vault may lie, the first choice first.
fn rules_places(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_root = |folder: &Utf8Path| folder.join(".git").exists();
    // Outside of a repository only the vault's own folder counts.
    let above = root.ancestors().position(is_root).unwrap_or(0);
    let folders = root.ancestors().take(above + 1);
    folders.map(|folder| folder.join(RULES)).collect()
}

/// The rules of a vault.
pub fn rules(root: &Utf8Path) -> Result<Rules> {
    let places = rules_places(root);
    match places.iter().find(|path| path.is_file()) {
        Some(path) => read_rules(path),
        None => Ok(Rules::default()),
    }
}

fn read_rules(path: &Utf8Path) -> Result<Rules> {
    let text = fs_err::read_to_string(path)?;
    parse_rules(&text).with_context(|| format!("reading the rules in `{path}`"))
}

/// Rules from TOML: lists of words, and `true` or `false`.
fn parse_rules(text: &str) -> Result<Rules> {
    let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let parsed = toml_span::parse(text)
        .map_err(|error| anyhow!("line {}: {error}", line(error.span.start)))?;
    let mut rules = Rules::default();
    for (key, value) in parsed.as_table().into_iter().flatten() {
        let line = line(key.span.start);
        let words = || -> Result<Vec<String>> {
            let words = value.as_array().into_iter().flatten();
            let words: Option<Vec<String>> =
                words.map(|word| Some(word.as_str()?.to_owned())).collect();
            words
                .filter(|_| value.as_array().is_some())
                .with_context(|| format!("line {line}: `{}` is a list of words", key.name))
        };
        match &*key.name {
            "required" => rules.required = words()?,
            "tags" => rules.tags = words()?,
            "how-to-only" => rules.how_to_only = words()?,
            "categories" => rules.categories = words()?,
            "unpublished" => rules.unpublished = words()?,
            "off" => {
                rules.off = words()?;
                let known = |name: &String| Code::ALL.iter().any(|code| code.name() == name);
                if let Some(unknown) = rules.off.iter().find(|name| !known(name)) {
                    bail!("line {line}: there is no code `{unknown}`");
                }
            }
            "title-is-heading" => {
                rules.title_is_heading = value.as_bool().with_context(|| {
                    format!("line {line}: `title-is-heading` is `true` or `false`")
                })?;
            }
            other => bail!(
                "line {line}: there is no rule `{other}`: the rules are `required`, `tags`, \
                 `how-to-only`, `categories`, `title-is-heading`, `unpublished` and `off`"
            ),
        }
    }
    Ok(rules)
}

/// What a `cargo xtask` line that asks for help prints; nothing where it is another line.
fn help(commands: &mut clap::Command, line: &str) -> Option<String> {
    let words = our_commands(line).into_iter().next()?;
    let error = commands.try_get_matches_from_mut(&words[1..]).err()?;
    (error.kind() == ErrorKind::DisplayHelp).then(|| error.to_string())
}

/// What is wrong with a line's `cargo xtask` commands, according to this program's own command line.
fn command_fault(commands: &mut clap::Command, line: &str) -> Option<String> {
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

/// The words of each whole `cargo xtask` command of a shell line. What stands before it, variables and
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

/// Mends what is certain; how many findings that were.
fn mend(root: &Utf8Path, findings: &[Finding]) -> Result<usize> {
    let mut files: BTreeMap<&Utf8Path, Vec<(&Finding, &Fix)>> = BTreeMap::new();
    for finding in findings {
        if let Some(fix) = &finding.fix {
            let path = match fix {
                Fix::Append(path, _) => path,
                Fix::Replace(..) | Fix::Value(..) => &finding.path,
            };
            files.entry(path).or_default().push((finding, fix));
        }
    }
    let mut count = 0;
    // A card may be a link to another one.
    let mut written = BTreeSet::new();
    for (path, fixes) in files {
        let full = root.join(path).canonicalize_utf8()?;
        if !written.insert(full.clone()) {
            continue;
        }
        let text = fs_err::read_to_string(&full)?;
        let fixes: Vec<&Fix> = fixes.into_iter().map(|(_, fix)| fix).collect();
        let (new, done) = mended(&text, &fixes);
        count += done;
        if new != text {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs_err::metadata(&full)?.permissions().mode() & 0o7777;
            files::write_atomically(&full, new.as_bytes(), mode)?;
        }
    }
    Ok(count)
}

/// A card's text with these changes, and how many were made. Of changes of the same words the first is made:
/// the next round finds the other one, if it is still needed.
fn mended(text: &str, fixes: &[&Fix]) -> (String, usize) {
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut lines = BTreeSet::new();
    for fix in fixes {
        match fix {
            Fix::Replace(range, new) => edits.push((range.clone(), new.clone())),
            Fix::Value(place, new) => edits.push((scalar(text, *place), new.clone())),
            Fix::Append(_, line) => {
                lines.insert(line.clone());
            }
        }
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut new = String::with_capacity(text.len());
    let (mut done, mut count) = (0, 0);
    for (range, with) in edits {
        if range.start >= done {
            new.push_str(&text[done..range.start]);
            new.push_str(&with);
            // What is put in is a change of its place, too.
            done = range.end.max(range.start + usize::from(range.is_empty()));
            count += 1;
        }
    }
    new.push_str(text.get(done..).unwrap_or_default());
    for line in &lines {
        if let Some(longer) = with_entry(&new, line) {
            new = longer;
            count += 1;
        }
    }
    (new, count)
}

/// Where a scalar of the front matter stands, without its quotes.
fn scalar(text: &str, place: Place) -> std::ops::Range<usize> {
    let start = edits::offset(text, place);
    let rest = &text[start..];
    match rest.chars().next().filter(|first| "'\"".contains(*first)) {
        Some(quote) => {
            let length = rest[1..].find(quote).unwrap_or(0);
            start + 1..start + 1 + length
        }
        None => {
            start
                ..start
                    + rest
                        .find([' ', '\t', '\r', '\n', '#'])
                        .unwrap_or(rest.len())
        }
    }
}

/// A landing page with another line at its end, if that is a link there: in HTML, or in what is never
/// closed, it is none.
fn with_entry(page: &str, line: &str) -> Option<String> {
    let stem = line.strip_prefix("- [[")?.strip_suffix("]]")?;
    let end = if page.contains("\r\n") { "\r\n" } else { "\n" };
    let is_whole = page.is_empty() || page.ends_with('\n');
    let gap = if is_whole { "" } else { end };
    let pages = ["", end].map(|blank| [page, gap, blank, line, end].concat());
    pages.into_iter().find(|new| {
        let links = card::read(new).links;
        let link = links.last().filter(|link| link.span.start() >= page.len());
        link.is_some_and(|link| link.target == stem && link.anchor.is_none())
    })
}

fn is_warning(code: Code) -> bool {
    code == Code::ReviewOverdue
}

/// A finding as the baseline knows it: lines move, what is wrong stays.
fn known_as(finding: &Finding) -> String {
    format!(
        "{}: {}: {}",
        finding.path,
        finding.code.name(),
        finding.message
    )
}

/// Leaves out what stands in the baseline, each line once; how many those were.
fn forget_known(findings: &mut Vec<Finding>, baseline: &Utf8Path) -> Result<usize> {
    if !baseline.is_file() {
        return Ok(0);
    }
    let text = fs_err::read_to_string(baseline)?;
    let mut known: HashMap<&str, usize> = HashMap::new();
    for line in text.lines() {
        *known.entry(line).or_default() += 1;
    }
    let before = findings.len();
    findings.retain(|finding| match known.get_mut(known_as(finding).as_str()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    Ok(before - findings.len())
}

fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

fn print(format: Format, folder: &Utf8Path, findings: &[Finding]) -> Result<()> {
    if format == Format::Sarif {
        return terminal::emit(&sarif(folder, findings));
    }
    let mut text = String::new();
    for finding in findings {
        let line = match format {
            Format::Text | Format::Sarif => text_line(folder, finding),
            Format::Json => json_line(folder, finding),
            Format::Github => github_line(folder, finding),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() {
        return Ok(());
    }
    terminal::emit(text.trim_end())
}

fn text_line(folder: &Utf8Path, finding: &Finding) -> String {
    let warning = if is_warning(finding.code) {
        "warning: "
    } else {
        ""
    };
    format!(
        "{}:{}: {warning}{}: {}; {}",
        folder.join(&finding.path),
        finding.place,
        finding.code.name(),
        finding.message,
        finding.code.remedy()
    )
}

fn json_line(folder: &Utf8Path, finding: &Finding) -> String {
    json!({
        "path": folder.join(&finding.path),
        "line": finding.place.line,
        "column": finding.place.column,
        "code": finding.code.name(),
        "message": finding.message,
    })
    .to_string()
}

fn github_line(folder: &Utf8Path, finding: &Finding) -> String {
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let level = if is_warning(finding.code) {
        "warning"
    } else {
        "error"
    };
    format!(
        "::{level} file={},line={},col={},title={}::{}; {}",
        property(folder.join(&finding.path).as_str()),
        finding.place.line,
        finding.place.column,
        finding.code.name(),
        escaped(&finding.message),
        escaped(finding.code.remedy())
    )
}

/// A path as a reference of a URI.
fn uri(path: &Utf8Path) -> String {
    let mut uri = String::with_capacity(path.as_str().len());
    for byte in path.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// A SARIF 2.1.0 log.
fn sarif(folder: &Utf8Path, findings: &[Finding]) -> String {
    let level = |code| if is_warning(code) { "warning" } else { "error" };
    let rules: Vec<_> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": { "text": code.summary().trim() },
                "help": { "text": code.remedy() },
                "defaultConfiguration": { "level": level(*code) },
            })
        })
        .collect();
    let results: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.code.name(),
                "level": level(finding.code),
                "message": { "text": format!("{}; {}", finding.message, finding.code.remedy()) },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": uri(&folder.join(&finding.path)) },
                    "region": {
                        "startLine": finding.place.line,
                        "startColumn": finding.place.column,
                    },
                } }],
            })
        })
        .collect();
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": { "name": "cargo xtask docs-check", "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_run_and_that_do_not() {
        let mut commands = crate::Cli::command();
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
    fn days_and_names_from_git() {
        let log = "\u{1}2026-02-03\0\ndocs/a.md\0docs/b/c.md\0\u{1}2025-01-01\0\ndocs/a.md\0x\0";
        let days = days_of_changes(log, Utf8Path::new("docs"));
        assert_eq!(days.len(), 2);
        assert_eq!(days[Utf8Path::new("a.md")].to_string(), "2026-02-03");
        let log = "R100\td/two.md\td/three.md\nR090\td/one.md\te/two.md\nR100\td/x.md\te/x.md\n";
        let renamed = renames(log);
        assert_eq!(renamed["one"], "three");
        assert_eq!(renamed["two"], "three");
        assert_eq!(renamed.len(), 2);
    }

    #[test]
    fn rules_from_toml() {
        let text = "tags = ['a', \"b\"] # c\ntitle-is-heading = true\noff = [\n  'orphan',\n]\n";
        let rules = parse_rules(text).unwrap();
        assert_eq!((rules.tags.len(), rules.title_is_heading), (2, true));
        assert_eq!(rules.off, ["orphan"]);
        assert_eq!(parse_rules("").unwrap(), Rules::default());
        for (text, error) in [
            ("tgs = ['a']", "line 1: there is no rule `tgs`"),
            (
                "\noff = ['nonsense']",
                "line 2: there is no code `nonsense`",
            ),
            (
                "title-is-heading = 'maybe'",
                "line 1: `title-is-heading` is `true`",
            ),
            ("tags = 'a'", "line 1: `tags` is a list of words"),
            ("tags = [1]", "line 1: `tags` is a list of words"),
            ("\ntags = [", "line 2: "),
        ] {
            let found = parse_rules(text).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
    }

    #[test]
    fn what_help_prints() {
        let mut commands = crate::Cli::command();
        let printed = help(&mut commands, "cargo xtask hash --help").unwrap();
        assert!(printed.contains("Usage: cargo xtask hash"), "{printed}");
        assert_eq!(help(&mut commands, "cargo xtask hash ."), None);
    }

    #[test]
    fn changes_of_a_card() {
        let text = "---\nmodified: 2026-01-01 # c\n---\n[[ a ]] [[B]]\n";
        let at = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let fixes = [
            &Fix::Replace(at(" a "), "a".to_owned()),
            &Fix::Replace(at("B"), "b".to_owned()),
            &Fix::Value(Place::new(2, 11), "2026-02-02".to_owned()),
            &Fix::Append("x.md".into(), "- [[new]]".to_owned()),
        ];
        let (new, count) = mended(text, &fixes);
        assert_eq!(
            new,
            "---\nmodified: 2026-02-02 # c\n---\n[[a]] [[b]]\n- [[new]]\n"
        );
        assert_eq!(count, 4);
    }

    #[test]
    fn changes_of_the_same_words_come_one_after_the_other() {
        let fixes = [
            &Fix::Replace(2..6, "d/y".to_owned()),
            &Fix::Replace(3..6, "y".to_owned()),
        ];
        assert_eq!(mended("[[ d/y|x]]", &fixes), ("[[d/y|x]]".to_owned(), 1));
        let fixes = [&Fix::Replace(4..7, "end".to_owned())];
        assert_eq!(mended("the tail", &fixes).0, "the endl");
        let day = || "2026-02-02".to_owned();
        for (text, new) in [
            (
                "---\nmodified: \"2026-01-01\"\n",
                "---\nmodified: \"2026-02-02\"\n",
            ),
            (
                "---\nmodified: '2026-01-01' # c\n",
                "---\nmodified: '2026-02-02' # c\n",
            ),
            ("---\nmodified: 2026-01-01", "---\nmodified: 2026-02-02"),
        ] {
            let fix = Fix::Value(Place::new(2, 11), day());
            assert_eq!(mended(text, &[&fix]).0, new);
        }
    }

    #[test]
    fn entries_of_landing_pages_are_links_or_left_out() {
        for (page, line, expected) in [
            ("- [[a]]\n", "- [[b]]", Some("- [[a]]\n- [[b]]\n")),
            ("text", "- [[b]]", Some("text\n- [[b]]\n")),
            ("x\r\n", "- [[b]]", Some("x\r\n- [[b]]\r\n")),
            ("", "- [[b]]", Some("- [[b]]\n")),
            ("</details>\n", "- [[b]]", Some("</details>\n\n- [[b]]\n")),
            ("```\nopen\n", "- [[b]]", None),
            ("<!-- open\n", "- [[b]]", None),
            ("---\nopen: front matter\n", "- [[b]]", None),
            ("x\n", "- [[C#]]", None),
            ("x\n", "- [[a|b]]", None),
            ("x\n", "- [[[q]]]", None),
        ] {
            assert_eq!(
                with_entry(page, line).as_deref(),
                expected,
                "{page:?} {line}"
            );
        }
    }

    #[test]
    fn paths_in_sarif_are_references() {
        assert_eq!(
            uri(Utf8Path::new("docs/a b%é.md")),
            "docs/a%20b%25%C3%A9.md"
        );
    }

    #[test]
    fn one_finding_in_each_format() {
        let finding = Finding {
            path: "a.md".into(),
            place: Place::new(3, 4),
            code: Code::LinkUnknown,
            message: "there is no card `x, 50 %`".to_owned(),
            fix: None,
        };
        let folder = Utf8Path::new("docs");
        let remedy = Code::LinkUnknown.remedy();
        assert_eq!(
            text_line(folder, &finding),
            format!("docs/a.md:3:4: link-unknown: there is no card `x, 50 %`; {remedy}")
        );
        assert_eq!(
            github_line(folder, &finding),
            format!(
                "::error file=docs/a.md,line=3,col=4,title=link-unknown::there is no card `x, 50 %25`; {remedy}"
            )
        );
        let line: serde_json::Value = serde_json::from_str(&json_line(folder, &finding)).unwrap();
        assert_eq!(
            (&line["line"], &line["code"]),
            (&json!(3), &json!("link-unknown"))
        );
        let log: serde_json::Value = serde_json::from_str(&sarif(folder, &[finding])).unwrap();
        assert_eq!(log["runs"][0]["results"][0]["ruleId"], "link-unknown");
    }
}

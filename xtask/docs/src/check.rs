//! `docs-check`: finds what is wrong in a vault, prints it, and fixes what is certain.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use sys::inside::Inside;
use sys::process::Processes;
use vault::date::Date;
use vault::finding::{Code, Finding, Level};
use vault::resolve::joined;
use vault::rules;
use vault::rules::settings::Environment;
use vault::tree::{Tree, read_text};

use crate::alone::NamesVault;
use crate::baseline::{Known, forget_known, known_as};
use crate::commands_in_cards::{command_fault, help};
use crate::config::Config;
use crate::fix::fix;
use crate::formats::{Format, print};
use crate::say::{plain, say};
use crate::source::{Source, shown, vault_root};
use crate::spelling::Spelling;
use crate::staged::Staged;
use crate::transaction::check_complete;

/// Findings that were there before the checker, in the vault's root.
const BASELINE: &str = ".docs-check-baseline";
/// How often `--fix` checks again: one fix may show another finding.
const ROUNDS: usize = 4;

/// Check the cards of docs/: links, anchors, front matter, indexes, names
///
/// Prints all findings of a run as `path:line:column: code: message; what to do`, sorted by position.
/// docs/reference/docs-check.md explains the codes and the settings in `docs-check.toml`, which is in the
/// vault or in a folder above it, up to the repository's root; without that file only links, anchors and
/// embeds are checked. Findings in the vault's `.docs-check-baseline` are not reported, so that an old vault can start
/// today.
///
/// Exit codes: 0 no findings, or warnings only, 1 findings, 2 could not run.
///
/// Example: `cargo xtask docs-check docs/how-to`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// Report findings in these cards and folders only; links are followed in the whole vault
    #[arg(value_name = "PATH")]
    paths: Vec<Utf8PathBuf>,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print a JSON line for each finding: path, line, column, code, severity, message; same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Fix what is certain: case, blanks, renamed stems, paths, missing entries of landing pages
    #[arg(long, conflicts_with = "staged")]
    fix: bool,
    /// Check what is staged in git, not the working tree
    #[arg(long)]
    staged: bool,
    /// Compare `modified` with the last change in git
    #[arg(long)]
    git: bool,
    /// Warn about cards whose last review is older than this
    #[arg(long, value_name = "DAYS")]
    max_age: Option<i64>,
    /// Write the findings to the baseline: from now on only new ones are reported
    #[arg(long, conflicts_with_all = ["fix", "staged", "paths"])]
    write_baseline: bool,
}

impl NamesVault for Args {
    fn vault(&mut self) -> &mut Option<Utf8PathBuf> {
        &mut self.vault
    }
}

/// What a run knows before it looks at cards.
struct Run<'a> {
    args: &'a Args,
    source: Source<'a>,
    staged: Option<Staged>,
    config: Config,
    /// Files outside of the vault that are checked as well, from the vault's root.
    also: Vec<Utf8PathBuf>,
    /// The commands that cards may name, if they are known.
    commands: Option<Mutex<clap::Command>>,
    changed: HashMap<Utf8PathBuf, Date>,
    renamed: HashMap<String, String>,
    /// Files and folders that git ignores, from the vault's root.
    ignored: HashSet<Utf8PathBuf>,
}

/// Runs the command in a repository, by default over its `docs`; journals of moves are in the folder `state`.
///
/// With `commands`, the command line of this repository's `cargo xtask`, the lines of cards that call it are
/// checked as well.
pub fn run(
    args: &Args,
    repository: &Utf8Path,
    state: Option<&Utf8Path>,
    commands: Option<clap::Command>,
) -> Result<ExitCode> {
    checked(args, repository, state, commands).map_err(plain)
}

fn checked(
    args: &Args,
    repository: &Utf8Path,
    state: Option<&Utf8Path>,
    commands: Option<clap::Command>,
) -> Result<ExitCode> {
    let processes = Processes::new(false)?;
    let root = vault_root(repository, args.vault.as_deref())?;
    if let Some(state) = state {
        check_complete(state, &root)?;
    }
    let source = Source::new(&processes, repository, root);
    let (staged, config) = if args.staged {
        let (staged, mut config) = source.staged()?;
        if let Some(module) = staged.absent(source.below_git()).next() {
            let levels = &mut config.rules.levels;
            for code in [Code::LinkUnknown, Code::FileUnknown] {
                if levels.of(code) == Level::Error {
                    levels.set(code, Level::Warning);
                }
            }
            say(format!(
                "the submodule `{module}` is not checked out: what no other folder has may be in it, and \
                 blocks nothing"
            ));
        }
        (Some(staged), config)
    } else {
        (None, Config::of_vault(&source.root)?)
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
    // Another repository may have commands of its own by this name.
    let has_own = source
        .base()
        .is_some_and(|base| base != repository && base.join("xtask").exists());
    let also = config.also.iter().filter(|path| {
        let staged = staged.as_ref();
        source.base().is_some() && staged.is_none_or(|staged| staged.has(path.as_str()))
    });
    let ignored = if staged.is_none() {
        source.passed_over(&config)
    } else {
        HashSet::new()
    };
    let run = Run {
        args,
        ignored,
        also: also.map(|path| source.seen_from_vault(path)).collect(),
        staged,
        config,
        commands: commands.filter(|_| !has_own).map(Mutex::new),
        changed,
        renamed,
        source,
    };
    let mut fixed = 0;
    for _ in 0..ROUNDS {
        let (cards, mut findings) = run.findings()?;
        if !args.paths.is_empty() {
            let wanted = run.source.below_vault(&args.paths, &run.also)?;
            findings.retain(|finding| wanted.iter().any(|path| finding.path.starts_with(path)));
        }
        if args.fix {
            let count = fix(&run.source, &run.also, &findings)?;
            fixed += count;
            if count > 0 {
                continue;
            }
        }
        return run.report(cards, findings, fixed);
    }
    bail!("`--fix` did not converge: it still changed something after {ROUNDS} rounds");
}

impl Run<'_> {
    /// The number of cards, and the findings.
    fn findings(&self) -> Result<(usize, Vec<Finding>)> {
        let (source, staged) = (&self.source, self.staged.as_ref());
        let root = &source.root;
        let tree = match staged {
            Some(staged) => Tree::of(staged.below(source.below_git())),
            None => Tree::walk(root)?,
        };
        // The closures are called by several threads.
        let below_git = source.below_git();
        let from_git = |path: &Utf8Path| joined(&below_git.join("card"), path.as_str());
        let read = |path: &Utf8Path| match staged {
            Some(staged) => match from_git(path) {
                Some(path) => staged.text(&path),
                None => Err(format!("`{path}` is outside of the repository")),
            },
            None => read_text(&root.join(path)),
        };
        let base = source.base();
        let spelling = Spelling::below(base.unwrap_or(root));
        let in_repository = |path: &str| -> Option<bool> {
            let first = path.split('/').next()?;
            let exists = |path: &str| match staged {
                Some(staged) => staged.has(path),
                None => base.is_some_and(|base| spelling.exists(&base.join(path))),
            };
            // What is built is not always there.
            (base.is_some() && first != "target" && exists(first))
                .then(|| exists(path.trim_end_matches('/')))
        };
        let file_exists = |path: &Utf8Path| match staged {
            Some(staged) => from_git(path).is_some_and(|path| staged.has(path.as_str())),
            None => spelling.exists(&root.join(path)),
        };
        let (paths, faults) = (Answers::default(), Answers::default());
        let (changed, renamed, commands) = (&self.changed, &self.renamed, &self.commands);
        let commands = || commands.as_ref()?.lock().ok();
        let environment = Environment {
            today: Date::of(SystemTime::now()),
            max_age: self.args.max_age,
            path_exists: &|path| paths.to(path, || in_repository(path)),
            command_fault: &|line| faults.to(line, || command_fault(&mut *commands()?, line)),
            help: &|line| help(&mut *commands()?, line),
            file_exists: &file_exists,
            renamed: &|stem| renamed.get(stem).cloned(),
            changed: &|path| changed.get(path).copied(),
            also: &self.also,
            folder: source.folder(),
        };
        let mut findings = rules::check(&tree, &read, &self.config.rules, &environment);
        if let Some(staged) = staged {
            // What is in a submodule is committed there.
            let is_ours =
                |path: &Utf8Path| from_git(path).is_none_or(|path| !staged.is_elsewhere(&path));
            findings.retain(|finding| is_ours(&finding.path));
        }
        findings.retain(|finding| !self.config.excludes(&finding.path, &self.ignored));
        Ok((tree.cards.len(), findings))
    }

    fn report(&self, cards: usize, mut findings: Vec<Finding>, fixed: usize) -> Result<ExitCode> {
        let source = &self.source;
        let baseline = source.root.join(BASELINE);
        if self.args.write_baseline {
            let mut lines: Vec<String> = findings.iter().map(known_as).collect();
            lines.sort_unstable();
            let text = lines.join("\n") + "\n";
            Inside::open(&source.root)?.replace(BASELINE.into(), text.as_bytes(), 0o644)?;
            let path = shown(source.shown_from, &baseline);
            let count = counted(lines.len(), "finding");
            say(format!("{count} written to {path}"));
            return Ok(ExitCode::SUCCESS);
        }
        let Known { known, stale } = forget_known(&mut findings, &baseline)?;
        let format = if self.args.json {
            Format::Json
        } else {
            self.args.format
        };
        let levels = &self.config.rules.levels;
        print(
            format,
            shown(source.shown_from, &source.root),
            &findings,
            levels,
        )?;
        let mut summary = format!(
            "{} in {}",
            counted(findings.len(), "finding"),
            counted(cards, "card")
        );
        if known > 0 {
            summary = format!("{summary}, {known} more in the baseline");
        }
        if fixed > 0 {
            summary = format!("{summary}; {fixed} fixed");
        }
        // What was not looked at may still be wrong.
        if stale > 0 && self.args.paths.is_empty() && self.staged.is_none() {
            let count = counted(stale, "line");
            summary = format!(
                "{summary}; {count} of the baseline not needed any more: `--write-baseline` renews it"
            );
        }
        say(summary);
        let is_error = findings
            .iter()
            .any(|finding| levels.of(finding.code) == Level::Error);
        Ok(ExitCode::from(u8::from(is_error)))
    }
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
fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

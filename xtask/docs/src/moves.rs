//! `docs-move`: renames, moves, merges and splits cards, and rewrites every link to them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use sys::process::Processes;
use sys::terminal;
use vault::date::Date;
use vault::moves::{self, Change, Links, Texts};
use vault::parallel::in_parallel;
use vault::resolve::{Vault, stem};
use vault::slug::percent_encoded;
use vault::tree::{LARGEST, Tree, read_text};
use vault::unicode::folded;
use vault::{card, edits};

use crate::alone::NamesVault;
use crate::config::Config;
use crate::diff;
use crate::names::Names;
use crate::say::{plain, say};
use crate::source::{Source, shown, vault_root};
use crate::spelling::Spelling;
use crate::transaction::{End, Work, check_complete};

/// How many mentions of an old path are listed.
const MOST_PLACES: usize = 10;

/// Rename, move, merge or split cards of docs/, and update every link to them
///
/// A card is named by its stem or by its path. If NEW is a card, OLD becomes a section at its end, and
/// links to OLD and its headings lead there; if NEW is a folder, OLD moves into it; otherwise OLD gets
/// that name or path. Links of all forms are updated, prerequisites as well; all other bytes stay. A link
/// that would lead elsewhere than before is an error. Either all cards are written or none. A run that was
/// killed leaves a journal outside of the vault: `--finish` completes the move, `--abort` undoes it.
///
/// Exit codes: 0 success, 2 nothing was changed.
///
/// Example: `cargo xtask docs-move caddy how-to/run-caddy --dry-run`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The cards, then the new name, path or folder, or the card to merge them into
    #[arg(value_name = "OLD... NEW", required_unless_present_any = ["finish", "abort"])]
    cards: Vec<String>,
    /// Turn a section into a card of its own: NEW is its name or path
    #[arg(long, value_name = "OLD#HEADING")]
    extract: Option<String>,
    /// Move its line to the landing page of its folder, too, and update the tag of its category
    #[arg(long)]
    relist: bool,
    /// Set `modified` to today in each card that changes
    #[arg(long)]
    touch: bool,
    /// Show the changes as a diff, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON line for each file that changes: path, from, action
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
    /// Complete a move that was interrupted, and show what changes
    #[arg(long, conflicts_with_all = ["cards", "extract", "relist", "touch", "json", "abort"])]
    finish: bool,
    /// Undo a move that was interrupted, and show what changes
    #[arg(long, conflicts_with_all = ["cards", "extract", "relist", "touch", "json"])]
    abort: bool,
}

impl NamesVault for Args {
    fn vault(&mut self) -> &mut Option<Utf8PathBuf> {
        &mut self.vault
    }
}

/// A file that changes.
#[derive(Debug, Serialize)]
struct Row {
    path: Utf8PathBuf,
    /// Where the card was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Utf8PathBuf>,
    action: &'static str,
}

/// Runs the command in a repository, by default over its `docs`; the journal is kept in the folder `state`.
pub fn run(args: &Args, repository: &Utf8Path, state: &Utf8Path) -> Result<ExitCode> {
    moved(args, repository, state).map_err(plain)
}

fn moved(args: &Args, repository: &Utf8Path, state: &Utf8Path) -> Result<ExitCode> {
    let root = vault_root(repository, args.vault.as_deref())?;
    if args.finish || args.abort {
        let end = if args.finish { End::Finish } else { End::Abort };
        return end_interrupted(&Work::open(state, &root)?, end, args, repository, &root);
    }
    check_complete(state, &root)?;
    // A dry run writes nothing, here or there.
    let work = if args.dry_run {
        None
    } else {
        Some(Work::open(state, &root)?)
    };
    let cards = read(&root)?;
    let changes = changes(args, &root, &cards.texts)?;
    check_unreadable(&cards, &changes)?;
    let (before, symbolic) = (cards.texts, cards.links);
    let mut after = before.clone();
    let categories = Config::of_vault(&root)?.rules.categories;
    let mut links = Links::default();
    let spelling = Spelling::below(&root);
    for change in &changes {
        let exists = |path: &Utf8Path| spelling.exists(&root.join(path));
        let done = moves::apply_among(&mut after, change, &exists)?;
        links.rewritten += done.rewritten;
        links.found += done.found;
        match change {
            Change::Rename { old, new } if args.relist => {
                moves::retag(&mut after, old, new, &categories)?;
                moves::relist(&mut after, old, new, &categories)?;
            }
            Change::Extract { old, new, .. } => {
                moves::retag(&mut after, old, new, &categories)?;
                if args.relist {
                    moves::relist(&mut after, old, new, &categories)?;
                }
            }
            Change::Rename { .. } | Change::Merge { .. } => {}
        }
    }
    if args.touch {
        touch(&before, &mut after);
    }
    for (link, to) in &symbolic {
        ensure!(
            after.contains_key(to),
            "`{link}` is a symbolic link to `{to}`, which would not be there any more: remove the link first"
        );
        let taken = stem(link.as_str());
        let new = after.keys().find(|path| stem(path.as_str()) == taken);
        if let Some(new) = new.filter(|path| !before.contains_key(*path)) {
            bail!("`{new}` would have the stem of the symbolic link `{link}`: choose another");
        }
    }
    for (path, text) in &before {
        ensure!(
            after.get(path) == Some(text) || !root.join(path).is_symlink(),
            "`{path}` is a symbolic link out of the vault, and would have to change: put a file in its place first"
        );
    }
    let folder = shown(repository, &root);
    let Some(work) = work else {
        diff::show(&root, folder, &before, &after)?;
        return Ok(ExitCode::SUCCESS);
    };
    work.replace(&before, &after)?;
    tell_git(&root, &before, &after)?;
    if args.json {
        rows(&changes, folder, &before, &after)
            .iter()
            .try_for_each(terminal::emit_json)?;
    }
    for change in &changes {
        say(described(change, folder));
    }
    let cards = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text));
    say(format!(
        "{} links rewritten, {} cards written",
        links.rewritten,
        cards.count()
    ));
    if links.found > 0 {
        say(format!(
            "{} links that led nowhere lead to a card now",
            links.found
        ));
    }
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    for path in gone {
        list_places(&root, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Completes or undoes a move that was interrupted; with `--dry-run` only shows it.
fn end_interrupted(
    work: &Work,
    end: End,
    args: &Args,
    repository: &Utf8Path,
    root: &Utf8Path,
) -> Result<ExitCode> {
    let Some(record) = work.interrupted()? else {
        say(format!("no move in `{root}` was interrupted"));
        return Ok(ExitCode::SUCCESS);
    };
    let (now, then) = record.texts(end);
    diff::show(root, shown(repository, root), &now, &then)?;
    if !args.dry_run {
        work.end(&record, end)?;
        tell_git(root, &now, &then)?;
        say(match end {
            End::Finish => "an interrupted move was completed",
            End::Abort => "an interrupted move was undone",
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// The cards of a vault.
struct Cards {
    texts: Texts,
    /// Cards that are links to other ones, each with that one's place.
    links: Vec<(Utf8PathBuf, Utf8PathBuf)>,
    /// Cards that are not UTF-8: what they hold as well as it can be read, and why it can't.
    unreadable: Vec<(Utf8PathBuf, String, String)>,
}

/// The texts of all cards. Of a card that is a symbolic link to another one there is one text, at that one's place.
fn read(root: &Utf8Path) -> Result<Cards> {
    let mut tree = Tree::walk(root)?;
    if let Some((path, why)) = tree.faults.first() {
        bail!("`{path}` may hold links: {why}");
    }
    let mut links = Vec::new();
    tree.cards.retain(|path| {
        let place = root.join(path);
        let real = place.is_symlink().then(|| place.canonicalize_utf8().ok());
        let real = real.flatten();
        let below = real.as_ref().and_then(|real| real.strip_prefix(root).ok());
        links.extend(below.map(|below| (path.clone(), below.to_owned())));
        below.is_none()
    });
    let read = in_parallel(&tree.cards, &|_, path| read_text(&root.join(path)));
    let mut texts = Texts::new();
    let mut unreadable = Vec::new();
    for (path, text) in tree.cards.into_iter().zip(read) {
        match text {
            Ok(text) => drop(texts.insert(path, text)),
            Err(why) => {
                let bytes = sys::inside::read(&root.join(&path), LARGEST);
                let bytes = bytes.with_context(|| format!("the card `{path}` may hold links"))?;
                unreadable.push((path, String::from_utf8_lossy(&bytes).into_owned(), why));
            }
        }
    }
    Ok(Cards {
        texts,
        links,
        unreadable,
    })
}

/// That no card that can't be rewritten may hold a link to one that changes.
fn check_unreadable(cards: &Cards, changes: &[Change]) -> Result<()> {
    for (path, text, why) in &cards.unreadable {
        let text = text.to_lowercase();
        for change in changes {
            let (Change::Rename { old, .. }
            | Change::Merge { old, .. }
            | Change::Extract { old, .. }) = change;
            let stem = stem(old.as_str()).to_lowercase();
            let encoded = percent_encoded(&stem, |_, c| {
                c.is_ascii_alphanumeric() || "-._~".contains(c)
            });
            ensure!(
                !text.contains(&stem) && !text.contains(&encoded.to_lowercase()),
                "the card `{path}` can't be read, and it may hold links to `{stem}`: {why}"
            );
        }
    }
    Ok(())
}

/// What the command line asks for.
fn changes(args: &Args, root: &Utf8Path, texts: &Texts) -> Result<Vec<Change>> {
    let mut cards: Vec<&Utf8PathBuf> = texts.keys().collect();
    cards.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let vault = Vault::new(cards.into_iter().map(|path| (path.clone(), ())));
    let here =
        Utf8PathBuf::from_path_buf(std::env::current_dir().context("finding the current folder")?);
    let here = here.unwrap_or_else(|_| root.to_owned());
    let names = Names {
        vault: &vault,
        root,
        here,
    };
    if let Some(section) = &args.extract {
        let Some((old, heading)) = section.split_once('#') else {
            bail!("`--extract {section}` names no heading: write `CARD#Heading`");
        };
        let [new] = &args.cards[..] else {
            bail!("`--extract` wants one name for the new card");
        };
        let old = names.card(old)?;
        let new = names.new_path(new, &old)?;
        let heading = heading.to_owned();
        return Ok(vec![Change::Extract { old, heading, new }]);
    }
    let Some((new, olds)) = args.cards.split_last().filter(|(_, olds)| !olds.is_empty()) else {
        bail!("name the card and its new name, path or folder");
    };
    let olds: Vec<Utf8PathBuf> = olds
        .iter()
        .map(|old| names.card(old))
        .collect::<Result<_>>()?;
    let into = names.known(new)?;
    let change = |old: &Utf8PathBuf| -> Result<Change> {
        let old = old.clone();
        match &into {
            Some(into) if *into != old => Ok(Change::Merge {
                old,
                into: into.clone(),
            }),
            _ => Ok(Change::Rename {
                new: names.new_path(new, &old)?,
                old,
            }),
        }
    };
    let changes: Vec<Change> = olds.iter().map(change).collect::<Result<_>>()?;
    let is_folder = |change: &Change| matches!(change, Change::Rename { old, new } if old.file_name() == new.file_name());
    ensure!(
        into.is_some() || changes.len() == 1 || changes.iter().all(is_folder),
        "`{new}` is neither a card that could take in several nor a folder: write it first, or name a folder \
         with a `/` at its end"
    );
    Ok(changes)
}

/// Sets `modified` in all cards that changed.
fn touch(before: &Texts, after: &mut Texts) {
    let today = Date::of(SystemTime::now()).to_string();
    for (path, text) in after.iter_mut() {
        if before.get(path) == Some(text) {
            continue;
        }
        let edit = card::read(text)
            .front
            .and_then(|front| edits::value(text, &front, "modified", &today));
        if let Some((place, words)) = edit {
            text.replace_range(place, &words);
        }
    }
}

/// What was done, in a line.
fn described(change: &Change, folder: &Utf8Path) -> String {
    let shown = |path: &Utf8Path| folder.join(path);
    match change {
        Change::Rename { old, new } => format!("{} -> {}", shown(old), shown(new)),
        Change::Merge { old, into } => format!("{} is a section of {}", shown(old), shown(into)),
        Change::Extract { old, heading, new } => {
            format!("`{heading}` of {} -> {}", shown(old), shown(new))
        }
    }
}

/// The files that change, in order of their paths.
fn rows(changes: &[Change], folder: &Utf8Path, before: &Texts, after: &Texts) -> Vec<Row> {
    let mut rows: BTreeMap<&Utf8Path, Row> = BTreeMap::new();
    let row = |path: &Utf8Path, from: Option<&Utf8Path>, action| Row {
        path: folder.join(path),
        from: from.map(|from| folder.join(from)),
        action,
    };
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        rows.insert(path, row(path, None, "removed"));
    }
    for (path, _) in after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text))
    {
        let action = if before.contains_key(path) {
            "changed"
        } else {
            "created"
        };
        rows.insert(path, row(path, None, action));
    }
    for change in changes {
        if let Change::Rename { old, new } = change {
            rows.remove(old.as_path());
            rows.insert(new, row(new, Some(old), "moved"));
        }
    }
    rows.into_values().collect()
}

/// Gives cards their new names in git's index where git would go on with the old ones: on file systems that
/// ignore case it takes a name in another case for the same.
fn tell_git(root: &Utf8Path, before: &Texts, after: &Texts) -> Result<()> {
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let new: BTreeMap<String, &Utf8Path> = new
        .map(|path| (folded(path.as_str()).into_owned(), path.as_path()))
        .collect();
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let renamed: Vec<_> = gone
        .filter_map(|old| Some((old, *new.get(&*folded(old.as_str()))?)))
        .collect();
    if renamed.is_empty() {
        return Ok(());
    }
    let processes = Processes::new(false)?;
    let source = Source::new(&processes, root, root.to_owned());
    let git = source.git();
    let says = |arguments: &[&str]| {
        let captured = git.capture(arguments).ok()?;
        let is_good = captured.status.success();
        is_good.then(|| captured.stdout.trim().to_owned())
    };
    let ignores_case = ["config", "--type=bool", "--get", "core.ignoreCase"];
    if says(&ignores_case).as_deref() != Some("true") {
        return Ok(());
    }
    for (old, new) in renamed {
        let [old, new] = [old, new].map(|path| source.below_git().join(path));
        // One that git does not know has no old name there.
        if says(&["ls-files", "--error-unmatch", "--", old.as_str()]).is_some()
            && says(&["mv", "--force", "--", old.as_str(), new.as_str()]).is_none()
        {
            say(format!(
                "git goes on with the name `{old}`: `git mv -f {old} {new}` changes it"
            ));
        }
    }
    Ok(())
}

/// Lists where a path that is gone is still mentioned: these are not links, and not rewritten.
fn list_places(root: &Utf8Path, path: &Utf8Path) -> Result<()> {
    let processes = Processes::new(false)?;
    let source = Source::new(&processes, root, root.to_owned());
    let git = source.git();
    let arguments = ["grep", "-nI", "--full-name", "-F", "-e", path.as_str()];
    // Without git, or outside of a repository, nothing is known.
    let Ok(captured) = git.capture(&arguments) else {
        return Ok(());
    };
    let places: Vec<&str> = captured.stdout.lines().collect();
    if !captured.status.success() || places.is_empty() {
        return Ok(());
    }
    say(format!("`{path}` is still mentioned, outside of links:"));
    for place in places.iter().take(MOST_PLACES) {
        let mut parts = place.splitn(3, ':');
        let (file, line) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        say(format!("  {file}:{line}"));
    }
    if places.len() > MOST_PLACES {
        say(format!("  and {} more", places.len() - MOST_PLACES));
    }
    Ok(())
}

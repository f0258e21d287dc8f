//! `cargo xtask docs-move`: cards renamed, moved, merged and split, with every link mended.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use vault::date::Date;
use vault::moves::{self, Change, Links, Texts};
use vault::{Target, Tree, Vault, card, check, edits};
use xshell::{Shell, cmd};

use crate::commands::docs_check;
use crate::repo::Repo;
use sys::files;
use sys::process::Processes;
use sys::scratch::Scratch;
use sys::terminal;

/// The folder in the vault in which new texts are laid out before any card is touched.
const WORK: &str = ".docs-move";
/// What is to be done with them, in that folder: once it is there, the move will be completed.
const JOURNAL: &str = "journal";
/// How many places are listed that still name an old path.
const MOST_PLACES: usize = 10;

/// Rename, move, merge or split cards of docs/, and mend every link to them
///
/// A card is named by its stem or by its path. Where NEW is a card, OLD becomes a section at its end, and
/// links to OLD and its headings lead there; where NEW is a folder, OLD moves into it; else OLD gets that
/// name or path. Links are mended in all forms, prerequisites as well; all other bytes stay. A link that
/// would lead elsewhere than before is an error. All cards are written, or none: what is interrupted is
/// completed by the next run.
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
    /// The cards, then the new name, path or folder, or the card that takes them in
    #[arg(value_name = "OLD... NEW", required_unless_present = "finish")]
    cards: Vec<String>,
    /// Make a section of a card a card of its own: NEW is its name or path
    #[arg(long, value_name = "OLD#HEADING")]
    extract: Option<String>,
    /// Put its line into the landing page of its folder, too, and change the tag of its category
    #[arg(long)]
    relist: bool,
    /// Set `modified` to today in each card that changes
    #[arg(long)]
    touch: bool,
    /// Show the changes as a diff, and make none
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON line for each file that changes: path, from, action
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
    /// The folder of the cards [default: docs]
    #[arg(long, value_name = "DIR")]
    vault: Option<Utf8PathBuf>,
    /// Only complete a move that was interrupted
    #[arg(long, conflicts_with_all = ["cards", "extract", "relist", "touch", "dry_run"])]
    finish: bool,
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

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let root = docs_check::vault_root(&repo, args.vault.as_deref())?;
    let work = Work::open(&root)?;
    if work.finish()? {
        terminal::say("an interrupted move was completed");
    }
    if args.finish {
        return Ok(ExitCode::SUCCESS);
    }
    let (before, symbolic) = read(&root)?;
    let mut after = before.clone();
    let changes = changes(args, &root, &before)?;
    let categories = docs_check::rules(&root)?.categories;
    let mut links = Links::default();
    for change in &changes {
        let done = moves::apply(&mut after, change)?;
        links.mended += done.mended;
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
        let stem = vault::stem(link.as_str());
        let new = after.keys().find(|path| vault::stem(path.as_str()) == stem);
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
    if args.dry_run {
        return show(&repo, &root, &before, &after);
    }
    work.replace(&before, &after)?;
    let folder = repo.shown(&root);
    if args.json {
        rows(&changes, folder, &before, &after)
            .iter()
            .try_for_each(terminal::emit_json)?;
    }
    for change in &changes {
        terminal::say(told(change, folder));
    }
    let cards = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text));
    terminal::say(format!(
        "{} links mended, {} cards written",
        links.mended,
        cards.count()
    ));
    if links.found > 0 {
        terminal::say(format!(
            "{} links that led nowhere lead to a card now",
            links.found
        ));
    }
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    for path in gone {
        tell_places(&root, path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The texts of all cards; all have to be readable, for each may hold a link. Of a card that is a symbolic
/// link to another one there is one text, at that one's place: such links come beside, each with that place.
fn read(root: &Utf8Path) -> Result<(Texts, Vec<(Utf8PathBuf, Utf8PathBuf)>)> {
    let mut tree = Tree::walk(root)?;
    let mut links = Vec::new();
    tree.cards.retain(|path| {
        let place = root.join(path);
        let real = place.is_symlink().then(|| place.canonicalize_utf8().ok());
        let real = real.flatten();
        let below = real.as_ref().and_then(|real| real.strip_prefix(root).ok());
        links.extend(below.map(|below| (path.clone(), below.to_owned())));
        below.is_none()
    });
    let read = vault::in_parallel(&tree.cards, &|_, path| vault::read_text(&root.join(path)));
    let card = |(path, text): (Utf8PathBuf, Result<String, String>)| match text {
        Ok(text) => Ok((path, text)),
        Err(error) => bail!("the card `{path}` can't be read, and it may hold links: {error}"),
    };
    let texts = tree.cards.into_iter().zip(read).map(card);
    Ok((texts.collect::<Result<_>>()?, links))
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

/// How people name cards.
struct Names<'a> {
    vault: &'a Vault<()>,
    root: &'a Utf8Path,
    here: Utf8PathBuf,
}

impl Names<'_> {
    /// A path from the current folder or, if that does not lie in the vault, from the vault's root.
    fn below_root(&self, path: &str) -> Result<Utf8PathBuf> {
        let from_here = normal(&self.here.join(path));
        if let Ok(below) = from_here.strip_prefix(self.root) {
            return Ok(below.to_owned());
        }
        match vault::joined(Utf8Path::new("card"), path) {
            Some(below) if !path.starts_with('/') => Ok(below),
            _ => bail!("`{path}` does not lie in the vault `{}`", self.root),
        }
    }

    /// The card with this stem or path, if there is one.
    fn known(&self, name: &str) -> Result<Option<Utf8PathBuf>> {
        if name.ends_with('/') {
            return Ok(None);
        }
        let path = |card: usize| self.vault.cards[card].path.clone();
        let below = self.below_root(name)?;
        let by_path = [
            below.to_string(),
            format!("{below}.md"),
            name.to_owned(),
            format!("{name}.md"),
        ];
        if let Some(card) = by_path.iter().find_map(|path| self.vault.at(path)) {
            return Ok(Some(path(card)));
        }
        if name.contains('/') {
            return Ok(None);
        }
        match self.vault.resolve(vault::stem(name)) {
            Target::Card(card) => Ok(Some(path(card))),
            Target::Ambiguous(cards) => {
                let paths: Vec<String> = cards
                    .into_iter()
                    .map(|card| format!("`{}`", path(card)))
                    .collect();
                bail!(
                    "`{name}` can be {}: name it by its path",
                    paths.join(" or ")
                )
            }
            Target::Case(_) | Target::Unknown => Ok(None),
        }
    }

    /// The card with this stem or path.
    fn card(&self, name: &str) -> Result<Utf8PathBuf> {
        if let Some(path) = self.known(name)? {
            return Ok(path);
        }
        let stems = self.vault.cards.iter().map(vault::Card::stem);
        match check::nearest(vault::stem(name), stems) {
            Some(near) => bail!("there is no card `{name}`: did you mean `{near}`?"),
            None => bail!("there is no card `{name}` in `{}`", self.root),
        }
    }

    /// The path of a card that is to be made out of `old`.
    fn new_path(&self, name: &str, old: &Utf8Path) -> Result<Utf8PathBuf> {
        let below = self.below_root(name)?;
        let is_folder = name.ends_with('/') || self.root.join(&below).is_dir();
        let path = if is_folder {
            below.join(old.file_name().unwrap_or_default())
        } else if name.contains('/') {
            below
        } else {
            old.with_file_name(name)
        };
        let path = match path.as_str().strip_suffix(".md") {
            Some(_) => path,
            None => format!("{path}.md").into(),
        };
        let is_hidden = path.components().any(|part| part.as_str().starts_with('.'));
        let has_mark = path
            .as_str()
            .contains(['#', '|', '^', '[', ']', '\\', '\n']);
        ensure!(
            !is_hidden && !has_mark,
            "no link could name a card `{path}`: use letters, digits and `-`"
        );
        Ok(path)
    }
}

/// A path without `.` and `..`; links are left alone.
fn normal(path: &Utf8Path) -> Utf8PathBuf {
    let mut normal = Utf8PathBuf::new();
    for part in path.components() {
        match part.as_str() {
            "." => {}
            ".." => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
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

/// Shows what would change, as git shows it.
fn show(repo: &Repo, root: &Utf8Path, before: &Texts, after: &Texts) -> Result<ExitCode> {
    let scratch = Scratch::new()?;
    let folder = repo.shown(root);
    let folder = if folder.is_absolute() {
        Utf8Path::new("")
    } else {
        folder
    };
    let processes = Processes::new(false)?;
    let shell = Shell::new().context("finding the current folder")?;
    let repository = scratch.path();
    let git = |arguments: &[&str]| -> Result<String> {
        // A hook of git's has the caller's repository in its environment.
        let command = cmd!(shell, "git -C {repository} {arguments...}")
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE");
        let captured = processes.capture(command)?;
        ensure!(
            captured.status.success(),
            "git says: {}",
            captured.stderr.trim()
        );
        Ok(captured.stdout)
    };
    git(&["init", "--quiet"])?;
    let mut trees: Vec<String> = Vec::new();
    for (texts, others) in [(before, after), (after, before)] {
        for path in before.keys() {
            let _ = fs_err::remove_file(repository.join(folder).join(path));
        }
        for (path, text) in texts {
            if others.get(path) != Some(text) {
                let file = repository.join(folder).join(path);
                fs_err::create_dir_all(file.parent().unwrap_or(root))?;
                files::write_atomically(&file, text.as_bytes(), 0o644)?;
            }
        }
        git(&["add", "--all", "--force"])?;
        trees.push(git(&["write-tree"])?);
    }
    let colour = if terminal::stdout_takes_escapes() {
        "--color=always"
    } else {
        "--color=never"
    };
    // Whatever the user's own settings are.
    let plain = [
        "core.quotePath=off",
        "core.autocrlf=false",
        "diff.noprefix=false",
        "diff.mnemonicPrefix=false",
    ];
    let mut arguments: Vec<&str> = plain.iter().flat_map(|setting| ["-c", *setting]).collect();
    arguments.extend(["diff", "--no-ext-diff", "--find-renames", colour]);
    arguments.extend(trees.iter().map(|tree| tree.trim()));
    let diff = git(&arguments)?;
    if !diff.is_empty() {
        terminal::emit(diff.trim_end_matches('\n'))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was done, in a line.
fn told(change: &Change, folder: &Utf8Path) -> String {
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

/// Says where a path that is gone is still named: that is no link, and not mended.
fn tell_places(root: &Utf8Path, path: &Utf8Path) -> Result<()> {
    let processes = Processes::new(false)?;
    let shell = Shell::new().context("finding the current folder")?;
    let words = path.as_str();
    let command = cmd!(
        shell,
        "git -C {root} -c core.quotePath=off grep -nI --full-name -F -e {words} -- :/"
    );
    // Without git, or outside of a repository, nothing is known.
    let Ok(captured) = processes.capture(command) else {
        return Ok(());
    };
    let places: Vec<&str> = captured.stdout.lines().collect();
    if !captured.status.success() || places.is_empty() {
        return Ok(());
    }
    terminal::say(format!(
        "`{path}` is still named, which is no link of a card:"
    ));
    for place in places.iter().take(MOST_PLACES) {
        let mut parts = place.splitn(3, ':');
        let (file, line) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        terminal::say(format!("  {file}:{line}"));
    }
    if places.len() > MOST_PLACES {
        terminal::say(format!("  and {} more", places.len() - MOST_PLACES));
    }
    Ok(())
}

/// The work folder of a vault, held by one run at a time.
pub struct Work {
    root: Utf8PathBuf,
    folder: Utf8PathBuf,
    _lock: fs_err::File,
}

/// A step to be done; paths are those of the vault.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// The file in the work folder becomes the card.
    Write { file: String, card: Utf8PathBuf },
    /// The card goes.
    Remove { card: Utf8PathBuf },
}

/// Whether a move in this vault was interrupted and is not completed.
pub fn is_interrupted(root: &Utf8Path) -> bool {
    root.join(WORK).join(JOURNAL).exists()
}

impl Work {
    fn open(root: &Utf8Path) -> Result<Self> {
        let folder = root.join(WORK);
        fs_err::create_dir_all(&folder)?;
        let lock = fs_err::File::create(folder.join("lock"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another docs-move works in `{root}`: wait until it is done");
        }
        Ok(Self {
            root: root.to_owned(),
            folder,
            _lock: lock,
        })
    }

    /// Makes the cards those of `after`: all of them, or none.
    fn replace(&self, before: &Texts, after: &Texts) -> Result<()> {
        let mut steps = Vec::new();
        for (path, text) in after {
            if before.get(path) == Some(text) {
                continue;
            }
            let place = self.root.join(path);
            ensure!(
                before.contains_key(path) || !place.exists() || self.is_card(before, &place),
                "`{place}` is there already"
            );
            let file = steps.len().to_string();
            let mode = self.mode(before, path);
            files::write_atomically(&self.folder.join(&file), text.as_bytes(), mode)?;
            steps.push(Step::Write {
                file,
                card: path.clone(),
            });
        }
        let gone = before.keys().filter(|path| !after.contains_key(*path));
        steps.extend(gone.map(|path| Step::Remove { card: path.clone() }));
        for (path, text) in before
            .iter()
            .filter(|(path, text)| after.get(*path) != Some(text))
        {
            let now = vault::read_text(&self.root.join(path));
            ensure!(
                now.as_ref() == Ok(text),
                "`{path}` was changed while the links were mended: nothing was written, run it again"
            );
        }
        let journal = serde_json::to_vec(&steps).context("writing the journal")?;
        files::write_atomically(&self.folder.join(JOURNAL), &journal, 0o644)?;
        self.finish()?;
        Ok(())
    }

    /// Whether a file is a card under another name: on some file systems case makes no difference.
    fn is_card(&self, before: &Texts, place: &Utf8Path) -> bool {
        let inode = |path: &Utf8Path| {
            fs_err::metadata(path)
                .map(|data| (data.dev(), data.ino()))
                .ok()
        };
        let wanted = inode(place);
        before
            .keys()
            .any(|path| inode(&self.root.join(path)) == wanted)
    }

    /// The permission bits of a card that is written: its own, or those of the card next to it.
    fn mode(&self, before: &Texts, path: &Utf8Path) -> u32 {
        let mode = |path: &Utf8Path| {
            fs_err::metadata(self.root.join(path))
                .map(|data| data.mode() & 0o7777)
                .ok()
        };
        let others = before.keys().filter_map(|path| mode(path));
        mode(path).or_else(|| others.min()).unwrap_or(0o644)
    }

    /// Completes what the journal says, if there is one.
    fn finish(&self) -> Result<bool> {
        let journal = self.folder.join(JOURNAL);
        if !journal.exists() {
            return Ok(false);
        }
        let steps: Vec<Step> = serde_json::from_slice(&fs_err::read(&journal)?)
            .with_context(|| format!("reading the journal `{journal}`"))?;
        let mut written = Vec::new();
        for step in &steps {
            match step {
                Step::Write { file, card } => {
                    let place = self.root.join(card);
                    fs_err::create_dir_all(place.parent().unwrap_or(&self.root))?;
                    let file = self.folder.join(file);
                    // It may have been done before the interruption.
                    if file.exists() {
                        fs_err::rename(&file, &place)?;
                    }
                    let data = fs_err::metadata(&place)?;
                    written.push((data.dev(), data.ino()));
                }
                Step::Remove { card } => {
                    let place = self.root.join(card);
                    let is_new =
                        |data: &std::fs::Metadata| written.contains(&(data.dev(), data.ino()));
                    match fs_err::symlink_metadata(&place) {
                        Ok(data) if !is_new(&data) => fs_err::remove_file(&place)?,
                        _ => {}
                    }
                    // A folder without cards is of no use, and git knows none.
                    let folders = place.ancestors().skip(1);
                    for folder in folders.take_while(|folder| *folder != self.root) {
                        let _ = fs_err::remove_dir(folder);
                    }
                }
            }
        }
        fs_err::remove_file(&journal)?;
        Ok(true)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // With a journal in it the next run completes the move.
        if !self.folder.join(JOURNAL).exists() {
            let _ = fs_err::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_people_name_cards() {
        let vault =
            Vault::new(["a/one.md", "a/two.md", "b/two.md", "c.md"].map(|path| (path.into(), ())));
        let root = Utf8Path::new("/nowhere/docs");
        let from = |here: &str| Names {
            vault: &vault,
            root,
            here: here.into(),
        };
        let outside = from("/nowhere");
        for name in [
            "one",
            "one.md",
            "a/one",
            "a/one.md",
            "docs/a/one.md",
            "./docs/a/../a/one",
        ] {
            assert_eq!(outside.card(name).unwrap(), "a/one.md", "{name}");
        }
        assert_eq!(
            from("/nowhere/docs/b").card("../a/one").unwrap(),
            "a/one.md"
        );
        assert_eq!(from("/nowhere/docs/b").card("two").unwrap(), "b/two.md");
        for (name, why) in [
            ("two", "`a/two.md` or `b/two.md`"),
            ("on", "did you mean `one`"),
            ("/x", "does not lie"),
        ] {
            let error = outside.card(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for (name, path) in [
            ("new", "a/new.md"),
            ("b/", "b/one.md"),
            ("docs/b/new.md", "b/new.md"),
            ("x/y/new", "x/y/new.md"),
            ("./docs/new", "new.md"),
        ] {
            assert_eq!(
                outside.new_path(name, Utf8Path::new("a/one.md")).unwrap(),
                path,
                "{name}"
            );
        }
        assert!(outside.new_path(".new", Utf8Path::new("c.md")).is_err());
        assert!(outside.new_path("a#b", Utf8Path::new("c.md")).is_err());
    }
}

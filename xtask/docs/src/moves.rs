//! `docs-move`: renames, moves, merges and splits cards, and rewrites every link to them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use sys::process::Processes;
use sys::terminal;
use vault::date::Date;
use vault::moves::{self, Among, Change, Concern, Links, Moved, Retarget, Texts, is_document};
use vault::parallel::{FILES, in_parallel};
use vault::resolve::{Vault, stem};
use vault::rules::settings::Rules;
use vault::slug::percent_encoded;
use vault::tree::{LARGEST, Tree, as_typed, read_text};
use vault::unicode::folded;
use vault::{card, edits};

use crate::alone::NamesVault;
use crate::config::Config;
use crate::diff;
use crate::names::{Named, Names};
use crate::say::{plain, say};
use crate::source::{Source, shown, vault_root};
use crate::spelling::Spelling;
use crate::transaction::{End, Work, check_complete};

/// How many mentions of an old path, or links that lead elsewhere, are listed.
const MOST_PLACES: usize = 10;

/// Rename, move, merge or split cards, other files and folders of docs/, and update every link to them
///
/// A card is named by its stem or by its path, an image or another file by its name or path, a folder by its path,
/// with a `/` at its end where a card has that name. If NEW is a card, OLD becomes a section at its end, and
/// links to OLD and its headings lead there; if NEW is a folder, OLD moves into it; otherwise OLD gets
/// that name or path. Links of all forms are updated, prerequisites as well, also in canvases and tables of Obsidian;
/// all other bytes stay. A link that would lead elsewhere than before is an error. Either all files are written or none.
/// A run that was killed leaves a journal outside of the vault: `--finish` completes the move, `--abort` undoes it.
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
    /// The cards, files or folders, then the new name, path or folder, or the card to merge them into
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
    let tree = Tree::walk(&root)?;
    if let Some((path, why)) = tree.faults.first() {
        bail!("`{path}` may hold links: {why}");
    }
    let files: Vec<String> = tree.other_paths().map(str::to_owned).collect();
    let changes = changes(args, &root, &tree, &files)?;
    let rules = Config::of_vault(&root)?.rules;
    let cards = read(&root, tree, &files, &changes, args.relist.then_some(&rules))?;
    check_unreadable(&cards, &changes)?;
    let spelling = Spelling::below(&root);
    let exists = |path: &Utf8Path| spelling.exists(&root.join(path));
    let among = Among {
        cards: &cards.others,
        files: &files,
        exists: &exists,
        resolve: rules.resolve,
    };
    let (before, symbolic) = (cards.texts, cards.links);
    let mut after = before.clone();
    let links = changed(args, &mut after, &changes, &among, &rules)?;
    if args.touch {
        touch(&before, &mut after);
    }
    check_symbolic(&root, &symbolic, &before, &after, &cards.others)?;
    let moved = all_moved(&changes);
    let folder = shown(repository, &root);
    let Some(work) = work else {
        let renamed = moved.files.iter();
        let renamed = renamed.filter(|(old, _)| !before.contains_key(*old));
        let renamed: Vec<_> = renamed
            .map(|(old, new)| (old.clone(), new.clone()))
            .collect();
        diff::show(&root, folder, (&before, &after), &renamed)?;
        say_retargets(&links.retargets, folder);
        return Ok(ExitCode::SUCCESS);
    };
    work.replace(&before, &after, &moved)?;
    for (old, new) in &moved.folders {
        // Where case makes no difference it may be the same folder.
        if folded(old.as_str()) != folded(new.as_str()) {
            remove_empty(&root.join(old));
        }
    }
    tell_git(&root, &before, &after, &moved.files)?;
    if args.json {
        rows(&moved, folder, &before, &after)
            .iter()
            .try_for_each(terminal::emit_json)?;
    }
    for change in &changes {
        described(change, folder).into_iter().for_each(say);
    }
    let written = after
        .iter()
        .filter(|(path, text)| before.get(*path) != Some(text));
    say(format!(
        "{} rewritten, {} written",
        counted(links.rewritten, "link"),
        counted(written.count(), "card")
    ));
    say_retargets(&links.retargets, folder);
    list_places(&root, &gone(&changes))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the changes.
fn changed(
    args: &Args,
    after: &mut Texts,
    changes: &[Change],
    among: &Among<'_>,
    rules: &Rules,
) -> Result<Links> {
    let categories = &rules.categories;
    let mut links = Links::default();
    for change in changes {
        let mut add = |done: Links| {
            links.rewritten += done.rewritten;
            links.retargets.extend(done.retargets);
        };
        add(moves::apply_among(after, change, among)?);
        let moved = all_moved(std::slice::from_ref(change));
        let in_place = match change {
            Change::Extract { old, new, .. } => Some((old, new)),
            _ => None,
        };
        for (old, new) in moved.files.iter().chain(in_place) {
            if !after.contains_key(new) || is_document(new) {
                continue;
            }
            if args.relist || in_place.is_some() {
                moves::retag(after, old, new, categories)?;
            }
            if args.relist {
                add(moves::relist(after, old, new, categories, among)?);
            }
        }
    }
    Ok(links)
}

/// That no symbolic link would lead to nothing or have the name of another card, and none is written through.
fn check_symbolic(
    root: &Utf8Path,
    symbolic: &[(Utf8PathBuf, Utf8PathBuf)],
    before: &Texts,
    after: &Texts,
    others: &[Utf8PathBuf],
) -> Result<()> {
    for (link, to) in symbolic {
        ensure!(
            after.contains_key(to) || others.contains(to),
            "`{link}` is a symbolic link to `{to}`, which would not be there any more: remove the link first"
        );
        let taken = stem(link.as_str());
        let new = after.keys().find(|path| stem(path.as_str()) == taken);
        if let Some(new) = new.filter(|path| !before.contains_key(*path)) {
            bail!("`{new}` would have the stem of the symbolic link `{link}`: choose another");
        }
    }
    for (path, text) in before {
        ensure!(
            after.get(path) == Some(text) || !root.join(path).is_symlink(),
            "`{path}` is a symbolic link out of the vault, and would have to change: put a file in its place first"
        );
    }
    Ok(())
}

/// All files and folders that get other paths.
fn all_moved(changes: &[Change]) -> Moved {
    let mut all = Moved::default();
    for change in changes {
        match change {
            Change::Rename { old, new } => drop(all.files.insert(old.clone(), new.clone())),
            Change::Move(moved) => {
                all.files.extend(moved.files.clone());
                all.folders.extend(moved.folders.clone());
            }
            Change::Merge { .. } | Change::Extract { .. } => {}
        }
    }
    all
}

/// The paths that are not there any more, of folders the folder alone.
fn gone(changes: &[Change]) -> Vec<Utf8PathBuf> {
    let of = |change: &Change| match change {
        Change::Rename { old, .. } | Change::Merge { old, .. } => vec![old.clone()],
        Change::Extract { .. } => Vec::new(),
        Change::Move(moved) => {
            let folders = moved.folders.iter().map(|(old, _)| old.clone());
            let alone = moved.files.keys().filter(|path| {
                let mut folders = moved.folders.iter();
                !folders.any(|(folder, _)| path.starts_with(folder))
            });
            folders.chain(alone.cloned()).collect()
        }
    };
    changes.iter().flat_map(of).collect()
}

fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// Says which links lead elsewhere: those that led nowhere, and those that one of the programs follows by other rules.
fn say_retargets(retargets: &[Retarget], folder: &Utf8Path) {
    if retargets.is_empty() {
        return;
    }
    let (found, others): (Vec<_>, Vec<_>) = retargets
        .iter()
        .partition(|retarget| retarget.from.is_none());
    let heads = [
        (found, "led nowhere before and leads to a card now"),
        (others, "leads elsewhere now in one of Obsidian and Quartz"),
    ];
    for (links, what) in heads {
        if links.is_empty() {
            continue;
        }
        say(match links.len() {
            1 => format!("1 link {what}:"),
            many => format!("{many} links {}:", what.replace("leads", "lead")),
        });
        for link in links.iter().take(MOST_PLACES) {
            let place = |path: &Option<Utf8PathBuf>| match path {
                Some(path) => format!("`{path}`"),
                None => "nothing".to_owned(),
            };
            let from = link
                .from
                .as_ref()
                .map(|_| format!(", not to {}", place(&link.from)));
            say(format!(
                "  {}:{}: `{}` leads to {}{}",
                folder.join(&link.path),
                link.line,
                link.target,
                place(&link.to),
                from.unwrap_or_default()
            ));
        }
        if links.len() > MOST_PLACES {
            say(format!("  and {} more", links.len() - MOST_PLACES));
        }
    }
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
    diff::show(
        root,
        shown(repository, root),
        (&now, &then),
        &record.files(end),
    )?;
    if !args.dry_run {
        let files = record.files(end).into_iter().collect();
        work.end(&record, end)?;
        tell_git(root, &now, &then, &files)?;
        say(match end {
            End::Finish => "an interrupted move was completed",
            End::Abort => "an interrupted move was undone",
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// The cards of a vault, and other files with links.
struct Cards {
    /// Those that changes can concern.
    texts: Texts,
    /// The paths of the other cards.
    others: Vec<Utf8PathBuf>,
    /// Cards that are links to other ones, each with that one's place.
    links: Vec<(Utf8PathBuf, Utf8PathBuf)>,
    /// Cards that are not UTF-8: what they hold as well as it can be read, and why it can't.
    unreadable: Vec<(Utf8PathBuf, String, String)>,
}

/// The texts of all cards that these changes can concern. Of a card that is a symbolic link to another one there is one
/// text, at that one's place.
fn read(
    root: &Utf8Path,
    mut tree: Tree,
    files: &[String],
    changes: &[Change],
    relist: Option<&Rules>,
) -> Result<Cards> {
    let mut links = Vec::new();
    tree.cards.retain(|path| {
        let place = root.join(path);
        let real = place.is_symlink().then(|| place.canonicalize_utf8().ok());
        let real = real.flatten();
        let below = real.as_ref().and_then(|real| real.strip_prefix(root).ok());
        links.extend(below.map(|below| (path.clone(), below.to_owned())));
        below.is_none()
    });
    let documents = files.iter().map(Utf8PathBuf::from);
    tree.cards
        .extend(documents.filter(|path| is_document(path)));
    let mut concern = Concern::of(changes);
    // A card's line may go to a page that has no link to it yet.
    let pages = relist.map_or(&[][..], |rules| &rules.categories);
    let is_page = |path: &Utf8Path| {
        let mut pages = pages.iter();
        pages.any(|page| path.as_str().strip_suffix(".md") == Some(&format!("{page}/{page}")))
    };
    let mut cards = Cards {
        texts: Texts::new(),
        others: Vec::new(),
        links,
        unreadable: Vec::new(),
    };
    let mut left = tree.cards;
    loop {
        let read = in_parallel(&left, FILES, &|_, path| {
            let text = read_text(&root.join(path));
            text.map(|text| (concern.is_in(path, &text) || is_page(path)).then_some(text))
        });
        for (path, text) in left.into_iter().zip(read) {
            match text {
                Ok(Some(text)) => drop(cards.texts.insert(path, text)),
                Ok(None) => cards.others.push(path),
                Err(why) => {
                    let bytes = sys::inside::read(&root.join(&path), LARGEST);
                    let bytes =
                        bytes.with_context(|| format!("the card `{path}` may hold links"))?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    cards.unreadable.push((path, text, why));
                }
            }
        }
        let texts = cards.texts.iter();
        if !concern.add_headings(texts.map(|(path, text)| (path.as_path(), text.as_str()))) {
            return Ok(cards);
        }
        left = std::mem::take(&mut cards.others);
    }
}

/// That no card that can't be rewritten moves, or may hold a link to what does.
fn check_unreadable(cards: &Cards, changes: &[Change]) -> Result<()> {
    let moved = all_moved(changes);
    let in_place = changes.iter().filter_map(|change| match change {
        Change::Merge { old, .. } | Change::Extract { old, .. } => Some(old),
        _ => None,
    });
    let olds: Vec<&Utf8PathBuf> = moved.files.keys().chain(in_place).collect();
    for (path, text, why) in &cards.unreadable {
        ensure!(
            !olds.contains(&path),
            "the card `{path}` can't be read: {why}"
        );
        let text = text.to_lowercase();
        for old in &olds {
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
fn changes(args: &Args, root: &Utf8Path, tree: &Tree, files: &[String]) -> Result<Vec<Change>> {
    let vault = Vault::new(tree.cards.iter().map(|path| (path.clone(), ())));
    let here =
        Utf8PathBuf::from_path_buf(std::env::current_dir().context("finding the current folder")?);
    let here = here.unwrap_or_else(|_| root.to_owned());
    let names = Names {
        vault: &vault,
        files,
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
    let olds: Vec<Named> = olds
        .iter()
        .map(|old| names.named(old))
        .collect::<Result<_>>()?;
    let has_card = olds.iter().any(|old| matches!(old, Named::Card(_)));
    if let Some(into) = names.known(new)?.filter(|_| has_card) {
        let merge = |old: &Named| match old {
            Named::Card(old) if *old != into => Some(Ok(Change::Merge {
                old: old.clone(),
                into: into.clone(),
            })),
            // The same card in another case, or by its own path.
            Named::Card(_) => None,
            Named::File(path) | Named::Folder(path) => Some(Err(anyhow!(
                "`{path}` is no card, and only cards can become a section of `{into}`"
            ))),
        };
        let merges: Vec<Change> = olds.iter().filter_map(merge).collect::<Result<_>>()?;
        if !merges.is_empty() {
            return Ok(merges);
        }
    }
    if let [Named::Card(old)] = &olds[..] {
        return Ok(vec![Change::Rename {
            new: names.new_path(new, old)?,
            old: old.clone(),
        }]);
    }
    let mut moved = Moved::default();
    for old in &olds {
        match old {
            Named::Card(old) => drop(moved.files.insert(old.clone(), names.new_path(new, old)?)),
            Named::File(old) => {
                let new = names.new_place(new, old, true)?;
                let is_other = folded(new.as_str()) != folded(old.as_str());
                let is_taken = is_other && root.join(&new).symlink_metadata().is_ok();
                ensure!(!is_taken, "`{new}` is there already");
                moved.files.insert(old.clone(), new);
            }
            Named::Folder(old) => {
                let new = names.new_place(new, old, false)?;
                folder(root, old, &new, &mut moved)?;
            }
        }
    }
    let is_folder = |(old, new): (&Utf8PathBuf, &Utf8PathBuf)| old.file_name() == new.file_name();
    ensure!(
        olds.len() == 1
            || moved.files.iter().all(is_folder)
                && !moved
                    .folders
                    .iter()
                    .any(|(_, path)| *path == names.folder(new).unwrap_or_default()),
        "`{new}` is neither a card that could take in several nor a folder: write it first, or name a folder \
         with a `/` at its end"
    );
    Ok(vec![Change::Move(moved)])
}

/// A folder that moves with all that is in it.
fn folder(root: &Utf8Path, old: &Utf8Path, new: &Utf8Path, moved: &mut Moved) -> Result<()> {
    ensure!(
        !new.starts_with(old) || new == old,
        "`{old}` can't move into itself"
    );
    let mut open = vec![old.to_owned()];
    while let Some(below) = open.pop() {
        let reading = || format!("reading the folder `{below}`");
        for entry in root.join(&below).read_dir_utf8().with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let path = below.join(&*as_typed(&root.join(&below), entry.file_name()));
            let kind = entry.file_type().with_context(reading)?;
            ensure!(
                entry.file_name() != ".git",
                "`{below}` is a repository of its own: move it with git"
            );
            if kind.is_dir() {
                open.push(path);
            } else {
                ensure!(
                    kind.is_file(),
                    "`{path}` is a symbolic link or not a file: move it by hand first"
                );
                let rest = path.strip_prefix(old).unwrap_or(&path);
                moved.files.insert(path.clone(), new.join(rest));
            }
        }
    }
    let taken = moved
        .files
        .values()
        .find(|path| root.join(path).symlink_metadata().is_ok());
    if let Some(taken) = taken.filter(|path| !moved.files.contains_key(*path)) {
        bail!("`{taken}` is there already");
    }
    moved.folders.push((old.to_owned(), new.to_owned()));
    Ok(())
}

/// Removes what is left of a folder whose files are gone: folders that had no files.
fn remove_empty(folder: &Utf8Path) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(entry.path());
        }
    }
    let _ = fs_err::remove_dir(folder);
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

/// What was done, a line for each file that moved, or for the folder of all of them.
fn described(change: &Change, folder: &Utf8Path) -> Vec<String> {
    let shown = |path: &Utf8Path| folder.join(path);
    match change {
        Change::Rename { old, new } => vec![format!("{} -> {}", shown(old), shown(new))],
        Change::Merge { old, into } => {
            vec![format!("{} is a section of {}", shown(old), shown(into))]
        }
        Change::Extract { old, heading, new } => {
            vec![format!("`{heading}` of {} -> {}", shown(old), shown(new))]
        }
        Change::Move(moved) => {
            let is_alone = |path: &Utf8Path| {
                let mut folders = moved.folders.iter();
                !folders.any(|(folder, _)| path.starts_with(folder))
            };
            let alone = moved.files.iter().filter(|(old, _)| is_alone(old));
            let alone = alone.map(|(old, new)| format!("{} -> {}", shown(old), shown(new)));
            let folders = moved.folders.iter().map(|(old, new)| {
                let inside = moved.files.keys().filter(|path| path.starts_with(old));
                let count = counted(inside.count(), "file");
                format!("{}/ -> {}/ ({count})", shown(old), shown(new))
            });
            folders.chain(alone).collect()
        }
    }
}

/// The files that change, in order of their paths.
fn rows(moved: &Moved, folder: &Utf8Path, before: &Texts, after: &Texts) -> Vec<Row> {
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
    for old in moved.files.keys() {
        rows.remove(old.as_path());
    }
    for (old, new) in &moved.files {
        rows.insert(new, row(new, Some(old), "moved"));
    }
    rows.into_values().collect()
}

/// Gives cards and files their new names in git's index where git would go on with the old ones: on file systems that
/// ignore case it takes a name in another case for the same.
fn tell_git(
    root: &Utf8Path,
    before: &Texts,
    after: &Texts,
    files: &BTreeMap<Utf8PathBuf, Utf8PathBuf>,
) -> Result<()> {
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let new: BTreeMap<String, &Utf8Path> = new
        .map(|path| (folded(path.as_str()).into_owned(), path.as_path()))
        .collect();
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let files = files.iter().filter(|(old, new)| {
        old != new && !before.contains_key(*old) && folded(old.as_str()) == folded(new.as_str())
    });
    let renamed: Vec<(&Utf8Path, &Utf8Path)> = gone
        .filter_map(|old| Some((old.as_path(), *new.get(&*folded(old.as_str()))?)))
        .chain(files.map(|(old, new)| (old.as_path(), new.as_path())))
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

/// Lists where paths that are gone are still mentioned: these are not links, and not rewritten.
fn list_places(root: &Utf8Path, gone: &[Utf8PathBuf]) -> Result<()> {
    let processes = Processes::new(false)?;
    let source = Source::new(&processes, root, root.to_owned());
    let git = source.git();
    for path in gone.iter().take(MOST_PLACES) {
        let arguments = ["grep", "-nI", "--full-name", "-F", "-e", path.as_str()];
        // Without git, or outside of a repository, nothing is known.
        let Ok(captured) = git.capture(&arguments) else {
            return Ok(());
        };
        let places: Vec<&str> = captured.stdout.lines().collect();
        if !captured.status.success() || places.is_empty() {
            continue;
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
    }
    Ok(())
}

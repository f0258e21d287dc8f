//! All files of a move are written, or none, also when the run is killed or somebody edits in between.
//!
//! A journal with each file's text before and after is kept outside of the vault, where none can be planted.
//! A text is put in place only where the file has the other one.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sys::files;
use sys::inside::Inside;
use vault::moves::{Moved, Texts};
use vault::tree::LARGEST;
use vault::unicode::{composed, folded};

/// The folder of journals, in the state folder.
const FOLDER: &str = "docs-move";
/// What is to be done, while it is done.
const JOURNAL: &str = "journal.json";

/// The journal of a vault, held by one run at a time.
pub struct Work {
    root: Utf8PathBuf,
    journal: Utf8PathBuf,
    _lock: rustix::fd::OwnedFd,
}

/// A move that is being made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// The vault's folder.
    vault: Utf8PathBuf,
    /// What the names of temporary files begin with.
    temporary: String,
    steps: Vec<Step>,
    /// Files that get other paths and are no texts of ours: old, then new.
    #[serde(default)]
    files: Vec<(Utf8PathBuf, Utf8PathBuf)>,
}

/// A file that changes; its path is that in the vault.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    path: Utf8PathBuf,
    before: Option<State>,
    after: Option<State>,
}

/// A file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    text: String,
    mode: u32,
}

/// To which end a journal is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All files are as after the move.
    Finish,
    /// All files are as before it.
    Abort,
}

impl Step {
    /// What the file is to be, and what it is otherwise.
    fn states(&self, end: End) -> (Option<&State>, Option<&State>) {
        let (before, after) = (self.before.as_ref(), self.after.as_ref());
        match end {
            End::Finish => (after, before),
            End::Abort => (before, after),
        }
    }
}

/// Where the journal of a vault is, in a state folder.
fn place(state: &Utf8Path, root: &Utf8Path) -> Utf8PathBuf {
    // FNV-1a; the journal itself names the vault.
    let hash = root
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    state.join(FOLDER).join(format!("{hash:016x}"))
}

/// That no move in this vault was interrupted.
pub fn check_complete(state: &Utf8Path, root: &Utf8Path) -> Result<()> {
    let journal = place(state, root).join(JOURNAL);
    ensure!(
        !journal.exists(),
        "a move of cards in `{root}` was interrupted: `docs-move --finish` completes it, `docs-move --abort` \
         undoes it, both show what they change; with `--dry-run` they only show it"
    );
    Ok(())
}

impl Work {
    /// Takes the journal, if no other run has it.
    pub fn open(state: &Utf8Path, root: &Utf8Path) -> Result<Self> {
        let folder = place(state, root);
        let path = folder.join("lock");
        loop {
            fs_err::create_dir_all(&folder)?;
            files::set_mode(&folder, 0o700)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let lock = rustix::fs::open(path.as_std_path(), flags, Mode::from_raw_mode(0o600))
                .with_context(|| format!("opening the lock `{path}`"))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                bail!("another docs-move is running in `{root}`: wait until it is done");
            }
            // A run that ended in this moment removed what was locked.
            let locked = rustix::fs::fstat(&lock).context("looking at the lock")?;
            let there = rustix::fs::lstat(path.as_std_path());
            if there
                .is_ok_and(|there| (there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino))
            {
                return Ok(Self {
                    root: root.to_owned(),
                    journal: folder.join(JOURNAL),
                    _lock: lock,
                });
            }
        }
    }

    /// The move that was interrupted, if one was.
    pub fn interrupted(&self) -> Result<Option<Record>> {
        if !self.journal.exists() {
            return Ok(None);
        }
        let reading = || {
            format!(
                "reading the journal `{}`: remove it to keep all as it is",
                self.journal
            )
        };
        let bytes = fs_err::read(&self.journal).with_context(reading)?;
        let record: Record = serde_json::from_slice(&bytes).with_context(reading)?;
        ensure!(
            record.vault == self.root,
            "the journal `{}` is that of another vault, `{}`",
            self.journal,
            record.vault
        );
        Ok(Some(record))
    }

    /// Makes the files those of `after`, and gives other paths to those of `moved` that are none of these: all of them,
    /// or none.
    pub fn replace(&self, before: &Texts, after: &Texts, moved: &Moved) -> Result<()> {
        let inside = Inside::open(&self.root)?;
        let record = self.record(&inside, before, after, moved)?;
        // Whatever can be known to fail does before anything is written.
        let carrier = Carrier::new(&record, &inside, End::Finish);
        let plan = carrier.plan()?;
        let journal = serde_json::to_vec(&record).context("writing the journal")?;
        files::write_atomically(&self.journal, &journal, 0o600)?;
        if let Err(error) = carrier.carry_out(&plan) {
            let back = Carrier::new(&record, &inside, End::Abort);
            let undone = back.plan().and_then(|plan| back.carry_out(&plan));
            if let Err(other) = undone {
                bail!(
                    "{error:#}; undoing what was done failed as well: {other:#}; `docs-move --finish` or \
                     `docs-move --abort` complete it when that is fixed"
                );
            }
            fs_err::remove_file(&self.journal)?;
            return Err(error.context("nothing was changed"));
        }
        fs_err::remove_file(&self.journal)?;
        Ok(())
    }

    /// Brings an interrupted move to an end, if all files are as it knows them.
    pub fn end(&self, record: &Record, end: End) -> Result<()> {
        let inside = Inside::open(&self.root)?;
        let carrier = Carrier::new(record, &inside, end);
        let plan = carrier.plan().with_context(|| {
            format!(
                "nothing was written; to keep all as it is, remove the journal `{}`",
                self.journal
            )
        })?;
        carrier.carry_out(&plan)?;
        fs_err::remove_file(&self.journal)?;
        Ok(())
    }

    fn record(
        &self,
        inside: &Inside,
        before: &Texts,
        after: &Texts,
        moved: &Moved,
    ) -> Result<Record> {
        let came_from: HashMap<&Utf8PathBuf, &Utf8PathBuf> =
            moved.files.iter().map(|(old, new)| (new, old)).collect();
        let mode = |path: &Utf8Path| -> Result<Option<u32>> {
            Ok(inside.find(path)?.map(|found| found.mode))
        };
        let mut steps = Vec::new();
        // A new card may be read by those who may read the others.
        let mut usual = None;
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            usual = usual.or(mode(path)?);
        }
        for (path, text) in before
            .iter()
            .filter(|(path, text)| after.get(*path) != Some(text))
        {
            let mode = mode(path)?.unwrap_or(0o644);
            let state = |text: &String| State {
                text: text.clone(),
                mode,
            };
            steps.push(Step {
                path: path.clone(),
                before: Some(state(text)),
                after: after.get(path).map(state),
            });
        }
        for (path, text) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
            let folder = path.parent().unwrap_or(Utf8Path::new(""));
            let near = before.keys().find(|path| path.parent() == Some(folder));
            let near = near.map(|path| mode(path)).transpose()?.flatten();
            let own = came_from
                .get(path)
                .map(|old| mode(old))
                .transpose()?
                .flatten();
            let mode = own.or(usual).or(near).unwrap_or(0o644);
            let after = Some(State {
                text: text.clone(),
                mode,
            });
            let (path, before) = (path.clone(), None);
            steps.push(Step {
                path,
                before,
                after,
            });
        }
        let files = moved.files.iter();
        let files = files.filter(|(old, _)| !before.contains_key(*old));
        Ok(Record {
            vault: self.root.clone(),
            temporary: files::temporary_name(),
            files: files.map(|(old, new)| (old.clone(), new.clone())).collect(),
            steps,
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.journal.exists() {
            let _ = fs_err::remove_file(self.journal.with_file_name("lock"));
            let _ = self.journal.parent().map(fs_err::remove_dir);
        }
    }
}

/// What is left to do for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Nothing,
    Write,
    Remove,
}

impl Record {
    /// The files that a move would give other paths now: from where to where.
    pub fn files(&self, end: End) -> Vec<(Utf8PathBuf, Utf8PathBuf)> {
        let inside = Inside::open(&self.vault);
        let is_there = |path: &Utf8Path| {
            let found = inside
                .as_ref()
                .ok()
                .and_then(|inside| inside.find(path).ok());
            found.flatten().is_some()
        };
        let files = self.files.iter().map(|file| directed(file, end));
        let files = files.filter(|(from, to)| {
            let same_but_case = folded(from.as_str()) == folded(to.as_str());
            is_there(from) && (same_but_case || !is_there(to))
        });
        files.map(|(from, to)| (from.clone(), to.clone())).collect()
    }

    /// What a move would change now: the texts of its files as they are and as they would be.
    pub fn texts(&self, end: End) -> (Texts, Texts) {
        let inside = Inside::open(&self.vault).ok();
        let carrier = inside
            .as_ref()
            .map(|inside| Carrier::new(self, inside, end));
        let now = |step: &Step| -> Option<(Utf8PathBuf, String)> {
            let carrier = carrier.as_ref()?;
            if carrier.is_other(step).ok()? {
                return None;
            }
            let text = carrier.inside.read(&step.path, LARGEST).ok()?;
            Some((
                step.path.clone(),
                String::from_utf8_lossy(&text).into_owned(),
            ))
        };
        let then = |step: &Step| -> Option<(Utf8PathBuf, String)> {
            Some((step.path.clone(), step.states(end).0?.text.clone()))
        };
        let steps = || self.steps.iter();
        (
            steps().filter_map(now).collect(),
            steps().filter_map(then).collect(),
        )
    }
}

/// Brings the files of a move to one end.
struct Carrier<'a> {
    record: &'a Record,
    inside: &'a Inside,
    end: End,
    /// Paths, folded, that several steps have: where case makes no difference they are one file.
    twins: HashSet<String>,
}

impl<'a> Carrier<'a> {
    fn new(record: &'a Record, inside: &'a Inside, end: End) -> Self {
        let mut seen = HashSet::new();
        let mut twins = HashSet::new();
        for step in &record.steps {
            let path = folded(step.path.as_str()).into_owned();
            if !seen.insert(path.clone()) {
                twins.insert(path);
            }
        }
        Self {
            record,
            inside,
            end,
            twins,
        }
    }

    fn is_twin(&self, step: &Step) -> bool {
        !self.twins.is_empty() && self.twins.contains(&*folded(step.path.as_str()))
    }

    /// Whether what a step's path finds is the file of its twin.
    fn is_other(&self, step: &Step) -> Result<bool> {
        Ok(self.is_twin(step)
            && self.inside.find(&step.path)?.is_some()
            && self.misspelled(&step.path)?.is_some())
    }

    /// The first part of a path that is there, and by another name: the part as a path, and how it is listed.
    fn misspelled(&self, path: &Utf8Path) -> Result<Option<(Utf8PathBuf, String)>> {
        let mut parts: Vec<&Utf8Path> = path.ancestors().collect();
        // The last is the vault itself.
        parts.pop();
        for part in parts.into_iter().rev() {
            let name = part.file_name().unwrap_or_default();
            if self.inside.find(part)?.is_none() {
                return Ok(None);
            }
            let names = self.inside.beside(part)?;
            if names.iter().any(|listed| composed(listed) == name) {
                continue;
            }
            let other = names.into_iter().find(|it| folded(it) == folded(name));
            return Ok(Some((part.to_owned(), other.unwrap_or_default())));
        }
        Ok(None)
    }

    /// That the folder of a new path is not there by another name: no link would look for the file in it.
    fn check_folder(&self, path: &Utf8Path) -> Result<()> {
        if let Some((part, other)) = self.misspelled(folder_of(path))? {
            bail!(
                "`{}` is there as `{other}`: name it so",
                self.record.vault.join(part)
            );
        }
        Ok(())
    }

    fn full(&self, step: &Step) -> Utf8PathBuf {
        self.record.vault.join(&step.path)
    }

    fn temporary(&self, number: usize) -> Utf8PathBuf {
        let name = format!("{}-{number}", self.record.temporary);
        self.record.steps[number].path.with_file_name(name)
    }

    /// The text of a step's file.
    fn text(&self, step: &Step) -> Result<Option<String>> {
        let found = self.inside.find(&step.path)?;
        let Some(found) = found else { return Ok(None) };
        if self.is_other(step)? {
            return Ok(None);
        }
        let path = self.full(step);
        ensure!(found.is_file, "`{path}` is a link or not a file any more");
        let text = String::from_utf8(self.inside.read(&step.path, LARGEST)?).ok();
        Ok(Some(text.with_context(|| changed(&path))?))
    }

    /// The files that still have to get their other paths.
    fn files(&self) -> Result<Vec<(&Utf8Path, &Utf8Path)>> {
        let mut todo = Vec::new();
        for file in &self.record.files {
            let (from, to) = directed(file, self.end);
            let same_but_case = folded(from.as_str()) == folded(to.as_str());
            let (was, is) = (self.inside.find(from)?, self.inside.find(to)?);
            let full = |path: &Utf8Path| self.record.vault.join(path);
            match (was, is) {
                (None, Some(_)) => {}
                (Some(found), is) => {
                    ensure!(
                        is.is_none() || same_but_case,
                        "`{}` is there already",
                        full(to)
                    );
                    ensure!(
                        found.is_file,
                        "`{}` is a link or not a file: move it by hand",
                        full(from)
                    );
                    if is.is_none() {
                        self.inside.check_free(to)?;
                    }
                    self.check_folder(to)?;
                    todo.push((from.as_path(), to.as_path()));
                }
                (None, None) => bail!("`{}` is gone: put it back first", full(from)),
            }
        }
        Ok(todo)
    }

    /// What is to be done for each step; an error where a file is neither as before nor as after the move, or where it
    /// can't be put.
    fn plan(&self) -> Result<Vec<Todo>> {
        self.files()?;
        let plan = self.record.steps.iter().map(|step| {
            let (to, from) = step.states(self.end);
            let now = self.text(step)?;
            let is =
                |state: Option<&State>| now.as_deref() == state.map(|state| state.text.as_str());
            if is(to) {
                return Ok(Todo::Nothing);
            }
            ensure!(
                is(from) || from.is_some(),
                "`{}` is there already",
                self.full(step)
            );
            ensure!(is(from), changed(&self.full(step)));
            if to.is_none() {
                return Ok(Todo::Remove);
            }
            if self.inside.find(&step.path)?.is_none() {
                self.inside.check_free(&step.path)?;
            }
            if from.is_none() {
                self.check_folder(&step.path)?;
            }
            Ok(Todo::Write)
        });
        plan.collect()
    }

    /// Does it. On errors what was done is left; temporary files are not.
    fn carry_out(&self, plan: &[Todo]) -> Result<()> {
        // Those of a run that was killed.
        self.remove_temporary();
        let done = self.write_and_remove(plan);
        if done.is_err() {
            self.remove_temporary();
        }
        done
    }

    fn remove_temporary(&self) {
        for number in 0..self.record.steps.len() {
            let _ = self.inside.remove(&self.temporary(number));
        }
    }

    fn write_and_remove(&self, plan: &[Todo]) -> Result<()> {
        let steps = self.record.steps.iter().zip(plan).enumerate();
        let steps = steps.map(|(number, (step, todo))| (number, step, *todo));
        let written = || steps.clone().filter(|(.., todo)| *todo == Todo::Write);
        let removed = || steps.clone().filter(|(.., todo)| *todo == Todo::Remove);
        for (number, step, _) in written() {
            if let (Some(to), _) = step.states(self.end) {
                let path = self.temporary(number);
                self.inside.create(&path, to.text.as_bytes(), to.mode)?;
            }
        }
        for (from, to) in self.files()? {
            self.inside.rename(from, to)?;
            self.inside.remove_empty(from);
        }
        // Where case makes no difference the old name has to go first.
        for (_, step, _) in removed().filter(|(_, step, _)| self.is_twin(step)) {
            self.remove(step)?;
        }
        for (number, step, _) in written() {
            self.check_unchanged(step)?;
            self.inside.rename(&self.temporary(number), &step.path)?;
        }
        for (_, step, _) in removed().filter(|(_, step, _)| !self.is_twin(step)) {
            self.remove(step)?;
        }
        Ok(())
    }

    fn check_unchanged(&self, step: &Step) -> Result<()> {
        let from = step.states(self.end).1.map(|state| state.text.as_str());
        let now = self.text(step)?;
        ensure!(now.as_deref() == from, changed(&self.full(step)));
        Ok(())
    }

    fn remove(&self, step: &Step) -> Result<()> {
        self.check_unchanged(step)?;
        self.inside.remove(&step.path)
    }
}

fn folder_of(path: &Utf8Path) -> &Utf8Path {
    path.parent().unwrap_or(Utf8Path::new(""))
}

/// From where to where a file goes.
fn directed((old, new): &(Utf8PathBuf, Utf8PathBuf), end: End) -> (&Utf8PathBuf, &Utf8PathBuf) {
    match end {
        End::Finish => (old, new),
        End::Abort => (new, old),
    }
}

fn changed(path: &Utf8Path) -> String {
    format!("`{path}` was changed meanwhile: it is neither as before the move nor as after it")
}

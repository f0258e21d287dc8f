//! All cards of a move are written, or none: a journal completes what was interrupted.

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sys::files;
use vault::moves::Texts;
use vault::tree::read_text;

/// The folder in the vault in which new texts are laid out before any card is touched.
const WORK: &str = ".docs-move";
/// What is to be done with them, in that folder: once it is there, the move will be completed.
const JOURNAL: &str = "journal";
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
    /// Takes the folder, if no other run has it.
    pub fn open(root: &Utf8Path) -> Result<Self> {
        let folder = root.join(WORK);
        fs_err::create_dir_all(&folder)?;
        let lock = fs_err::File::create(folder.join("lock"))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another docs-move is running in `{root}`: wait until it is done");
        }
        Ok(Self {
            root: root.to_owned(),
            folder,
            _lock: lock,
        })
    }

    /// Makes the cards those of `after`: all of them, or none.
    pub fn replace(&self, before: &Texts, after: &Texts) -> Result<()> {
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
            let now = read_text(&self.root.join(path));
            ensure!(
                now.as_ref() == Ok(text),
                "`{path}` was changed meanwhile: nothing was written, run the command again"
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
    pub fn finish(&self) -> Result<bool> {
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

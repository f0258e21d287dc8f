//! Walks trees with several threads, and gathers what may be a reference.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rustix::fs::{AtFlags, Dir, FileType, Mode};

use super::journal;
use super::paths::{FOLDER, Id, Place, Root, id_of, open_file};
use super::read::{self, Seen};
use super::scan::{self, Hash, LENGTH, Row, Window};

/// How many rows are remembered of one file; one with more is read again.
const MOST_OF_FILE: usize = 256;
/// How many rows each thread remembers; files after that are read again.
const MOST_OF_THREAD: usize = 100_000;
/// The size of each thread's window: what fits into a processor's cache.
pub const WINDOW: usize = 256 << 10;
/// How many files of a folder a thread takes at once.
const BATCH: usize = 64;

/// A row that may be a known hash.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which member of the archive, or the file itself.
    pub member: Option<usize>,
    /// Bytes from the start of the file or the member.
    pub offset: u64,
    /// The row.
    pub hash: Hash,
}

/// A regular file with rows.
#[derive(Debug)]
pub struct Record {
    /// Where it is.
    pub place: Place,
    /// Device and inode.
    pub id: Id,
    /// The rows, in order.
    pub rows: Vec<Candidate>,
    /// The names of the members that rows are in.
    pub members: Vec<Vec<u8>>,
    /// Whether there are more rows, so that it has to be read again.
    pub more: bool,
}

/// What a tree holds.
#[derive(Debug, Default)]
pub struct Scanned {
    /// How many regular files were read.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Regular files with rows.
    pub records: Vec<Record>,
    /// Links whose targets hold rows, and the targets.
    pub links: Vec<(Place, Vec<u8>)>,
    /// Files and folders whose names hold rows.
    pub names: Vec<Place>,
    /// The store paths seen, by their hashes; for each hash the first name in order of bytes.
    pub known: BTreeMap<Hash, Vec<u8>>,
    /// Journals of runs that were killed.
    pub journals: Vec<Place>,
    /// Temporary files of such runs.
    pub leftovers: Vec<Place>,
    /// What `--venv` removes.
    pub doomed: Vec<Place>,
    /// Archives that can't be looked into.
    pub warnings: Vec<Vec<u8>>,
    /// What can't be read.
    pub errors: Vec<String>,
}

impl Scanned {
    /// Remembers that a hash belongs to a store path of this name.
    pub fn learn(&mut self, hash: &Hash, name: &[u8]) {
        match self.known.get_mut(hash) {
            Some(known) if known.as_slice() <= name => {}
            Some(known) => *known = name.to_vec(),
            None => {
                self.known.insert(*hash, name.to_vec());
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.records.extend(other.records);
        self.links.extend(other.links);
        self.names.extend(other.names);
        self.journals.extend(other.journals);
        self.leftovers.extend(other.leftovers);
        self.doomed.extend(other.doomed);
        self.warnings.extend(other.warnings);
        self.errors.extend(other.errors);
        for (hash, name) in &other.known {
            self.learn(hash, name);
        }
    }

    fn sort(&mut self) {
        self.records.sort_by(|a, b| a.place.cmp(&b.place));
        self.links.sort();
        self.names.sort();
        self.journals.sort();
        self.leftovers.sort();
        self.doomed.sort();
        self.warnings.sort();
        self.errors.sort();
    }
}

/// An open folder of the tree.
struct Folder {
    fd: OwnedFd,
    place: Place,
    /// Whether all in it goes anyway.
    doomed: bool,
}

impl Folder {
    fn inside(&self, name: &[u8]) -> Place {
        let path = match self.place.path.as_slice() {
            b"" => name.to_vec(),
            path => [path, b"/", name].concat(),
        };
        Place {
            root: self.place.root,
            path,
        }
    }
}

enum Job {
    Folder(Arc<Folder>, CString, bool),
    Files(Arc<Folder>, Vec<CString>),
}

struct Queue {
    jobs: Vec<Job>,
    busy: usize,
    /// Folders seen: a root may lie in another.
    seen: HashSet<Id>,
}

struct Shared<'a> {
    queue: Mutex<Queue>,
    changed: Condvar,
    roots: &'a [Root],
    store: &'a [u8],
    venv: bool,
}

impl Shared<'_> {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all regular files of the roots, with so many threads.
pub fn scan(roots: &[Root], store: &[u8], venv: bool, jobs: usize) -> Scanned {
    let shared = Shared {
        queue: Mutex::new(Queue {
            jobs: Vec::new(),
            busy: 0,
            seen: HashSet::new(),
        }),
        changed: Condvar::new(),
        roots,
        store,
        venv,
    };
    let mut all = Scanned::default();
    // Files that were named come last: they may lie in folders that were.
    for files in [false, true] {
        for (number, root) in roots.iter().enumerate().rev() {
            if root.only.is_some() == files
                && let Err(error) = start(&shared, number, root)
            {
                all.errors.push(format!("{error:#}"));
            }
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1))
                .map(|_| scope.spawn(|| Worker::new(&shared).work()))
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(scanned) => all.merge(scanned),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }
    all.sort();
    all
}

/// Puts the job with which a root begins into the queue.
fn start(shared: &Shared<'_>, number: usize, root: &Root) -> Result<()> {
    let place = Place {
        root: number,
        path: Vec::new(),
    };
    let folder = Arc::new(Folder {
        fd: root.folder.try_clone()?,
        place,
        doomed: false,
    });
    let job = match &root.only {
        Some(name) => {
            if shared.queue().seen.contains(&root.id) {
                return Ok(());
            }
            let mut names = vec![CString::new(name.clone())?];
            // A run that was killed may have left its journal beside the file.
            let journal = CString::new(journal::name(root))?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            if rustix::fs::statat(&root.folder, journal.as_c_str(), flags).is_ok() {
                names.push(journal);
            }
            Job::Files(folder, names)
        }
        None => Job::Folder(folder, c".".to_owned(), false),
    };
    shared.queue().jobs.push(job);
    Ok(())
}

struct Worker<'a> {
    shared: &'a Shared<'a>,
    window: Window,
    out: Scanned,
    /// How many rows this thread remembers.
    remembered: usize,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        Self {
            shared,
            window: Window::new(shared.store, WINDOW),
            out: Scanned::default(),
            remembered: 0,
        }
    }

    fn work(mut self) -> Scanned {
        let mut queue = self.shared.queue();
        loop {
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                drop(queue);
                self.run(job);
                queue = self.shared.queue();
                queue.busy -= 1;
                if queue.busy == 0 && queue.jobs.is_empty() {
                    self.shared.changed.notify_all();
                }
            } else if queue.busy == 0 {
                return self.out;
            } else {
                let waited = self.shared.changed.wait(queue);
                queue = waited.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn fail(&mut self, place: &Place, error: &anyhow::Error) {
        let shown = place.show(self.shared.roots);
        let shown = String::from_utf8_lossy(&shown);
        self.out
            .errors
            .push(format!("`{}`: {error:#}", shown.trim_end_matches('/')));
    }

    fn run(&mut self, job: Job) {
        match job {
            Job::Folder(parent, name, doomed) => {
                let place = match name.to_bytes() {
                    b"." => parent.place.clone(),
                    name => parent.inside(name),
                };
                if let Err(error) = self.folder(&parent, &name, &place, doomed) {
                    self.fail(&place, &error);
                }
            }
            Job::Files(folder, names) => {
                for name in names {
                    if let Err(error) = self.file(&folder, &name) {
                        self.fail(&folder.inside(name.to_bytes()), &error);
                    }
                }
            }
        }
    }

    fn folder(
        &mut self,
        parent: &Folder,
        name: &CString,
        place: &Place,
        doomed: bool,
    ) -> Result<()> {
        let fd = rustix::fs::openat(&parent.fd, name.as_c_str(), FOLDER, Mode::empty())?;
        let id = id_of(&rustix::fs::fstat(&fd)?);
        if !self.shared.queue().seen.insert(id) {
            return Ok(());
        }
        let entries = Dir::read_from(&fd)?;
        let folder = Arc::new(Folder {
            fd,
            place: place.clone(),
            doomed,
        });
        let mut jobs = Vec::new();
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW);
                    FileType::from_raw_mode(stat?.st_mode)
                }
                kind => kind,
            };
            let goes = self.goes(&folder, bytes, kind);
            if goes {
                self.out.doomed.push(folder.inside(bytes));
            }
            if bytes.len() >= LENGTH {
                let mut holds = false;
                scan::visit(self.shared.store, bytes, &mut |_| holds = true);
                if holds && !goes && !doomed {
                    self.out.names.push(folder.inside(bytes));
                }
            }
            match kind {
                FileType::Directory => {
                    jobs.push(Job::Folder(
                        Arc::clone(&folder),
                        name.to_owned(),
                        goes || doomed,
                    ));
                }
                FileType::RegularFile => files.push(name.to_owned()),
                FileType::Symlink => {
                    if let Err(error) = self.link(&folder, name, goes || doomed) {
                        self.fail(&folder.inside(bytes), &error);
                    }
                }
                _ => {}
            }
        }
        // Files come last: what is pushed last is taken first, and few folders stay open.
        while !files.is_empty() {
            let batch = files.split_off(files.len().saturating_sub(BATCH));
            jobs.push(Job::Files(Arc::clone(&folder), batch));
        }
        self.shared.queue().jobs.extend(jobs);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Whether `--venv` removes this.
    fn goes(&self, folder: &Folder, name: &[u8], kind: FileType) -> bool {
        let is_folder = kind == FileType::Directory;
        self.shared.venv
            && !folder.doomed
            && ((name == b"bin" && folder.place.path.is_empty())
                || (name == b"__pycache__" && is_folder)
                || (name.ends_with(b".pyc") && !is_folder))
    }

    fn link(&mut self, folder: &Folder, name: &std::ffi::CStr, doomed: bool) -> Result<()> {
        let target = rustix::fs::readlinkat(&folder.fd, name, Vec::new())?.into_bytes();
        if target.len() < LENGTH {
            return Ok(());
        }
        let mut holds = false;
        let out = &mut self.out;
        scan::visit(self.shared.store, &target, &mut |row| {
            holds = true;
            if let Some(name) = row.name {
                out.learn(row.hash, name);
            }
        });
        if holds && !doomed {
            out.links.push((folder.inside(name.to_bytes()), target));
        }
        Ok(())
    }

    fn file(&mut self, folder: &Folder, name: &CString) -> Result<()> {
        let bytes = name.to_bytes();
        let fd = open_file(folder.fd.as_fd(), name.as_c_str())?;
        if journal::is_journal(bytes)
            && let Some(paths) = journal::read(fd.as_fd())?
        {
            for (hash, name) in paths {
                self.out.learn(&hash, &name);
            }
            self.out.journals.push(folder.inside(bytes));
            return Ok(());
        }
        if journal::is_temporary(bytes) {
            self.out.leftovers.push(folder.inside(bytes));
        }
        let mut rows = Vec::new();
        let mut members: Vec<Vec<u8>> = Vec::new();
        let mut more = false;
        let out = &mut self.out;
        let most = MOST_OF_FILE.min(MOST_OF_THREAD.saturating_sub(self.remembered));
        let mut sink = |member: Option<&[u8]>, row: Row<'_>| {
            if let Some(name) = row.name {
                out.learn(row.hash, name);
            }
            if rows.len() >= most {
                more = true;
                return;
            }
            let member = member.map(|name| {
                if members.last().is_none_or(|last| last != name) {
                    members.push(name.to_vec());
                }
                members.len() - 1
            });
            rows.push(Candidate {
                member,
                offset: row.offset,
                hash: *row.hash,
            });
        };
        let seen = read::file(fd.as_fd(), bytes, &mut self.window, &mut sink)?;
        let Seen {
            bytes: length,
            warnings,
        } = seen;
        self.out.files += 1;
        self.out.bytes += length;
        let place = folder.inside(bytes);
        for warning in warnings {
            let shown = place.show(self.shared.roots);
            self.out
                .warnings
                .push([&shown, b": ".as_slice(), warning.as_bytes()].concat());
        }
        let doomed = folder.doomed || self.goes(folder, bytes, FileType::RegularFile);
        if doomed || (rows.is_empty() && !more) {
            return Ok(());
        }
        if more {
            // All of it is read again, so there is no use for these.
            (rows, members) = (Vec::new(), Vec::new());
        }
        self.remembered += rows.len();
        rows.shrink_to_fit();
        let id = id_of(&rustix::fs::fstat(&fd)?);
        self.out.records.push(Record {
            place,
            id,
            rows,
            members,
            more,
        });
        Ok(())
    }
}

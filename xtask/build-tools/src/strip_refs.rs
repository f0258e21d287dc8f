//! Finds the references to a Nix store in trees of files, and neutralises them.
//!
//! A fixed output may hold no reference. The usual pipeline greps for store paths and then runs sed
//! over every file for each of them; this does it in one pass.

mod arguments;
mod journal;
mod options;
mod paths;
pub mod read;
mod report;
mod rewrite;
pub mod scan;
mod tree;
pub mod venv;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{AtFlags, FlockOperation};

pub use self::options::Options;
use self::paths::{Place, Root};
use self::report::{Finding, Kind, Report, WRITING};
use self::rewrite::{Folders, Group, Rewriter};
use self::scan::{Hash, Hashes, LENGTH, Window};
use self::tree::{Scanned, WINDOW};

/// The command `build-tools strip-refs`, with the arguments after its name.
pub fn cli(arguments: &[OsString]) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let Some(options) = arguments::parse(arguments)? else {
        out.write_all(arguments::USAGE.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    run(&options, &mut out, &mut std::io::stderr().lock())
}

/// Runs it: lists of references go to `out`, human-readable output to `err`.
///
/// The answer is 0 when no reference is left, 1 when some are. An error means that not everything could
/// be done.
pub fn run(options: &Options, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitCode> {
    let mut out = std::io::BufWriter::new(out);
    let store = options.store_dir.trim_end_matches('/').as_bytes();
    ensure!(
        store.starts_with(b"/"),
        "the store's folder `{}` does not begin with a slash",
        options.store_dir
    );
    let parse = |text: &String| arguments::store_path(text, &options.store_dir);
    let keep: Vec<_> = options.keep.iter().map(parse).collect::<Result<_>>()?;
    let also: Vec<_> = options.also.iter().map(parse).collect::<Result<_>>()?;
    let jobs = match options.jobs {
        Some(jobs) => jobs,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let roots = paths::open_roots(&options.paths)?;
    if options.venv {
        refuse_other_than_venvs(&roots)?;
    }
    let writes = !options.check && !options.dry_run;
    // Held until the end.
    let _locks = if writes { lock(&roots)? } else { Vec::new() };

    let mut scanned = tree::scan(&roots, store, options.venv, jobs);
    if !scanned.errors.is_empty() {
        bail!(
            "nothing was changed, because not all can be read:\n{}",
            scanned.errors.join("\n")
        );
    }
    // A name that was seen is a better one.
    for (hash, name) in &also {
        let name = name.clone().unwrap_or_default();
        scanned.known.entry(*hash).or_insert(name);
    }
    let seen: Hashes = scanned.known.keys().copied().collect();
    for (hash, _) in &keep {
        scanned.known.remove(hash);
    }
    let known: Hashes = scanned.known.keys().copied().collect();
    let kept: BTreeSet<Hash> = keep.iter().map(|(hash, _)| *hash).collect();
    if writes {
        // Unfinished copies of a run that was killed.
        let leftovers: BTreeSet<_> = scanned.leftovers.iter().cloned().collect();
        scanned
            .records
            .retain(|record| !leftovers.contains(&record.place));
    }

    let mut report = Report::new(options, store, &scanned);
    let all = Findings {
        roots: &roots,
        store,
        scanned: &scanned,
        known: &known,
        kept: &kept,
    };
    // Who reads the list may stop, as `head` does: files are stripped all the same.
    let mut listed = Ok(());
    let groups = all.visit(&mut |finding| {
        let added = report.add(&mut out, finding);
        if !writes {
            return added;
        }
        if listed.is_ok() {
            listed = added;
        }
        Ok(())
    })?;
    let mut remains = report.left > 0;
    if !writes {
        out.flush().context(WRITING)?;
        report.warn(err);
        report.summary(err, groups.len());
        if options.check {
            remains |= report.unfinished(err, &roots);
        }
        return Ok(ExitCode::from(u8::from(remains)));
    }

    let rewriter = Rewriter {
        roots: &roots,
        store,
        known: &known,
        seen: &seen,
    };
    let errors = change(options, &rewriter, &scanned, &groups, jobs)?;
    let listed = listed.and_then(|()| out.flush().context(WRITING));
    report.warn(err);
    if !errors.is_empty() {
        bail!(
            "not all could be stripped; run the same command again to finish it:\n{}",
            errors.join("\n")
        );
    }
    report.summary(err, groups.len());
    listed?;
    Ok(ExitCode::from(u8::from(remains)))
}

fn refuse_other_than_venvs(roots: &[Root]) -> Result<()> {
    for root in roots {
        let shown = String::from_utf8_lossy(&root.prefix);
        ensure!(root.only.is_none(), "`--venv` is for folders");
        rustix::fs::statat(&root.folder, venv::CONFIG, AtFlags::SYMLINK_NOFOLLOW)
            .with_context(|| format!("`{shown}` is not a venv: it has no `{}`", venv::CONFIG))?;
    }
    Ok(())
}

/// Keeps other runs that write out of the roots, as long as the answer lives.
fn lock(roots: &[Root]) -> Result<Vec<std::os::fd::OwnedFd>> {
    let mut locks = Vec::new();
    let mut held = BTreeSet::new();
    for root in roots {
        let fd = match &root.only {
            Some(name) => paths::open_file(root.folder.as_fd(), name.as_slice())?,
            None => root.folder.try_clone()?,
        };
        if !held.insert(paths::id_of(&rustix::fs::fstat(&fd)?)) {
            continue;
        }
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).with_context(|| {
            format!(
                "another run works on `{}`",
                String::from_utf8_lossy(&root.prefix)
            )
        })?;
        locks.push(fd);
    }
    Ok(locks)
}

/// All references of a tree.
struct Findings<'a> {
    roots: &'a [Root],
    store: &'a [u8],
    scanned: &'a Scanned,
    known: &'a Hashes,
    kept: &'a BTreeSet<Hash>,
}

impl Findings<'_> {
    /// Calls `each` with every reference: files, links, names, each in order. The answer is the files
    /// to rewrite.
    fn visit(&self, each: &mut dyn FnMut(&Finding<'_>) -> Result<()>) -> Result<Vec<Group>> {
        let mut window = Window::new(self.store, WINDOW);
        let mut groups: Vec<Group> = Vec::new();
        let mut by_id = HashMap::new();
        for record in &self.scanned.records {
            let mut to_rewrite = false;
            let path = record.place.show(self.roots);
            let mut found = |member: Option<&[u8]>, offset, hash: &Hash| {
                if !self.known.contains(hash) {
                    return Ok(());
                }
                to_rewrite |= member.is_none();
                match member {
                    None => each(&Finding {
                        path: &path,
                        offset,
                        hash,
                        name: None,
                        kind: Kind::File,
                    }),
                    Some(member) => {
                        // A compressed file holds one thing, which needs no name.
                        let bang: &[u8] = if member.is_empty() { b"" } else { b"!" };
                        let path = [&path, bang, member].concat();
                        each(&Finding {
                            path: &path,
                            offset,
                            hash,
                            name: None,
                            kind: Kind::Member,
                        })
                    }
                }
            };
            for row in &record.rows {
                found(
                    row.member.map(|n| record.members[n].as_slice()),
                    row.offset,
                    &row.hash,
                )?;
            }
            if record.more && !self.known.is_empty() {
                let (folder, name) = (
                    record.place.open_folder(self.roots)?,
                    record.place.split().1,
                );
                let fd = paths::open_file(folder.as_fd(), name)
                    .with_context(|| format!("`{}`", String::from_utf8_lossy(&path)))?;
                let mut outcome = Ok(());
                read::file(fd.as_fd(), name, &mut window, &mut |member, row| {
                    if outcome.is_ok() {
                        outcome = found(member, row.offset, row.hash);
                    }
                })?;
                outcome?;
            }
            if to_rewrite {
                let next = groups.len();
                let number = *by_id.entry(record.id).or_insert(next);
                if number == next {
                    groups.push(Group {
                        id: record.id,
                        places: Vec::new(),
                    });
                }
                groups[number].places.push(record.place.clone());
            }
        }
        for (place, target) in &self.scanned.links {
            let path = place.show(self.roots);
            self.rows(target, &mut |offset, hash| {
                each(&Finding {
                    path: &path,
                    offset,
                    hash,
                    name: None,
                    kind: Kind::Link,
                })
            })?;
        }
        for place in &self.scanned.names {
            let (path, name) = (place.show(self.roots), place.split().1);
            // A name that reads like a store path's is one, whether it is known or not.
            let is_path = scan::hash_and_name(name).filter(|(hash, rest)| {
                name.len() == LENGTH + 1 + rest.len()
                    && !self.known.contains(hash)
                    && !self.kept.contains(*hash)
            });
            if let Some((hash, rest)) = is_path {
                each(&Finding {
                    path: &path,
                    offset: 0,
                    hash,
                    name: Some(rest),
                    kind: Kind::Name,
                })?;
            }
            self.rows(name, &mut |offset, hash| {
                each(&Finding {
                    path: &path,
                    offset,
                    hash,
                    name: None,
                    kind: Kind::Name,
                })
            })?;
        }
        Ok(groups)
    }

    /// Calls `each` with the known hashes in bytes.
    fn rows(&self, bytes: &[u8], each: &mut dyn FnMut(u64, &Hash) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        scan::visit(self.store, bytes, &mut |row| {
            if outcome.is_ok() && self.known.contains(row.hash) {
                outcome = each(row.offset, row.hash);
            }
        });
        outcome
    }
}

/// Changes the tree. The answer is what went wrong; then the journals stay for the next run.
fn change(
    options: &Options,
    rewriter: &Rewriter<'_>,
    scanned: &Scanned,
    groups: &[Group],
    jobs: usize,
) -> Result<Vec<String>> {
    let roots = rewriter.roots;
    let mut links = Vec::new();
    for (place, target) in scanned.links.iter().filter(|_| options.links) {
        let (new, count) = scan::neutralise(rewriter.store, target, rewriter.known);
        if count > 0 {
            links.push((place, target, new));
        }
    }
    let doomed: Vec<&Place> = scanned.doomed.iter().chain(&scanned.leftovers).collect();
    let mut configs = Vec::new();
    for root in (0..roots.len()).filter(|_| options.venv) {
        let place = Place {
            root,
            path: venv::CONFIG.into(),
        };
        if marked(roots, &place)?.is_some() {
            configs.push(place);
        }
    }
    let nothing = groups.is_empty() && links.is_empty() && doomed.is_empty() && configs.is_empty();
    if nothing && scanned.journals.is_empty() {
        return Ok(Vec::new());
    }

    // Everything that is changed lies in these.
    let places = groups.iter().flat_map(|group| &group.places);
    let places = places
        .chain(links.iter().map(|link| link.0))
        .chain(doomed.iter().copied());
    let places = places
        .chain(&scanned.journals)
        .map(|place| (place.root, place.split().0.to_vec()));
    let folders: BTreeSet<_> = (0..roots.len())
        .map(|root| (root, Vec::new()))
        .chain(places)
        .collect();
    let folders = Folders::open(roots, folders.into_iter())?;
    let outcome = (|| -> Result<Vec<String>> {
        for root in roots.iter().filter(|_| !nothing) {
            journal::write(root, scanned.known.iter())?;
        }
        let mut errors = rewriter.files(groups, jobs);
        let mut attempt = |place: &Place, outcome: Result<()>| {
            errors.extend(
                outcome
                    .err()
                    .map(|error| rewrite::explain(roots, place, &error)),
            );
        };
        for (place, old, new) in &links {
            attempt(place, rewriter.link(place, old, new));
        }
        for place in doomed {
            attempt(place, rewrite::remove(roots, place));
        }
        for place in &configs {
            attempt(place, mark(roots, place));
        }
        if errors.is_empty() {
            for root in roots.iter().filter(|_| !nothing) {
                rustix::fs::unlinkat(
                    &root.folder,
                    journal::name(root).as_slice(),
                    AtFlags::empty(),
                )?;
            }
            for place in &scanned.journals {
                rewrite::remove(roots, place)?;
            }
        }
        Ok(errors)
    })();
    folders.close(roots);
    outcome
}

/// What `pyvenv.cfg` should be, or `None` if it is that.
fn marked(roots: &[Root], place: &Place) -> Result<Option<Vec<u8>>> {
    let folder = place.open_folder(roots)?;
    let fd = paths::open_file(folder.as_fd(), place.split().1)?;
    Ok(venv::mark(&read::whole(fd.as_fd())?))
}

/// Puts the mark into `pyvenv.cfg`.
fn mark(roots: &[Root], place: &Place) -> Result<()> {
    rewrite::replace(roots, std::slice::from_ref(place), None, &mut |old, new| {
        let bytes = read::whole(old)?;
        journal::write_all(new, venv::mark(&bytes).as_ref().unwrap_or(&bytes), 0)
    })
}

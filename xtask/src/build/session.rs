//! A whole build, from what was asked for to what is said of it: each step a function of its own file.
//!
//! Options -> Selection -> Site -> what is described -> targets -> Outcome -> report, GC roots, pins.

use std::process::ExitCode;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::evaluate;
use crate::build::execute::{self, Progress};
use crate::build::history::History;
use crate::build::on_host::{self, Host};
use crate::build::options::Options;
use crate::build::plan;
use crate::build::selection::Names;
use crate::build::site::{Built, Site};
use crate::build::{conclude, config};
use crate::nix::{self, Description};
use crate::pins::mismatch::{self, PinMismatch};
use crate::pins::sources;
use crate::repo::Repo;
use sys::files;
use sys::platform;
use sys::process::Processes;

/// What is done with what was built.
pub type AfterBuild<'u> = &'u mut dyn FnMut(&Built<'_>) -> Result<ExitCode>;
/// Why builds on this machine can't work, if so.
pub type Diagnose = fn(&Processes) -> Result<Option<String>>;

/// Builds, and says how it went; if all is there, `after` has the last word.
pub fn build(
    options: &Options,
    diagnose: Diagnose,
    after: Option<AfterBuild<'_>>,
) -> Result<ExitCode> {
    let repo = Repo::find()?;
    if options.write_pins {
        sources::refuse_to_write(&repo, &options.from.asked())?;
    }
    if let Some(file) = &options.junit {
        files::check_result("--junit", file)?;
    }
    let processes = Processes::new(options.verbose)?;
    on_site(options, &repo, &processes, false, |mut site| {
        let mut history = History::read(repo.state().join("history.json"), &site.scope());
        let mut progress = Progress::new();
        let mut is_first = true;
        loop {
            let described = evaluate::describe(&site, true, std::mem::take(&mut is_first));
            let described = match described {
                Ok(described) => described,
                Err(error) => {
                    let stale = evaluate::mismatches(&site, &error)?;
                    if stale.is_empty() {
                        return Err(error);
                    }
                    if accept(&mut site, &mut progress, &stale)? {
                        continue;
                    }
                    conclude::say_mismatches(&site, &progress, &stale);
                    return Ok(ExitCode::from(1));
                }
            };
            if let [only] = plan::in_use(&described).as_slice()
                && progress.known.is_empty()
            {
                history.within(&only.container);
            }
            let targets = plan::targets(&described, |position| plan::file_of(&repo, position));
            let outcome = execute::build(&site, &history, &targets, &mut progress)?;
            if accept(&mut site, &mut progress, &outcome.stale)? {
                continue;
            }
            let built = site.built(&outcome.rows);
            let code = conclude::finish(&site, &mut history, &progress, outcome, diagnose)?;
            return match after {
                Some(after) if code == ExitCode::SUCCESS => after(&built),
                _ => Ok(code),
            };
        }
    })
}

/// Evaluates what the containers have to offer, with tests, and hands it to `show` with the name of the
/// machine that was asked, if it is another.
pub fn list(
    options: &Options,
    show: impl FnOnce(Option<&str>, &[Description]) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let processes = Processes::new(options.verbose)?;
    on_site(options, &repo, &processes, true, |site| {
        let described = evaluate::describe(&site, false, true)?;
        show(site.host.map(|it| it.remote.host()), &described)
    })
}

/// Drops the GC roots of results, on each machine that is built on.
pub fn drop_results(options: &Options) -> Result<ExitCode> {
    let repo = Repo::find()?;
    let asked = options.from.asked();
    let processes = Processes::new(options.verbose)?;
    let names = Names::parse(&options.components, true)?;
    let selection = names.select(&repo, &asked)?;
    let sources = selection.sources(&repo, &asked)?;
    let mut hosts = config::hosts(&repo, &selection.containers, options.from.on.as_deref())?;
    if hosts.is_empty() {
        hosts.insert(None);
    }
    for host in hosts {
        if let Some(name) = host {
            let host = Host::connect(&processes, &name, &sources, false, None, || Ok(()))?;
            on_host::drop_results(&host, &repo)?;
        } else {
            let links = gc_roots(&repo.test_build_output())?;
            for link in &links {
                fs_err::remove_file(link)?;
            }
            on_host::say_dropped(links.iter().map(|link| repo.shown(link).to_string()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Finds out what is meant, from what and where it is built, and goes there.
pub fn on_site<T>(
    options: &Options,
    repo: &Repo,
    processes: &Processes,
    list: bool,
    then: impl FnOnce(Site<'_>) -> Result<T>,
) -> Result<T> {
    let asked = options.from.asked();
    // `--list` without names shows all, and so does the hint when nothing was named.
    let names = Names::parse(
        &options.components,
        options.all || options.components.is_empty(),
    )?;
    let selection = names.select(repo, &asked)?;
    let sources = selection.sources(repo, &asked)?;
    // Nix here knows the way to another store.
    let here = options.store.as_ref().map(|_| config::LOCAL);
    let hosts = config::hosts(
        repo,
        &selection.containers,
        here.or(options.from.on.as_deref()),
    )?;
    // What builds nothing needs no agreement.
    let name = if list && hosts.len() > 1 {
        None
    } else {
        config::only(hosts)?
    };
    if options.forward.is_some() && name.is_none() && !platform::IS_LINUX {
        bail!(
            "services run on Linux: `--on HOST` names a machine that builds and runs it, and forwards its port"
        );
    }
    if options.fetch && name.is_none() {
        bail!("`--fetch` brings results back from another machine: say which by `--on HOST`");
    }
    // What is sent is packed while ssh connects.
    let mut uploads = Vec::new();
    let host = name.map(|name| {
        Host::connect(
            processes,
            &name,
            &sources,
            options.fetch,
            options.forward,
            || {
                uploads = on_host::pack(processes, repo, &sources)?;
                Ok(())
            },
        )
    });
    let host = host.transpose()?;
    let named = (names, selection, sources);
    let site = Site::new(options, repo, processes, named, host.as_ref())?;
    site.deliver(&uploads)?;
    then(site)
}

/// Writes the hashes that were found in place of the pinned ones, if that is wanted and helps: what differs
/// with each build would never end.
fn accept(site: &mut Site<'_>, progress: &mut Progress, stale: &[PinMismatch]) -> Result<bool> {
    if !site.options.write_pins || stale.is_empty() || !progress.are_new(stale) {
        return Ok(false);
    }
    mismatch::write(site.repo, stale)?;
    progress.changed.extend_from_slice(stale);
    let asked = site.options.from.asked();
    site.sources = site.selection.sources(site.repo, &asked)?;
    if site.host.is_some() {
        site.deliver(&on_host::pack(site.processes, site.repo, &site.sources)?)?;
    }
    Ok(true)
}

/// The GC roots in the folder of results: in those of containers, and in those that a machine's name has. A folder in
/// the place of a link is a result that was fetched without Nix, and what is in it belongs to it.
fn gc_roots(results: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut links = Vec::new();
    let mut folders = vec![(0, results.to_owned())];
    while let Some((depth, folder)) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in folder.read_dir_utf8()? {
            let path = entry?.into_path();
            let is_kind = || {
                let name = path.file_name();
                name.is_some_and(|name| sources::RESULTS.contains(&name))
            };
            match path.read_link_utf8() {
                Ok(target) if target.starts_with(nix::store_dir()) => links.push(path),
                Err(_) if depth < 2 || depth == 2 && is_kind() => folders.push((depth + 1, path)),
                _ => {}
            }
        }
    }
    links.sort();
    Ok(links)
}

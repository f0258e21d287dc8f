//! The end of a build: what is said of it, in every form that was asked for, and the GC roots of its results.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::execute::{Outcome, Progress};
use crate::build::history::History;
use crate::build::model::{Row, State};
use crate::build::site::Site;
use crate::build::{junit, logs, on_host, report};
use crate::nix::PackageSet;
use crate::pins::mismatch::{self, PinMismatch};
use crate::pins::sources::Sources;
use crate::remote::Remote;
use nix_formats::store_path::name_of;
use sys::files;
use sys::process::Processes;
use sys::terminal;

/// Says how it went, in every form that was asked for; links to what is there.
pub fn finish(
    site: &Site<'_>,
    history: &mut History,
    progress: &Progress,
    outcome: Outcome,
    diagnose: impl FnOnce(&Processes) -> Result<Option<String>>,
) -> Result<ExitCode> {
    let run = &progress.run;
    let log_of = |drv: &str| {
        let path = logs::log_path(&site.logs_folder(), drv);
        let began = run.started().any(|started| started == drv);
        began.then(|| site.repo.shown(&path).to_owned())
    };
    let failures = report::failures(run, log_of, |drv| {
        let stale = outcome
            .stale
            .iter()
            .find(|stale| stale.drv.as_deref() == Some(drv));
        remedy(site, progress, stale)
    });
    for (_, failure) in &failures {
        terminal::say(format!("\n{}", failure.trim_end()));
    }
    let succeeded = outcome.status.is_none_or(|status| status.success()) && failures.is_empty();
    if !succeeded
        && site.host.is_none()
        && site.choice.set == PackageSet::Host
        && outcome.interrupted.is_none()
        && let Some(problem) = diagnose(site.processes)?
    {
        terminal::say(format!("\n{problem}"));
    }
    if let Some(remote) = site.remote()
        && run.failures().any(|(drv, _)| name_of(drv) == "host-rust")
    {
        terminal::say(format!(
            "\n`{}` has no Rust, which `build-tools` is built with over host-pkgs: install it there, \
             with rustup",
            remote.host()
        ));
    }
    let rows = &outcome.rows;
    link(site, rows)?;
    if let Some(host) = site.host.filter(|_| site.options.fetch) {
        let folder = site.repo.test_build_output().join(host.remote.host());
        let wanted: BTreeMap<Utf8PathBuf, &str> = rows
            .iter()
            .filter_map(|row| {
                let result = site.result(&row.container, &row.component);
                Some((folder.join(result), row.out.as_deref()?))
            })
            .collect();
        on_host::fetch(host, site.processes, &wanted, &folder)?;
    }
    // What is used says enough by itself.
    let is_used = site.options.forward.is_some() && rows.iter().all(|row| row.out.is_some());
    if !is_used {
        let table = report::rows_table(rows, &outcome.sizes);
        terminal::say(format!("\n{}", table.trim_end()));
    }
    for slower in run.built().filter_map(|built| history.slower(&built)) {
        terminal::say(slower);
    }
    history.add(&site.repo.lock(), run.built())?;
    if let Some(file) = &site.options.junit {
        let said = |row: &Row| {
            let own = |(drv, _): &&(String, String)| Some(drv) == row.culprit.as_ref();
            failures.iter().find(own).map_or("", |(_, text)| text)
        };
        files::write_result(file, junit::render(rows, said).as_bytes())?;
    }
    if site.options.json {
        rows.iter().try_for_each(terminal::emit_json)?;
    }
    if let Some(interrupted) = outcome.interrupted {
        return Ok(interrupted.exit_code());
    }
    if rows
        .iter()
        .any(|row| matches!(row.state, State::Failed | State::HashMismatch))
    {
        return Ok(ExitCode::from(1));
    }
    if let Some(status) = outcome.status.filter(|status| !status.success()) {
        if status.signal().is_some() {
            bail!("something killed nix-build ({status}): what it built is kept, run this again");
        }
        let reasons = run.other_errors().join("\n");
        bail!("nix-build ended without building ({status})\n{reasons}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Says of each of these pins what it should be.
pub fn say_mismatches(site: &Site<'_>, progress: &Progress, stale: &[PinMismatch]) {
    for stale in stale {
        let text = report::mismatch(
            &stale.change.shown(),
            &stale.change.from.to_string(),
            &stale.change.to.to_string(),
            &remedy(site, progress, Some(stale)),
        );
        terminal::say(format!("\n{}", text.trim_end()));
    }
}

fn remedy(site: &Site<'_>, progress: &Progress, stale: Option<&PinMismatch>) -> String {
    let is_release = |sources: &Sources| {
        let pins = sources.container.pins();
        sources.tree.is_some() && stale.is_some_and(|stale| stale.file == pins)
    };
    let may_write = !site.sources.iter().any(is_release);
    let changed = stale.is_some_and(|stale| progress.was_changed(stale));
    mismatch::remedy(site.repo, stale, may_write, changed)
}

/// Links to what is there.
fn link(site: &Site<'_>, rows: &[Row]) -> Result<()> {
    // Links lead to what is in the own store.
    if site.options.store.is_some() || site.remote().is_some_and(Remote::is_over) {
        return Ok(());
    }
    let there = rows
        .iter()
        .filter_map(|row| Some((&*row.container, &*row.component, row.out.as_ref()?)));
    let mut links = site.links(there);
    if site.host.is_none() {
        links.retain(|(link, out)| !is_link_to(link, out));
    }
    site.nix.link(&links)
}

/// Whether a link already leads to `target`; then Nix knows it, for Nix made it.
fn is_link_to(link: &Utf8Path, target: &str) -> bool {
    link.read_link_utf8().is_ok_and(|found| found == target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_left_alone_when_they_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let link = Utf8Path::from_path(folder.path()).unwrap().join("a");
        assert!(!is_link_to(&link, "/x"));
        fs_err::os::unix::fs::symlink("/x", &link).unwrap();
        assert!(is_link_to(&link, "/x") && !is_link_to(&link, "/y"));
    }
}

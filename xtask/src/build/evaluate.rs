//! What the containers that may be meant have to offer: evaluated, announced and checked.

use anyhow::{Result, bail};

use crate::build::plan::in_use;
use crate::build::site::Site;
use crate::nix::{self, Description, EvaluationFailed, Inputs, Request};
use crate::package_set;
use crate::pins::mismatch::{self, PinMismatch};
use crate::pins::sources::Sources;
use crate::remote::Remote;
use sys::terminal;

/// Evaluates the components that are named; with `announce` it says first what is built over what.
///
/// With `build` derivations are written to the store.
pub fn describe(site: &Site<'_>, build: bool, announce: bool) -> Result<Vec<Description>> {
    let request = Request {
        containers: wanted(site),
        build,
        tests: !(build && site.options.no_tests),
        find_hashes: site.options.write_pins,
        ..Request::default()
    };
    let (described, said) = nix::apart(evaluate(site, &request));
    if announce {
        announce_used(site, described.as_deref().unwrap_or_default());
    }
    terminal::say_if_any(&said);
    let described = described?;
    check(site, &described)?;
    Ok(described)
}

/// The hash mismatches of pins because of which an evaluation failed.
pub fn mismatches(site: &Site<'_>, error: &anyhow::Error) -> Result<Vec<PinMismatch>> {
    let mut stale: Vec<PinMismatch> = Vec::new();
    if let Some(failed) = error.downcast_ref::<EvaluationFailed>() {
        for sources in &site.sources {
            // With `--pins` the containers have one file.
            for it in mismatch::at_evaluation(&failed.said, sources)? {
                if !stale.contains(&it) {
                    stale.push(it);
                }
            }
        }
    }
    Ok(stale)
}

/// The containers in play, and what of each may be meant.
fn wanted<'s>(site: &'s Site<'_>) -> Vec<(&'s Inputs, Option<Vec<String>>)> {
    let wanted = |inputs: &'_ Inputs| site.names.wanted(&inputs.container.name);
    site.inputs.iter().map(|it| (it, wanted(it))).collect()
}

/// Evaluates; on a terminal it says so meanwhile, because it may take a while.
fn evaluate(site: &Site<'_>, request: &Request<'_>) -> Result<(Vec<Description>, String)> {
    let names = request.containers.iter();
    let names: Vec<&str> = names.map(|(it, _)| it.container.name.as_str()).collect();
    let _note = terminal::Note::new(&format!("evaluating {}", names.join(", ")));
    site.nix.describe(request, site.repo, site.options.verbose)
}

/// Says what is built over what: only after an evaluation it is known which containers the names mean.
fn announce_used(site: &Site<'_>, described: &[Description]) {
    let used = in_use(described);
    let is_used = |sources: &&Sources| {
        used.is_empty() || used.iter().any(|it| it.container == sources.container.name)
    };
    let host = site.remote().map(Remote::host);
    let host = host.or(site.options.store.as_deref());
    package_set::announce(&site.choice, site.sources.iter().filter(is_used), host);
}

/// Makes sure that each name means one component, and that the flags mean no more than they can.
fn check(site: &Site<'_>, described: &[Description]) -> Result<()> {
    let elsewhere = || {
        let left_out = &site.selection.left_out;
        let inputs: Vec<Inputs> = left_out
            .iter()
            .map(|(container, _)| Inputs {
                container: container.clone(),
                host_pkgs: Some(site.repo.host_pkgs()),
                source: None,
                pins: None,
            })
            .collect();
        let request = Request {
            containers: inputs.iter().map(|it| (it, Some(Vec::new()))).collect(),
            ..Request::default()
        };
        // A hint is all that it is for.
        let described = site.nix.describe(&request, site.repo, false);
        let reasons = left_out.iter().map(|(_, reason)| reason.clone());
        let (described, _) = described.unwrap_or_default();
        described.into_iter().zip(reasons).collect()
    };
    site.names.check(described, elsewhere)?;
    if let [one, other, ..] = in_use(described).as_slice()
        && site.options.from.pins.is_some()
    {
        bail!(
            "`--pins` gives the pins of one container, and components of {} and {} are named",
            one.container,
            other.container
        );
    }
    Ok(())
}

//! Which derivation failed, where Nix's words alone don't say or prove it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::build::model::Run;
use crate::nix::Nix;
use nix_formats::log::Failure;
use nix_formats::sri::Sri;

/// Some of Nix's errors name no derivation, or an output only, and through a daemon most are not
/// proven to be its own. Then it is a derivation whose build began and left no output.
pub fn find(nix: &Nix<'_>, run: &mut Run) -> Result<()> {
    let suspects = without_output(nix, run)?;
    let (named, unnamed): (Vec<_>, Vec<_>) = suspects.into_iter().partition(|(drv, outs)| {
        !run.said(drv).is_empty()
            || outs
                .iter()
                .any(|out| run.other_errors().iter().any(|error| error.contains(out)))
    });
    let culprits = if named.is_empty() && run.failures().next().is_none() {
        unnamed
    } else {
        named
    };
    for (drv, _) in culprits {
        let proven = proven(nix, run, &drv)?;
        run.attribute_failure(&drv, proven);
    }
    Ok(())
}

/// The derivations whose build began and left no output, with their outputs.
pub fn without_output(nix: &Nix<'_>, run: &Run) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let started = run.started().map(str::to_owned).collect();
    let mut outputs = nix.outputs(&started)?;
    let valid = nix.valid(&outputs.values().flatten().cloned().collect())?;
    outputs.retain(|_, outs| !outs.is_subset(&valid));
    Ok(outputs)
}

/// The one thing said of a hash mismatch that is true, if any: Nix keeps what it built under its true
/// hash, which a builder that only talks can't do.
pub fn proven(nix: &Nix<'_>, run: &Run, drv: &str) -> Result<Option<Failure>> {
    let [output] = run.outputs(drv) else {
        return Ok(None);
    };
    for failure in run.said(drv) {
        let Failure::Mismatch { specified, got, .. } = failure else {
            continue;
        };
        let (Ok(specified), Ok(got)) = (specified.parse::<Sri>(), got.parse::<Sri>()) else {
            continue;
        };
        let fixed = output.fixed.as_ref();
        if fixed.is_none_or(|fixed| fixed.hash != specified) {
            continue;
        }
        if let Some(path) = output.with_hash(&got)
            && !nix.valid(&BTreeSet::from([path.into_string()]))?.is_empty()
        {
            return Ok(Some(failure.clone()));
        }
    }
    Ok(None)
}

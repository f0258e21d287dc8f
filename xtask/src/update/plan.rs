//! Which pins follow a new version, by asking Nix: those whose derivations are others then.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::nix::Pinned;
use crate::pins::{self, Edit, Pins, Place, Source};
use crate::update::requirements;
use crate::update::tree::Tree;
use nix_formats::sri::Sri;
use sys::files;

/// The names that lead to a hash in the pins.
pub type Key = Vec<String>;

/// A hash that nothing has: what it is in place of has to be built.
pub const FAKE: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What happens to the hashes of a pins file.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is changed before any hash is known: versions.
    pub moves: Vec<Edit>,
    /// The hashes of derivations that are others now.
    pub follow: BTreeMap<Key, Sri>,
    /// The hashes of derivations that stay the same.
    pub stay: BTreeSet<Key>,
    /// The hashes that follow and can't be found here, such as those of other systems: they go.
    pub go: BTreeMap<Key, Sri>,
}

/// The versions that change: that of the release, and those that lock files of its tree name.
pub fn moves(pins: &Pins, to: &str, tree: Option<&Tree>) -> Result<Vec<Edit>> {
    let edit = |key: &[&str], from: String, to: String| Edit {
        key: key.iter().map(|&name| name.to_owned()).collect(),
        from,
        to: Some(to),
    };
    let mut moves = vec![edit(&["version"], pins.version.to_string(), to.to_owned())];
    let lock = tree
        .map(|tree| tree.text(Utf8Path::new("uv.lock")))
        .transpose()?;
    let lock = lock.flatten().unwrap_or_default();
    let locked = requirements::git_packages(&lock);
    for (name, source) in pins.sources().filter(|(_, source)| source.module.is_some()) {
        let pinned = pins.source_version(name).to_string();
        if let Some(found) = locked.get(name).filter(|found| found.value != pinned) {
            // It goes into a file and into the arguments of git.
            if source.version.is_some() && found.value.parse::<pins::Version>().is_ok() {
                let key = ["sources", name, "version"];
                moves.push(edit(&key, pinned, found.value.clone()));
            }
        }
    }
    moves.retain(|edit| edit.to.as_ref() != Some(&edit.from));
    Ok(moves)
}

/// Sorts the hashes of a pins file by what the new versions mean for them.
///
/// `before` and `after` are the derivations with the old and the new versions, the hashes being the same;
/// `named` pins follow in any case. If the version is another one, `is_moved`, what nothing here has a derivation of is
/// not known to be the same.
pub fn sort(
    text: &str,
    is_moved: bool,
    before: &BTreeMap<Key, String>,
    after: &BTreeMap<Key, String>,
    named: &dyn Fn(&Key) -> bool,
) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut others = Vec::new();
    let moves = |key: &Key, drv: &String| named(key) || before.get(key) != Some(drv);
    let hashes: BTreeMap<Key, Sri> = pins::hashes(text)?.into_iter().collect();
    // This system or package set may have none yet: it is added, and those of others go.
    for (key, drv) in after {
        if !hashes.contains_key(key) && moves(key, drv) {
            plan.follow.insert(key.clone(), Sri::sha256([0; 32]));
        }
    }
    for (key, hash) in hashes {
        match after.get(&key) {
            Some(drv) if moves(&key, drv) => {
                plan.follow.insert(key, hash);
            }
            Some(_) => {
                plan.stay.insert(key);
            }
            None => others.push((key, hash)),
        }
    }
    // One that the pins lack is added where it would be built anew.
    for (key, drv) in after {
        let is_there = plan.follow.contains_key(key) || plan.stay.contains(key);
        if !is_there && (named(key) || before.get(key) != Some(drv)) {
            let none = FAKE.parse().map_err(anyhow::Error::msg)?;
            plan.follow.insert(key.clone(), none);
        }
    }
    for (key, hash) in others {
        // Of another system or package set: beside one that follows. Where there is none beside it, this machine
        // can't say whether it is the same still with another version.
        let depth = key.len().saturating_sub(2).max(1);
        let beside = |it: &&Key| it.len() > depth && it[..depth] == key[..depth];
        let is_unknown = is_moved
            && !plan
                .stay
                .iter()
                .any(|it| after.contains_key(it) && beside(&it));
        let may_go = key.len() >= 3 && !["sources", "nixpkgs"].contains(&&*key[0]);
        // Of a fake one nothing is lost.
        let is_fake = hash.to_string() == FAKE;
        let follows = plan.follow.keys().any(|it| beside(&it));
        if may_go && !is_fake && (follows || is_unknown) {
            plan.go.insert(key, hash);
        } else {
            plan.stay.insert(key);
        }
    }
    Ok(plan)
}

/// The derivations of the pins in a file, by the names that lead to their hashes.
pub fn derivations(pinned: Vec<Pinned>, file: &Utf8Path) -> BTreeMap<Key, String> {
    let same = |path: &Utf8Path| {
        path == file || path.canonicalize_utf8().ok() == file.canonicalize_utf8().ok()
    };
    let of_file = pinned.into_iter().filter(|pin| same(&pin.file));
    of_file.map(|pin| (pin.key, pin.drv)).collect()
}

/// The sources that lie in the tree of another one, that one included: the first place decides.
fn of_tree<'p>(pins: &'p Pins, main: &str) -> Vec<(Key, &'p Source, Option<&'p Utf8Path>)> {
    let urls: Vec<&String> = pins
        .source(main)
        .iter()
        .flat_map(|source| &source.places)
        .filter_map(|place| match place {
            Place::Git { url, .. } => Some(url),
            _ => None,
        })
        .collect();
    let in_tree = |(name, source): (&str, &'p Source)| match source.places.first()? {
        Place::Git { url, path, .. } if urls.contains(&url) => {
            let is_whole = source.version.is_none() && source.files.is_empty();
            let key = ["sources", name, "hash"].map(str::to_owned).to_vec();
            is_whole.then_some((key, source, path.as_deref()))
        }
        _ => None,
    };
    pins.sources().filter_map(in_tree).collect()
}

/// Has the hashes of sources follow that lie in a working tree: no derivation has them then.
pub fn follow_tree(pins: &Pins, main: &str, text: &str, plan: &mut Plan) -> Result<()> {
    let hashes: BTreeMap<Key, Sri> = pins::hashes(text)?.into_iter().collect();
    for (key, ..) in of_tree(pins, main) {
        if plan.stay.remove(&key)
            && let Some(hash) = hashes.get(&key)
        {
            plan.follow.insert(key, hash.clone());
        }
    }
    Ok(())
}

/// Hashes that need no build: those of the source tree itself and of what is in it.
pub fn native(pins: &Pins, main: &str, tree: &Tree, plan: &Plan) -> Result<BTreeMap<Key, Sri>> {
    let mut found = BTreeMap::new();
    for (key, source, path) in of_tree(pins, main) {
        if !plan.follow.contains_key(&key) || path.is_some_and(|path| !tree.has(path)) {
            continue;
        }
        let Some(path) = path else {
            found.insert(key, tree.hashed(|root| source.hash_of(root))?);
            continue;
        };
        let full = tree.root().join(path);
        // Not through a link, which may lead out of the tree.
        if fs_err::symlink_metadata(&full)?.is_symlink() {
            continue;
        }
        found.insert(key, source.hash_of(&full)?);
    }
    Ok(found)
}

/// A copy of a pins file in a folder, under its name and with the files that it names beside it.
pub fn copy(pins: &Pins, from: &Utf8Path, folder: &Utf8Path) -> Result<Utf8PathBuf> {
    let to = folder.join(from.file_name().context("the pins file has no name")?);
    let beside = from.parent().unwrap_or(Utf8Path::new("."));
    let files = pins.files().map(|(_, file)| file.to_owned());
    for file in files.chain(pins.go_folder().map(Utf8Path::to_owned)) {
        let (source, target) = (beside.join(&file), folder.join(&file));
        if target.exists() || !source.exists() {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        files::copy_tree(&source, &target)?;
    }
    files::write_atomically(&to, &fs_err::read(from)?, 0o644)?;
    Ok(to)
}

/// The text of the pins to build with: new versions, hashes that are known, and fake ones for the rest.
pub fn text(text: &str, plan: &Plan, known: &BTreeMap<Key, Sri>) -> Result<String> {
    let mut edits = plan.moves.clone();
    for (key, hash) in &plan.follow {
        edits.push(Edit {
            key: key.clone(),
            from: hash.to_string(),
            to: Some(
                known
                    .get(key)
                    .map_or_else(|| FAKE.to_owned(), Sri::to_string),
            ),
        });
    }
    pins::edited(text, &edits)
}

/// The hashes of pins that follow, as a text has them; an error if one is a fake one still.
pub fn found(text: &str, plan: &Plan) -> Result<BTreeMap<Key, Sri>> {
    let mut found = BTreeMap::new();
    for (key, hash) in pins::hashes(text)? {
        if plan.follow.contains_key(&key) {
            anyhow::ensure!(
                hash.to_string() != FAKE,
                "`{}` was not found: nothing that was built needs it",
                key.join(".")
            );
            found.insert(key, hash);
        }
    }
    Ok(found)
}

/// What is found elsewhere only: hashes that go here, and those that the pins, a text, have not yet.
pub fn elsewhere(text: &str, here: &Plan, there: &BTreeMap<Key, String>) -> Result<Plan> {
    let hashes: BTreeMap<Key, Sri> = pins::hashes(text)?.into_iter().collect();
    let mut plan = Plan::default();
    for key in there.keys() {
        if let Some(old) = here.go.get(key) {
            plan.follow.insert(key.clone(), old.clone());
        } else if !hashes.contains_key(key) {
            let none = FAKE.parse().map_err(anyhow::Error::msg)?;
            plan.follow.insert(key.clone(), none);
        }
    }
    Ok(plan)
}

/// All that changes in the pins file in the end.
pub fn edits(plan: &Plan, found: &BTreeMap<Key, Sri>) -> Vec<Edit> {
    let mut edits = changes(plan, found);
    edits.extend(plan.go.iter().map(|(key, from)| Edit {
        key: key.clone(),
        from: from.to_string(),
        to: None,
    }));
    edits
}

/// The values that become others.
pub fn changes(plan: &Plan, found: &BTreeMap<Key, Sri>) -> Vec<Edit> {
    let mut edits = plan.moves.clone();
    for (key, from) in &plan.follow {
        let to = found.get(key).filter(|to| *to != from);
        edits.extend(to.map(|to| Edit {
            key: key.clone(),
            from: from.to_string(),
            to: Some(to.to_string()),
        }));
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256-1iFc8xdnNoal0Izr4zDA5d/76Ks7Ok7CEzoKEl8cJIg=";

    fn key(text: &str) -> Key {
        text.split('.').map(str::to_owned).collect()
    }

    fn drvs(all: &[(&str, &str)]) -> BTreeMap<Key, String> {
        all.iter()
            .map(|(it, drv)| (key(it), (*drv).to_owned()))
            .collect()
    }

    #[test]
    fn what_follows_and_what_goes() {
        let text = format!(
            r#"{{ "version": "1", "nixpkgs": {{ "hash": "{ONE}" }},
            "sources": {{ "a": {{ "hash": "{ONE}" }}, "npm": {{ "hash": "{ONE}" }} }},
            "python": {{ "venv": {{ "x86_64-linux": "{ONE}", "aarch64-linux": "{ONE}" }} }},
            "wide": {{ "venv": {{ "host": {{ "x": "{ONE}" }}, "nixpkgs": {{ "x": "{ONE}" }} }} }} }}"#
        );
        let before = [
            ("sources.a.hash", "/a"),
            ("sources.npm.hash", "/n"),
            ("python.venv.x86_64-linux", "/p"),
            ("wide.venv.host.x", "/w"),
        ];
        let mut after = before;
        after[0].1 = "/a2";
        after[2].1 = "/p2";
        after[3].1 = "/w2";
        let plan = sort(&text, false, &drvs(&before), &drvs(&after), &|_| false).unwrap();
        let shown = |keys: Vec<&Key>| keys.iter().map(|it| it.join(".")).collect::<Vec<_>>();
        assert_eq!(
            shown(plan.follow.keys().collect()),
            [
                "python.venv.x86_64-linux",
                "sources.a.hash",
                "wide.venv.host.x"
            ]
        );
        assert_eq!(
            shown(plan.stay.iter().collect()),
            ["nixpkgs.hash", "sources.npm.hash"]
        );
        assert_eq!(
            shown(plan.go.keys().collect()),
            ["python.venv.aarch64-linux", "wide.venv.nixpkgs.x"]
        );
        // A package set that has no hash yet: it gets one, and the other's goes.
        let text_of_one = format!(
            r#"{{ "version": "1", "python": {{ "venv": {{ "nixpkgs": {{ "x": "{ONE}" }} }} }} }}"#
        );
        let (old, new) = (
            [("python.venv.host.x", "/p")],
            [("python.venv.host.x", "/p2")],
        );
        let plan = sort(&text_of_one, false, &drvs(&old), &drvs(&new), &|_| false).unwrap();
        assert_eq!(shown(plan.go.keys().collect()), ["python.venv.nixpkgs.x"]);
        let to_build = self::text(&text_of_one, &plan, &BTreeMap::new()).unwrap();
        assert!(to_build.contains(FAKE), "{to_build}");
        let found_out =
            to_build.replace(FAKE, "sha256-DFAv73KG7NcfBDnRd6ahWCkqKEfaOY1LbuYqMn2AAck=");
        let edits = edits(&plan, &found(&found_out, &plan).unwrap());
        let edited = pins::edited(&text_of_one, &edits).unwrap();
        assert!(
            edited.contains(r#""host": { "x": "sha256-DFAv"#),
            "{edited}"
        );
        assert!(!edited.contains(ONE), "{edited}");
        // What the pins lack is found, and a fake hash of another package set is no wrong one.
        let text_with_fake = text.replace(
            &format!("\"nixpkgs\": {{ \"x\": \"{ONE}\" }}"),
            &format!("\"nixpkgs\": {{ \"x\": \"{FAKE}\" }}"),
        );
        assert_ne!(text_with_fake, text);
        let mut more = drvs(&after);
        more.insert(key("new.x"), "/x".to_owned());
        let plan = sort(&text_with_fake, false, &drvs(&before), &more, &|_| false).unwrap();
        assert_eq!(plan.follow[&key("new.x")].to_string(), FAKE);
        assert_eq!(
            shown(plan.go.keys().collect()),
            ["python.venv.aarch64-linux"]
        );
        // What nothing here has a derivation of is not kept with another version, and with the same it is.
        let text_of_others = format!(
            r#"{{ "version": "1", "nixpkgs": {{ "hash": "{ONE}" }}, "sources": {{ "x": {{ "hash": "{ONE}" }} }},
            "python": {{ "venv": {{ "nixpkgs": {{ "x": "{ONE}" }} }} }},
            "web": {{ "modules": {{ "x": "{ONE}", "y": "{ONE}" }} }} }}"#
        );
        let here = drvs(&[("web.modules.x", "/m")]);
        for (is_moved, gone) in [(true, 1), (false, 0)] {
            let plan = sort(&text_of_others, is_moved, &here, &here, &|_| false).unwrap();
            assert_eq!((plan.go.len(), plan.stay.len()), (gone, 5 - gone));
        }
        // Nothing changes: nothing follows, and nothing goes.
        let plan = sort(&text, false, &drvs(&before), &drvs(&before), &|_| false).unwrap();
        assert!(plan.follow.is_empty() && plan.go.is_empty());
        let named = sort(&text, false, &drvs(&before), &drvs(&before), &|it| {
            it[1] == "npm"
        })
        .unwrap();
        assert_eq!(shown(named.follow.keys().collect()), ["sources.npm.hash"]);
        // Fake ones are in what is built with, and refused in what is written.
        let text_to_build = self::text(&text, &named, &BTreeMap::new()).unwrap();
        assert!(text_to_build.contains(FAKE));
        let error = found(&text_to_build, &named).unwrap_err().to_string();
        assert!(
            error.contains("`sources.npm.hash` was not found"),
            "{error}"
        );
    }
}

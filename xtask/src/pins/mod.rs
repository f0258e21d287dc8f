//! `pins.json`: every version, revision and hash, as a type that can't be wrong.
//!
//! Nix reads the same file. What is checked here is checked before Nix starts, because Nix would say
//! neither line nor key. May use Nix, other machines and the repository.

pub mod mismatch;
pub mod sources;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use serde_json::value::RawValue;

use nix_formats::json;
use nix_formats::nar;
use nix_formats::sri::Sri;
use sys::files;
use sys::inside::{self, LONGEST_TEXT};

/// The content of a pins file.
#[derive(Debug)]
pub struct Pins {
    /// The version of what is built.
    pub version: Version,
    /// The pinned nixpkgs; the sample has none of its own.
    pub nixpkgs: Option<Nixpkgs>,
    sources: BTreeMap<String, Source>,
    /// The Go modules of what is built.
    go: Option<Go>,
}

/// The keys that mean the same in the pins of each container.
const KEYS: [&str; 4] = ["version", "nixpkgs", "sources", "go"];

/// `go` in the file.
#[derive(Debug)]
struct Go {
    /// SHA-256 of the NAR of the modules; none where none are fetched.
    vendor_hash: Option<Sri>,
    /// The one of `sources` whose modules these are.
    source: Option<String>,
    /// Or the folder, relative to the file.
    folder: Option<Utf8PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawGo {
    vendor_hash: Option<Sri>,
    source: Option<String>,
    folder: Option<Utf8PathBuf>,
}

/// What a container pins besides: Nix reads it, here its hashes are checked.
struct Other;

/// A version: starts with a digit, holds letters, digits, `.`, `-`, `+` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

/// The pinned nixpkgs.
#[derive(Debug)]
pub struct Nixpkgs {
    /// Where the tarball is; in the file, `{rev}` in it is the revision.
    pub url: String,
    /// The revision: 40 hexadecimal digits.
    pub rev: String,
    /// SHA-256 of the NAR of the unpacked tarball.
    pub hash: Sri,
}

/// A pinned source.
#[derive(Debug)]
pub struct Source {
    /// Its own, if it has one.
    pub version: Option<Version>,
    hash: Sri,
    mode: Mode,
    /// The Python module that the backend takes from it; its version is then a revision in a lock file.
    pub module: Option<String>,
    /// Only these files of the tree, if any.
    pub files: Vec<Utf8PathBuf>,
    /// Where it can be had, in this order.
    pub places: Vec<Place>,
}

impl Source {
    /// The hash that a path has as this source.
    pub fn hash_of(&self, path: &Utf8Path) -> Result<Sri> {
        match self.mode {
            Mode::Flat => nar::flat(path.as_std_path()),
            Mode::Recursive => nar::tree(path.as_std_path()),
        }
    }
}

/// Where a source can be had. What Nix alone needs is checked and not kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A git repository.
    Git {
        /// Its address.
        url: String,
        /// A tag or commit, with `{version}` in it.
        rev: String,
        /// What of the tree, if not all.
        path: Option<Utf8PathBuf>,
    },
    /// The npm package of this name.
    Npm(String),
    /// The Go module of this path.
    Go(String),
    /// The project of this name on `PyPI`.
    Pypi(String),
    /// A file or folder beside the pins.
    File(Utf8PathBuf),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNixpkgs {
    url: String,
    rev: String,
    hash: Sri,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    version: Option<Version>,
    hash: Sri,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    files: Vec<Utf8PathBuf>,
    /// The Python module that the backend takes from it.
    module: Option<String>,
    places: Vec<Place>,
}

/// What the hash of a source is of: its NAR, or the content of a single file.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Flat,
    #[default]
    Recursive,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    git: Option<String>,
    npm: Option<String>,
    go: Option<String>,
    pypi: Option<String>,
    file: Option<Utf8PathBuf>,
    rev: Option<String>,
    version: Option<String>,
    path: Option<Utf8PathBuf>,
}

/// Parses the text of a pins file; `shown` is what errors call it.
pub fn parse(text: &str, shown: &Utf8Path) -> Result<Pins> {
    json::from_json(text, shown)
}

/// Reads a pins file and makes sure that the files that its sources name can be read.
///
/// `shown` is what errors call it.
pub fn read(path: &Utf8Path, shown: &Utf8Path) -> Result<Pins> {
    let bytes = inside::read(path, LONGEST_TEXT).context("reading the pins")?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        anyhow::anyhow!("{shown}:{line}: bytes that are not UTF-8")
    })?;
    let pins = parse(&text, shown)?;
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    let problems: Vec<String> = pins
        .files()
        .filter_map(|(pin, file)| {
            let error = unreadable(&folder.join(file))?;
            Some(format!(
                "{shown}: the source `{pin}` names a file that can't be read: {error:#}"
            ))
        })
        .collect();
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(pins)
}

/// Why a file or folder can't be read, if so.
fn unreadable(path: &Utf8Path) -> Option<anyhow::Error> {
    let look = || -> Result<()> {
        if fs_err::metadata(path)?.is_dir() {
            Ok(fs_err::read_dir(path)?.try_for_each(|entry| entry.map(|_| ()))?)
        } else {
            // Opened only: it can be large. A FIFO would wait.
            if !fs_err::metadata(path)?.is_file() {
                bail!("`{path}` is not a regular file");
            }
            Ok(fs_err::File::open(path).map(|_| ())?)
        }
    };
    look().err()
}

impl<'de> Deserialize<'de> for Pins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pins;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Pins, A::Error> {
                let (mut version, mut nixpkgs, mut go) = (None, None, None);
                let mut sources = BTreeMap::new();
                let mut seen: BTreeSet<String> = BTreeSet::new();
                while let Some(key) = access.next_key::<String>()? {
                    // What is meant for one of them would be lost among what only Nix reads.
                    let near = |known: &&str| strsim::jaro_winkler(&key, known) > 0.85;
                    match key.as_str() {
                        key if seen.contains(key) => {
                            return Err(de::Error::custom(format_args!("duplicate key `{key}`")));
                        }
                        "version" => version = Some(access.next_value()?),
                        "nixpkgs" => nixpkgs = access.next_value()?,
                        "sources" => {
                            sources = access.next_value_seed(json::UniqueKeys(PhantomData))?;
                        }
                        "go" => go = access.next_value()?,
                        // For editors.
                        "$schema" => drop(access.next_value::<String>()?),
                        unknown if KEYS.iter().any(near) => {
                            return Err(de::Error::unknown_field(unknown, &KEYS));
                        }
                        _ => {
                            access.next_value_seed(json::UniqueKeys::<Other>(PhantomData))?;
                        }
                    }
                    seen.insert(key);
                }
                Ok(Pins {
                    version: version.ok_or_else(|| de::Error::missing_field("version"))?,
                    nixpkgs,
                    sources,
                    go,
                })
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Other {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Other;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, a list, a text, a number or a truth value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Other, E> {
                if text.starts_with("sha256-") || text.starts_with("sha512-") {
                    text.parse::<Sri>().map_err(E::custom)?;
                }
                Ok(Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Other, A::Error> {
                json::UniqueKeys::<Other>(PhantomData).visit_map(access)?;
                Ok(Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Other, A::Error> {
                while access.next_element::<Other>()?.is_some() {}
                Ok(Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Other, E> {
                Ok(Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Other, E> {
                Ok(Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Other, E> {
                Ok(Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Other, E> {
                Ok(Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A relative path that stays below its folder.
fn stays_below(path: &Utf8Path) -> bool {
    use camino::Utf8Component;
    !path.as_str().is_empty()
        && path
            .components()
            .all(|part| matches!(part, Utf8Component::Normal(_)))
}

impl Pins {
    /// `go.vendorHash`.
    pub fn vendor_hash(&self) -> Option<&Sri> {
        self.go.as_ref()?.vendor_hash.as_ref()
    }

    /// The one of the pinned sources whose Go modules are pinned.
    pub fn go_source(&self) -> Option<&str> {
        self.go.as_ref()?.source.as_deref()
    }

    /// The folder whose Go modules are pinned, relative to the file.
    pub fn go_folder(&self) -> Option<&Utf8Path> {
        self.go.as_ref()?.folder.as_deref()
    }

    /// The pinned sources by name.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        let sources = self.sources.iter();
        sources.map(|(name, source)| (name.as_str(), source))
    }

    /// A pinned source.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// The version of a source.
    pub fn source_version(&self, name: &str) -> &Version {
        let source = self.sources.get(name);
        source
            .and_then(|source| source.version.as_ref())
            .unwrap_or(&self.version)
    }

    /// The SHA-256 that a source's NAR has to have.
    pub fn source_sha256(&self, name: &str) -> Option<[u8; 32]> {
        let source = self.sources.get(name)?;
        let digest = source.hash.as_sha256()?;
        matches!(source.mode, Mode::Recursive).then(|| digest.try_into().ok())?
    }

    /// Each source that comes from a file beside the pins: the pin's name and the relative path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Utf8Path)> {
        self.sources.iter().flat_map(|(name, source)| {
            source.places.iter().filter_map(move |place| match place {
                Place::File(path) => Some((name.as_str(), path.as_path())),
                _ => None,
            })
        })
    }

    /// The hash that does not say what its file holds, for each source that comes from a file beside
    /// the pins first of all. `folder` is that of the pins.
    pub fn stale_files(&self, folder: &Utf8Path) -> Result<Vec<Change>> {
        let mut stale = Vec::new();
        for (name, source) in &self.sources {
            let Some(Place::File(file)) = source.places.first() else {
                continue;
            };
            if source.hash.as_sha256().is_none() {
                continue;
            }
            let to = source.hash_of(&folder.join(file))?;
            if to != source.hash {
                stale.push(Change {
                    key: ["sources", name, "hash"].map(str::to_owned).to_vec(),
                    from: source.hash.clone(),
                    to,
                });
            }
        }
        Ok(stale)
    }
}

/// A value of a pins file that becomes another, or goes with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The names that lead to it.
    pub key: Vec<String>,
    /// What it is.
    pub from: String,
    /// What it becomes; nothing if it goes.
    pub to: Option<String>,
}

/// A new hash for a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The names that lead to the hash, such as `sources`, `schema`, `hash`.
    pub key: Vec<String>,
    /// What it is now.
    pub from: Sri,
    /// What it becomes.
    pub to: Sri,
}

impl From<&Change> for Edit {
    fn from(change: &Change) -> Self {
        Self {
            key: change.key.clone(),
            from: change.from.to_string(),
            to: Some(change.to.to_string()),
        }
    }
}

impl Change {
    /// The names that lead to the hash, as they are written.
    pub fn shown(&self) -> String {
        self.key.join(".")
    }
}

/// Writes new hashes into a pins file, in one piece; nothing but these values changes.
///
/// `lock` is a file by which runs at the same time wait for each other.
pub fn write(path: &Utf8Path, lock: &Utf8Path, changes: &[Change]) -> Result<()> {
    let edits: Vec<Edit> = changes.iter().map(Edit::from).collect();
    let _lock = files::lock(lock)?;
    let path = path.canonicalize_utf8()?;
    let text = inside::read_text(&path, LONGEST_TEXT)?;
    let new = edited(&text, &edits).with_context(|| format!("changing `{path}`"))?;
    let mode = std::os::unix::fs::MetadataExt::mode(&fs_err::metadata(&path)?) & 0o7777;
    files::write_atomically(&path, new.as_bytes(), mode)
}

/// The text of a pins file with other values. What was a fake hash may have been none: it is added.
pub fn edited(text: &str, edits: &[Edit]) -> Result<String> {
    let fake = Sri::sha256([0; 32]).to_string();
    let is_new = |edit: &&Edit| edit.from == fake && place_of(text, &edit.key).is_none();
    let (new, others): (Vec<&Edit>, Vec<&Edit>) = edits.iter().partition(is_new);
    let (gone, changed): (Vec<&Edit>, Vec<&Edit>) =
        others.into_iter().partition(|edit| edit.to.is_none());
    // One by one: two neighbours share a comma.
    let text = gone
        .into_iter()
        .try_fold(with_values(text, &changed)?, |text, edit| {
            with_values(&text, &[edit])
        })?;
    new.into_iter().try_fold(text, |text, edit| {
        added(&text, edit)
            .with_context(|| format!("there is no place for `{}`", edit.key.join(".")))
    })
}

/// The text with one more value, as the last one of the innermost object on the way to it that is there.
fn added(text: &str, edit: &Edit) -> Option<String> {
    let depth = (0..edit.key.len())
        .rev()
        .find(|&depth| place_of(text, &edit.key[..depth]).is_some())?;
    let place = place_of(text, &edit.key[..depth])?;
    let [name, below @ ..] = &edit.key[depth..] else {
        return None;
    };
    let inner = text[place].strip_prefix('{')?.strip_suffix('}')?;
    let start = inner.as_ptr().addr() - text.as_ptr().addr();
    // as what is there begins: on a line of its own, or behind
    let blank = &inner[..inner.len() - inner.trim_start().len()];
    let mut value = serde_json::to_string(edit.to.as_ref()?).ok()?;
    for name in below.iter().rev() {
        value = format!("{{ {}: {value} }}", serde_json::to_string(name).ok()?);
    }
    let entry = format!("{}: {value}", serde_json::to_string(name).ok()?);
    let kept = inner.trim_end();
    let (from, entry) = if kept.is_empty() {
        (inner.len(), format!(" {entry} "))
    } else {
        let blank = if blank.is_empty() { " " } else { blank };
        (kept.len(), format!(",{blank}{entry}"))
    };
    let at = start + from;
    Some(format!("{}{entry}{}", &text[..at], &text[at..]))
}

/// The text with other values for keys that are there.
fn with_values(text: &str, edits: &[&Edit]) -> Result<String> {
    let mut places = Vec::new();
    for edit in edits {
        let shown = edit.key.join(".");
        let place = place_of(text, &edit.key).with_context(|| format!("there is no `{shown}`"))?;
        let found: String = serde_json::from_str(&text[place.clone()])
            .with_context(|| format!("`{shown}` is not a string"))?;
        if found != edit.from {
            bail!(
                "`{shown}` is `{found}`, no longer `{}`: something else changed it meanwhile",
                edit.from
            );
        }
        match &edit.to {
            Some(to) => places.push((place, serde_json::to_string(to)?)),
            None => places.push((entry_around(text, place), String::new())),
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    let mut new = String::with_capacity(text.len());
    let mut at = 0;
    for (place, value) in places {
        new.push_str(
            text.get(at..place.start)
                .context("a value is changed twice")?,
        );
        new.push_str(&value);
        at = place.end;
    }
    new.push_str(&text[at..]);
    Ok(new)
}

/// The whole entry of an object, given its value: key, value, and the comma on one side.
fn entry_around(text: &str, value: Range<usize>) -> Range<usize> {
    let before = text[..value.start].trim_end().trim_end_matches(':');
    let before = before.trim_end();
    // The key ends in a quote; an escaped quote in a key is none.
    let mut start = before.len() - 1;
    while let Some(quote) = before[..start].rfind('"') {
        start = quote;
        if !before[..quote].ends_with('\\') {
            break;
        }
    }
    let behind = &text[value.end..];
    let rest = behind.trim_start();
    let outside = text[..start].trim_end();
    if let Some(rest) = rest.strip_prefix(',') {
        // With the space before the next key.
        let next = rest.trim_start();
        return start..text.len() - next.len();
    }
    if outside.ends_with('{') && rest.starts_with('}') {
        // The only one: nothing is left between the brackets.
        return outside.len()..text.len() - rest.len();
    }
    let start = outside.strip_suffix(',').map_or(start, str::len);
    start..value.end
}

/// The hashes in the text of a pins file, each with the names that lead to it.
pub fn hashes(text: &str) -> Result<Vec<(Vec<String>, Sri)>> {
    fn walk(value: &serde_json::Value, key: &mut Vec<String>, found: &mut Vec<(Vec<String>, Sri)>) {
        match value {
            serde_json::Value::Object(object) => {
                for (name, value) in object {
                    key.push(name.clone());
                    walk(value, key, found);
                    key.pop();
                }
            }
            serde_json::Value::String(text) => {
                found.extend(text.parse().ok().map(|hash| (key.clone(), hash)));
            }
            _ => {}
        }
    }
    let value: serde_json::Value = serde_json::from_str(text)?;
    let mut found = Vec::new();
    walk(&value, &mut Vec::new(), &mut found);
    Ok(found)
}

/// Where in a text of JSON the value lies to which these names lead.
fn place_of(text: &str, key: &[String]) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    for name in key {
        let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value.get()).ok()?;
        value = object.get(name.as_str())?;
    }
    // A `RawValue` that is borrowed is a part of the text.
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    Some(start..start + value.get().len())
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_commit = text.len() == 40 && text.bytes().all(hexadecimal);
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        if is_commit || begins && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "malformed version `{text}`: it must start with a digit and hold letters, digits, \
                 `.`, `-`, `+`, `_` only, or be a commit of 40 hexadecimal digits"
            ))
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::from_text(deserializer)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Nixpkgs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::checked(deserializer, |RawNixpkgs { url, rev, hash }| {
            if rev.len() != 40 || !is_hexadecimal(&rev) {
                return Err(format!(
                    "malformed revision `{rev}`: it must be 40 hexadecimal digits"
                ));
            }
            let url = url.replace("{rev}", &rev);
            if !url.contains(&rev) {
                return Err(format!(
                    "the URL `{url}` holds neither `{{rev}}` nor the revision itself"
                ));
            }
            if hash.as_sha256().is_none() {
                return Err(format!("the hash `{hash}` of nixpkgs must be a sha256"));
            }
            Ok(Self { url, rev, hash })
        })
    }
}

impl<'de> Deserialize<'de> for Go {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::checked(deserializer, |raw: RawGo| {
            if raw.source.is_some() && raw.folder.is_some() {
                return Err("`source` and `folder` do not go together".to_owned());
            }
            if let Some(folder) = raw.folder.as_ref().filter(|folder| !stays_below(folder)) {
                return Err(format!(
                    "the folder `{folder}` must be relative and without `..`"
                ));
            }
            Ok(Self {
                vendor_hash: raw.vendor_hash,
                source: raw.source,
                folder: raw.folder,
            })
        })
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::checked(deserializer, |raw: RawSource| {
            if raw.places.is_empty() {
                return Err("`places` is empty: a source needs at least one".to_owned());
            }
            if !raw.files.is_empty() && matches!(raw.places[0], Place::File(_)) {
                return Err(
                    "`files` does not go with a `file` as the first place, which is taken whole"
                        .to_owned(),
                );
            }
            if let Some(file) = raw.files.iter().find(|file| !stays_below(file)) {
                return Err(format!(
                    "the file `{file}` must be relative and without `..`"
                ));
            }
            let in_names = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if let Some(module) = &raw.module {
                if module.is_empty() || !module.chars().all(in_names) {
                    return Err(format!("`{module}` is not the name of a Python module"));
                }
                // It is compared with the revision in the lock file.
                if raw.version.is_none() {
                    return Err("a `module` needs `version`, its revision".to_owned());
                }
            }
            Ok(Self {
                version: raw.version,
                hash: raw.hash,
                mode: raw.mode,
                module: raw.module,
                files: raw.files,
                places: raw.places,
            })
        })
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::checked(deserializer, check_place)
    }
}

fn check_place(raw: RawPlace) -> Result<Place, String> {
    if let Some(path) = raw.path.as_ref().filter(|path| !stays_below(path)) {
        return Err(format!(
            "the path `{path}` must be relative and without `..`"
        ));
    }
    let (place, rev, version, path) = match (raw.git, raw.npm, raw.go, raw.pypi, raw.file) {
        (Some(url), None, None, None, None) => {
            let (rev, path) = (raw.rev.clone().unwrap_or_default(), raw.path.clone());
            (Place::Git { url, rev, path }, true, false, true)
        }
        (None, Some(name), None, None, None) => (Place::Npm(name), false, true, true),
        (None, None, Some(module), None, None) => (Place::Go(module), false, true, true),
        (None, None, None, Some(name), None) => (Place::Pypi(name), false, true, true),
        (None, None, None, None, Some(file)) => {
            if !stays_below(&file) {
                return Err(format!(
                    "the file `{file}` must be relative and without `..`"
                ));
            }
            (Place::File(file), false, false, false)
        }
        _ => {
            return Err(
                "a place has exactly one of the keys `git`, `npm`, `go`, `pypi`, `file`".to_owned(),
            );
        }
    };
    let keys = [
        ("rev", rev, rev, raw.rev.is_some()),
        ("version", version, version, raw.version.is_some()),
        ("path", false, path, raw.path.is_some()),
    ];
    for (key, needed, allowed, given) in keys {
        if needed && !given {
            return Err(format!("the key `{key}` is missing"));
        }
        if given && !allowed {
            return Err(format!("the key `{key}` does not belong into this place"));
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256-1iFc8xdnNoal0Izr4zDA5d/76Ks7Ok7CEzoKEl8cJIg=";

    fn good() -> String {
        format!(
            r#"{{
  "version": "2026.2.0",
  "nixpkgs": {{
    "url": "https://example.org/archive/{{rev}}.tar.gz",
    "rev": "fabb8c9deee281e50b1065002c9828f2cf7b2239",
    "hash": "{HASH}"
  }},
  "sources": {{
    "schema": {{
      "hash": "{HASH}",
      "places": [
        {{ "git": "https://example.org/a", "rev": "version/2026.2.0", "path": "schema.yml" }},
        {{ "npm": "@goauthentik/api", "version": "2026.2.0", "path": "schema.yml" }},
        {{ "go": "goauthentik.io/api/v3", "version": "v3.2026.2.0" }},
        {{ "file": "schema.yml" }}
      ]
    }},
    "generator": {{
      "version": "7.21.0",
      "hash": "{HASH}",
      "mode": "flat",
      "files": ["a", "b/c"],
      "places": [{{ "pypi": "generator", "version": "{{version}}" }}]
    }},
    "package": {{
      "version": "ceb4fcc090851717a3069d78e85ceb1e86c2740c",
      "hash": "{HASH}",
      "module": "a_module",
      "places": [{{ "git": "https://example.org/b", "rev": "{{version}}" }}]
    }}
  }}
}}"#
        )
    }

    #[test]
    fn good_pins() {
        let pins = parse(&good(), "pins.json".into()).unwrap();
        assert_eq!(pins.version.to_string(), "2026.2.0");
        assert_eq!(
            pins.nixpkgs.as_ref().unwrap().url,
            "https://example.org/archive/fabb8c9deee281e50b1065002c9828f2cf7b2239.tar.gz"
        );
        assert_eq!(
            pins.files().collect::<Vec<_>>(),
            [("schema", Utf8Path::new("schema.yml"))]
        );
    }

    fn change(key: &[&str], from: &str, to: &str) -> Change {
        Change {
            key: key.iter().map(|&name| name.to_owned()).collect(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }
    }

    fn edits_of(changes: &[Change]) -> Vec<Edit> {
        changes.iter().map(Edit::from).collect()
    }

    const OTHER: &str = "sha256-DFAv73KG7NcfBDnRd6ahWCkqKEfaOY1LbuYqMn2AAck=";

    #[test]
    fn only_the_values_change() {
        let changes = [
            change(&["sources", "schema", "hash"], HASH, OTHER),
            change(&["nixpkgs", "hash"], HASH, OTHER),
        ];
        let text = good().replace("  \"sources\"", "\t\"sources\"\r");
        let new = edited(&text, &edits_of(&changes)).unwrap();
        assert_eq!(new.matches(OTHER).count(), 2);
        assert_eq!(new.replacen(OTHER, HASH, 2), text);
        let generator = new.find("generator").unwrap();
        assert!(new[generator..].contains(HASH), "{new}");
        assert_eq!(edited(&text, &[]).unwrap(), text);
    }

    #[test]
    fn values_go_with_their_keys() {
        let text = "{\n  \"a\": {\n    \"x\": \"1\",\n    \"y\": \"2\"\n  },\n  \"b\": { \"z\": \"3\" }\n}";
        let without = |keys: &[(&str, &str)]| {
            let edits = keys.iter().map(|(key, from)| Edit {
                key: key.split('.').map(str::to_owned).collect(),
                from: (*from).to_owned(),
                to: None,
            });
            let new = edited(text, &edits.collect::<Vec<_>>()).unwrap();
            serde_json::from_str::<serde_json::Value>(&new).unwrap();
            new
        };
        assert!(without(&[("a.x", "1")]).starts_with("{\n  \"a\": {\n    \"y\": \"2\"\n  },"));
        assert!(without(&[("a.y", "2")]).starts_with("{\n  \"a\": {\n    \"x\": \"1\"\n  },"));
        assert!(without(&[("b.z", "3")]).ends_with("\"b\": {}\n}"));
        let both = without(&[("a.x", "1"), ("a.y", "2")]);
        assert!(both.starts_with("{\n  \"a\": {},\n"), "{both}");
    }

    #[test]
    fn what_was_not_there_is_added() {
        const NONE: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let add = |text: &str, key: &[&str]| {
            let new = edited(text, &edits_of(&[change(key, NONE, OTHER)])).unwrap();
            // nothing but that is another
            serde_json::from_str::<serde_json::Value>(&new).unwrap();
            new.replace(OTHER, "!")
        };
        let venv = ["python", "venv", "host-debian-12", "x86_64-linux"];
        for (before, after) in [
            (
                "{\n  \"python\": {\n    \"venv\": {\n      \"nixpkgs\": { }\n    }\n  }\n}\n",
                "{\n  \"python\": {\n    \"venv\": {\n      \"nixpkgs\": { },\n      \"host-debian-12\": { \"x86_64-linux\": \"!\" }\n    }\n  }\n}\n",
            ),
            (
                r#"{ "python": { "venv": { "host-debian-12": { "a": "b" } } } }"#,
                r#"{ "python": { "venv": { "host-debian-12": { "a": "b", "x86_64-linux": "!" } } } }"#,
            ),
            (
                r#"{"python":{"venv":{}}}"#,
                r#"{"python":{"venv":{ "host-debian-12": { "x86_64-linux": "!" } }}}"#,
            ),
            (
                r#"{"a":1}"#,
                r#"{"a":1, "python": { "venv": { "host-debian-12": { "x86_64-linux": "!" } } }}"#,
            ),
        ] {
            assert_eq!(add(before, &venv), after);
        }
        // one that is there is no new one
        let error = edited(&good(), &edits_of(&[change(&["version"], NONE, OTHER)]));
        assert!(format!("{:#}", error.unwrap_err()).contains("no longer"));
        let error = edited(
            &good(),
            &edits_of(&[change(&["version", "x"], NONE, OTHER)]),
        );
        assert!(format!("{:#}", error.unwrap_err()).contains("there is no place for `version.x`"));
    }

    #[test]
    fn what_can_t_be_changed() {
        let schema = ["sources", "schema", "hash"];
        for (changes, part) in [
            (
                vec![change(&["sources", "x", "hash"], HASH, OTHER)],
                "there is no `sources.x.hash`",
            ),
            (
                vec![change(&["version"], HASH, OTHER)],
                "`version` is `2026.2.0`, no longer",
            ),
            (
                vec![change(&["sources"], HASH, OTHER)],
                "`sources` is not a string",
            ),
            (
                vec![change(&schema, OTHER, HASH)],
                "something else changed it meanwhile",
            ),
            (vec![change(&schema, HASH, OTHER); 2], "changed twice"),
        ] {
            let error = format!("{:#}", edited(&good(), &edits_of(&changes)).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
        assert!(edited("{", &edits_of(&[change(&schema, HASH, OTHER)])).is_err());
    }

    #[test]
    fn the_file_keeps_its_mode_and_links_stay_links() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let (file, link) = (folder.join("pins.json"), folder.join("link"));
        files::write_atomically(&file, good().as_bytes(), 0o600).unwrap();
        fs_err::os::unix::fs::symlink(&file, &link).unwrap();
        let changes = [change(&["nixpkgs", "hash"], HASH, OTHER)];
        write(&link, &folder.join("lock"), &changes).unwrap();
        assert!(link.is_symlink());
        assert!(fs_err::read_to_string(&file).unwrap().contains(OTHER));
        let mode = fs_err::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn files_that_are_not_what_their_pins_say() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        files::write_atomically(&folder.join("f"), b"hi\n", 0o644).unwrap();
        // Golden: `nix hash file` of Nix 2.8.
        let right = "sha256-mOpuTyFvL7S2n/+bOkSELDhobKaF8/VdxIxdP7EQe+Q=";
        let pins = |hash: &str| {
            let text = format!(
                r#"{{ "version": "1", "sources": {{ "f": {{ "hash": "{hash}", "mode": "flat", "places": [{{ "file": "f" }}] }} }} }}"#
            );
            parse(&text, "p".into()).unwrap()
        };
        assert_eq!(pins(right).stale_files(folder).unwrap(), []);
        assert_eq!(
            pins(HASH).stale_files(folder).unwrap(),
            [change(&["sources", "f", "hash"], HASH, right)]
        );
    }

    #[test]
    fn modules_have_a_revision() {
        for (from, to, part) in [
            (
                r#""version": "ceb4fcc0"#,
                r#""version": "ceb4fcc"#,
                "or be a commit of 40 hexadecimal digits",
            ),
            (
                r#""a_module""#,
                r#""a/module""#,
                "`a/module` is not the name of a Python module",
            ),
            (
                r#""version": "ceb4fcc090851717a3069d78e85ceb1e86c2740c","#,
                "",
                "a `module` needs `version`, its revision",
            ),
        ] {
            let text = good();
            assert!(text.contains(from), "{from}");
            let error = parse(&text.replacen(from, to, 1), "pins.json".into()).unwrap_err();
            assert!(error.to_string().contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn bad_pins() {
        for (from, to, line, part) in [
            (
                r#""version": "2026.2.0","#,
                r#""version": "2026.2.0""#,
                3,
                "expected `,` or `}`",
            ),
            (
                r#""version": "2026"#,
                r#""version": "v2026"#,
                2,
                "malformed version `v2026.2.0`",
            ),
            (
                r#""nixpkgs""#,
                r#""nixpkg""#,
                3,
                "unknown field `nixpkg`, expected one of",
            ),
            (
                r#""rev": "fabb"#,
                r#""rev": "fab"#,
                7,
                "malformed revision `fab8c",
            ),
            (r"archive/{rev}", r"archive/{ref}", 7, "holds neither"),
            (r#"places": ["#, r#"place": ["#, 11, "unknown field `place`"),
            (
                r#""file": "schema.yml""#,
                r#""file": "/etc/passwd""#,
                15,
                "`/etc/passwd` must be",
            ),
            (
                r#""file": "schema.yml""#,
                r#""file": "../x""#,
                15,
                "`../x` must be relative",
            ),
            (
                r#""file": "schema.yml""#,
                r#""file": """#,
                15,
                "must be relative",
            ),
            (
                r#""file": "schema.yml""#,
                r#""rev": "x""#,
                15,
                "exactly one of the keys",
            ),
            (
                r#""file": "#,
                r#""git": "x", "file": "#,
                15,
                "exactly one of the keys",
            ),
            (
                r#""go": "#,
                r#""rev": "x", "go": "#,
                14,
                "`rev` does not belong",
            ),
            (
                r#", "version": "v3.2026.2.0""#,
                "",
                14,
                "the key `version` is missing",
            ),
            (
                r#""path": "schema.yml" },"#,
                r#""path": "a/../b" },"#,
                12,
                "`a/../b` must be",
            ),
            (
                r#""generator": {"#,
                r#""a": {}, "generator": {"#,
                18,
                "missing field `hash`",
            ),
            (
                r#"{ "pypi": "generator", "version": "{version}" }"#,
                r#"{ "file": "x" }"#,
                24,
                "does not go with a `file`",
            ),
            (r#""flat""#, r#""deep""#, 21, "unknown variant `deep`"),
            (r#""b/c""#, r#""../c""#, 24, "`../c` must be"),
            (
                r#""version": "7.21.0""#,
                r#""version": "seven""#,
                19,
                "malformed version `seven`",
            ),
        ] {
            let text = good();
            assert!(text.contains(from), "{from}");
            let error = parse(&text.replacen(from, to, 1), "pins.json".into()).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with(&format!("pins.json:{line}:")),
                "{to}: {message}"
            );
            assert!(message.contains(part), "{to}: {message}");
        }
    }

    #[test]
    fn bad_hashes_are_named() {
        let text = good().replacen(HASH, "sha256-abc", 1);
        let message = parse(&text, "pins.json".into()).unwrap_err().to_string();
        assert!(message.starts_with("pins.json:6:"), "{message}");
        assert!(message.contains("malformed hash `sha256-abc`"), "{message}");
    }

    #[test]
    fn what_a_container_pins_besides() {
        let with = |more: &str| {
            let text = format!("{{ \"version\": \"1\",\n{more} }}");
            parse(&text, "p".into()).map_err(|error| error.to_string())
        };
        let pins = with(&format!(
            r#""go": {{ "folder": "a/b", "vendorHash": "{HASH}" }}, "ruby": {{ "gems": ["x", {{ "hash": "{HASH}" }}] }}"#
        ));
        let pins = pins.unwrap();
        assert_eq!(pins.go_folder(), Some(Utf8Path::new("a/b")));
        assert_eq!(
            (pins.go_source(), pins.vendor_hash().is_some()),
            (None, true)
        );
        for (more, expected) in [
            (
                r#""ruby": 1"#,
                "p:2:9: invalid type: integer `1`, expected an object",
            ),
            (
                r#""ruby": { "a": [{ "b": "sha256-short" }] }"#,
                "p:2:37: malformed hash `sha256-short`",
            ),
            (r#""ruby": { "a": 1, "a": 2 }"#, "duplicate key `a`"),
            (r#""version": "2""#, "duplicate key `version`"),
            (
                r#""soruces": { }"#,
                "p:2:9: unknown field `soruces`, expected one of",
            ),
            (r#""go": { "folder": "../x" }"#, "`../x` must be relative"),
            (
                r#""go": { "folder": "x", "source": "y" }"#,
                "do not go together",
            ),
        ] {
            let error = with(more).unwrap_err();
            assert!(error.contains(expected), "{more}: {error}");
        }
    }

    #[test]
    fn duplicate_and_empty() {
        let text = good().replacen(r#""schema": {"#, r#""schema": { "hash": "", "#, 1);
        assert!(parse(&text, "p".into()).is_err());
        let source = format!(r#""s": {{ "hash": "{HASH}", "places": [{{ "file": "x" }}] }}"#);
        let text = format!(r#"{{ "version": "1", "sources": {{ {source}, {source} }} }}"#);
        let message = parse(&text, "p".into()).unwrap_err().to_string();
        assert!(message.contains("duplicate key `s`"), "{message}");
        let text = format!(
            r#"{{ "version": "1", "sources": {{ "s": {{ "hash": "{HASH}", "places": [] }} }} }}"#
        );
        let message = parse(&text, "p".into()).unwrap_err().to_string();
        assert!(message.contains("`places` is empty"), "{message}");
    }

    #[test]
    fn files_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let path = folder.join("pins.json");
        files::write_atomically(&path, good().as_bytes(), 0o644).unwrap();
        let message = format!("{:#}", read(&path, "pins.json".into()).unwrap_err());
        for part in ["pins.json", "`schema`", "schema.yml"] {
            assert!(message.contains(part), "{message}");
        }
        files::write_atomically(&folder.join("schema.yml"), b"x", 0o644).unwrap();
        read(&path, "pins.json".into()).unwrap();
        files::write_atomically(&path, b"{\n\"\xff", 0o644).unwrap();
        let message = read(&path, "pins.json".into()).unwrap_err().to_string();
        assert_eq!(message, "pins.json:2: bytes that are not UTF-8");
    }
}

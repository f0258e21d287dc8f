//! Git repositories of others: their tags, and the tree of one.
//!
//! What comes from there is foreign: names are checked, sizes and times limited, and no hook, filter or
//! helper runs. What the user's own configuration says of how to connect holds.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use crate::pins::Place;
use sys::files;
use sys::git::ssh_without_questions;
use sys::printable::printable;
use sys::process::Processes;
use sys::scratch::Scratch;

/// How long a place may take to say which tags it has.
const ASKING: Duration = Duration::from_secs(20);
/// How long a place may take to give a tree.
const FETCHING: Duration = Duration::from_secs(600);
/// The most that is read of a list of tags, in bytes: room for a hundred thousand.
const MOST: u64 = 8 << 20;
/// The longest name of a tag, in bytes.
const LONGEST: usize = 200;

/// How long a tree is kept that is not asked for, and that no link names.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What links to trees begin with; the version follows.
const NAMED: &str = "of-";

/// Settings under which a repository of others can start nothing here.
const SETTINGS: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.symlinks=true",
    "credential.helper=",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=20",
];

/// The tags that a place has.
#[derive(Debug)]
pub struct Tags {
    /// Its address.
    pub url: String,
    /// How its tags are spelled, with `{version}`.
    pub pattern: String,
    /// Each tag and the commit that it leads to.
    pub commits: BTreeMap<String, String>,
}

fn git(processes: &Processes) -> Cmd<'_> {
    let mut command = processes.cmd("git");
    for setting in SETTINGS {
        command = command.args(["-c", setting]);
    }
    let command = command
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true");
    let command = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"]
        .into_iter()
        .fold(command, Cmd::env_remove);
    command.env("GIT_SSH_COMMAND", ssh_without_questions(processes))
}

/// The tags of the first of these places that answers, and why those before it did not.
pub fn first_tags<'p>(
    processes: &Processes,
    places: impl Iterator<Item = &'p Place>,
) -> Result<(Tags, Vec<String>)> {
    let mut silent = Vec::new();
    for place in places {
        let Place::Git { url, rev, .. } = place else {
            continue;
        };
        if !rev.contains("{version}") {
            continue;
        }
        match tags(processes, url, rev) {
            Ok(tags) => return Ok((tags, silent)),
            Err(error) if error.is::<sys::process::Interrupted>() => return Err(error),
            Err(error) => silent.push(format!("{url}: {error:#}")),
        }
    }
    if silent.is_empty() {
        bail!("the pins name no git repository whose tags have a `{{version}}`");
    }
    bail!(
        "no place says which releases there are:\n  {}",
        silent.join("\n  ")
    )
}

/// The tags of a place that begin as `pattern` does.
fn tags(processes: &Processes, url: &str, pattern: &str) -> Result<Tags> {
    let before = pattern.split("{version}").next().unwrap_or_default();
    let command = git(processes)
        .args(["ls-remote", "--quiet", "--", url])
        .arg(format!("refs/tags/{before}*"));
    let captured = processes.capture_within(command, ASKING, MOST)?;
    if !captured.status.success() {
        bail!("{}", reason(&captured.stderr));
    }
    Ok(Tags {
        url: url.to_owned(),
        pattern: pattern.to_owned(),
        commits: parse(&captured.stdout),
    })
}

/// What matters of what git says: why it gave up, else its last line.
fn reason(said: &str) -> String {
    let fatal = said.lines().find(|line| line.starts_with("fatal: "));
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    printable(fatal.or(last).unwrap_or("git says nothing")).into_owned()
}

/// The commit of a branch.
pub fn branch(processes: &Processes, url: &str, name: &str) -> Result<String> {
    let reference = format!("refs/heads/{name}");
    let command = git(processes)
        .args(["ls-remote", "--quiet", "--", url])
        .arg(&reference);
    let captured = processes.capture_within(command, ASKING, MOST)?;
    if !captured.status.success() {
        bail!("{url}: {}", reason(&captured.stderr));
    }
    let is_commit = |text: &&str| text.len() == 40 && text.bytes().all(is_hexadecimal);
    let mut lines = captured.stdout.lines();
    let commit = lines.find_map(|line| line.strip_suffix(&reference));
    commit
        .map(str::trim)
        .filter(is_commit)
        .map(str::to_owned)
        .with_context(|| format!("{url} has no branch `{name}`"))
}

fn is_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The tags in the output of `git ls-remote`; lines that are nothing of the kind are passed over.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for line in text.lines() {
        let Some((commit, name)) = line.split_once('\t') else {
            continue;
        };
        let Some(name) = name.strip_prefix("refs/tags/") else {
            continue;
        };
        // The commit of an annotated tag comes second, under the name with `^{}`.
        let (name, is_peeled) = match name.strip_suffix("^{}") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./-+_".contains(&byte);
        if !matches!(commit.len(), 40 | 64)
            || !commit.bytes().all(is_hexadecimal)
            || name.len() > LONGEST
            || name.starts_with('-')
            || !name.bytes().all(plain)
        {
            continue;
        }
        if is_peeled || !tags.contains_key(name) {
            tags.insert(name.to_owned(), commit.to_owned());
        }
    }
    tags
}

/// The tree of a tag, in the folder of trees at hand; fetched if it is not there yet.
///
/// It is there under its commit, so that a tag that moved is another tree.
pub fn tree(
    processes: &Processes,
    trees: &Utf8Path,
    tags: &Tags,
    tag: &str,
) -> Result<Utf8PathBuf> {
    let commit = tags
        .commits
        .get(tag)
        .with_context(|| format!("{} has no tag `{tag}`", tags.url))?;
    let folder = trees.join(commit);
    if folder.is_dir() {
        let used = fs_err::File::open(&folder)?;
        used.file().set_modified(std::time::SystemTime::now())?;
        return Ok(folder);
    }
    fs_err::create_dir_all(trees)?;
    let scratch = Scratch::new()?;
    let got = scratch.path().join("got");
    let run = |arguments: &[&str]| -> Result<()> {
        let command = git(processes).args(arguments);
        let captured = processes.capture_within(command, FETCHING, MOST)?;
        if !captured.status.success() {
            bail!("{}: {}", tags.url, reason(&captured.stderr));
        }
        Ok(())
    };
    let format = if commit.len() == 64 {
        "--object-format=sha256"
    } else {
        "--object-format=sha1"
    };
    run(&["init", "--quiet", "--template=", format, got.as_str()])?;
    // Above what the tree says: no filter of the user's runs over it.
    let attributes = got.join(".git/info/attributes");
    fs_err::create_dir_all(got.join(".git/info"))?;
    files::write_atomically(&attributes, b"* -filter\n", 0o644)?;
    let name = format!("refs/tags/{tag}");
    let at = ["-C", got.as_str()];
    let fetch = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--depth",
        "1",
        "--",
        &tags.url,
        &name,
    ];
    if let Err(error) = run(&[&at[..], &fetch].concat()) {
        bail!(
            "{error}; if the connection broke off, or the repository lacks an object: try again, put another place \
             first in the pins, or give a checkout by `--source TREE`"
        );
    }
    run(&[
        &at[..],
        &[
            "-c",
            "advice.detachedHead=false",
            "checkout",
            "--quiet",
            "FETCH_HEAD",
        ],
    ]
    .concat())?;
    let command = git(processes).args(at).args(["rev-parse", "HEAD"]);
    let captured = processes.capture_within(command, ASKING, MOST)?;
    if captured.stdout.trim() != commit {
        bail!(
            "{}: the tag `{tag}` moved while it was fetched: try again",
            tags.url
        );
    }
    fs_err::remove_dir_all(got.join(".git"))?;
    put(&got, &folder)?;
    forget_old(trees)?;
    Ok(folder)
}

/// Removes the trees of long ago that were only looked at; what is pinned was given a name.
fn forget_old(trees: &Utf8Path) -> Result<()> {
    let (mut old, mut named) = (Vec::new(), Vec::new());
    for entry in trees.read_dir_utf8()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            named.push(trees.join(entry.path().read_link_utf8()?));
        } else if kind.is_dir() {
            // The time when it was last asked for. A clock that went backwards makes nothing old.
            let used = entry.metadata()?.modified()?.elapsed();
            if used.is_ok_and(|age| age > KEPT) {
                old.push(entry.into_path());
            }
        }
    }
    for tree in old.into_iter().filter(|tree| !named.contains(tree)) {
        fs_err::remove_dir_all(tree)?;
    }
    Ok(())
}

/// Makes a fetched tree known by its version.
pub fn name(trees: &Utf8Path, commit: &str, version: &str) -> Result<()> {
    let link = trees.join(format!("{NAMED}{version}"));
    match fs_err::remove_file(&link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(fs_err::os::unix::fs::symlink(commit, &link)?)
}

/// The fetched tree of a version, if it is there.
pub fn named(trees: &Utf8Path, version: &str) -> Option<Utf8PathBuf> {
    let link = trees.join(format!("{NAMED}{version}"));
    link.canonicalize_utf8().ok()
}

/// Removes all fetched trees but one, which the next update starts from.
pub fn keep_only(trees: &Utf8Path, commit: &str, version: &str) -> Result<()> {
    name(trees, commit, version)?;
    for entry in trees.read_dir_utf8()? {
        let entry = entry?;
        let other = entry.file_name();
        if other.starts_with(NAMED) && other != format!("{NAMED}{version}") {
            fs_err::remove_file(entry.path())?;
        } else if entry.file_type()?.is_dir() && other != commit {
            fs_err::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Moves a folder to where it stays, in one piece; TMPDIR may be on another disk.
fn put(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    if fs_err::rename(from, to).is_ok() || to.is_dir() {
        return Ok(());
    }
    let beside = to.with_extension(format!("new-{}", std::process::id()));
    let copied = files::copy_tree(from, &beside).and_then(|()| Ok(fs_err::rename(&beside, to)?));
    copied.inspect_err(|_| {
        let _ = fs_err::remove_dir_all(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_long_ago_go() {
        let folder = tempfile::tempdir().unwrap();
        let trees = Utf8Path::from_path(folder.path()).unwrap();
        let long_ago = std::time::SystemTime::now() - KEPT - Duration::from_secs(60);
        for tree in ["named", "old", "new"] {
            fs_err::create_dir(trees.join(tree)).unwrap();
            if tree != "new" {
                let open = fs_err::File::open(trees.join(tree)).unwrap();
                open.file().set_modified(long_ago).unwrap();
            }
        }
        name(trees, "named", "1.0").unwrap();
        forget_old(trees).unwrap();
        let is_there = ["named", "old", "new"].map(|it| trees.join(it).exists());
        assert_eq!(is_there, [true, false, true]);
    }

    #[test]
    fn why_git_gave_up() {
        let said = "remote: Enumerating objects: 3\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n";
        assert_eq!(reason(said), "fatal: early EOF");
        assert_eq!(reason("x\n \n"), "x");
    }

    #[test]
    fn only_tags_are_taken() {
        let one = "1".repeat(40);
        let two = "2".repeat(40);
        let text = format!(
            "{one}\trefs/tags/version/1.0\n{two}\trefs/tags/version/1.0^{{}}\n{one}\trefs/tags/version/1.1\n\
             {one}\trefs/heads/main\nzz\trefs/tags/version/2\n{one}\trefs/tags/version/\u{1b}[31m\n\
             {one}\trefs/tags/-x\n{one}\trefs/tags/{}\nnothing\n",
            "x".repeat(300)
        );
        let tags = parse(&text);
        let found: Vec<(&str, &str)> = tags.iter().map(|(tag, it)| (&**tag, &**it)).collect();
        assert_eq!(found, [("version/1.0", &*two), ("version/1.1", &*one)]);
    }
}

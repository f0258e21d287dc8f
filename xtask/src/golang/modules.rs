//! Go fetches a module's dependencies, in a folder of its own, as the fixed output of buildGoModule does.
//!
//! What Go is told and what it sees decide the hash, so both are as in that derivation: `GO111MODULE=on`,
//! `GOTOOLCHAIN=local`, no setting of the user's but those that say where modules come from, no file
//! above the source, and a copy of the source to write to, for Go fixes `go.mod` and `go.sum`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use nix_formats::nar::NarHash;
use sha2::{Digest as _, Sha256};
use xshell::Cmd;

use crate::golang::errors;
use crate::package_set::package_managers;
use nix_formats::nar;
use nix_formats::sri::hex;
use sys::files;
use sys::git::ssh_without_questions;
use sys::inside::{self, LONGEST_TEXT};
use sys::process::{Captured, Processes, is_missing_program};
use sys::scratch::Scratch;
use sys::terminal;

/// What a source tree's copy in the store is without, too (`containers/authentik/sources.nix`).
const LEFT_OUT: [&str; 2] = [".git", "node_modules"];

/// Which modules are wanted, and how.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The source tree; absolute.
    pub source: &'a Utf8Path,
    /// The module's folder below it; `.` is the tree itself.
    pub mod_root: &'a Utf8Path,
    /// Whether the module cache is wanted in place of the vendor tree.
    pub proxy_vendor: bool,
    /// Whether a vendor tree in the source is passed over.
    pub delete_vendor: bool,
}

/// What a module asks for, before anything is fetched.
#[derive(Debug, PartialEq, Eq)]
pub enum Before {
    /// Its dependencies have to be fetched.
    Fetch,
    /// The source holds them.
    Vendored,
}

/// A Go toolchain.
#[derive(Debug)]
pub struct Go {
    /// The program.
    pub program: String,
    /// Its version, such as `1.25.5`.
    pub version: String,
    /// What `go env` says for this user.
    env: BTreeMap<String, String>,
}

impl Go {
    /// One of the user's settings, if it says something.
    fn own(&self, name: &str) -> Option<&str> {
        let value = self.env.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The hash and size of its NAR; none where there are no dependencies.
    pub hash: Option<NarHash>,
    /// How many modules it holds.
    pub modules: usize,
    /// Whether Go had to change these files, by name.
    pub changed: Vec<&'static str>,
}

/// Looks at a module as the derivation does before it runs Go.
pub fn look(wanted: &Wanted<'_>) -> Result<Before> {
    let folder = module_folder(wanted)?;
    let vendor = folder.join("vendor").is_dir();
    if wanted.delete_vendor {
        if !vendor {
            bail!(
                "`{folder}` has no folder `vendor`: leave `--delete-vendor` out, buildGoModule would fail too"
            );
        }
        return Ok(Before::Fetch);
    }
    if vendor {
        return Ok(Before::Vendored);
    }
    if let Some(work) = workspace(wanted)
        && !wanted.proxy_vendor
    {
        bail!(
            "`{work}` makes this a workspace, in which `go mod vendor` refuses to run, in buildGoModule \
             too; there are two ways out: `go work vendor` in place of it (`modBuildPhase`), or \
             `GOWORK=off` (`env.GOWORK = \"off\"`), which is what a copy without `go.work` gives"
        );
    }
    Ok(Before::Fetch)
}

/// The module's folder, which has a go.mod.
pub fn module_folder(wanted: &Wanted<'_>) -> Result<Utf8PathBuf> {
    let below = |part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir);
    if !wanted.mod_root.components().all(below) {
        bail!(
            "`--mod-root {}` leads out of the source: give a folder below it",
            wanted.mod_root
        );
    }
    let folder: Utf8PathBuf = wanted.source.join(wanted.mod_root).components().collect();
    if !folder.is_dir() {
        bail!(
            "`--mod-root {}`: there is no folder `{folder}`",
            wanted.mod_root
        );
    }
    if !folder.join("go.mod").is_file() {
        bail!("{}", no_module(wanted));
    }
    Ok(folder)
}

fn no_module(wanted: &Wanted<'_>) -> String {
    let mut found = Vec::new();
    find_modules(wanted.source, 3, &mut found);
    let root = wanted.source;
    let found: Vec<String> = found
        .iter()
        .filter_map(|folder| folder.strip_prefix(root).ok())
        .map(|folder| match folder.as_str() {
            "" => "`.`".to_owned(),
            below => format!("`{below}`"),
        })
        .collect();
    let folder = root.join(wanted.mod_root);
    if found.is_empty() {
        format!("`{folder}` has no go.mod: give the root of a Go module by `--source DIR`")
    } else {
        format!(
            "`{folder}` has no go.mod: give the module's folder by `--mod-root`: {}",
            found.join(", ")
        )
    }
}

/// The folders with a go.mod, as deep as that, in order of names.
fn find_modules(folder: &Utf8Path, depth: usize, found: &mut Vec<Utf8PathBuf>) {
    if folder.join("go.mod").is_file() {
        found.push(folder.to_owned());
    }
    let Ok(entries) = folder.read_dir_utf8() else {
        return;
    };
    let mut folders: Vec<Utf8PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| {
            !entry.file_name().starts_with('.') && !LEFT_OUT.contains(&entry.file_name())
        })
        .map(|entry| entry.path().to_owned())
        .collect();
    folders.sort();
    if depth > 0 {
        for folder in folders {
            find_modules(&folder, depth - 1, found);
        }
    }
}

/// The `go.work` of the module's folder or one above it, within the source.
fn workspace(wanted: &Wanted<'_>) -> Option<Utf8PathBuf> {
    let folder: Utf8PathBuf = wanted.source.join(wanted.mod_root).components().collect();
    let inside = |folder: &&Utf8Path| folder.starts_with(wanted.source);
    let mut folders = folder.ancestors().take_while(inside);
    folders.find_map(|folder| Some(folder.join("go.work")).filter(|work| work.is_file()))
}

/// Asks a Go for its version and the user's settings.
pub fn find(processes: &Processes, program: Option<&Utf8Path>) -> Result<Go> {
    let program = program.map_or("go", Utf8Path::as_str);
    // The version of this very program, whatever the current folder's go.mod or the user's flags say.
    let command = processes
        .cmd(program)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-modcacherw")
        .args([
            "-C",
            "/",
            "env",
            "-json",
            "GOVERSION",
            "GOMODCACHE",
            "GOCACHE",
        ])
        .args(package_managers::GO_KEYS);
    let captured = match processes.capture(command) {
        Err(error) if is_missing_program(&error) => {
            return Err(error.context(format!(
                "there is no Go at `{program}`: give one by `--go PATH`, or install it \
                 (`apt-get install golang-go`, `brew install go`), or use `--nix`, which brings its own"
            )));
        }
        other => other?,
    };
    if captured
        .stderr
        .contains("flag provided but not defined: -C")
    {
        bail!("`{program}` is older than Go 1.20: give a newer one by `--go PATH`");
    }
    if !captured.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            captured.command,
            captured.status,
            captured.stderr.trim()
        );
    }
    let env: BTreeMap<String, String> = serde_json::from_str(&captured.stdout)
        .with_context(|| format!("reading the output of `{}`", captured.command))?;
    let version = env.get("GOVERSION").map_or("", String::as_str);
    let version = version.strip_prefix("go").unwrap_or(version).to_owned();
    Ok(Go {
        program: program.to_owned(),
        version,
        env,
    })
}

/// Fetches what a module needs and hashes it; nothing of it stays.
///
/// With `shared` Go's own caches are used, missing modules are added to them to them.
pub fn fetch(processes: &Processes, go: &Go, wanted: &Wanted<'_>, shared: bool) -> Result<Fetched> {
    let folder = module_folder(wanted)?;
    let scratch = Scratch::new()?;
    let copy = scratch.path().join("source");
    let text =
        String::from_utf8_lossy(&inside::read(&folder.join("go.mod"), LONGEST_TEXT)?).into_owned();
    if let Some(needed) = go_line(&text)
        && compare_versions(&go.version, needed) == Ordering::Less
    {
        bail!(
            "{}",
            errors::too_old("go.mod", needed, &go.version, &go.program)
        );
    }
    if let Some(path) = local_replacements(&text).find(|path| path.starts_with('/')) {
        bail!(
            "go.mod replaces a module by `{path}`, a folder of this machine, which no sandbox has: put it into the \
             source and name it by a relative path"
        );
    }
    let whole: Vec<Utf8PathBuf> = local_replacements(&text)
        .map(|path| files::normalized(folder.join(path)))
        .collect();
    copy_for_go(
        wanted.source.as_std_path(),
        copy.as_std_path(),
        &whole,
        &folder,
        false,
    )
    .context("copying what Go reads: TMPDIR says where to")?;
    let module: Utf8PathBuf = copy.join(wanted.mod_root).components().collect();

    let cache = scratch.path().join("go/pkg/mod");
    let command = command(processes, go, &scratch, &module, wanted, shared);
    let command = match workspace(wanted) {
        Some(work) => command.env("GOWORK", copy.join(work.strip_prefix(wanted.source)?)),
        None => command.env("GOWORK", "off"),
    };
    let _note = terminal::Note::new(if wanted.proxy_vendor {
        "go mod download"
    } else {
        "go mod vendor"
    });
    let captured = processes.capture(command)?;
    if !captured.status.success() {
        bail!("{}", failed(&captured, go, &scratch));
    }
    let tree = if wanted.proxy_vendor {
        let tree = cache.join("cache/download");
        remove_if_there(&tree.join("sumdb"))?;
        tree
    } else {
        module.join("vendor")
    };
    if !wanted.proxy_vendor {
        check_unmerged(&module)?;
    }
    let modules = count(&tree, wanted.proxy_vendor)?;
    let changed = ["go.mod", "go.sum"]
        .into_iter()
        .filter(|name| fs_err::read(folder.join(name)).ok() != fs_err::read(module.join(name)).ok())
        .collect();
    let empty = !tree.exists() || fs_err::read_dir(&tree)?.next().is_none();
    Ok(Fetched {
        hash: if empty {
            None
        } else {
            Some(nar::nar(tree.as_std_path())?)
        },
        modules,
        changed,
    })
}

/// Go in a folder, with all that it may know, and with caches that go with the scratch folder.
pub fn plain<'a>(
    processes: &'a Processes,
    go: &Go,
    scratch: &Scratch,
    folder: &Utf8Path,
) -> Cmd<'a> {
    let path = scratch.path();
    connected(processes, go, scratch, folder)
        .env("GOMODCACHE", path.join("go/pkg/mod"))
        .env("GOCACHE", path.join("go-cache"))
        .env("GOWORK", "off")
        .env("GOFLAGS", "-modcacherw -mod=mod")
}

/// Go in a folder, with nothing of the user's settings but how to connect.
fn connected<'a>(
    processes: &'a Processes,
    go: &Go,
    scratch: &Scratch,
    folder: &Utf8Path,
) -> Cmd<'a> {
    let mut command = processes.cmd(&go.program).arg("-C").arg(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GO")) {
            command = command.env_remove(name);
        }
    }
    let path = scratch.path();
    for key in package_managers::GO_KEYS {
        if let Some(value) = go.own(key) {
            command = command.env(key, value);
        }
    }
    command
        .env("GOENV", "off")
        .env("GO111MODULE", "on")
        .env("GOTOOLCHAIN", "local")
        .env("GOTMPDIR", path)
        .env("GOPATH", path.join("go"))
        // Nobody answers questions here: a missing login is an error, not a prompt.
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GCM_INTERACTIVE", "never")
        .env("GIT_SSH_COMMAND", ssh_without_questions(processes))
}

/// The command line of Go that fetches what a module needs.
fn command<'a>(
    processes: &'a Processes,
    go: &Go,
    scratch: &Scratch,
    module: &Utf8Path,
    wanted: &Wanted<'_>,
    shared: bool,
) -> Cmd<'a> {
    let path = scratch.path();
    let cache = path.join("go/pkg/mod");
    let own = |name: &str| go.own(name);
    let mut command = connected(processes, go, scratch, module);
    match (own("GOMODCACHE"), own("GOCACHE")) {
        (Some(modules), Some(builds)) if shared && !wanted.proxy_vendor => {
            command = command.env("GOMODCACHE", modules).env("GOCACHE", builds);
        }
        (Some(modules), _) if shared => {
            // The tree is the cache itself: it may hold nothing else, so the shared one is a proxy.
            let proxies = own("GOPROXY").unwrap_or("off");
            command = command.env(
                "GOPROXY",
                format!("file://{modules}/cache/download,{proxies}"),
            );
        }
        _ => {}
    }
    if !shared || wanted.proxy_vendor {
        command = command
            .env("GOMODCACHE", cache)
            .env("GOCACHE", path.join("go-cache"))
            // so that it can be removed
            .env("GOFLAGS", "-modcacherw");
    }
    command.args([
        "mod",
        if wanted.proxy_vendor {
            "download"
        } else {
            "vendor"
        },
    ])
}

/// Why Go failed: in short, in its own words, and what to do.
fn failed(captured: &Captured, go: &Go, scratch: &Scratch) -> String {
    // Nobody knows the folder of this run.
    let private = format!("{}/", scratch.path());
    let said = captured.stderr.replace(&private, "");
    let verb = if captured.command.ends_with("download") {
        "download"
    } else {
        "vendor"
    };
    errors::tell(
        &said,
        &format!("`go mod {verb}` failed ({})", captured.status),
        &go.version,
        &go.program,
    )
}

/// Copies what Go may read: of most folders the Go files, of `whole` folders everything. Folders that
/// would be empty are left out, for most of a tree is not Go's.
fn copy_for_go(
    from: &Path,
    to: &Path,
    whole: &[Utf8PathBuf],
    module: &Utf8Path,
    everything: bool,
) -> std::io::Result<()> {
    let everything = everything || whole.iter().any(|folder| folder == from);
    let mut made = false;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        // What a Mac leaves beside a package would be taken for a part of it.
        if files::is_left_by_mac(&name) || LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if kind.is_dir() {
            // Go is to make that one.
            if !(name == "vendor" && module == from) {
                copy_for_go(
                    &from.join(&name),
                    &to.join(&name),
                    whole,
                    module,
                    everything,
                )?;
            }
            continue;
        }
        let for_go = is_for_go(&name);
        if !everything && !for_go && !kind.is_symlink() {
            continue;
        }
        if !made {
            fs_err::create_dir_all(to)?;
            made = true;
        }
        let (source, target) = (from.join(&name), to.join(&name));
        if kind.is_symlink() && (everything || !for_go) {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&source)?, &target)?;
        } else if fs_err::metadata(&source).is_ok_and(|metadata| metadata.is_file()) {
            // A link of that name counts as the file behind it.
            fs_err::copy(&source, &target)?;
            if name == "go.mod" || name == "go.sum" {
                use std::os::unix::fs::PermissionsExt as _;
                fs_err::set_permissions(&target, std::fs::Permissions::from_mode(0o644))?;
            }
        }
    }
    Ok(())
}

/// Whether Go reads a file of this name in a package that it does not copy.
fn is_for_go(name: &OsStr) -> bool {
    ["go.mod", "go.sum", "go.work", "go.work.sum"]
        .iter()
        .any(|file| name == *file)
        || Path::new(name).extension() == Some(OsStr::new("go"))
}

/// The folders that the `replace` lines of a go.mod name
/// (<https://go.dev/ref/mod#go-mod-file-replace>).
fn local_replacements(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (_, to) = line.split("//").next()?.split_once("=>")?;
        let to = to.trim();
        // A path with blanks is in quotes.
        let path = match to.chars().next()? {
            quote @ ('"' | '`') => to[1..].split(quote).next()?,
            _ => to.split_whitespace().next()?,
        };
        let local = ["./", "../", "/"]
            .iter()
            .any(|start| path.starts_with(start));
        (local || path == "." || path == "..").then_some(path)
    })
}

/// The version in the `go` line of a go.mod.
fn go_line(text: &str) -> Option<&str> {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .find_map(|line| line.strip_prefix("go "))
        .map(str::trim)
}

/// Compares versions of Go as Go does: `1.26` is the language, which its first betas and release candidates know, and
/// comes before `1.26rc1`, that before `1.26.0`. Up to 1.20 it is also the first release. What is no version is equal to
/// any.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let text = text.split_whitespace().next()?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (numbers, rest) = text.split_at(end.unwrap_or(text.len()));
        let numbers: Vec<u32> = numbers
            .split('.')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let candidate = |kind| rest.strip_prefix(kind)?.parse::<u32>().ok();
        let stage = match (candidate("beta"), candidate("rc"), &numbers[..]) {
            (Some(number), _, _) => (1, number),
            (_, Some(number), _) => (2, number),
            (_, _, &[1, minor]) if minor > 20 => (0, 0),
            (_, _, numbers) => (3, numbers.get(2).copied().unwrap_or(0)),
        };
        Some((numbers.into_iter().take(2).collect::<Vec<_>>(), stage))
    };
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}

fn remove_if_there(folder: &Utf8Path) -> Result<()> {
    if folder.exists() {
        fs_err::remove_dir_all(folder)?;
    }
    Ok(())
}

/// How many modules a vendor tree, or with `proxy_vendor` a module cache, holds.
pub fn count(tree: &Utf8Path, proxy_vendor: bool) -> Result<usize> {
    if proxy_vendor {
        count_zips(tree)
    } else {
        count_vendored(tree)
    }
}

/// How many modules a vendor tree holds, by its list of them.
fn count_vendored(tree: &Utf8Path) -> Result<usize> {
    let list = tree.join("modules.txt");
    if !list.exists() {
        return Ok(0);
    }
    let text = fs_err::read(list)?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| is_module_line(line))
        .count())
}

/// That no two folders of the vendor tree are one because the file system ignores case: the hash would be another
/// than on Linux.
fn check_unmerged(module: &Utf8Path) -> Result<()> {
    let list = module.join("vendor/modules.txt");
    if !module.join("GO.MOD").exists() || !list.exists() {
        return Ok(());
    }
    let text = fs_err::read(list)?;
    if let Some((one, other)) = merged(&String::from_utf8_lossy(&text)) {
        bail!(
            "`{one}` and `{other}` differ in case only, which the file system of {module} ignores: let TMPDIR name a \
             folder that is case-sensitive (a volume of its own, by Disk Utility), or compute it on Linux"
        );
    }
    Ok(())
}

/// Two folders that differ in case only, by a vendor tree's list of modules and packages.
fn merged(list: &str) -> Option<(&str, &str)> {
    let mut folders: BTreeMap<String, &str> = BTreeMap::new();
    for line in list.lines() {
        let path = match line.strip_prefix("# ") {
            Some(module) => module.split(' ').next()?,
            None if line.starts_with('#') => continue,
            None => line,
        };
        let ends = path.match_indices('/').map(|(at, _)| at);
        for folder in ends.chain([path.len()]).map(|end| &path[..end]) {
            let known = folders.entry(folder.to_lowercase()).or_insert(folder);
            if *known != folder {
                return Some((*known, folder));
            }
        }
    }
    None
}

/// Whether a line of `modules.txt` names a module, as `# path version`, and is not a replacement that
/// nothing uses.
fn is_module_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("#") && words.nth(1).is_some_and(|version| version.starts_with('v'))
}

/// How many modules a module cache holds.
fn count_zips(folder: &Utf8Path) -> Result<usize> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut count = 0;
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += count_zips(entry.path())?;
        } else if entry.path().extension() == Some("zip") {
            count += 1;
        }
    }
    Ok(count)
}

/// The first 16 hexadecimal digits of the SHA-256 of a file of the module; none if it is not there.
pub fn fingerprint(wanted: &Wanted<'_>, name: &str) -> Result<Option<String>> {
    let path = module_folder(wanted)?.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let digest = Sha256::digest(fs_err::read(path)?);
    Ok(Some(hex(&digest[..8])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("1.25.5", "1.25.5", Equal),
            ("1.25.5", "1.25", Greater),
            ("1.9", "1.10", Less),
            ("1.26rc1", "1.26", Greater),
            ("1.26rc1", "1.26.0", Less),
            ("1.26rc10", "1.26rc2", Greater),
            ("1.26beta2", "1.26rc1", Less),
            ("1.20rc1", "1.20", Less),
            ("1.26", "1.25.9", Greater),
            ("1.26.8 X:nodwarf5", "1.26.9", Less),
            ("1.25.5-custom", "1.25.5", Equal),
            ("devel +abc", "1.99", Equal),
        ] {
            assert_eq!(compare_versions(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn lines_of_go_mod() {
        let text = "module x // go 9\n\ngo 1.25.5 // why\ntoolchain go1.26\n\
                    replace a => ./a // b => ./c\nreplace (\n\tb v1.0.0 => ../b\n\t\"c\" => \"./with blank\" \n\
                    \td => example.com/d v1.2.3\n\te => /abs\n\tf => `.`\n)\n";
        assert_eq!(go_line(text), Some("1.25.5"));
        assert_eq!(go_line("module golang\n"), None);
        let paths: Vec<&str> = local_replacements(text).collect();
        assert_eq!(paths, ["./a", "../b", "./with blank", "/abs", "."]);
        assert_eq!(files::normalized("/s/sub/../b/./c"), "/s/b/c");
    }

    #[test]
    fn folders_that_differ_in_case_only() {
        let list = "# github.com/Azure/x v1.0.0\n## explicit; go 1.25\ngithub.com/Azure/x/in\n";
        assert_eq!(merged(list), None);
        let both = [list, "# github.com/azure/y v1.0.0\n"].concat();
        assert_eq!(
            merged(&both),
            Some(("github.com/Azure", "github.com/azure"))
        );
    }

    #[test]
    fn lines_of_modules_txt() {
        for (line, expected) in [
            ("# github.com/a/b v1.0.0", true),
            ("# a v1.0.0 => ./a", true),
            ("# a => ./a", false),
            ("## explicit; go 1.17", false),
            ("github.com/a/b", false),
        ] {
            assert_eq!(is_module_line(line), expected, "{line}");
        }
    }
}

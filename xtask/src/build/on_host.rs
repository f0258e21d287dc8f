//! `test-build --on HOST`: what differs when another machine builds.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, PipeReader, Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Cmd;

use crate::build::uploads;
use crate::nix::{Machine, Nix, PackageSet};
use crate::package_set::package_managers::{self, Found};
use crate::package_set::{self, Choice, HOST_PKGS_SYSTEM, NIX_FLOOR, host_pkgs, probe};
use crate::pins::sources::Sources;
use crate::remote::upload::Upload;
use crate::remote::{self, Forward, Mode, Remote};
use crate::repo::Repo;
use nix_formats::version::NixVersion;
use nix_formats::{export, nar, store_path};
use sys::files;
use sys::process::{Interrupted, Processes};
use sys::scratch::Scratch;
use sys::terminal;

/// How long a program may take to end once all its input is there: it may have much to write.
const WRITING: Duration = Duration::from_secs(3600);
/// Writes the paths one after the other, as NARs and as exports.
const DUMP: &str = r#"for path do nix-store --dump "$path" || exit; done"#;
const EXPORT: &str = r#"for path do nix-store --export "$path" || exit; done"#;
/// Removes the links below `$1` and prints their names.
const DROP_LINKS: &str = r#"cd -- "$1" 2>/dev/null || exit 0
for link in */* */*/*; do [ ! -L "$link" ] || echo "$link"; done
cd / && rm -rf -- "$1""#;

/// A connection, and what is known of the machine at its end.
pub struct Host<'a> {
    /// The connection.
    pub remote: Remote<'a>,
    version: NixVersion,
    /// Whether builders have the machine's settings.
    prepared: Cell<bool>,
}

impl<'a> Host<'a> {
    /// Connects, and makes sure that the machine can build; with `fetch` more than logs will come back.
    pub fn connect(
        processes: &'a Processes,
        name: &str,
        sources: &[Sources],
        fetch: bool,
        forward: Option<Forward>,
        meanwhile: impl FnOnce() -> Result<()>,
    ) -> Result<Self> {
        // NIX_STORE_DIR of this machine is not that of the other.
        let store = Utf8Path::new("/nix/store");
        let mut nixpkgs = sources.iter().map(|it| it.nixpkgs.as_ref());
        let nixpkgs = nixpkgs.next().flatten();
        let nixpkgs = nixpkgs.and_then(|nixpkgs| package_set::path_in_store(store, nixpkgs));
        let remote = Remote::connect(processes, name, nixpkgs.as_deref(), fetch, forward)?;
        meanwhile()?;
        let note = terminal::Note::new(&format!("connecting to {name}"));
        let hello = remote.await_hello()?;
        drop(note);
        let version = hello.nix_version(name)?;
        let (major, minor) = NIX_FLOOR;
        if !version.is_at_least(major, minor) {
            bail!(
                "`{name}` has Nix {version}: {major}.{minor} or later is needed, install a newer one there"
            );
        }
        Ok(Self {
            remote,
            version,
            prepared: Cell::new(false),
        })
    }

    /// Chooses the package set that the machine builds over, and makes sure that it has one for it.
    pub fn choose(
        &self,
        asked: Option<PackageSet>,
        repo: &Repo,
        sources: &[Sources],
    ) -> Result<Choice> {
        let hello = self.remote.hello();
        let name = self.remote.host();
        let nixpkgs: Vec<_> = sources.iter().map(|it| it.nixpkgs.as_ref()).collect();
        let choice = package_set::choose(
            asked,
            &self.version,
            &nixpkgs,
            |_| Ok(hello.get("has_nixpkgs").is_some()),
            |nixpkgs| probe::probe(Machine::There(&self.remote), repo, nixpkgs),
        )
        .with_context(|| format!("on `{name}`"))?;
        let system = hello.system();
        // What needs a hash for another platform says so itself when it is evaluated.
        if choice.set == PackageSet::Host && system != HOST_PKGS_SYSTEM {
            bail!(
                "`{name}` is a machine of {system}, and host-pkgs has packages for {HOST_PKGS_SYSTEM} only; \
                 {}: over nixpkgs, `--pkgs nixpkgs`, it can be built on",
                choice.reason
            );
        }
        Ok(choice)
    }

    /// Sends what the build needs.
    pub fn deliver(&self, uploads: &[(Upload, Vec<u8>)], set: PackageSet) -> Result<()> {
        for (upload, packed) in uploads {
            self.remote.deliver(upload, packed)?;
        }
        self.prepared.set(false);
        if set == PackageSet::Host {
            self.remote.set_environment(self.settings(None, None)?);
        }
        Ok(())
    }

    fn settings(
        &self,
        clients: Option<&Utf8Path>,
        rust: Option<&Utf8Path>,
    ) -> Result<Vec<(String, String)>> {
        let repo = Repo {
            root: self.remote.below("repo"),
        };
        let hello = self.remote.hello();
        host_pkgs::settings(&repo, clients, rust, |name| {
            hello.get(name).map(str::to_owned)
        })
    }

    /// Shows builders the settings of the machine's own npm, pip, Go, cargo and git, and its Rust.
    ///
    /// That is done once, when the first build is to begin.
    pub fn prepare_builders(&self, set: PackageSet, share_logins: bool) -> Result<()> {
        if self.prepared.replace(true) {
            return Ok(());
        }
        let remote = &self.remote;
        let processes = remote.processes();
        let cmd = |program: &str| processes.cmd(program);
        let [shell, script @ ..] = package_managers::git_command();
        let git = cmd(shell).args(script);
        if set == PackageSet::Nixpkgs {
            let answer = remote.capture(git)?;
            let printed = answer.status.success().then_some(answer.stdout);
            let variables = package_managers::git_variables(&printed.unwrap_or_default());
            remote.set_environment(variables);
            return Ok(());
        }
        let hello = self.remote.hello();
        let variable = |name: &str| hello.get(name).map(str::to_owned);
        let node = hello.get("node").map(Utf8Path::new);
        let prefix = node.and_then(|node| node.parent()?.parent());
        let files = package_managers::Files::new(variable, prefix);
        let all = [&files.npm, &files.pip, &files.cargo];
        let mut questions: Vec<Cmd<'_>> = all
            .into_iter()
            .flatten()
            .map(|file| cmd("cat").arg(file))
            .collect();
        let go = package_managers::go_command();
        questions.push(cmd(go[0]).args(&go[1..]));
        questions.push(git);
        let home = variable("HOME").unwrap_or_default();
        let rust = r#"PATH=$PATH:"${CARGO_HOME:-$1/.cargo}/bin"; exec rustc --print sysroot"#;
        questions.push(cmd("sh").args(["-c", rust, "sh", &home]));
        let mut answers = remote.run(Mode::All, questions)?.into_iter();
        let mut texts = |files: &[Utf8PathBuf]| -> Vec<String> {
            let answers = answers.by_ref().take(files.len());
            answers
                .filter(|answer| answer.status.success())
                .map(|answer| answer.stdout)
                .collect()
        };
        let (npm, pip, cargo) = (texts(&files.npm), texts(&files.pip), texts(&files.cargo));
        let mut rest = answers.map(|answer| answer.status.success().then_some(answer.stdout));
        let go = rest.next().flatten();
        let git = rest.next().flatten();
        let rust = rest.next().flatten();
        let found = Found {
            environment: hello.fields.into_iter().collect(),
            npm,
            pip,
            cargo,
            go: go.and_then(|text| serde_json::from_str(&text).ok()),
            git: git.unwrap_or_default(),
        };
        let rust = rust.map(|text| Utf8PathBuf::from(text.trim()));
        if self.remote.hello().get("direct").is_some() {
            let mut environment = self.settings(None, rust.as_deref())?;
            environment.extend(found.variables());
            remote.set_environment(environment);
            return Ok(());
        }
        let (shared, left_out) = found.shared(share_logins);
        package_managers::say_left_out(&left_out);
        let scratch = Scratch::new()?;
        let here = package_managers::write(scratch.path(), &shared)?;
        let name = here.file_name().unwrap_or_default();
        let packed = Upload::of_folder("clients", scratch.path()).pack(processes)?;
        remote.send_files("clients", &packed)?;
        let folder = remote.below("clients");
        // Builders pass through, and find what has a name that nobody can guess.
        let open = vec![
            cmd("chmod").args(["711", folder.as_str()]),
            cmd("chmod").args(["-R", "a+rX"]).arg(folder.join(name)),
        ];
        remote.run(Mode::All, open)?;
        remote.set_environment(self.settings(Some(&folder.join(name)), rust.as_deref())?);
        Ok(())
    }

    /// Nix over there.
    pub fn nix(&self) -> Nix<'_> {
        Nix::new(&self.remote, Vec::new())
    }
}

/// What the build needs, packed.
pub fn pack(
    processes: &Processes,
    repo: &Repo,
    sources: &[Sources],
) -> Result<Vec<(Upload, Vec<u8>)>> {
    let uploads = uploads::uploads(repo, sources)?.into_iter();
    uploads
        .map(|upload| {
            let packed = upload.pack(processes)?;
            Ok((upload, packed))
        })
        .collect()
}

/// The folder over there for links to results: those of this user and machine and this repository.
pub fn results(remote: &Remote<'_>, repo: &Repo) -> Utf8PathBuf {
    let hello = remote.hello();
    let state = hello.get("XDG_STATE_HOME").map(Utf8PathBuf::from);
    let home = hello.get("HOME").unwrap_or("/");
    let state = state.unwrap_or_else(|| Utf8Path::new(home).join(".local/state"));
    state
        .join("xtask/gcroots")
        .join(remote::owner(&repo.root, &repo.state()))
}

/// Drops the links to results over there; Nix's garbage collector may take what they led to.
pub fn drop_results(host: &Host<'_>, repo: &Repo) -> Result<()> {
    let folder = results(&host.remote, repo);
    let machine = Machine::There(&host.remote);
    let command = machine
        .cmd("sh")
        .args(["-c", DROP_LINKS, "sh", folder.as_str()]);
    let links = machine.capture(command)?.success()?;
    let links = links.lines();
    say_dropped(links.map(|link| format!("{}:{folder}/{link}", host.remote.host())));
    Ok(())
}

/// Says which links are no more.
pub fn say_dropped(links: impl Iterator<Item = String>) {
    let mut count = 0;
    for link in links {
        terminal::say(format!("removed the GC root {link}"));
        count += 1;
    }
    terminal::say(match count {
        0 => "there were no GC roots of results".to_owned(),
        _ => format!("{count} GC roots removed: `nix-collect-garbage` deletes the results"),
    });
}

/// Fetches results: their closures into the store of this machine, or, where there is no Nix, what they
/// hold themselves to the places below `folder` that `wanted` says.
pub fn fetch(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
    folder: &Utf8Path,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    files::check_writable(folder)?;
    let has_nix = sys::process::find_program("nix-store").is_some();
    if has_nix {
        fetch_closures(host, processes, wanted)?;
        let links: Vec<(Utf8PathBuf, String)> = wanted
            .iter()
            .map(|(link, out)| (link.clone(), (*out).to_owned()))
            .collect();
        for (link, _) in &links {
            remove(processes, link)?;
        }
        Nix::new(processes, Vec::new()).link(&links)?;
    } else {
        fetch_outputs(host, processes, wanted, folder)?;
    }
    for place in wanted.keys() {
        terminal::say(format!("fetched {place}"));
    }
    if !has_nix {
        terminal::say("without the store paths that they refer to, for there is no Nix here");
    }
    Ok(())
}

fn fetch_closures(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
) -> Result<()> {
    let outs = wanted.values().map(|out| (*out).to_owned()).collect();
    let mut paths = Vec::new();
    for path in host.nix().closure(&outs)? {
        if !store_path::is_store_path(&path) {
            bail!(
                "`{}` names `{path}` in a closure, which is no store path",
                host.remote.host()
            );
        }
        paths.push(path);
    }
    let known: BTreeSet<String> = paths.iter().cloned().collect();
    let here = Nix::new(processes, Vec::new()).valid(&known)?;
    paths.retain(|path| !here.contains(path));
    if paths.is_empty() {
        return Ok(());
    }
    let sizes = sizes(host, paths.iter().map(String::as_str))?;
    // It names each path that it takes.
    let import = processes
        .cmd("sh")
        .args(["-c", "exec nix-store --import >/dev/null"]);
    let text = import.to_string();
    let mut sink = processes.converse(import)?;
    let (stdin, _stdout, mut stderr) = sink.streams().context("talking to a process")?;
    let passed = receive(host, EXPORT, &paths, |from| {
        // Its end is that of the import.
        let mut stdin = stdin;
        for path in &paths {
            export::pass_on(from, path, sizes[path], &known, &mut stdin)?;
        }
        Ok(export::finish(&mut stdin)?)
    });
    let mut said = String::new();
    stderr.read_to_string(&mut said)?;
    let status = sink.wait(WRITING);
    // Where the import stopped reading, it says why.
    let is_closed = |error: &anyhow::Error| {
        let cause = error.root_cause().downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
    };
    if !passed.as_ref().is_err_and(is_closed) {
        passed?;
    }
    if !status.is_some_and(|status| status.success()) {
        bail!("`{text}` failed here:\n{}", said.trim_end());
    }
    Ok(())
}

fn fetch_outputs(
    host: &Host<'_>,
    processes: &Processes,
    wanted: &BTreeMap<Utf8PathBuf, &str>,
    folder: &Utf8Path,
) -> Result<()> {
    let fetching = folder.join(format!(".fetching.{}", std::process::id()));
    remove(processes, &fetching)?;
    fs_err::create_dir_all(&fetching)?;
    let outs: BTreeSet<&str> = wanted.values().copied().collect();
    let sizes = sizes(host, outs.iter().copied())?;
    let paths: Vec<String> = sizes.keys().cloned().collect();
    let base = |out: &str| out.rsplit('/').next().unwrap_or(out).to_owned();
    let below = fetching.clone();
    let fetched = receive(host, DUMP, &paths, move |from| {
        for (path, size) in &sizes {
            nar::restore(from, *size, below.join(base(path)).as_std_path())?;
        }
        Ok(())
    });
    let moved = fetched.and_then(|()| {
        for (to, out) in wanted {
            remove(processes, to)?;
            fs_err::create_dir_all(to.parent().unwrap_or(folder))?;
            fs_err::rename(fetching.join(base(out)), to)?;
        }
        Ok(())
    });
    remove(processes, &fetching)?;
    moved
}

/// The sizes of NARs over there, in bytes.
fn sizes<'p>(
    host: &Host<'_>,
    paths: impl Iterator<Item = &'p str>,
) -> Result<BTreeMap<String, u64>> {
    let paths = paths.map(str::to_owned).collect();
    let sizes = host.nix().sizes_if_valid(&paths)?;
    sizes.with_context(|| format!("a result is gone again on `{}`", host.remote.host()))
}

/// Runs a script over there with these paths and hands what it writes to `take`; that ends the session.
fn receive(
    host: &Host<'_>,
    script: &str,
    paths: &[String],
    take: impl FnOnce(&mut PipeReader) -> Result<()> + Send,
) -> Result<()> {
    let there = Machine::There(&host.remote);
    let command = there.cmd("sh").args(["-c", script, "sh"]).args(paths);
    let (mut reader, mut writer) = std::io::pipe()?;
    std::thread::scope(|scope| {
        let taking = scope.spawn(move || take(&mut reader));
        let sent = host
            .remote
            .raw(command, |bytes| Ok(writer.write_all(bytes)?));
        drop(writer);
        let taken = taking
            .join()
            .map_err(|_| anyhow!("reading what `{}` sends", host.remote.host()))?;
        if sent.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
            return sent;
        }
        let broken = |error: &anyhow::Error| {
            let io = error.downcast_ref::<std::io::Error>();
            io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
        };
        match sent {
            // Who reads has the reason why it stopped.
            Err(error) if !broken(&error) => Err(error),
            _ => taken.with_context(|| format!("fetching from `{}`", host.remote.host())),
        }
    })
}

/// Removes what an earlier fetch left, whatever it is.
fn remove(processes: &Processes, path: &Utf8Path) -> Result<()> {
    if path.is_dir() && !path.is_symlink() {
        run(
            processes,
            processes.cmd("chmod").args(["-R", "u+w", path.as_str()]),
        )?;
    }
    run(
        processes,
        processes.cmd("rm").args(["-rf", "--", path.as_str()]),
    )
}

fn run(processes: &Processes, command: Cmd<'_>) -> Result<()> {
    processes.capture(command)?.success()?;
    Ok(())
}

/// Whether the last look found that Nix has no folder for this build any more; it makes one before it
/// says that the build begins.
pub fn folder_is_gone(remote: &Remote<'_>, drv: &str) -> bool {
    remote.had_no_folder(drv, &store_path::build_folder(drv))
}

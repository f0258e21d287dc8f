//! What a Mac has and Linux has not: a folder in which case makes no difference, and a machine whose userland
//! is not GNU's, with neither Nix nor a package manager nor /proc.
//!
//! Both are mounts that only their own processes see, and end with the process that serves the folder, which is killed
//! with the test: nothing is ever left to unmount.

use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::common::{
    copy_program, git, is_root_to, not_tested, program, root, run, stdout, text, wait_until,
};

/// A folder as a Mac has it; see `xtask/tests/mac_folder.py`.
pub struct MacFolder {
    folder: tempfile::TempDir,
    /// Where it is mounted.
    path: Utf8PathBuf,
    server: Child,
}

impl MacFolder {
    /// Mounts it; `None` where that can't be done.
    pub fn start() -> Option<Self> {
        Self::start_at("mac", "", |_| ())
    }

    /// Mounts it at a path below a folder of its own, `$D` in `mounts`, which is shell text that may mount more before.
    /// `fill` puts there what it holds from the beginning.
    fn start_at(below: &str, mounts: &str, fill: impl Fn(&Utf8Path)) -> Option<Self> {
        let python = "/usr/bin/python3";
        let module = "try: import fusepy\nexcept ImportError: import fuse";
        let has_module = || {
            run(Command::new(python).args(["-c", module]))
                .status
                .success()
        };
        if !is_root_to("mount a folder that ignores case") {
            return None;
        }
        let is_there = |path: &str| Utf8Path::new(path).exists();
        if !is_there("/dev/fuse") || !is_there(python) || !has_module() {
            not_tested("a folder that ignores case takes /dev/fuse and the package python3-fusepy");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let path = top.join(below);
        for path in [&path, &top.join("below")] {
            fs_err::create_dir_all(path).unwrap();
        }
        fill(&top.join("below"));
        let script = format!(
            "{mounts}\nexec setpriv --pdeathsig KILL {python} {}/xtask/tests/mac_folder.py $D/below {path}",
            root()
        );
        let server = Command::new("unshare")
            .args(["--mount", "sh", "-ec", &script])
            .env("D", &top)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mounted = format!(" {path} ");
        let mut mac = Self {
            folder,
            path,
            server,
        };
        wait_until("the folder is mounted", || {
            assert!(
                mac.server.try_wait().unwrap().is_none(),
                "the folder is not served"
            );
            let mounts = fs_err::read(format!("/proc/{}/mountinfo", mac.server.id()));
            text(&mounts.unwrap_or_default()).contains(&mounted)
        });
        Some(mac)
    }

    /// The folder, for its own processes.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The folder, as this process reaches it.
    pub fn from_here(&self) -> Utf8PathBuf {
        format!("/proc/{}/root{}", self.server.id(), self.path).into()
    }

    /// The folder that it shows: what is changed there past it is not seen.
    pub fn below(&self) -> Utf8PathBuf {
        self.top().join("below")
    }

    fn top(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    /// A program in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.entering();
        let arguments = [
            "sh",
            "-c",
            "cd \"$0\" && exec \"$@\"",
            self.path.as_str(),
            program,
        ];
        command.args(arguments);
        command
    }

    /// The start of a command line that runs among the folder's mounts.
    fn entering(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.server.id()));
        command
    }
}

impl Drop for MacFolder {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The home of the one who uses the machine.
const HOME: &str = "/Users/somebody";
/// Busybox's programs that macOS has none of.
const NOT_OF_MACOS: [&str; 15] = [
    "dpkg",
    "dpkg-deb",
    "flock",
    "free",
    "nproc",
    "nsenter",
    "pidof",
    "rpm",
    "setsid",
    "sha256sum",
    "shuf",
    "tac",
    "tar",
    "timeout",
    "unshare",
];

/// A machine as a Mac is, as far as Linux can be one: busybox is its userland, bsdtar its `tar`; it has git, ssh and the
/// built program, and neither Nix nor a package manager nor /proc; a copy of this repository is in a folder in which
/// case makes no difference.
///
/// What it can't be: the program was compiled for Linux, so where the `platform.rs` of a crate decides, the branch of
/// Linux runs. That of macOS is compiled and linted only.
pub struct MacMachine {
    folder: MacFolder,
}

impl MacMachine {
    /// Makes it, with these folders of this machine at the same places.
    pub fn start(also: &[&Utf8Path]) -> Option<Self> {
        let needed = [
            "/usr/bin/busybox",
            "/usr/bin/bsdtar",
            "/usr/bin/git",
            "/usr/bin/ssh",
        ];
        let missing: Vec<&str> = needed
            .into_iter()
            .filter(|program| !Utf8Path::new(program).exists())
            .collect();
        if !missing.is_empty() {
            not_tested(&format!(
                "a machine like a Mac takes {missing:?} (busybox-static, libarchive-tools)"
            ));
            return None;
        }
        let folder =
            MacFolder::start_at(&format!("machine{HOME}/work"), &machine(also), repository)?;
        Some(Self { folder })
    }

    /// The folder with the repository.
    pub fn repository(&self) -> &MacFolder {
        &self.folder
    }

    /// The home of the one who uses it, for its own processes.
    pub fn home(&self) -> &'static Utf8Path {
        HOME.into()
    }

    /// A program in the repository there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.folder.entering();
        command
            // The PATH is that of the machine.
            .arg("/usr/sbin/chroot")
            .arg(self.folder.top().join("machine"))
            .args(["/bin/sh", "-c", "cd ~/work && exec \"$@\"", "sh", program])
            .env_clear()
            .envs([
                ("HOME", HOME),
                ("LOGNAME", "somebody"),
                ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
                ("TMPDIR", "/var/tmp"),
                ("USER", "somebody"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
            ]);
        command
    }

    /// The built program there, with arguments.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("/usr/local/bin/xtask");
        command.args(arguments);
        command
    }

    /// Writes a file there, which may be run.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.place(path);
        fs_err::write(&path, text).unwrap();
        stdout(Command::new("chmod").args(["755", path.as_str()]));
    }

    /// Copies a program of this machine there.
    pub fn bring(&self, program: &str, to: &str) {
        let to = self.place(to);
        // Not into what a link of busybox leads to.
        let _ = fs_err::remove_file(&to);
        copy_program(program, to);
    }

    fn place(&self, path: &str) -> Utf8PathBuf {
        let path = self.folder.top().join("machine").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// Shell text that makes the machine in `$D/machine`.
fn machine(also: &[&Utf8Path]) -> String {
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let program = program();
    let not = NOT_OF_MACOS.join("|");
    let also: String = also
        .iter()
        .map(|path| format!("mkdir -p {path}; mount --rbind {path} .{path}\n"))
        .collect();
    let also = also.replace("mkdir -p ", "mkdir -p .");
    format!(
        r"cd $D/machine
mkdir -p bin dev etc tmp usr/bin usr/local/bin usr/lib64 usr/lib/git-core .{libraries} private/var/tmp
ln -s private/var var
ln -s usr/lib lib
ln -s usr/lib64 lib64
cp /usr/bin/busybox bin
for name in $(busybox --list); do
  case $name in busybox|{not}) ;; *) ln -s busybox bin/$name ;; esac
done
ln -s ../../bin/env usr/bin/env
ln -s /proc/self/fd dev/fd
cp /usr/bin/git /usr/bin/ssh usr/bin
cp /usr/bin/bsdtar usr/bin/tar
touch usr/local/bin/xtask dev/null dev/urandom dev/zero
echo 'root:x:0:0::{HOME}:/bin/sh' >etc/passwd
echo '127.0.0.1 localhost' >etc/hosts
for path in {libraries} /usr/lib64 /usr/lib/git-core /dev/null /dev/urandom /dev/zero; do
  mount --bind $path .$path
done
mount --bind {program} usr/local/bin/xtask
{also}cd /"
    )
}

/// A repository with what git has of this one, and what it would add, all committed.
fn repository(to: &Utf8Path) {
    let script = "git -C \"$1\" ls-files -z --cached --others --exclude-standard |
        tar -C \"$1\" --null --ignore-failed-read -T - -cf - | tar -C \"$2\" -xf -";
    stdout(Command::new("sh").args(["-ec", script, "sh", root().as_str(), to.as_str()]));
    for arguments in [
        &["init", "--quiet"][..],
        // as git finds it on a Mac
        &["config", "core.ignoreCase", "true"],
        &["config", "user.name", "n"],
        &["config", "user.email", "n@example.org"],
        &["add", "."],
        &["commit", "--quiet", "--no-verify", "--message", "all"],
    ] {
        stdout(git(to).args(arguments));
    }
}

//! `cargo xtask run` with a real browser: the sample starts, somebody signs in, and nothing of it is left.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::webui::host_package;
use test_support::common::{free_port, is_there, root, run, text, wait_until, xtask};

/// How long until it is ready; the first time it is built.
const READY: Duration = Duration::from_secs(45 * 60);

/// The sample, which runs until this is dropped.
struct Service {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
    password: String,
}

impl Service {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // as root all of it runs as another user
        let open = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(folder.path(), open).unwrap();
        let port = free_port();
        let child = xtask()
            .args(["run", "--sample", "--pkgs", "host", "--port"])
            .arg(port.to_string())
            .arg("--data")
            .arg(folder.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let password = String::new();
        let mut service = Self {
            folder,
            child,
            port,
            password,
        };
        service.password = service.wait_ready();
        service
    }

    /// Reads what it says until it is ready; the password.
    fn wait_ready(&mut self) -> String {
        let (said, hears) = channel();
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let readers: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(out.unwrap()), Box::new(err.unwrap())];
        for reader in readers {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    // nobody hears it once it is ready, and it has to be read still
                    let _ = said.send(line);
                }
            });
        }
        drop(said);
        let limit = Instant::now() + READY;
        let mut lines = Vec::new();
        while let Ok(line) = hears.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            if let Some((_, password)) = line.split_once("user: akadmin  password: ") {
                return password.to_owned();
            }
            lines.push(line);
        }
        panic!("it was not ready in {READY:?}:\n{}", lines.join("\n"));
    }

    fn folder(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    /// Signs in by the browser: its exit code, and what it says.
    fn sign_in(&self, password: &str, version: &str, pictures: &Utf8Path) -> (Option<i32>, String) {
        let output = run(Command::new(host_package("nodejs_24").join("bin/node"))
            .arg(root().join("tools/browser.mjs"))
            .args(["--sign-in", &format!("http://127.0.0.1:{}/", self.port)])
            .args(["--user", "akadmin", "--password", password])
            .args(["--version", version, "--no-admin"])
            .args(["--expect", "Signed in: akadmin"])
            .args(["--screenshots", pictures.as_str()])
            // its processes are known by it
            .env("TMPDIR", self.folder()));
        (output.status.code(), text(&output.stderr))
    }

    /// The processes that know the folder: the program, what it started, the browser.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder().as_str();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let is_its = |file: &str| {
                std::fs::read(entry.path().join(file)).is_ok_and(|it| text(&it).contains(folder))
            };
            if is_its("cmdline") || is_its("environ") {
                let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push(text(&command).replace('\0', " "));
            }
        }
        found
    }

    /// Its folder for sockets, as it noted it.
    fn sockets(&self) -> Utf8PathBuf {
        let note = fs_err::read(self.folder().join("data/lock")).unwrap();
        let note: Value = serde_json::from_slice(&note).unwrap();
        note["runtime"].as_str().unwrap().into()
    }

    /// Ends it as Ctrl-C does; the exit code, none if it does not end.
    fn interrupt(&mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        let limit = Instant::now() + Duration::from_secs(30);
        while Instant::now() < limit {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.interrupt().is_none() {
            // what it started is told by the kernel
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[test]
fn somebody_signs_in_to_the_sample_by_a_browser() {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    if !is_there(&chromium) {
        return;
    }
    let mut service = Service::start();
    let password = service.password.clone();

    let pictures = root().join("target/screenshots/sample");
    let _ = fs_err::remove_dir_all(&pictures);
    let (code, said) = service.sign_in(&password, "2026.2.0", &pictures);
    assert_eq!(code, Some(0), "{said}");
    for name in ["login", "password", "refused", "user"] {
        let picture = pictures.join(format!("{name}.png"));
        assert!(fs_err::metadata(&picture).unwrap().len() > 1000, "{name}");
    }

    // What is not so is seen.
    let elsewhere: Utf8PathBuf = service.folder().join("pictures");
    for (password, version, wanted) in [
        (
            "wrong",
            "2026.2.0",
            "akadmin can't sign in: Invalid password",
        ),
        (
            &password,
            "2026.2.1",
            "the web UI is of version 2026.2.0, and 2026.2.1 is wanted",
        ),
    ] {
        let (code, said) = service.sign_in(password, version, &elsewhere);
        assert_eq!(code, Some(1), "{wanted}: {said}");
        assert_eq!(said.trim(), wanted);
    }

    let names = service.processes().join("\n");
    for part in ["supervise.py", "postgres", "worker"] {
        assert!(names.contains(part), "{part}: {names}");
    }
    assert!(service.sockets().join("database").exists());
    assert_eq!(service.interrupt(), Some(130));
    wait_until("all processes are gone", || service.processes().is_empty());
    assert!(!service.sockets().exists(), "its sockets are still there");
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, service.port));
    assert!(connection.is_err(), "somebody still listens");
}

//! The sample's container image: read by skopeo, the same bytes each time, and started from its layers alone,
//! with nothing of this machine in sight.
//!
//! Only root can make the file system of a container and become its user; elsewhere nothing is started.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use test_support::common::{
    Mark, free_port, host_pkgs, is_root_to, is_there, nix, nothing_left, root, sample_copy, stdout,
    text, xtask,
};

/// Makes what a container runtime gives beside the image (/proc, /dev with a few devices and, if it is not to
/// be bare, links and memory to share), in namespaces of mounts and processes of its own, and starts a program
/// as the image's user.
const RUNTIME: &str = r#"
set -eu
root=$1
user=$2
kind=$3
shift 3
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
if [ "$kind" != bare ]; then
    ln -s /proc/self/fd "$root/dev/fd"
    for number in 0:stdin 1:stdout 2:stderr; do
        ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"
    done
    mkdir "$root/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
fi
exec env -i "XTASK_TEST=$XTASK_TEST" "HOME=/tmp" "$@"
"#;

/// The sample's image, built.
struct Image {
    file: Utf8PathBuf,
    derivation: String,
}

fn build() -> Image {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample_copy(Utf8Path::from_path(folder.path()).unwrap());
    // the venv's hash is that of one release of the distribution: elsewhere it is another, and is written
    let rows = stdout(
        xtask()
            .args(["test-build", "image", "--pkgs", "host", "--no-tests"])
            .args(["--write-pins", "--json", "-q", "--pins"])
            .arg(sample.join("pins.json")),
    );
    let row: Value = rows
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|row: &Value| row["component"] == "image")
        .unwrap_or_else(|| panic!("{rows}"));
    Image {
        file: row["out"].as_str().unwrap().into(),
        derivation: row["drv"].as_str().unwrap().to_owned(),
    }
}

/// An image, unpacked into a folder as a container runtime does it.
struct Unpacked<'mark> {
    mark: &'mark Mark,
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    /// What a container says; only root can open it.
    log: Utf8PathBuf,
    /// Whether /dev holds devices only.
    is_bare: bool,
    config: Value,
}

impl<'mark> Unpacked<'mark> {
    fn new(image: &Utf8Path, mark: &'mark Mark) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let (archive, root) = (path.join("archive"), path.join("root"));
        fs_err::create_dir(&archive).unwrap();
        fs_err::create_dir(&root).unwrap();
        stdout(Command::new("tar").args(["-xf", image.as_str(), "-C", archive.as_str()]));
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs_err::read(archive.join(name)).unwrap()).unwrap()
        };
        let manifest = read("manifest.json");
        for layer in manifest[0]["Layers"].as_array().unwrap() {
            stdout(
                Command::new("tar")
                    .args(["--numeric-owner", "-xpf"])
                    .arg(archive.join(layer.as_str().unwrap()))
                    .arg("-C")
                    .arg(&root),
            );
        }
        // others have to be able to reach it
        stdout(Command::new("chmod").arg("755").arg(path));
        Self {
            config: read(manifest[0]["Config"].as_str().unwrap()),
            log: path.join("log"),
            is_bare: false,
            root,
            mark,
            _folder: folder,
        }
    }

    fn strings(&self, key: &str) -> Vec<String> {
        let list = self.config["config"][key].as_array().unwrap();
        list.iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect()
    }

    /// A command that runs in the image, as its user and with its environment.
    fn command(&self, environment: &[&str], program: &[&str]) -> Command {
        let user = self.config["config"]["User"].as_str().unwrap();
        let kind = if self.is_bare { "bare" } else { "usual" };
        let mut command = Command::new("unshare");
        self.mark.put(&mut command);
        command
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", RUNTIME, "sh", self.root.as_str(), user, kind])
            .args(self.strings("Env"))
            .args(environment)
            .arg("/usr/sbin/chroot")
            .args(["--groups=", &format!("--userspec={user}")])
            .arg(&self.root)
            .args(program)
            .stdin(Stdio::null());
        command
    }

    /// What runs in the image: process and user.
    fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in fs_err::read_dir("/proc").unwrap() {
            let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse() else {
                continue;
            };
            let folder = Utf8PathBuf::from(format!("/proc/{pid}"));
            // it may be gone by now
            let (Ok(root), Ok(status)) = (
                fs_err::read_link(folder.join("root")),
                fs_err::read_to_string(folder.join("status")),
            ) else {
                continue;
            };
            if root == self.root.as_std_path() {
                let uid = status.lines().find(|line| line.starts_with("Uid:"));
                found.push((pid, uid.unwrap().to_owned()));
            }
        }
        found
    }
}

/// A started container; it and all its processes end with this.
struct Container<'image> {
    image: &'image Unpacked<'image>,
    child: Child,
    port: u16,
}

impl<'image> Container<'image> {
    fn start(image: &'image Unpacked<'image>) -> Self {
        // the network is this machine's, where 9000 may be taken
        let port = free_port();
        let listen = format!("AUTHENTIK_LISTEN__HTTP=127.0.0.1:{port}");
        let entry = image.strings("Entrypoint");
        let mut program: Vec<&str> = entry.iter().map(String::as_str).collect();
        program.push("server");
        let log = fs_err::File::create(&image.log).unwrap().into_file();
        stdout(Command::new("chmod").arg("600").arg(&image.log));
        let child = image
            .command(&[&listen], &program)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { image, child, port }
    }

    /// Head and body of an answer; nothing where nobody listens.
    fn ask(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n")?;
        Some((text(&answer[..end]), answer.split_off(end + 4)))
    }

    /// The first answer with success.
    fn wait_for(&mut self, path: &str) -> (String, Vec<u8>) {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < Duration::from_secs(90) {
            last = self.ask(path);
            if let Some((head, _)) = &last
                && head.split(' ').nth(1) == Some("200")
            {
                return last.unwrap();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the container ended: {ended:?}\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{path}: {last:?}\n{}", self.said());
    }

    fn said(&self) -> String {
        fs_err::read_to_string(&self.image.log).unwrap()
    }

    fn json(&mut self, path: &str) -> Value {
        let (head, body) = self.wait_for(path);
        // a header that the server puts on what the Python part answered, and one of that
        assert!(head.contains("X-Powered-By: authentik"), "{head}");
        assert!(head.contains("gunicorn"), "{head}");
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // The first process of the namespace, with which all others go, does not go with `unshare`: the
        // kernel forgot that it should (--kill-child) when it became the image's user.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let left = self.image.processes();
            if left.is_empty() {
                break;
            }
            for (process, _) in left {
                let process = Pid::from_raw(process).unwrap();
                let _ = kill_process(process, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn skopeo_reads_it() {
    if !is_there("skopeo") {
        return;
    }
    let image = build();
    let source = format!("docker-archive:{}", image.file);
    let inspect = |more: &[&str]| -> Value {
        let said = stdout(
            Command::new("skopeo")
                .arg("inspect")
                .args(more)
                .arg(&source),
        );
        serde_json::from_str(&said).unwrap()
    };
    let found = inspect(&[]);
    assert_eq!(
        found["Labels"]["org.opencontainers.image.version"],
        "2026.2.0"
    );
    assert_eq!(
        found["Labels"]["org.opencontainers.image.source"],
        "https://github.com/goauthentik/authentik"
    );
    assert_eq!(found["Os"], "linux");
    assert_eq!(found["Architecture"], "amd64");
    let layers = found["Layers"].as_array().unwrap().len();
    assert!(layers > 5, "{layers} layers");

    let config = inspect(&["--config"]);
    let config = &config["config"];
    assert_eq!(config["User"], "65534:0");
    let ports: Vec<&String> = config["ExposedPorts"].as_object().unwrap().keys().collect();
    assert_eq!(ports, ["9000/tcp", "9443/tcp"]);

    // skopeo checks each layer against its hash when it copies
    let folder = tempfile::tempdir().unwrap();
    let copy = format!("dir:{}", folder.path().join("copy").display());
    stdout(Command::new("skopeo").args(["copy", "--quiet", "--insecure-policy", &source, &copy]));
}

/// A machine may trust authorities of its own: what it fetches is fetched by them, what it ships has none of them.
#[test]
fn a_machine_s_own_authorities_are_in_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let evaluated = |bundle: &str| -> (String, String) {
        let file = folder.join(bundle);
        fs_err::write(&file, bundle).unwrap();
        let mut command = nix("nix-instantiate");
        command
            .args(["--eval", "--strict", "--json", "-E"])
            .arg("{ pkgs, folder, pins }: with (import folder { inherit pkgs pins; }).image; [ outPath drvPath ]")
            .args(host_pkgs())
            .args(["--arg", "folder"])
            .arg(root().join("containers/authentik"))
            .args(["--argstr", "pins"])
            .arg(root().join("containers/authentik/sample/pins.json"))
            .env("NIX_SSL_CERT_FILE", file);
        serde_json::from_str(&stdout(&mut command)).unwrap()
    };
    let (one, other) = (evaluated("one"), evaluated("other"));
    assert_eq!(one.0, other.0);
    // The derivations that fetch are others.
    assert_ne!(one.1, other.1);
}

#[test]
fn it_is_the_same_to_the_byte() {
    let image = build();
    stdout(nix("nix-store").args(["--realise", "--check", &image.derivation]));
}

#[test]
fn it_serves_from_its_layers_alone() {
    if !is_root_to("start a container here") {
        return;
    }
    let image = build();
    nothing_left(|mark| serves(&mut Unpacked::new(&image.file, mark)));
}

fn serves(image: &mut Unpacked<'_>) {
    let entry = image.strings("Entrypoint");
    let entry: Vec<&str> = entry.iter().map(String::as_str).collect();

    let inside = |program: &[&str]| stdout(&mut image.command(&[], program));
    // what the image holds is all there is
    let seen = inside(&["/bin/bash", "-c", "echo /* /usr/*"]);
    let seen: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(
        seen.join(" "),
        "/bin /blueprints /certs /data /dev /etc /nix /proc /tmp /usr /usr/bin /usr/share"
    );
    assert_eq!(inside(&["/bin/id", "-u"]).trim(), "65534");
    assert_eq!(inside(&["/bin/id", "-g"]).trim(), "0");
    // who configures who may do what is not this user, whose are certificates and data
    let modes = "stat -c %a /blueprints /blueprints/default /certs /data /tmp; \
                 touch /blueprints/x /blueprints/custom/x 2>/dev/null || echo closed; touch /certs/x /data/x";
    let said = inside(&["/bin/bash", "-c", modes]);
    assert_eq!(said, "555\n555\n770\n770\n1777\nclosed\n");
    let said = inside(&[&entry[..], &["check"]].concat());
    assert!(said.contains("no issues"), "{said}");
    let said = inside(&[
        "/bin/bash",
        "-c",
        "TZ=Europe/Berlin date -d @0 +%z; TZ=Asia/Tokyo date -d @0 +%z",
    ]);
    assert_eq!(said, "+0100\n+0900\n");
    let python = Utf8Path::new(entry[0]).with_file_name("python3");
    let said = inside(&[
        python.as_str(),
        "-c",
        "import ssl, zoneinfo; print(zoneinfo.ZoneInfo('Europe/Berlin'), len(ssl.create_default_context().get_ca_certs()))",
    ]);
    let (zone, certificates) = said.trim().split_once(' ').unwrap();
    assert_eq!(zone, "Europe/Berlin");
    assert!(certificates.parse::<u32>().unwrap() > 20, "{said}");

    let mut container = Container::start(image);
    let (_, asset) = container.wait_for("/static/dist/poly-2026.2.0.js");
    let files: Vec<_> = glob::glob(
        image
            .root
            .join("nix/store/*-webui-2026.2.0/dist/poly-2026.2.0.js")
            .as_str(),
    )
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(asset, fs_err::read(&files[0]).unwrap());

    let version = container.json("/api/v3/admin/version/");
    assert_eq!(version["version_current"], "2026.2.0");
    // what the image links to can be read, and the backend finds the files of the web UI
    let blueprints = container.json("/api/v3/managed/blueprints/available/");
    assert!(
        blueprints["results"]["default/flow.yaml"].as_u64().unwrap() > 0,
        "{blueprints}"
    );
    let files = container.json("/api/v3/admin/file/");
    for name in [
        "authentik/sources/sample.svg",
        "dist/assets/icons/icon_left_brand.png",
    ] {
        let names = files["results"].as_array().unwrap();
        assert!(names.iter().any(|it| it == name), "{name}: {files}");
    }

    let processes = image.processes();
    assert!(processes.len() >= 4, "{processes:?}");
    for (_, uid) in &processes {
        assert_eq!(uid, "Uid:\t65534\t65534\t65534\t65534");
    }

    // told to end, as a runtime does, it takes the Python part along
    let first = processes.iter().map(|(pid, _)| *pid).min().unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::TERM).unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = container.child.try_wait().unwrap() {
            break status;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it does not end when told to"
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
    drop(container);
    assert_eq!(image.processes(), []);

    // without memory to share, and where /dev/stderr is not there
    image.is_bare = true;
    let mut container = Container::start(image);
    let version = container.json("/api/v3/admin/version/");
    assert_eq!(version["version_current"], "2026.2.0");
    drop(container);
    assert_eq!(image.processes(), []);
}

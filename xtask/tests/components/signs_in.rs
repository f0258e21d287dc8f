//! The test that signs in, on the sample: each fault planted in a build makes it fail with words that lead
//! there, and the image signs in under a container engine as it does without one.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use test_support::common::{
    host_pkgs, is_root_to, is_there, nix, root, run, sample_copy, stdout, text, wait_until, xtask,
};
use test_support::harness::processes_with;

/// For each fault the step that finds it, and what its last words hold.
const FAULTS: [(&str, &str, &[&str]); 7] = [
    (
        "module-missing",
        "ready",
        &["ModuleNotFoundError: No module named 'yaml'"],
    ),
    (
        "two-libraries",
        "libraries",
        &[
            "two libxml2 in one process",
            "/second.libs/libxml2-0123abcd.so.2",
        ],
    ),
    (
        "library-not-found",
        "migrations",
        &["libpq.so.6: cannot open shared object file"],
    ),
    (
        "blueprint-not-applied",
        "blueprints",
        &["default/planted.yaml (error)", "authentik_none.none"],
    ),
    (
        "migration-out-of-order",
        "migrations",
        &[
            "relation \"authentik_core_user_roles\" does not exist",
            "authentik_rbac.0010",
        ],
    ),
    (
        "web-ui-of-another-version",
        "login-page",
        &[
            "FlowInterface-2026.2.0.js",
            "FlowInterface-2026.1.0.js",
            "is it of another version?",
        ],
    ),
    (
        "no-time-zones",
        "blueprints",
        &["ZoneInfoNotFoundError", "'No time zone found with key UTC'"],
    ),
];

/// A copy of the sample with the hash of the venv that is right here, and components built of it.
struct Sample {
    _folder: tempfile::TempDir,
    pins: Utf8PathBuf,
    rows: Vec<Value>,
}

impl Sample {
    fn new(components: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pins = sample_copy(Utf8Path::from_path(folder.path()).unwrap()).join("pins.json");
        let rows = stdout(
            xtask()
                .arg("test-build")
                .args(components)
                .args(["--pkgs", "host", "--no-tests"])
                .args(["--write-pins", "--json", "-q", "--pins"])
                .arg(&pins),
        );
        let rows = rows.lines().map(|it| serde_json::from_str(it).unwrap());
        Self {
            rows: rows.collect(),
            pins,
            _folder: folder,
        }
    }

    fn out(&self, component: &str) -> &Utf8Path {
        let row = self.rows.iter().find(|row| row["component"] == component);
        Utf8Path::new(row.unwrap()["out"].as_str().unwrap())
    }
}

#[test]
fn each_planted_fault_is_found_and_named() {
    let sample = Sample::new(&["assembled"]);
    let file = root().join("xtask/tests/cases/signs-in.nix");
    let pins = ["--arg", "pins", sample.pins.as_str()];
    let command = |program: &str| {
        let mut command = nix(program);
        command.arg(&file).args(host_pkgs()).args(pins);
        command
    };
    let names: Vec<&str> = FAULTS.iter().map(|(name, ..)| *name).collect();
    let derivation = |name: &str| {
        let said = stdout(command("nix-instantiate").args(["-A", name]));
        said.trim().to_owned()
    };

    // all at once: they mostly wait, for a database and for each other's parts
    let mut all = command("nix-build");
    all.args([
        "--no-out-link",
        "--keep-going",
        "--max-jobs",
        "8",
        "-A",
        "good",
    ]);
    for name in &names {
        all.args(["-A", name]);
    }
    let ended = run(&mut all);
    let said = text(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    // without a fault it passes
    stdout(command("nix-build").args(["--no-out-link", "-A", "good"]));

    for (name, step, words) in FAULTS {
        let derivation = derivation(name);
        let failed = format!("builder for '{derivation}' failed with exit code 1");
        assert!(said.contains(&failed), "{name} is not found:\n{said}");
        let log = stdout(nix("nix-store").args(["--read-log", &derivation]));
        let begin = format!("\n{step} does not hold (");
        let (_, last) = log
            .split_once(&begin)
            .unwrap_or_else(|| panic!("{name}: not by {step}:\n{log}"));
        for word in words {
            assert!(last.contains(word), "{name}: {word}:\n{last}");
        }
        let lines = last.lines().count();
        assert!(
            lines <= 15,
            "{name}: the point is lost in {lines} lines:\n{last}"
        );
    }
}

/// The test program on the sample's image. What it started ends with this, and so does what the engine keeps.
struct SignsIn {
    folder: tempfile::TempDir,
    engine: Vec<(&'static str, String)>,
    program: Option<Child>,
}

impl SignsIn {
    /// With podman, whose settings and images are this test's own. It needs no systemd and no cgroups of
    /// version 2, and takes limits that any machine has.
    fn podman() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        let (containers, storage) = (path.join("containers.conf"), path.join("storage.conf"));
        fs_err::write(
            &containers,
            "[engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\nevents_logger = \"file\"\n\
             [containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=1024:4096\"]\n",
        )
        .unwrap();
        fs_err::write(
            &storage,
            format!(
                "[storage]\ndriver = \"overlay\"\ngraphroot = \"{path}/images\"\nrunroot = \"{path}/run\"\n"
            ),
        )
        .unwrap();
        Self {
            engine: vec![
                ("CONTAINERS_CONF", containers.into()),
                ("CONTAINERS_STORAGE_CONF", storage.into()),
                ("XTASK_CONTAINER_ENGINE", "podman".to_owned()),
            ],
            folder,
            program: None,
        }
    }

    /// From the unpacked layers, in namespaces.
    fn stand_in() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = root().join("xtask/tests/engine.py").into_string();
        Self {
            engine: vec![
                (
                    "XTASK_ENGINE_FOLDER",
                    folder.path().to_str().unwrap().into(),
                ),
                ("XTASK_CONTAINER_ENGINE", engine),
            ],
            folder,
            program: None,
        }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Signs in; what the program says.
    fn run(&mut self, sample: &Sample) -> String {
        let part = |component| sample.out(component).as_str();
        let plan = sample.out("service").join("share/plan.json");
        let mut command = Command::new("python3");
        command
            .arg(root().join("containers/authentik/tests/assembled/signs_in.py"))
            .arg(plan)
            .args(["--assembled", part("assembled"), "--image", part("image")])
            .args(["--memory", "256m", "--leave-out"])
            .arg(sample.pins.with_file_name("signs-in.json"))
            // what it makes lies where it is found
            .env("TMPDIR", self.path())
            .env_remove("XDG_RUNTIME_DIR")
            .envs(self.engine.clone())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // others have to reach what lies in it
        stdout(Command::new("chmod").args(["755", self.path()]));
        let child = self.program.insert(command.spawn().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut said = Vec::new();
            errors.read_to_end(&mut said).unwrap();
            text(&said)
        });
        let mut said = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut said).unwrap();
        let status = child.wait().unwrap();
        let (said, errors) = (text(&said), errors.join().unwrap());
        assert!(status.success(), "{status}\n{said}\n{errors}");
        said
    }

    /// The processes of containers: those that see mounts of others than this one, of this folder.
    fn inside(&self) -> Vec<Utf8PathBuf> {
        let name = Utf8Path::new(self.path()).file_name().unwrap();
        let ours = fs_err::read_link("/proc/self/ns/mnt").unwrap();
        processes_with("")
            .into_iter()
            .filter(|process| {
                let mounts = fs_err::read(process.join("mountinfo")).unwrap_or_default();
                let theirs = fs_err::read_link(process.join("ns/mnt"));
                theirs.is_ok_and(|it| it != ours) && text(&mounts).contains(name)
            })
            .collect()
    }

    /// Nothing is left but what this test itself has in its folder.
    fn is_clean(&self) {
        let path = self.path();
        wait_until("all processes ended", || {
            processes_with(path).is_empty() && self.inside().is_empty()
        });
        // a run's folder, what the stand-in notes of a container
        for pattern in ["xtask-run.*", "signs-in-*"] {
            let left: Vec<_> = glob::glob(&format!("{path}/{pattern}")).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

impl Drop for SignsIn {
    fn drop(&mut self) {
        if let Some(program) = &mut self.program
            && let Ok(None) = program.try_wait()
        {
            // it ends its containers by itself
            let process = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
            let _ = kill_process(process, Signal::TERM);
            let _ = program.wait();
        }
        if self.engine.iter().any(|(_, value)| value == "podman") {
            let _ = Command::new("podman")
                .envs(self.engine.clone())
                .args(["rm", "--all", "--force"])
                .output();
        }
        // an engine's mounts, the innermost first
        let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut places: Vec<&str> = places.filter(|it| it.starts_with(self.path())).collect();
        places.reverse();
        for place in places {
            let _ = Command::new("umount").arg(place).status();
        }
    }
}

/// What is asked of it, whatever runs the containers.
fn holds(said: &str) {
    for step in [
        "migrations",
        "right-password",
        "libraries",
        "restart",
        "second-migration",
    ] {
        assert!(said.contains(&format!("\n{step}: ")), "{step}:\n{said}");
    }
    // the server with its Python part, twice, and the worker: no rights, no root that can be written
    let confined = said
        .lines()
        .find_map(|line| line.strip_prefix("confined: "));
    let count = confined
        .and_then(|it| it.split_once(" processes"))
        .unwrap()
        .0;
    assert!(count.parse::<u32>().unwrap() >= 6, "{said}");
    assert!(said.contains("signs in ("), "{said}");
}

#[test]
fn the_image_signs_in_under_podman() {
    if !is_root_to("start a container here") {
        return;
    }
    for program in ["podman", "runc", "conmon"] {
        if !is_there(program) {
            return;
        }
    }
    let sample = Sample::new(&["assembled", "image", "service"]);
    let mut podman = SignsIn::podman();
    let said = podman.run(&sample);
    holds(&said);
    // in a group of its own, whose limit is that of a container
    assert!(said.contains("charged to it"), "{said}");
    podman.is_clean();
    let path = podman.path().to_owned();
    drop(podman);
    assert!(!Utf8Path::new(&path).exists(), "{path}");
    let mounts = fs_err::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&path), "{mounts}");
}

#[test]
fn the_image_signs_in_from_its_layers_alone() {
    if !is_root_to("start a container here") {
        return;
    }
    let sample = Sample::new(&["assembled", "image", "service"]);
    let mut layers = SignsIn::stand_in();
    holds(&layers.run(&sample));
    layers.is_clean();
}

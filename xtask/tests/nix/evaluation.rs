//! Evaluations that fail, with real Nix over the real expressions: what is wrong, where in our files,
//! and what to do about it, without the frames of the package set and of Nix.

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use test_support::common::{root, run, text};
use test_support::harness::{Ended, Harness, programs};

const CLIENT: &str = "containers/authentik/client-ts.nix";
/// An argument of the component that is not needed to evaluate the others.
const ARGUMENT: &str = "  strictDeps = true;";

/// A copy of the expressions, which a test may break.
struct Copy {
    harness: Harness,
}

impl Copy {
    fn new() -> Self {
        Self {
            harness: Harness::of_this_repository(),
        }
    }

    fn path(&self, path: &str) -> Utf8PathBuf {
        self.harness.root().join(path)
    }

    /// Puts other text in the place of one that is there once.
    fn change(&self, path: &str, from: &str, to: impl AsRef<[u8]>) {
        let whole = fs_err::read_to_string(self.path(path)).unwrap();
        let (before, after) = whole.split_once(from).unwrap();
        assert!(!after.contains(from), "{path} has `{from}` twice");
        let changed = [before.as_bytes(), to.as_ref(), after.as_bytes()].concat();
        fs_err::write(self.path(path), changed).unwrap();
    }

    fn build(&self, arguments: &[&str]) -> Ended {
        // In full, so that nothing but its container is evaluated.
        let arguments = [&["authentik/client-ts", "--no-tests"], arguments].concat();
        self.harness.test_build(&arguments)
    }
}

/// The number of the line of a file of this repository in which a text begins.
fn line_of(path: &str, text: &str) -> usize {
    let whole = fs_err::read_to_string(root().join(path)).unwrap();
    let start = whole.find(text).unwrap();
    whole[..start].matches('\n').count() + 1
}

/// What follows the line that says over which package set, without Nix's warnings, and with the word
/// of Nix 2.8 for a call.
fn error(ended: &Ended) -> String {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    let lines = ended.stderr.lines().skip(1);
    let lines = lines.filter(|line| !line.starts_with("warning: "));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    text.replace(" while calling ", " while evaluating ")
}

/// The one line with the caret of an excerpt, as far as the caret.
fn caret(error: &str) -> Option<&str> {
    error
        .lines()
        .find(|line| line.trim_start().starts_with('|'))
}

/// See [`KINDS`].
type Kind = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<bool>,
);

/// What is wrong, the text of the component that is changed and to what, what is said, and whether lines
/// of the source are shown, where all versions of Nix agree. FILE is the component's, LINE that of the
/// change, NEXT the one after.
const KINDS: [Kind; 16] = [
    (
        "a missing argument",
        "  sources,\n",
        "  sources,\n  zoo,\n",
        &[
            "error: host-pkgs has no `zoo`, which FILE:NEXT needs: add it to containers/host-pkgs/default.nix, or, if it is a component, to containers/authentik/scope.nix\n",
        ],
        Some(false),
    ),
    (
        "an argument with a typing error",
        "  sources,\n",
        "  sources,\n  typescrypt,\n",
        &[
            "error: host-pkgs has no `typescrypt`, which FILE:NEXT needs: did you mean `typescript`?\n",
        ],
        Some(false),
    ),
    (
        "a missing function of the library",
        ARGUMENT,
        "  strictDeps = lib.foo true;",
        &[
            "error: host-pkgs has no `lib.foo`, which FILE:LINE:16 needs: add it to containers/host-pkgs/lib.nix\n",
        ],
        Some(true),
    ),
    (
        "a missing source",
        "  inherit (sources) schema;",
        "  inherit (sources) schema openapi;",
        &[
            "error: the pins have no `openapi`, which FILE:LINE:",
            " needs: add it to `sources` in containers/authentik/pins.json\n",
        ],
        Some(true),
    ),
    (
        "a missing attribute of something else",
        ARGUMENT,
        "  strictDeps = nodejs_24.meta.platfroms;",
        &[
            "error: `nodejs_24.meta` has no `platfroms`, which FILE:LINE:16 needs: did you mean `platforms`?\n",
        ],
        Some(true),
    ),
    (
        "an argument that host-pkgs refuses",
        ARGUMENT,
        "  hardeningDisable = [ \"all\" ];",
        &[
            "error: host-pkgs does not carry out `hardeningDisable`, which FILE:LINE gives: do without it, or carry it out in containers/host-pkgs/stdenv.nix\n",
        ],
        Some(false),
    ),
    (
        "an output that host-pkgs refuses",
        ARGUMENT,
        "  outputs = [ \"out\" \"dev\" ];",
        &[
            "error: FILE:LINE: client-ts-2026.2.0: host-pkgs knows the output `out` only, not `outputs = [ out dev ]`\n",
        ],
        Some(false),
    ),
    (
        "a syntax error",
        ARGUMENT,
        "  strictDeps = true",
        &["error: FILE:NEXT:21: syntax error, unexpected '=', expecting ';'\n"],
        Some(true),
    ),
    (
        "an undefined variable",
        ARGUMENT,
        "  strictDeps = zoo;",
        &[
            "error: FILE:LINE:16: undefined variable 'zoo': if the package set has it, name it among the file's arguments\n",
        ],
        Some(true),
    ),
    (
        "throw",
        ARGUMENT,
        "  strictDeps = throw \"no\\n  second line\";",
        &[
            "error: no\n  second line\n  while ",
            "\n  while evaluating the attribute 'strictDeps' at FILE:LINE:3\n",
        ],
        Some(true),
    ),
    (
        "assert",
        ARGUMENT,
        "  strictDeps = assert 1 == 2; true;",
        &[
            "FILE:LINE:16",
            " assertion '(1 == 2)'",
            "\n  while evaluating the attribute 'strictDeps' at FILE:LINE:3\n",
        ],
        Some(true),
    ),
    (
        "infinite recursion",
        ARGUMENT,
        "  strictDeps = let x = y; y = x; in x;",
        &["error: FILE:LINE:24: infinite recursion encountered\n"],
        Some(true),
    ),
    (
        "a type error",
        ARGUMENT,
        "  strictDeps = 1 + \"a\";",
        &["error: FILE:LINE:20: cannot add a string to an integer\n"],
        Some(true),
    ),
    (
        "an import of a missing file",
        ARGUMENT,
        "  strictDeps = import ./no-such-file.nix;",
        &[
            "'ROOT/containers/authentik/no-such-file.nix'",
            "\n  while evaluating the attribute 'strictDeps' at FILE:LINE:3\n",
        ],
        Some(true),
    ),
    (
        "a type error in host-pkgs' library",
        ARGUMENT,
        "  strictDeps = lib.escapeShellArg { };",
        &[
            "cannot coerce a set to a string",
            "\n  while evaluating 'escapeShellArg' at FILE:LINE:16\n",
        ],
        None,
    ),
    (
        "recursion",
        ARGUMENT,
        "  strictDeps = let f = n: if n == 0 then throw \"deep\" else f (n - 1) + 1; in f 500;",
        &["error: deep\n", "\n  while evaluating 'f' at FILE:LINE:"],
        Some(true),
    ),
];

#[test]
fn each_kind_of_error_names_its_place() {
    let scope = line_of(
        "containers/authentik/scope.nix",
        "    client-ts = callPackage",
    );
    // The line in the harness is that of `inherit` in Nix 2.8, and that of the name in later ones.
    let outer_frames = format!(
        "
  while evaluating 'callPackageWith' at containers/authentik/scope.nix:{scope}:17
  while evaluating the attribute 'client-ts' at containers/authentik/scope.nix:{scope}:5
  while evaluating the attribute 'client-ts' at containers/authentik/test-build.nix:"
    );
    for (what, from, to, parts, has_caret) in KINDS {
        let copy = Copy::new();
        copy.change(CLIENT, from, to);
        let error = error(&copy.build(&[]));
        let line = line_of(CLIENT, from);
        for part in parts {
            let part = part
                .replace("ROOT", copy.harness.root().as_str())
                .replace("FILE", CLIENT)
                .replace("LINE", &line.to_string())
                .replace("NEXT", &(line + 1).to_string());
            assert!(error.contains(&part), "{what}, `{part}`:\n{error}");
        }
        assert!(error.starts_with("error: "), "{what}:\n{error}");
        if let Some(has_caret) = has_caret {
            assert_eq!(caret(&error).is_some(), has_caret, "{what}:\n{error}");
        }
        assert!(error.contains(&outer_frames), "{what}:\n{error}");
        assert!(error.lines().count() <= 18, "{what}:\n{error}");
        for foreign in [
            "«string»",
            "(string)",
            "(use '--show-trace'",
            "'isDerivation'",
        ] {
            assert!(!error.contains(foreign), "{what}:\n{error}");
        }
    }
}

#[test]
fn inputs_are_looked_at_late() {
    let copy = Copy::new();
    copy.change(CLIENT, ARGUMENT, "  buildInputs = [ { } ];");
    let ended = copy.build(&[]);
    assert!(
        error(&ended).starts_with(&format!(
            "error: {CLIENT}:{}: client-ts-2026.2.0: `buildInputs` holds a set; it has to hold \
             derivations, strings and paths\n",
            line_of(CLIENT, ARGUMENT)
        )),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_package_of_host_pkgs_is_ours_as_well() {
    let copy = Copy::new();
    let package = "containers/host-pkgs/typescript.nix";
    copy.change(
        package,
        "stdenvNoCC.mkDerivation {",
        "stdenvNoCC.mkDerivation {\n  x = zoo;",
    );
    let error = error(&copy.build(&[]));
    for part in [
        "error: containers/host-pkgs/typescript.nix:",
        ": undefined variable 'zoo': if the package set has it",
        "  while evaluating 'callPackageWith' at containers/host-pkgs/default.nix:",
        "  while evaluating the attribute 'client-ts' at containers/authentik/scope.nix:",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
}

#[test]
fn all_of_it_with_verbose() {
    let copy = Copy::new();
    copy.change(
        CLIENT,
        ARGUMENT,
        "  strictDeps = builtins.trace \"here\" (lib.foo true);",
    );
    let short = error(&copy.build(&[]));
    let short = short.strip_prefix("trace: here\n").unwrap();
    let (short, more) = short.trim_end().rsplit_once('\n').unwrap();
    assert!(more.contains(" more frames in host-pkgs"), "{more}");
    assert!(more.ends_with(": `-v` shows them"), "{more}");

    let whole = error(&copy.build(&["--verbose"]));
    let root = copy.harness.root();
    let nix = whole.split_once("\ntrace: here\n").unwrap().1;
    let line = line_of(CLIENT, ARGUMENT);
    for part in [
        "error: attribute 'foo' missing\n",
        &format!("       at {root}/{CLIENT}:{line}:39:\n"),
        &format!("           {line}|   strictDeps = builtins.trace \"here\" (lib.foo true);\n"),
        "       … while evaluating the attribute 'strictDeps'\n",
    ] {
        assert!(nix.contains(part), "{part}\n{nix}");
    }
    assert!(nix.starts_with("error:"), "{nix}");
    for frame in ["lib.nix:", "stdenv.nix:", "scope.nix:", "test-build.nix:"] {
        assert!(nix.contains(frame), "{frame}\n{nix}");
    }
    // All frames, and then the same in short.
    let left_out: usize = more.split(' ').next().unwrap().parse().unwrap();
    assert!(nix.matches("       … ").count() > left_out, "{nix}");
    assert!(nix.trim_end().ends_with(short), "{nix}");
    assert_eq!(nix.matches("trace: here").count(), 0);
}

#[test]
fn verbose_shows_what_nix_says_of_a_good_evaluation() {
    let copy = Copy::new();
    let scope = "containers/authentik/scope.nix";
    let component = "client-ts = callPackage";
    let traced = "client-ts = builtins.trace \"here\" callPackage";
    copy.change(scope, component, traced);
    let ended = copy.harness.test_build(&["--list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("trace: here"), "{}", ended.stderr);
    let ended = copy.harness.test_build(&["--list", "--verbose"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&["\ntrace: here\n"]);
}

#[test]
fn a_stack_overflow() {
    let copy = Copy::new();
    copy.change(
        CLIENT,
        ARGUMENT,
        "  strictDeps = let f = n: f (n + 1) + 1; in f 1;",
    );
    let error = error(&copy.build(&[]));
    // Nix 2.8 has no trace of it, later ones say that there are thousands of frames like others.
    if error.contains("max-call-depth") {
        let line = line_of(CLIENT, ARGUMENT);
        let first = format!("error: {CLIENT}:{line}:27: stack overflow; max-call-depth exceeded\n");
        assert!(error.starts_with(&first), "{error}");
        assert!(
            error.ends_with(" more frames: `-v` shows them\n"),
            "{error}"
        );
        assert!(error.lines().count() < 20, "{error}");
        return;
    }
    assert_eq!(
        error,
        "error: evaluating `containers/authentik/test-build.nix` failed: \
         stack overflow (possible infinite recursion)\n"
    );
}

#[test]
fn ten_megabytes_of_traces() {
    let copy = Copy::new();
    let line = "x".repeat(100);
    copy.change(
        CLIENT,
        ARGUMENT,
        format!(
            "  strictDeps = builtins.foldl' (_: n: builtins.trace \"${{toString n}} {line}\" n) 0 \
             (builtins.genList (n: n) 100000) + \"end\";"
        ),
    );
    let start = Instant::now();
    let error = error(&copy.build(&[]));
    assert!(start.elapsed() < Duration::from_secs(60));
    // A warning of Nix would be one line more.
    assert!(error.starts_with("(9996"), "{error}");
    assert!(error.contains(" lines before these: `-v` shows them)\ntrace: 99960 x"));
    assert!(
        error.contains(&format!(
            "\ntrace: 99999 {line}\nerror: {CLIENT}:{}:",
            line_of(CLIENT, ARGUMENT)
        )),
        "{error}"
    );
    assert!(error.len() < 10_000, "{}", error.len());
    let whole = copy.build(&["-v"]).stderr;
    assert_eq!(whole.matches("\ntrace: ").count(), 100_000);
}

#[test]
fn bytes_that_are_not_text() {
    let copy = Copy::new();
    copy.change(
        CLIENT,
        ARGUMENT,
        b"  strictDeps = throw \"a\xff\xfe \x1b[31mb\";",
    );
    let error = error(&copy.build(&[]));
    let line = line_of(CLIENT, ARGUMENT);
    let frame = format!("\n  while evaluating the attribute 'strictDeps' at {CLIENT}:{line}:3\n");
    assert!(error.starts_with("error: a\u{fffd}\u{fffd} b\n"), "{error}");
    assert!(error.contains(&frame), "{error}");
}

#[test]
fn a_repository_behind_a_link() {
    let copy = Copy::new();
    copy.change(CLIENT, ARGUMENT, "  strictDeps = zoo;");
    let link = copy.path("link");
    fs_err::os::unix::fs::symlink(copy.harness.root(), &link).unwrap();
    let mut command = copy.harness.command(&["client-ts"]);
    command.env("CARGO_MANIFEST_DIR", link.join("xtask"));
    let said = text(&run(&mut command).stderr);
    let line = line_of(CLIENT, ARGUMENT);
    let error = format!("\nerror: {CLIENT}:{line}:16: undefined variable");
    assert!(said.contains(&error), "{said}");
}

#[test]
fn a_store_out_of_reach() {
    let copy = Copy::new();
    let mut command = copy.harness.command(&["client-ts"]);
    let socket = copy.path("no-socket");
    command
        .env("NIX_REMOTE", "daemon")
        .env("NIX_DAEMON_SOCKET_PATH", &socket);
    let said = text(&run(&mut command).stderr);
    let first = format!(
        "\nerror: cannot connect to socket at '{socket}': No such file or directory: \
         `cargo xtask setup` says how this user gets at Nix's store\n"
    );
    assert!(said.contains(&first), "{said}");
}

#[test]
fn nix_that_dies_without_a_word() {
    let copy = Copy::new();
    let folder = copy.path("programs");
    for (script, expected) in [
        ("kill -KILL $$", " failed (signal: 9 (SIGKILL))\n"),
        ("echo gone >&2; exit 7", " failed (exit status: 7):\ngone\n"),
    ] {
        programs(&folder, &[("nix-instantiate", script)], &[]);
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        for arguments in [&["authentik/client-ts"][..], &["authentik/client-ts", "-v"]] {
            let said = text(&run(copy.harness.command(arguments).env("PATH", &path)).stderr);
            let expected = match arguments.len() {
                1 => expected.to_owned(),
                _ => expected.replace(":\ngone\n", "\n"),
            };
            let expected =
                format!("\nerror: evaluating `containers/authentik/test-build.nix`{expected}");
            assert!(said.ends_with(&expected), "{said}");
            assert_eq!(said.contains("gone\n"), script.contains("gone"), "{said}");
        }
    }
}

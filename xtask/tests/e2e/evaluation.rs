//! Evaluations that fail, with real Nix over the real expressions: what is wrong, where in our files,
//! and what to do about it, without the frames of the package set and of Nix.

use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use crate::common::{root, run, stdout, text};
use crate::harness::{Ended, Harness, programs};

const CLIENT: &str = "containers/authentik/client-ts.nix";
/// An argument of the component that is not needed to evaluate the others.
const ARGUMENT: &str = "  strictDeps = true;";

/// A copy of the expressions, which a test may break.
struct Copy {
    harness: Harness,
}

impl Copy {
    fn new() -> Self {
        let harness = Harness::new("");
        stdout(
            Command::new("cp")
                .arg("-r")
                .arg(root().join("containers"))
                .arg(harness.root()),
        );
        Self { harness }
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
        let arguments = [&["client-ts", "--no-tests"], arguments].concat();
        self.harness.test_build(&arguments)
    }
}

/// The number of the line of a file of this repository in which a text begins.
fn line_of(path: &str, text: &str) -> usize {
    let whole = fs_err::read_to_string(root().join(path)).unwrap();
    let start = whole.find(text).unwrap();
    whole[..start].matches('\n').count() + 1
}

/// The text after the first line, which says over which package set.
fn error(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    ended.stderr.split_once('\n').unwrap().1
}

/// The one line with the caret of an excerpt, as far as the caret.
fn caret(error: &str) -> Option<&str> {
    error
        .lines()
        .find(|line| line.trim_start().starts_with('|'))
}

/// What is wrong, the text of the component that is changed and to what, how the error begins, and
/// whether lines of the source are shown. LINE is that of the change, NEXT the one after.
const KINDS: [(&str, &str, &str, &str, bool); 16] = [
    (
        "a missing argument",
        "  sources,\n",
        "  sources,\n  zoo,\n",
        "host-pkgs has no `zoo`, which containers/authentik/client-ts.nix:NEXT wants: add it to \
             containers/host-pkgs/default.nix, or, if it is a component, to \
             containers/authentik/scope.nix",
        false,
    ),
    (
        "an argument with a typing error",
        "  sources,\n",
        "  sources,\n  typescrypt,\n",
        "host-pkgs has no `typescrypt`, which containers/authentik/client-ts.nix:NEXT wants: \
             did you mean `typescript`?",
        false,
    ),
    (
        "a missing function of the library",
        ARGUMENT,
        "  strictDeps = lib.foo true;",
        "host-pkgs has no `lib.foo`, which containers/authentik/client-ts.nix:LINE:16 wants: \
             add it to containers/host-pkgs/lib.nix",
        true,
    ),
    (
        "a missing source",
        "  inherit (sources) schema;",
        "  inherit (sources) schema openapi;",
        "the pins have no `openapi`, which containers/authentik/client-ts.nix:LINE:20 wants: \
             add it to `sources` in containers/authentik/pins.json",
        true,
    ),
    (
        "a missing attribute of something else",
        ARGUMENT,
        "  strictDeps = nodejs_24.meta.platfroms;",
        "`nodejs_24.meta` has no `platfroms`, which containers/authentik/client-ts.nix:LINE:16 \
             wants: did you mean `platforms`?",
        true,
    ),
    (
        "an argument that host-pkgs refuses",
        ARGUMENT,
        "  hardeningDisable = [ \"all\" ];",
        "host-pkgs does not carry out `hardeningDisable`, which \
             containers/authentik/client-ts.nix:LINE gives: do without it, or carry it out in \
             containers/host-pkgs/stdenv.nix",
        false,
    ),
    (
        "an output that host-pkgs refuses",
        ARGUMENT,
        "  outputs = [ \"out\" \"dev\" ];",
        "containers/authentik/client-ts.nix:LINE: client-ts-2026.2.0: host-pkgs knows the output \
             `out` only, not `outputs = [ out dev ]`",
        false,
    ),
    (
        "a syntax error",
        ARGUMENT,
        "  strictDeps = true",
        "containers/authentik/client-ts.nix:NEXT:21: syntax error, unexpected '=', expecting ';'",
        true,
    ),
    (
        "an undefined variable",
        ARGUMENT,
        "  strictDeps = zoo;",
        "containers/authentik/client-ts.nix:LINE:16: undefined variable 'zoo': if the package \
             set has it, name it among the file's arguments",
        true,
    ),
    (
        "throw",
        ARGUMENT,
        "  strictDeps = throw \"no\\n  second line\";",
        "no\n  second line\n  while evaluating the attribute 'strictDeps' at \
             containers/authentik/client-ts.nix:LINE:3",
        true,
    ),
    (
        "assert",
        ARGUMENT,
        "  strictDeps = assert 1 == 2; true;",
        "containers/authentik/client-ts.nix:LINE:16: assertion '(1 == 2)' failed",
        true,
    ),
    (
        "infinite recursion",
        ARGUMENT,
        "  strictDeps = let x = y; y = x; in x;",
        "containers/authentik/client-ts.nix:LINE:24: infinite recursion encountered",
        true,
    ),
    (
        "a type error",
        ARGUMENT,
        "  strictDeps = 1 + \"a\";",
        "containers/authentik/client-ts.nix:LINE:20: cannot add a string to an integer",
        true,
    ),
    (
        "an import of a missing file",
        ARGUMENT,
        "  strictDeps = import ./no-such-file.nix;",
        "getting status of 'ROOT/containers/authentik/no-such-file.nix': No such file or \
             directory\n  while evaluating the attribute 'strictDeps' at \
             containers/authentik/client-ts.nix:LINE:3",
        true,
    ),
    (
        "a type error in host-pkgs' library",
        ARGUMENT,
        "  strictDeps = lib.escapeShellArg { };",
        "containers/host-pkgs/lib.nix:COERCED:16: cannot coerce a set to a string",
        true,
    ),
    (
        "recursion",
        ARGUMENT,
        "  strictDeps = let f = n: if n == 0 then throw \"deep\" else f (n - 1) + 1; in f 500;",
        "deep\n  while evaluating 'f' at containers/authentik/client-ts.nix:LINE:60 (500 times)",
        true,
    ),
];

#[test]
fn each_kind_of_error_names_its_place() {
    let scope = line_of(
        "containers/authentik/scope.nix",
        "    client-ts = callPackage",
    );
    let harness = line_of("containers/authentik/test-build.nix", "inherit (scope)");
    let coerced = line_of("containers/host-pkgs/lib.nix", "text = toString arg");
    let outer_frames = format!(
        "
  while evaluating 'callPackageWith' at containers/authentik/scope.nix:{scope}:17
  while evaluating the attribute 'client-ts' at containers/authentik/scope.nix:{scope}:5
  while evaluating the attribute 'client-ts' at containers/authentik/test-build.nix:{harness}:18
"
    );
    for (what, from, to, first, has_caret) in KINDS {
        let copy = Copy::new();
        copy.change(CLIENT, from, to);
        let ended = copy.build(&[]);
        let error = error(&ended);
        let line = line_of(CLIENT, from);
        let first = first
            .replace("ROOT", copy.harness.root().as_str())
            .replace("LINE", &line.to_string())
            .replace("NEXT", &(line + 1).to_string())
            .replace("COERCED", &coerced.to_string());
        assert!(
            error.starts_with(&format!("error: {first}\n")),
            "{what}:\n{error}"
        );
        assert_eq!(caret(error).is_some(), has_caret, "{what}:\n{error}");
        assert!(error.contains(&outer_frames), "{what}:\n{error}");
        assert!(error.lines().count() <= 16, "{what}:\n{error}");
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
    let ended = copy.build(&[]);
    ended.says(&[
        "error: containers/host-pkgs/typescript.nix:",
        ": undefined variable 'zoo': if the package set has it",
        "  while evaluating 'callPackageWith' at containers/host-pkgs/default.nix:",
        "  while evaluating the attribute 'client-ts' at containers/authentik/scope.nix:",
    ]);
}

#[test]
fn all_of_it_with_verbose() {
    let copy = Copy::new();
    copy.change(
        CLIENT,
        ARGUMENT,
        "  strictDeps = builtins.trace \"here\" (lib.foo true);",
    );
    let short = copy.build(&[]);
    let short = error(&short).strip_prefix("trace: here\n").unwrap();
    let (short, more) = short.trim_end().rsplit_once('\n').unwrap();
    assert!(
        more.ends_with(" more frames in host-pkgs: `-v` shows them"),
        "{more}"
    );

    let ended = copy.build(&["--verbose"]);
    let root = copy.harness.root();
    let whole = error(&ended);
    let nix = whole.split_once("\ntrace: here\n").unwrap().1;
    let line = line_of(CLIENT, ARGUMENT);
    for part in [
        &*format!("error: attribute 'foo' missing\n\n       at {root}/{CLIENT}:{line}:39:\n\n"),
        &format!("           {line}|   strictDeps = builtins.trace \"here\" (lib.foo true);\n"),
        "\n\n       … while evaluating the attribute 'strictDeps'\n\n",
    ] {
        assert!(nix.contains(part), "{part}\n{nix}");
    }
    assert!(nix.starts_with("error: "), "{nix}");
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
    copy.change(
        scope,
        component,
        format!("client-ts = builtins.trace \"here\" {}", "callPackage"),
    );
    let ended = copy.harness.test_build(&["--list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("trace: here"), "{}", ended.stderr);
    let ended = copy.harness.test_build(&["--list", "--verbose"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says(&["\ntrace: here\n"]);
}

#[test]
fn a_file_that_is_not_what_its_pin_says() {
    let copy = Copy::new();
    let schema = "containers/authentik/sample/schema.yml";
    let mut changed = fs_err::read_to_string(copy.path(schema)).unwrap();
    changed.push_str("# changed\n");
    fs_err::write(copy.path(schema), changed).unwrap();
    let ended = copy.build(&["--sample"]);
    let root = copy.harness.root();
    let error = error(&ended);
    assert!(
        error.starts_with(&format!(
            "error: {root}/containers/authentik/sample/pins.json: schema.yml is not what the pin \
             `schema` says (sha256-"
        )) && error.contains(&format!(
            "its own hash: cargo xtask hash --flat {root}/{schema}\n"
        )),
        "{error}"
    );
    ended.says(&[
        "\n  while evaluating 'fromFile' at containers/authentik/sources.nix:",
        "\n  while evaluating the attribute 'schema' at containers/authentik/client-ts.nix:",
    ]);
}

#[test]
fn a_stack_overflow_has_no_trace() {
    let copy = Copy::new();
    copy.change(
        CLIENT,
        ARGUMENT,
        "  strictDeps = let f = n: f (n + 1) + 1; in f 1;",
    );
    let ended = copy.build(&[]);
    assert_eq!(
        error(&ended),
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
    let ended = copy.build(&[]);
    let error = error(&ended);
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(error.starts_with("(99960 lines before these: `-v` shows them)\ntrace: 99960 x"));
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
    let ended = copy.build(&[]);
    assert!(
        error(&ended).starts_with(&format!(
            "error: a\u{fffd}\u{fffd} b\n  while evaluating the attribute 'strictDeps' at \
             {CLIENT}:{}:3\n",
            line_of(CLIENT, ARGUMENT)
        )),
        "{}",
        ended.stderr
    );
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
        for arguments in [&["client-ts"][..], &["client-ts", "-v"]] {
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

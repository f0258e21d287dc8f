//! `completions` in real shells: what they offer, what they put on the line, and that cargo's own
//! completion goes on as before.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use test_support::common::{
    copy_program, is_root_to, is_there, passed_over, run, stdout, text, wait_until,
};
use test_support::harness::{Harness, processes_with, programs};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

const COMPONENTS: &str = r#"
  client-ts = sh "client-ts" { meta.description = "TypeScript: client"; } "";
  client-go = sh "client-go" { meta.description = "Go client"; } "";
  "odd+name" = sh "odd" { } "";
"#;

/// What `cargo xtask completions` prints, written to a file.
fn script(harness: &Harness, shell: &str) -> Utf8PathBuf {
    let text = stdout(
        xtask(harness)
            .args(["completions", shell])
            .current_dir(harness.root()),
    );
    let name = format!("completions.{shell}");
    harness.write(&name, &text);
    harness.root().join(name)
}

fn xtask(harness: &Harness) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .current_dir(harness.root())
        .env_remove("CARGO_MANIFEST_DIR");
    command
}

/// A repository with paths that have blanks in their names.
fn repository() -> Harness {
    let harness = Harness::new(COMPONENTS);
    for file in ["my file", "my folder/inner", "home/in home"] {
        harness.write(file, "");
    }
    harness
}

/// An interactive shell on a terminal of its own.
///
/// Where a line is complete, Ctrl-G is typed: the shell then completes it and runs it. `cargo` is a
/// function that writes its arguments to a file.
struct Terminal {
    /// The program that has the other end; the shell ends with it.
    script: Killed,
    folder: tempfile::TempDir,
    lines: usize,
}

impl Terminal {
    /// Starts a shell in a folder.
    fn start(shell: &str, harness: &Harness, current: &Utf8Path, setup: &str) -> Self {
        let own = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(own.path()).unwrap();
        let (name, command) = match shell {
            "bash" => (
                "rc.bash",
                format!("bash --noprofile --rcfile {folder}/rc.bash -i"),
            ),
            "zsh" => (".zshrc", "zsh -d -i".to_owned()),
            _ => (
                "fish/config.fish",
                "fish --interactive --private".to_owned(),
            ),
        };
        let keys = match shell {
            "bash" => {
                r#"
PS1='$ '
PROMPT_COMMAND='echo >> "$FOLDER/ready"'
bind '"\C-g": "\t\C-m"'
cargo() { [[ $1 == --list ]] || { printf '<%s>' "$@"; echo; } >> "$FOLDER/ran"; }
"#
            }
            "zsh" => {
                r#"
PS1='$ '
autoload -Uz compinit
compinit -u -D
bindkey -e
zle-line-init() { echo >> $FOLDER/ready }
complete-and-run() { zle expand-or-complete; zle accept-line }
zle -N zle-line-init
zle -N complete-and-run
bindkey '^G' complete-and-run
cargo() { [[ $1 == --list ]] || { printf '<%s>' "$@"; echo; } >> $FOLDER/ran }
"#
            }
            _ => {
                r#"
function fish_prompt; echo '$ '; end
function fish_greeting; end
function tell_ready --on-event fish_prompt; echo >> $FOLDER/ready; end
bind \cg complete execute
function cargo
    test "$argv[1]" = --list; and return
    printf '<%s>' $argv >> $FOLDER/ran; echo >> $FOLDER/ran
end
"#
            }
        };
        fs_err::create_dir(folder.join("fish")).unwrap();
        // Without this folder fish reads all manual pages of the machine in the background, and goes on when
        // it is gone itself.
        let generated = folder.join("data/fish/generated_completions");
        fs_err::create_dir_all(generated).unwrap();
        fs_err::write(folder.join(name), format!("{keys}{setup}")).unwrap();
        let script = Command::new("script")
            .args(["--quiet", "--flush", "--command"])
            .arg(format!("stty cols 200 rows 50; exec {command}"))
            .arg(folder.join("screen"))
            .current_dir(current)
            .env("FOLDER", folder)
            .env("ZDOTDIR", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_DATA_HOME", folder.join("data"))
            .env("HOME", harness.root().join("home"))
            .env("TERM", "dumb")
            .env_remove("CARGO_MANIFEST_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            script: Killed(script),
            folder: own,
            lines: 0,
        }
    }

    fn read(&self, file: &str) -> String {
        text(&fs_err::read(self.folder.path().join(file)).unwrap_or_default())
    }

    /// Whether a file has more whole lines than lines have run.
    fn has_more_than_ran(&self, file: &str) -> bool {
        self.read(file).matches('\n').count() > self.lines
    }

    /// What runs when a line is completed: the arguments of cargo.
    fn complete(&mut self, line: &str) -> String {
        wait_until(&format!("there is a prompt for `{line}`"), || {
            self.has_more_than_ran("ready")
        });
        let stdin = self.script.0.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\x07").as_bytes()).unwrap();
        wait_until(&format!("`{line}` has run"), || {
            self.has_more_than_ran("ran")
        });
        let ran = self.read("ran").lines().nth(self.lines).unwrap().to_owned();
        self.lines += 1;
        let screen = self.read("screen").to_lowercase();
        for complaint in [
            "error",
            "unknown",
            "not found",
            "no such",
            "bad ",
            "cannot",
            "could not",
            "not an executable",
            "denied",
        ] {
            assert!(!screen.contains(complaint), "`{line}`: {screen}");
        }
        ran
    }
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_shell_puts_on_the_line() {
    for shell in SHELLS.into_iter().filter(|shell| is_there(shell)) {
        let harness = repository();
        let home = harness.root().join("home");
        let script = script(&harness, shell);
        let mut terminal =
            Terminal::start(shell, &harness, &harness.root(), &format!(". {script}\n"));
        for (line, expected) in [
            ("cargo xtask test-b", "<xtask><test-build>"),
            ("cargo xtask --hel", "<xtask><--help>"),
            (
                "cargo xtask test-build --pkgs=ho",
                "<xtask><test-build><--pkgs=host>",
            ),
            (
                "cargo xtask test-build --pkgs \"ho",
                "<xtask><test-build><--pkgs><host>",
            ),
            (
                "cargo xtask test-build \"client-t",
                "<xtask><test-build><client-ts>",
            ),
            (
                "cargo xtask test-build client-ts c",
                "<xtask><test-build><client-ts><client-go>",
            ),
            ("cargo xtask test-build o", "<xtask><test-build><odd+name>"),
            ("cargo xtask hash my\\ fi", "<xtask><hash><my file>"),
            ("cargo xtask hash \"my fi", "<xtask><hash><my file>"),
            (
                "cargo xtask hash ~/in",
                &format!("<xtask><hash><{home}/in home>"),
            ),
            (
                "cargo xtask test-build --pins=my\\ fi",
                "<xtask><test-build><--pins=my file>",
            ),
            // Zsh takes the slash away again, the others leave it.
            (
                "cargo xtask test-build --source=my\\ fo",
                "<xtask><test-build><--source=my folder>",
            ),
            (
                "cargo xtask test-build -- --al",
                "<xtask><test-build><--><--al>",
            ),
            (
                "cargo +stable --color never -q xtask setup --in",
                "<+stable><--color><never><-q><xtask><setup><--install>",
            ),
            (
                "true && X=1 cargo --color=never xtask test-b",
                "<--color=never><xtask><test-build>",
            ),
        ] {
            let ran = terminal.complete(line).replace("/>", ">");
            assert_eq!(ran, expected, "{shell}: {line}");
        }
    }
}

/// The arguments of a line that nothing was added to.
fn as_typed(line: &str) -> String {
    let words = line.split(' ').skip(1);
    words.map(|word| format!("<{word}>")).collect()
}

#[test]
fn from_below_the_root_and_nowhere_else() {
    for shell in SHELLS.into_iter().filter(|shell| is_there(shell)) {
        let harness = repository();
        let elsewhere = tempfile::tempdir().unwrap();
        let elsewhere = Utf8Path::from_path(elsewhere.path()).unwrap();
        let setup = format!(". {}\n", script(&harness, shell));
        let mut terminal = Terminal::start(shell, &harness, elsewhere, &setup);
        for line in ["cargo xtask test-b", "cargo xtask test-build cli"] {
            assert_eq!(terminal.complete(line), as_typed(line), "{shell}");
        }
        let link = elsewhere.join("link");
        fs_err::os::unix::fs::symlink(harness.root().join("my folder"), &link).unwrap();
        for folder in [harness.root().join("my folder"), link] {
            let setup = format!("{setup}cd '{folder}'\n");
            let mut terminal = Terminal::start(shell, &harness, elsewhere, &setup);
            let ran = terminal.complete("cargo xtask test-build client-t");
            assert_eq!(ran, "<xtask><test-build><client-ts>", "{shell} in {folder}");
        }
    }
}

#[test]
fn silence_where_the_program_cannot_answer() {
    for shell in SHELLS.into_iter().filter(|shell| is_there(shell)) {
        let harness = repository();
        let script = script(&harness, shell);
        let text = fs_err::read_to_string(&script).unwrap();
        let programs_folder = harness.root().join("programs");
        let fails = ("fails", "echo error: of another program >&2; exit 2");
        programs(&programs_folder, &[fails, ("garbled", "")], &[]);
        // A linker that was interrupted leaves such a file, with its permissions.
        fs_err::write(programs_folder.join("garbled"), b"\x7fELF\0\0").unwrap();
        fs_err::create_dir(programs_folder.join("folder")).unwrap();
        for program in ["fails", "garbled", "folder", "missing"] {
            let path = programs_folder.join(program);
            let changed = text.replace(env!("CARGO_BIN_EXE_xtask"), path.as_str());
            assert_ne!(changed, text);
            harness.write(script.file_name().unwrap(), &changed);
            let setup = format!(". {script}\n");
            let mut terminal = Terminal::start(shell, &harness, &harness.root(), &setup);
            for line in ["cargo xtask test-b", "cargo xtask test-build cli"] {
                assert_eq!(
                    terminal.complete(line),
                    as_typed(line),
                    "{shell}: {program}"
                );
            }
        }
    }
}

/// A tree of others may bring a program where this one is built.
#[test]
fn no_program_of_a_tree_runs() {
    let (own, other) = (repository(), repository());
    let program = own.root().join("target/debug/xtask");
    fs_err::create_dir_all(program.parent().unwrap()).unwrap();
    copy_program(env!("CARGO_BIN_EXE_xtask"), &program);
    let mut printing = Command::new(&program);
    printing.args(["completions", "bash"]);
    printing
        .current_dir(own.root())
        .env_remove("CARGO_MANIFEST_DIR");
    own.write("completions.bash", &stdout(&mut printing));
    programs(
        &other.root().join("target/debug"),
        &[("xtask", "echo > ran")],
        &[],
    );
    let line = r#". "$1"; COMP_LINE="cargo xtask test-b" COMP_POINT=18; __xtask_answer; echo "${COMPREPLY[*]}""#;
    let mut bash = Command::new("bash");
    bash.args(["-c", line, "bash"])
        .arg(own.root().join("completions.bash"));
    let offered = stdout(bash.current_dir(other.root()));
    assert_eq!(offered.trim(), "test-build");
    assert!(!other.root().join("ran").exists());
}

/// The candidates that each shell has for lines, sorted.
fn candidates(shell: &str, harness: &Harness, lines: &[&str]) -> Vec<Vec<String>> {
    let script = script(harness, shell);
    let offered: Vec<String> = match shell {
        "bash" => {
            let program = r#"
source "$1"; shift
compopt() { :; }
for COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMPREPLY=()
    __xtask_complete cargo
    (IFS=$'\t'; echo "${COMPREPLY[*]}")
done
"#;
            let mut bash = Command::new("bash");
            bash.args(["-c", program, "bash"]).arg(&script).args(lines);
            let output = run(bash.current_dir(harness.root()));
            assert_eq!(text(&output.stderr), "");
            text(&output.stdout).lines().map(str::to_owned).collect()
        }
        "zsh" => {
            let setup = format!(
                r#"
. {script}
compadd() {{
    local -a hits
    builtin compadd -O hits "$@"
    found+=($hits)
    builtin compadd "$@"
}}
complete-and-run() {{
    found=()
    zle list-choices
    print -r -- ${{(pj:\t:)${{(u)found}}}} >> $FOLDER/ran
    zle send-break
}}
"#
            );
            let mut terminal = Terminal::start(shell, harness, &harness.root(), &setup);
            lines.iter().map(|line| terminal.complete(line)).collect()
        }
        _ => {
            let program = r"
source $argv[1]
for line in $argv[2..]
    set -l found (complete -C $line | string replace --regex '\t.*' '')
    string join \t -- $found ''
end
";
            let mut fish = Command::new("fish");
            fish.args(["--no-config", "-c", program])
                .arg(&script)
                .args(lines);
            let output = run(fish
                .current_dir(harness.root())
                .env("HOME", harness.root().join("home")));
            assert_eq!(text(&output.stderr), "");
            text(&output.stdout).lines().map(str::to_owned).collect()
        }
    };
    let words = |(line, offered): (&&str, &String)| {
        // Fish goes on to words and descriptions that have the letters anywhere.
        let typed = line.rsplit([' ', '=']).next().unwrap_or_default();
        let words = offered.split('\t').filter(|word| !word.is_empty());
        let words = words.filter(|word| shell != "fish" || word.contains(typed));
        // Bash and zsh put in what comes after the flag, fish all of it.
        let words = words.map(|word| word.trim_start_matches("--pkgs=").to_owned());
        let mut words: Vec<String> = words.collect();
        words.sort();
        words
    };
    lines.iter().zip(&offered).map(words).collect()
}

#[test]
fn what_a_shell_offers() {
    let table: [(&str, &[&str]); 9] = [
        (
            "cargo xtask ",
            &["completions", "hash", "help", "setup", "test-build"],
        ),
        ("cargo xtask test-build cli", &["client-go", "client-ts"]),
        ("cargo xtask test-build client-go cli", &["client-ts"]),
        ("cargo xtask test-build --pkgs ", &["host", "nixpkgs"]),
        ("cargo xtask test-build --pkgs=", &["host", "nixpkgs"]),
        (
            "cargo xtask test-build --keep-failed client-ts --keep",
            &["--keep-going"],
        ),
        ("cargo xtask test-build --sample --so", &[]),
        ("cargo xtask test-build --all cli", &[]),
        ("cargo xtask completions ", &["bash", "fish", "zsh"]),
    ];
    let lines: Vec<&str> = table.iter().map(|(line, _)| *line).collect();
    for shell in SHELLS.into_iter().filter(|shell| is_there(shell)) {
        let harness = repository();
        let offered = candidates(shell, &harness, &lines);
        // Other commands may come.
        for ((line, expected), mut offered) in table.iter().zip(offered) {
            if *line == "cargo xtask " {
                offered.retain(|word| expected.contains(&word.as_str()));
            }
            assert_eq!(&offered, expected, "{shell}: {line}");
        }
    }
}

/// Runs lines in a shell with this set-up; each with what it should become.
fn completes(shell: &str, harness: &Harness, setup: &str, table: &[(&str, &str)]) {
    let mut terminal = Terminal::start(shell, harness, &harness.root(), setup);
    for (line, expected) in table {
        assert_eq!(
            terminal.complete(line),
            *expected,
            "{shell}: {line}: {setup}"
        );
    }
}

/// The script on a bash that says it is an old one: its variable can't be set, so another one is read.
#[test]
fn an_old_bash_is_told_why_nothing_is_completed() {
    let harness = repository();
    let text_of_it = fs_err::read_to_string(script(&harness, "bash")).unwrap();
    let file = harness.root().join("old.bash");
    fs_err::write(
        &file,
        text_of_it.replace("BASH_VERSINFO", "VERSION_OF_BASH"),
    )
    .unwrap();
    for (version, flags, is_told, is_loaded) in [
        ("3 2", "-ic", true, false),
        ("4 2", "-ic", true, false),
        ("3 2", "-c", false, false),
        ("4 3", "-ic", false, true),
        ("5 0", "-c", false, true),
    ] {
        let commands = format!(
            "VERSION_OF_BASH=({version}); . {file}; complete -p cargo; declare -F complete; true"
        );
        let output = run(Command::new("bash").args(["--norc", flags, &commands]));
        let (out, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(
            said.contains("4.3 or later is needed"),
            is_told,
            "{version}: {said}"
        );
        assert_eq!(
            out.contains("-F __xtask_complete cargo"),
            is_loaded,
            "{version}: {out}{said}"
        );
        assert_eq!(
            out.lines().any(|it| it == "complete"),
            is_loaded,
            "{version}: {out}"
        );
    }
}

#[test]
fn bash_goes_on_to_complete_cargo() {
    if !is_there("bash") {
        return;
    }
    let harness = repository();
    let ours = format!(". {}\n", script(&harness, "bash"));
    // Sees how it is called, and the variables that were not there before.
    let cargo = r#"
known=" $(compgen -A variable | tr '\n' ' ') known leaked name "
_cargo() {
    local name leaked=
    for name in $(compgen -A variable); do
        case $name in
            BASH_* | COMP_* | COMPREPLY | FUNCNAME | HIST* | PIPESTATUS | __xtask_*) ;;
            *) [[ $known == *" $name "* ]] || leaked+=-$name ;;
        esac
    done
    COMPREPLY=("$1-$2-$3$leaked")
}
"#;
    let register = "complete -F _cargo cargo\n";
    let load = r#"
load() { complete -F _cargo "$1"; return 124; }
complete -D -F load
"#;
    let xtask = ("cargo xtask test-b", "<xtask><test-build>");
    let by_cargo = ("cargo bui", "<cargo-bui-cargo>");
    for setup in [
        format!("{cargo}{register}{ours}"),
        format!("{cargo}{ours}{register}"),
        format!("{cargo}{ours}{register}{ours}{ours}"),
        format!("{cargo}{load}{ours}"),
        format!("{cargo}{ours}{load}"),
    ] {
        completes("bash", &harness, &setup, &[by_cargo, xtask, by_cargo]);
    }
    // Not by a function; with an option; not at all.
    let words = "complete -W 'build test' cargo\n";
    completes(
        "bash",
        &harness,
        &format!("{words}{ours}"),
        &[("cargo bui", "<build>"), xtask],
    );
    let option = "_cargo() { COMPREPLY=(); }\ncomplete -o dirnames -F _cargo cargo\n";
    let folder = ("cargo my", "<my folder/>");
    completes(
        "bash",
        &harness,
        &format!("{option}{ours}"),
        &[folder, xtask],
    );
    let file = ("cargo my\\ fi", "<my file>");
    completes("bash", &harness, &ours, &[file, xtask]);
    // Who wants none any more has none.
    let none = format!("{ours}complete -r cargo\n");
    completes(
        "bash",
        &harness,
        &none,
        &[("cargo xtask test-b", "<xtask><test-b>"), file],
    );
}

#[test]
fn zsh_goes_on_to_complete_cargo() {
    if !is_there("zsh") {
        return;
    }
    let harness = repository();
    let ours = format!(". {}\n", script(&harness, "zsh"));
    let cargo = "_cargo() { compadd $words[CURRENT]-by-cargo }\ncompdef _cargo cargo\n";
    let xtask = ("cargo xtask test-b", "<xtask><test-build>");
    let by_cargo = ("cargo bui", "<bui-by-cargo>");
    for setup in [
        format!("{cargo}{ours}"),
        format!("{ours}{cargo}"),
        format!("{ours}{cargo}{ours}"),
    ] {
        completes("zsh", &harness, &setup, &[by_cargo, xtask, by_cargo]);
    }
    completes(
        "zsh",
        &harness,
        &ours,
        &[("cargo my\\ fi", "<my file>"), xtask],
    );
    let output = run(Command::new("zsh")
        .args(["-d", "-f", "-c", &ours])
        .current_dir(harness.root()));
    assert!(text(&output.stderr).contains("run compinit before this"));
}

#[test]
fn fish_goes_on_to_complete_cargo() {
    if !is_there("fish") {
        return;
    }
    let harness = repository();
    let ours = format!(". {}\n", script(&harness, "fish"));
    let cargo = "complete -c cargo -f -n 'not __fish_seen_subcommand_from xtask' -a bui-by-cargo\n";
    for setup in [format!("{cargo}{ours}"), format!("{ours}{cargo}")] {
        let table = [
            ("cargo bui-", "<bui-by-cargo>"),
            ("cargo xtask test-b", "<xtask><test-build>"),
        ];
        completes("fish", &harness, &setup, &table);
    }
}

/// The completion of cargo that comes with it.
fn shipped(path: &str) -> Option<Utf8PathBuf> {
    let sysroot = stdout(Command::new("rustc").args(["--print", "sysroot"]));
    let path = Utf8Path::new(sysroot.trim()).join(path);
    let found = path.is_file() || passed_over(path.as_str(), "rustup");
    found.then_some(path)
}

#[test]
fn with_the_completion_that_comes_with_cargo() {
    let harness = repository();
    let xtask = ("cargo xtask test-b", "<xtask><test-build>");
    let by_cargo = ("cargo build --all-f", "<build><--all-features>");
    let library = "/usr/share/bash-completion/bash_completion";
    if (Utf8Path::new(library).exists() || passed_over(library, "bash-completion"))
        && let Some(shipped) = shipped("etc/bash_completion.d/cargo")
    {
        let ours = format!(". {}\n", script(&harness, "bash"));
        let library = format!("sudo() {{ \"$@\"; }}\n. {library}\n");
        let now = format!(". {shipped}\n");
        let on_first_use = format!(
            "mkdir -p $XDG_DATA_HOME/bash-completion/completions\n\
             cp {shipped} $XDG_DATA_HOME/bash-completion/completions\n"
        );
        let sudo = [
            ("sudo cargo xtask test-b", "<xtask><test-build>"),
            ("sudo cargo build --all-f", "<build><--all-features>"),
        ];
        for setup in [
            format!("{library}{now}{ours}"),
            format!("{library}{ours}{now}"),
            format!("{ours}{library}{now}"),
            format!("{on_first_use}{library}{ours}"),
            format!("{on_first_use}{ours}{library}"),
        ] {
            completes("bash", &harness, &setup, &[by_cargo, xtask, by_cargo]);
            completes("bash", &harness, &setup, &sudo);
        }
    }
    if is_there("zsh")
        && let Some(shipped) = shipped("share/zsh/site-functions/_cargo")
    {
        let ours = format!(". {}\n", script(&harness, "zsh"));
        let folder = shipped.parent().unwrap();
        let setup = format!("fpath=({folder} $fpath)\ncompinit -u -D\n{ours}");
        completes("zsh", &harness, &setup, &[by_cargo, xtask, by_cargo]);
    }
}

/// What `completions fish` answers for a component's name, with these variables.
fn names(harness: &Harness, variables: &[(&str, &str)]) -> String {
    let start = Instant::now();
    let mut asked = xtask(harness)
        .args(["completions", "fish", "--", "test-build", ""])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("there is an answer", || asked.try_wait().unwrap().is_some());
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    let output = asked.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    text(&output.stdout)
}

#[test]
fn components_with_what_they_are() {
    assert_eq!(
        names(&repository(), &[]),
        "words\t\nclient-go\tGo client\nclient-ts\tTypeScript: client\nodd+name\t\n"
    );
    let harness = Harness::new(&format!(
        r#"{COMPONENTS} bad = throw "not for this system";"#
    ));
    assert_eq!(
        names(&harness, &[]),
        "words\t\nbad\t\nclient-go\t\nclient-ts\t\nodd+name\t\n"
    );
    assert_eq!(
        names(&Harness::new("broken in every way"), &[]),
        "words\t\n"
    );
}

#[test]
fn nothing_is_built_for_a_name() {
    // Without the right to write, Nix builds through a daemon still, what the store has a derivation of.
    if !is_root_to("start a daemon over this store") {
        return;
    }
    let harness = Harness::new(
        r#"
  text = sh "text" { } "echo has been built > $out";
  reads = sh "reads" { meta.description = builtins.readFile scope.text; } "";
"#,
    );
    let test_build = harness.root().join("containers/authentik/test-build.nix");
    let nix = fs_err::read_to_string(&test_build).unwrap();
    let nix = nix.replacen("\nin\nrec {", "\n  scope = rec {", 1) + ";\nin\nscope\n";
    harness.write("containers/authentik/test-build.nix", &nix);
    let conf = harness.root().join("containers/host-pkgs/nix.conf");
    let socket = harness.root().join("socket");
    let daemon = Command::new("nix-daemon")
        .env("NIX_DAEMON_SOCKET_PATH", &socket)
        .env("NIX_CONFIG", "trusted-users = root")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _daemon = Killed(daemon);
    wait_until("the daemon listens", || socket.exists());
    let variables = [
        ("NIX_USER_CONF_FILES", conf.as_str()),
        ("NIX_REMOTE", "daemon"),
        ("NIX_DAEMON_SOCKET_PATH", socket.as_str()),
    ];
    let mut instantiate = Command::new("nix-instantiate");
    instantiate.envs(variables).arg(&test_build);
    stdout(instantiate.args(["--arg", "pkgs", "{ }", "-A", "text"]));
    assert_eq!(names(&harness, &variables), "words\t\nreads\t\ntext\t\n");
}

#[test]
fn without_nix_there_are_no_names() {
    let harness = repository();
    let programs_folder = harness.root().join("programs");
    programs(&programs_folder, &[], &[]);
    assert_eq!(
        names(&harness, &[("PATH", programs_folder.as_str())]),
        "words\t\n"
    );
    // All else is there.
    let output = run(xtask(&harness)
        .args(["completions", "fish", "--", "test-build", "--pkgs="])
        .env("PATH", &programs_folder));
    assert!(text(&output.stdout).contains("--pkgs=host\t"));
}

#[test]
fn a_nix_that_hangs_is_given_up() {
    let harness = repository();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let unique = format!("300.{:09}", now.subsec_nanos());
    let folder = harness.root().join("programs");
    for stubborn in ["", "trap '' TERM\n"] {
        let hang = format!("{stubborn}echo $$ >> {folder}/started; exec sleep {unique}");
        let _ = fs_err::remove_dir_all(&folder);
        programs(&folder, &[("nix-instantiate", &hang)], &["sleep"]);
        assert_eq!(names(&harness, &[("PATH", folder.as_str())]), "words\t\n");
        let started = fs_err::read_to_string(folder.join("started")).unwrap();
        assert_eq!(started.lines().count(), 1);
        wait_until("nothing runs on", || processes_with(&unique).is_empty());
    }
}

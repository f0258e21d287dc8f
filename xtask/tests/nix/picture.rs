//! README's picture of the live display shows what the program still shows.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use test_support::common::{root, stdout, wait_until};
use test_support::harness::{Harness, accepted};
use test_support::terminal::Terminal;

/// Where it lies below the root.
const PICTURE: &str = "docs/pictures/test-build.svg";

/// What a parser of XML that is not ours reads in the picture, a text a line.
fn texts() -> Vec<String> {
    let script = "import sys, xml.etree.ElementTree as tree
for text in tree.parse(sys.argv[1]).iter('{http://www.w3.org/2000/svg}text'):
    print(text.text)
";
    let mut python = Command::new("python3");
    let said = stdout(python.args(["-c", script]).arg(root().join(PICTURE)));
    said.lines().map(str::to_owned).collect()
}

/// A line with its numbers and the gaps between its columns made alike.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for character in line.trim().chars() {
        let character = if character.is_ascii_digit() {
            '0'
        } else {
            character
        };
        if !(matches!(character, '0' | ' ') && shape.ends_with(character)) {
            shape.push(character);
        }
    }
    shape
}

#[test]
fn the_picture_shows_what_the_program_shows() {
    // Two that run at once, with phases, until both were seen: fixed outputs reach loopback from the sandbox.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = |name: &str| {
        format!(
            r#"  {name} = fixed "{name}" "sha256-2PNF8sp6JG1nf+S+xUt53bVOl8AqrJ5Fpp7GmMcXdFw="
    (phase "buildPhase" + "echo a line; read < /dev/tcp/127.0.0.1/{port} || true; echo > $out");
"#
        )
    };
    let harness = Harness::new(&(held("one") + &held("two")));
    let mut terminal = Terminal::start(&harness.command(&["one", "two"]), 24, 122);
    wait_until("both are built at once", || {
        terminal.screen().contains("building 2, 0 built of 2")
    });
    drop((accepted(&listener), accepted(&listener)));
    assert_eq!(terminal.wait(), Some(0), "{}", terminal.screen());
    let last = terminal.screen();
    let mut wanted = BTreeSet::from(["buildPhase".to_owned(), "built".to_owned()]);
    let heading = last.lines().find(|line| line.starts_with("component "));
    wanted.extend(heading.unwrap().split_whitespace().map(str::to_owned));
    let screens = terminal.screens();
    let totals = screens.iter().flat_map(|screen| screen.lines());
    // Before Nix has said how many there are, the line is another; nobody can see it.
    let totals = totals.filter(|line| line.starts_with("building 2, 0 built of "));
    wanted.extend(totals.map(shape));
    assert!(
        wanted.contains("building 0, 0 built of 0; 0.0 s"),
        "{wanted:?}"
    );
    assert!(wanted.len() >= 7, "{wanted:?}");

    let shown: Vec<String> = texts().iter().map(|text| shape(text)).collect();
    for wanted in &wanted {
        // Estimates come after the time.
        let is_shown = shown.iter().any(|text| text.starts_with(wanted.as_str()));
        assert!(
            is_shown,
            "`{wanted}` is not in {PICTURE}: `cargo run -p xtask --example picture` makes it anew"
        );
    }
}

#[test]
fn the_picture_is_fit_for_a_forge() {
    let picture = fs_err::read_to_string(root().join(PICTURE)).unwrap();
    assert!(picture.len() < 100_000, "{} bytes", picture.len());
    for unwanted in [
        "<script",
        "<foreignObject",
        "href=\"http",
        "/home/",
        "/root/",
        "/tmp/",
    ] {
        assert!(!picture.contains(unwanted), "{unwanted}");
    }
    let readme = fs_err::read_to_string(root().join("README.md")).unwrap();
    let (before, _) = readme.split_once(&format!("]({PICTURE})")).unwrap();
    let (_, alternative) = before.rsplit_once("![").unwrap();
    assert!(alternative.len() > 20, "{alternative}");
}

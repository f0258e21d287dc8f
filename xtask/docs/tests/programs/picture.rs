//! `docs-graph`: its three formats, its page in a real browser, and this repository's picture.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use camino::Utf8Path;

use crate::common::{Place, text};

fn vault() -> Place {
    let place = Place::new();
    place.write(&[
        ("index.md", "# Home\n\n[[one]] [[one]] [[two words]]\n"),
        ("in/one.md", "# One & only\n\n[[gone]] [[two words]]\n"),
        ("in/deep/two words.md", "---\ntitle: 'Two <b>'\n---\n"),
        ("in/three.md", "# Three\n\n[[one]]\n"),
    ]);
    place
}

#[test]
fn a_graph_for_graphviz() {
    let said = vault().stdout("docs-graph", &["--format", "dot"]);
    for line in [
        "subgraph \"cluster in/deep\" {",
        "\"in/three.md\" [label=\"Three\", URL=\"in/three.md\", color=orange];",
        "\"in/deep/two words.md\" [label=\"Two <b>\", URL=\"in/deep/two%20words.md\"];",
        "\"index.md\" -> \"in/one.md\";",
        "\"in/one.md\" -> \"? gone\" [color=red, style=dashed];",
    ] {
        assert_eq!(
            said.lines().filter(|it| it.trim() == line).count(),
            1,
            "{line}\n{said}"
        );
    }
}

#[test]
fn a_picture_whose_links_lead_from_where_it_is() {
    let place = vault();
    place.write(&[("pictures/x.txt", "")]);
    place.stdout(
        "docs-graph",
        &["--format", "svg", "--output", "docs/pictures/cards.svg"],
    );
    let picture = fs::read_to_string(place.vault().join("pictures/cards.svg")).unwrap();
    assert!(
        picture.contains("href=\"../in/deep/two%20words.md\""),
        "{picture}"
    );
    assert!(picture.contains("Two &lt;b&gt;</text>"), "{picture}");
    assert_eq!(
        picture.matches("class=\"card orphan\"").count(),
        1,
        "{picture}"
    );
    assert_eq!(
        picture.matches("class=\"card broken\"").count(),
        1,
        "{picture}"
    );
    assert_eq!(picture.matches("<path ").count(), 4, "{picture}");
    let said = place.refused("docs-graph", &["--output", "none/x.svg"]);
    assert!(said.contains("looking for the folder"), "{said}");
}

/// What the browser makes of a page, and what is on its console.
fn browsed(place: &Place, page: &Utf8Path) -> Option<(String, String)> {
    let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    let mut command = Command::new("timeout");
    command
        .args([
            "--signal=KILL",
            "120",
            &browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
        ])
        .args([
            "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        .args([
            "--window-size=1280,900",
            "--virtual-time-budget=3000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            place.root.join("tmp/profile")
        ))
        .arg(format!("file://{page}"))
        .env("HOME", place.root.join("home"));
    let output = command.output().unwrap();
    if output.status.code() == Some(127) {
        let said =
            format!("there is no {browser}: apt-get install chromium, or name it in CHROMIUM");
        assert!(std::env::var_os("CI").is_none(), "{said}");
        // Past the test harness, which shows nothing of tests that pass.
        let _ = writeln!(std::io::stderr(), "NOT TESTED, {said}");
        return None;
    }
    let said = text(&output.stderr);
    let console = said.lines().filter(|line| line.contains("CONSOLE"));
    Some((text(&output.stdout), console.collect()))
}

#[test]
fn the_page_works_in_a_browser_without_a_network() {
    let place = vault();
    let page = place.root.join("graph.html");
    place.stdout("docs-graph", &["--output", page.as_str()]);
    // As a reader does: search, then point at what was found, then turn the wheel.
    let acts = r#"<script>
const said = [];
const on = () => document.querySelectorAll(".card.on").length;
search.value = "two <B>";
search.dispatchEvent(new Event("input"));
said.push(found.textContent, on());
const card = document.querySelector(".card.on");
said.push(card.getAttribute("href"));
card.dispatchEvent(new Event("pointerenter"));
said.push(on(), document.querySelectorAll("path.in").length);
const width = box[2];
svg.dispatchEvent(new WheelEvent("wheel", { deltaY: -1, clientX: 200, clientY: 200 }));
said.push(box[2] < width);
document.getElementById("all").click();
said.push(found.textContent);
document.title = said.join("; ");
</script></body>"#;
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(
        html.matches("://").count(),
        1,
        "only the name of SVG's format is an address"
    );
    fs::write(&page, html.replace("</body>", acts)).unwrap();
    let Some((dom, console)) = browsed(&place, &page) else {
        return;
    };
    assert_eq!(console, "");
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|it| it.split('<').next());
    assert_eq!(
        title,
        Some(
            "1 found; 1; repository/docs/in/deep/two%20words.md; 3; 2; true; \
             4 cards, 5 links, 1 orphan, 1 link that leads nowhere"
        )
    );
    // What fails there is seen here.
    fs::write(
        &page,
        html.replace("</body>", "<script>nonsense()</script></body>"),
    )
    .unwrap();
    let (_, console) = browsed(&place, &page).unwrap();
    assert!(console.contains("nonsense is not defined"), "{console}");
}

#[test]
fn this_repositorys_picture_is_current() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kept = root.join("docs/pictures/cards.svg");
    let mut command = Command::new(env!("CARGO_BIN_EXE_docs-graph"));
    let output = command
        .args(["--format", "svg", "--vault", root.join("docs").as_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // On stdout links lead from the vault's folder.
    let new = text(&output.stdout).replace("href=\"", "href=\"../");
    assert!(
        new == fs::read_to_string(kept).unwrap(),
        "cards or links changed: `cargo xtask docs-graph --format svg --output docs/pictures/cards.svg` renews the picture"
    );
}

//! The picture of a graph: boxes for folders, a dot and a title for each card, curves for links.

use std::fmt::Write as _;

use camino::Utf8Path;
use vault::rules::graph::Graph;

use super::layout::layout;
use super::xml::escaped;

/// How many characters of a title fit into a card's room.
const TITLE: usize = 26;

/// The colors, alone or in a page.
pub const STYLE: &str = "text{font-family:system-ui,sans-serif;fill:#24292f}\
.folder rect{fill:#8c959f14;stroke:#8c959f66}.folder text{fill:#57606a;font-weight:600}\
.card text{font-size:13px;paint-order:stroke;stroke:#fff;stroke-width:3px}\
.card circle{fill:#0969da}.card.orphan circle{fill:#fff;stroke:#bc4c00;stroke-width:2.5px}\
.card.broken circle{fill:#cf222e}.card .mark{fill:#cf222e;font-weight:700}\
.links path{fill:none;stroke:#0969da;stroke-opacity:.22}.links.many path{stroke-opacity:.1}";

/// More links than this are drawn paler: they cover the titles.
const MANY: usize = 1000;

/// The picture; `link` gives the address of a card. Alone it has its colors and a background.
pub fn svg(graph: &Graph, link: &dyn Fn(&Utf8Path) -> String, alone: bool) -> String {
    let layout = layout(graph);
    let (width, height) = layout.size;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\">\n"
    );
    if alone {
        let _ = writeln!(
            text,
            "<style>{STYLE}</style>\n<rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#fff\"/>"
        );
    }
    for folder in layout.folders.iter().filter(|it| !it.name.is_empty()) {
        let (x, y, w, h) = folder.place;
        let size = folder.size;
        let _ = writeln!(
            text,
            "<g class=\"folder\"><rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" rx=\"8\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" font-size=\"{size:.0}\">{}</text></g>",
            x + 14.0,
            y + size * 1.1 + 6.0,
            escaped(&folder.name)
        );
    }
    let links: usize = graph.cards().iter().map(|card| card.leads_to().len()).sum();
    let class = if links > MANY { "links many" } else { "links" };
    let _ = writeln!(text, "<g class=\"{class}\">");
    for (from, card) in graph.cards().iter().enumerate() {
        for to in card.leads_to() {
            let ((x1, y1), (x2, y2)) = (layout.cards[from], layout.cards[to]);
            // Bent to one side, so that a link and the one back are two.
            let (x, y) = (
                f64::midpoint(x1, x2) - (y2 - y1) * 0.12 - 20.0,
                f64::midpoint(y1, y2) + (x2 - x1) * 0.12,
            );
            let _ = writeln!(
                text,
                "<path data-l=\"{from} {to}\" d=\"M{:.0} {y1:.0}Q{:.0} {y:.0} {:.0} {y2:.0}\"/>",
                x1 + 8.0,
                x + 8.0,
                x2 + 8.0
            );
        }
    }
    text.push_str("</g>\n");
    let linked_by = graph.linked_by();
    for (number, card) in graph.cards().iter().enumerate() {
        let (x, y) = layout.cards[number];
        let count = linked_by[number];
        let is_orphan = count == 0 && card.path != "index.md";
        #[expect(clippy::cast_precision_loss, reason = "there are not that many cards")]
        let radius = (3.0 + (count as f64).sqrt()).min(8.0);
        let class = match (is_orphan, card.broken.is_empty()) {
            (false, true) => "card",
            (true, true) => "card orphan",
            (false, false) => "card broken",
            (true, false) => "card orphan broken",
        };
        let mut hint = format!("{}\n{}\nlinked by {count}", card.title, card.path);
        for broken in &card.broken {
            let _ = write!(hint, "\n{}: {}", broken.place, broken.message);
        }
        let hint: Vec<String> = hint.lines().map(escaped).collect();
        let mark = if card.broken.is_empty() {
            String::new()
        } else {
            format!("<tspan class=\"mark\">✗{} </tspan>", card.broken.len())
        };
        let _ = writeln!(
            text,
            "<a class=\"{class}\" id=\"c{number}\" href=\"{}\"><title>{}</title>\
             <circle cx=\"{:.0}\" cy=\"{y:.0}\" r=\"{radius:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{mark}{}</text></a>",
            escaped(&link(&card.path)),
            hint.join("\n"),
            x + 8.0,
            x + 20.0,
            y + 4.5,
            escaped(&shortened(&card.title))
        );
    }
    text.push_str("</svg>\n");
    text
}

/// A title that fits.
fn shortened(title: &str) -> String {
    if title.chars().count() <= TITLE {
        return title.to_owned();
    }
    let start: String = title.chars().take(TITLE - 1).collect();
    format!("{}…", start.trim_end())
}

//! A graph for Graphviz.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use camino::Utf8Path;
use vault::rules::graph::Graph;

/// The graph; `link` gives the address of a card.
pub fn dot(graph: &Graph, name: &str, link: &dyn Fn(&Utf8Path) -> String) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
        quoted(name)
    );
    let linked_by = graph.linked_by();
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, card) in graph.cards().iter().enumerate() {
        let folder = card.path.parent().map_or("", Utf8Path::as_str);
        folders.entry(folder).or_default().push(number);
    }
    for (folder, cards) in folders {
        let indent = if folder.is_empty() { "  " } else { "    " };
        if !folder.is_empty() {
            let cluster = quoted(&format!("cluster {folder}"));
            let _ = writeln!(
                text,
                "  subgraph {cluster} {{\n    label={};",
                quoted(folder)
            );
        }
        for number in cards {
            let card = &graph.cards()[number];
            let is_orphan = linked_by[number] == 0 && card.path != "index.md";
            let _ = writeln!(
                text,
                "{indent}{} [label={}, URL={}{}];",
                quoted(card.path.as_str()),
                quoted(&card.title),
                quoted(&link(&card.path)),
                if is_orphan { ", color=orange" } else { "" }
            );
        }
        if !folder.is_empty() {
            text.push_str("  }\n");
        }
    }
    for card in graph.cards() {
        let from = quoted(card.path.as_str());
        for to in card.leads_to() {
            let to = quoted(graph.nodes[to].path.as_str());
            let _ = writeln!(text, "  {from} -> {to};");
        }
        for link in &card.broken {
            let to = quoted(&format!("? {}", link.target));
            let label = quoted(&link.target);
            let _ = writeln!(text, "  {to} [label={label}, color=red, style=dashed];");
            let _ = writeln!(text, "  {from} -> {to} [color=red, style=dashed];");
        }
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace(char::is_control, " "))
}

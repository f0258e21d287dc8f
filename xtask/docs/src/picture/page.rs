//! The page around the picture: search, zoom, and the links of the card that is pointed at.

use camino::Utf8Path;
use vault::rules::graph::Graph;

use super::svg::{STYLE, svg};
use super::xml::escaped;

/// The page; `link` gives the address of a card.
pub fn page(graph: &Graph, name: &str, link: &dyn Fn(&Utf8Path) -> String) -> String {
    let cards = graph.cards().len();
    let links: usize = graph.cards().iter().map(|card| card.links.len()).sum();
    let broken: usize = graph.cards().iter().map(|card| card.broken.len()).sum();
    let counted = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let cards = counted(cards, "card", "cards");
    let links = counted(links, "link", "links");
    let orphans = counted(graph.orphans().count(), "orphan", "orphans");
    let broken = counted(broken, "link that leads nowhere", "links that lead nowhere");
    let parts = [
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
        &escaped(name),
        "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>",
        STYLE,
        include_str!("page.css"),
        "</style></head>\n<body><header><b>",
        &escaped(name),
        "</b><input type=\"search\" placeholder=\"Search cards\" aria-label=\"Search cards\">",
        &format!(
            "<span id=\"found\">{cards}, {links}, \
             <i class=\"o\">{orphans}</i>, <i class=\"b\">{broken}</i></span>\
             <button id=\"all\">Show all</button></header>\n"
        ),
        &svg(graph, link, false),
        "<script>\n",
        include_str!("page.js"),
        "</script></body></html>\n",
    ];
    parts.concat()
}

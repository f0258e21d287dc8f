//! Where each card of a picture is: folders are boxes in boxes, and the cards of a folder rows in its box.
//!
//! No forces: the same vault gives the same picture, at once, and a card is found by its name. Of the widths that a
//! box can have that one is taken which makes it most like a screen.

use std::collections::BTreeMap;

use camino::Utf8Path;
use vault::rules::graph::Graph;

/// The room of a card.
pub const CARD: (f64, f64) = (210.0, 26.0);
/// The room around what is in a box.
const GAP: f64 = 14.0;
/// How wide a box is for its height.
const SHAPE: f64 = 1.5;

/// A folder.
pub struct Folder {
    /// Its name; that of the vault is empty.
    pub name: String,
    /// Left, top, width and height.
    pub place: (f64, f64, f64, f64),
    /// How high its name is written.
    pub size: f64,
}

/// A picture.
pub struct Layout {
    /// The folders, outer ones first.
    pub folders: Vec<Folder>,
    /// The left end and the middle of the height of each card.
    pub cards: Vec<(f64, f64)>,
    /// Its width and height.
    pub size: (f64, f64),
}

#[derive(Default)]
struct Tree {
    cards: Vec<usize>,
    folders: BTreeMap<String, Tree>,
}

/// What is put into a box: its size, and what is in it.
struct Piece<'t> {
    size: (f64, f64),
    name: &'t str,
    title: f64,
    cards: Vec<(usize, f64, f64)>,
    pieces: Vec<(Piece<'t>, f64, f64)>,
}

/// Lays out a graph.
pub fn layout(graph: &Graph) -> Layout {
    let mut tree = Tree::default();
    for (number, card) in graph.cards().iter().enumerate() {
        let mut at = &mut tree;
        let folders = card.path.parent().unwrap_or(Utf8Path::new(""));
        for folder in folders.components() {
            at = at.folders.entry(folder.to_string()).or_default();
        }
        at.cards.push(number);
    }
    let piece = piece("", &tree);
    let mut layout = Layout {
        folders: Vec::new(),
        cards: vec![(0.0, 0.0); graph.cards],
        size: piece.size,
    };
    layout.put(&piece, 0.0, 0.0);
    layout
}

fn count(tree: &Tree) -> usize {
    tree.cards.len() + tree.folders.values().map(count).sum::<usize>()
}

fn piece<'t>(name: &'t str, tree: &'t Tree) -> Piece<'t> {
    #[expect(clippy::cast_precision_loss, reason = "there are not that many cards")]
    let number = |count: usize| count as f64;
    let title = if name.is_empty() {
        0.0
    } else {
        (14.0 * (number(count(tree)) / 8.0).sqrt()).clamp(15.0, 90.0)
    };
    // The cards are a block of columns, and come first.
    let cards = number(tree.cards.len());
    let rows = (cards * CARD.0 / CARD.1 / SHAPE).sqrt().ceil().max(1.0);
    let columns = (cards / rows).ceil();
    let block = (columns * CARD.0, rows.min(cards) * CARD.1);
    let mut inner: Vec<Piece<'_>> = tree
        .folders
        .iter()
        .map(|(name, it)| piece(name, it))
        .collect();
    // High ones first, so that those in one row are alike.
    inner.sort_by(|a, b| b.size.1.total_cmp(&a.size.1).then(a.name.cmp(b.name)));
    let sizes: Vec<(f64, f64)> = (cards > 0.0)
        .then_some(block)
        .into_iter()
        .chain(inner.iter().map(|it| it.size))
        .collect();
    let widest = sizes.iter().map(|(width, _)| *width).fold(0.0, f64::max);
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are not that many characters"
    )]
    let name_width = name.chars().count() as f64 * title * 0.62;
    let least = widest.max(name_width);
    let area: f64 = sizes.iter().map(|(w, h)| (w + GAP) * (h + GAP)).sum();
    let widths =
        (0..12).map(|step| least.max((area * SHAPE).sqrt() * (0.8 + 0.08 * f64::from(step))));
    let rated = widths.map(|width| {
        let (places, size) = in_rows(&sizes, width);
        // 1 where the shape is right; a logarithm would have each start of the program load libm
        let shape = size.0.max(1.0) / size.1.max(1.0) / SHAPE;
        (size.0 * size.1 * shape.max(shape.recip()), places, size)
    });
    let best = rated.min_by(|a, b| a.0.total_cmp(&b.0));
    let (_, places, size) = best.unwrap_or_default();
    let top = if title > 0.0 { title * 1.3 + GAP } else { GAP };
    let mut places = places.into_iter().map(|(x, y)| (x + GAP, y + top));
    let mut placed = Vec::new();
    if cards > 0.0 {
        let (x, y) = places.next().unwrap_or_default();
        let (mut column, mut row) = (0.0, 0.0);
        for card in &tree.cards {
            placed.push((*card, x + column * CARD.0, y + (row + 0.5) * CARD.1));
            row += 1.0;
            if row >= rows {
                (column, row) = (column + 1.0, 0.0);
            }
        }
    }
    Piece {
        size: (size.0.max(name_width) + 2.0 * GAP, size.1 + top + GAP),
        name,
        title,
        cards: placed,
        pieces: inner
            .into_iter()
            .zip(places)
            .map(|(it, (x, y))| (it, x, y))
            .collect(),
    }
}

/// Boxes side by side in rows that are not wider than this: where each is, and the size of all.
fn in_rows(sizes: &[(f64, f64)], most: f64) -> (Vec<(f64, f64)>, (f64, f64)) {
    let (mut x, mut y, mut row, mut width) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    let mut places = Vec::with_capacity(sizes.len());
    for (w, h) in sizes {
        if x > 0.0 && x + w > most {
            (x, y, row) = (0.0, y + row + GAP, 0.0);
        }
        places.push((x, y));
        (row, width) = (row.max(*h), width.max(x + w));
        x += w + GAP;
    }
    (places, (width, y + row))
}

impl Layout {
    fn put(&mut self, piece: &Piece<'_>, x: f64, y: f64) {
        self.folders.push(Folder {
            name: piece.name.to_owned(),
            place: (x, y, piece.size.0, piece.size.1),
            size: piece.title,
        });
        for (card, left, middle) in &piece.cards {
            self.cards[*card] = (x + left, y + middle);
        }
        for (inner, left, top) in &piece.pieces {
            self.put(inner, x + left, y + top);
        }
    }
}

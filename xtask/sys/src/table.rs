//! Tables, sizes and times for people to read.

/// Columns padded to the widest cell, two spaces between them, no blanks at the end of a line.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A size in bytes, for people: powers of 1024, one decimal.
pub fn human_size(bytes: u64) -> String {
    let mut unit = 0;
    let mut whole = bytes;
    let mut tenths = 0;
    while whole >= 1024 && unit < 4 {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ => format!(
            "{whole}.{tenths} {}",
            ["KiB", "MiB", "GiB", "TiB"][unit - 1]
        ),
    }
}

/// A time in seconds, for people.
pub fn human_seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (970 * 1024 * 1024, "970.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![
            vec!["component".to_owned(), "state".to_owned()],
            vec!["client-ts".to_owned(), "built".to_owned(), "x".to_owned()],
            vec!["é".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(
            table(&rows),
            "component  state\nclient-ts  built  x\né                 y\n"
        );
    }
}

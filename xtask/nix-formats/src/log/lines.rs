//! Lines of bytes that come in pieces, of limited length.

use anyhow::Result;

/// How much of the end of a line is kept whose middle is left out: it holds what Nix says of the line.
const LINE_END: usize = 4 << 10;
/// How much of a line's end may pile up before the rest is dropped.
const PILE: usize = 64 << 10;

/// Cuts bytes into lines.
#[derive(Debug)]
pub struct Lines {
    /// A line that came in part.
    line: Vec<u8>,
    /// Its last bytes, when its middle is left out.
    end: Vec<u8>,
    longest: usize,
}

impl Lines {
    /// Lines up to a length in bytes; of longer ones the middle is left out, and a NUL stands there.
    pub fn new(longest: usize) -> Self {
        Self {
            line: Vec::new(),
            end: Vec::new(),
            longest,
        }
    }

    /// Takes in a piece and hands over the lines that end in it, without their ends.
    pub fn push(
        &mut self,
        mut piece: &[u8],
        on_line: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        while let Some(length) = memchr::memchr(b'\n', piece) {
            if self.line.is_empty() && length <= self.longest {
                on_line(&piece[..length])?;
            } else {
                self.add(&piece[..length]);
                self.hand_over(on_line)?;
            }
            piece = &piece[length + 1..];
        }
        self.add(piece);
        Ok(())
    }

    /// Hands over the last line, if the bytes ended without a line end.
    pub fn end(&mut self, on_line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        self.hand_over(on_line)
    }

    fn add(&mut self, piece: &[u8]) {
        let room = self.longest.saturating_sub(self.line.len());
        let (fits, rest) = piece.split_at(room.min(piece.len()));
        self.line.extend_from_slice(fits);
        self.end.extend_from_slice(rest);
        if self.end.len() > PILE {
            self.end.drain(..self.end.len() - LINE_END);
        }
    }

    fn hand_over(&mut self, on_line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if !self.end.is_empty() {
            self.line.push(0);
            let start = self.end.len().saturating_sub(LINE_END);
            self.line.extend_from_slice(&self.end[start..]);
            self.end.clear();
        }
        let handed = on_line(&self.line);
        self.line.clear();
        // One long line is no reason to keep so much for the rest of the run.
        self.line.shrink_to(PILE);
        handed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of `bytes`, taken in piece by piece.
    fn lines(bytes: &[u8], piece: usize, longest: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(longest);
        let mut all = Vec::new();
        let mut keep = |line: &[u8]| {
            all.push(line.to_vec());
            Ok(())
        };
        for piece in bytes.chunks(piece) {
            lines.push(piece, &mut keep).unwrap();
        }
        lines.end(&mut keep).unwrap();
        all
    }

    #[test]
    fn lines_are_bytes() {
        assert_eq!(lines(b"", 8, 9), Vec::<Vec<u8>>::new());
        assert_eq!(
            lines(b"a\xff\n\nlast", 2, 9),
            [b"a\xff".to_vec(), b"".to_vec(), b"last".to_vec()]
        );
    }

    #[test]
    fn of_endless_lines_the_middle_is_left_out() {
        let mut text = vec![b'x'; 100];
        text.extend(vec![b'y'; 3 * PILE]);
        text.extend(b"\nnext\n");
        for piece in [1000, 10 * PILE] {
            let lines = lines(&text, piece, 100);
            let mut expected = vec![b'x'; 100];
            expected.push(0);
            expected.extend(vec![b'y'; LINE_END]);
            assert_eq!(lines, [expected, b"next".to_vec()]);
        }
    }

    proptest! {
        #[test]
        fn lines_as_split_gives_them(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), any::<u8>()], 0..60), piece in 1_usize..9
        ) {
            let mut expected: Vec<Vec<u8>> =
                bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines(&bytes, piece, 100), expected);
        }
    }
}

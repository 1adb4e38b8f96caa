//! Cutting a stream of bytes into lines of bounded length.

/// Bytes of a line that are kept; what is beyond is counted and left out.
pub const LONGEST: usize = 1 << 20;

/// Collects bytes until a line is complete.
#[derive(Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    left_out: usize,
}

impl Lines {
    /// Takes the next bytes, and hands over each line that they complete.
    pub fn push(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(String)) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.keep(&bytes[..end]);
            emit(self.take());
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Hands over a last line without a line feed.
    pub fn finish(&mut self, emit: &mut dyn FnMut(String)) {
        if !self.pending.is_empty() {
            emit(self.take());
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (LONGEST - self.pending.len()).min(bytes.len());
        self.pending.extend_from_slice(&bytes[..room]);
        self.left_out += bytes.len() - room;
    }

    fn take(&mut self) -> String {
        let left_out = std::mem::take(&mut self.left_out);
        let bytes = std::mem::take(&mut self.pending);
        let mut line = String::from_utf8_lossy(&bytes).into_owned();
        if left_out > 0 {
            line.push_str(&format!(" [{left_out} bytes left out]"));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Lines::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, &mut |line| lines.push(line));
        }
        splitter.finish(&mut |line| lines.push(line));
        lines
    }

    #[test]
    fn keeps_empty_lines_and_a_last_one_without_line_feed() {
        assert_eq!(lines(&[b"a\n\nb", b"c\nlast"]), ["a", "", "bc", "last"]);
    }

    #[test]
    fn a_character_split_between_chunks_survives() {
        assert_eq!(lines(&[b"\xc3", b"\xa4\n\xff\n"]), ["ä", "\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LONGEST + 7];
        let got = lines(&[&long, b"yz\nnext\n"]);
        assert_eq!(got[0].len(), LONGEST + " [9 bytes left out]".len());
        assert!(got[0].ends_with("x [9 bytes left out]"));
        assert_eq!(got[1], "next");
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(text in "[a-zä\n]{0,80}", cut in 0usize..80) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            prop_assert_eq!(lines(&[bytes]), lines(&[&bytes[..cut], &bytes[cut..]]));
        }
    }
}

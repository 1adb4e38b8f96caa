//! From places in a text to numbers of lines.

/// Where the lines of a text end.
pub struct Lines(Vec<usize>);

impl Lines {
    pub fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }

    /// Number of the line, from 1, that byte `offset` lies in.
    pub fn line(&self, offset: usize) -> u64 {
        self.0.partition_point(|end| *end < offset) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_ends_its_line() {
        let lines = Lines::of("ab\n\nc");
        assert_eq!([0, 2, 3, 4].map(|offset| lines.line(offset)), [1, 1, 2, 3]);
    }
}

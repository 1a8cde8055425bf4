//! Rows of the foot that a terminal which got shorter has pushed off its top, out of reach. One that gets taller again brings
//! them back, above what was written since: they can be taken away then.

/// The rows that are out of reach.
#[derive(Debug, Default)]
pub struct Scrollback {
    rows: usize,
    /// The rows of kept lines between them and the foot.
    since: usize,
    /// The row of the screen on which the foot begins.
    top: usize,
    /// The columns of the longest line: where it is broken anew nothing is known any more.
    widest: usize,
}

/// Rows that are back: so many, and so many others between them and the foot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// How many are to be taken away.
    pub rows: usize,
    /// How many kept ones stand between them and the foot.
    pub since: usize,
}

impl Scrollback {
    /// Takes note of rows of the foot that went off the top; what is left of the foot fills the screen.
    pub fn push(&mut self, rows: usize, widest: usize) {
        if self.since > 0 {
            *self = Self::default();
        }
        self.rows += rows;
        self.widest = self.widest.max(widest);
        self.top = 0;
    }

    /// Takes note of kept lines, by their widths, that were written above a foot of so many rows.
    pub fn keep(&mut self, kept: impl Iterator<Item = usize>, foot: usize, (columns, rows): (usize, usize)) {
        if self.rows == 0 {
            return;
        }
        for width in kept {
            self.since += width.div_ceil(columns.max(1)).max(1);
            self.top += width.div_ceil(columns.max(1)).max(1);
            self.widest = self.widest.max(width);
        }
        self.top = self.top.min(rows.saturating_sub(foot));
    }

    /// Takes note of other columns.
    pub fn widen(&mut self, from: usize, to: usize) {
        if from != to && self.widest > from.min(to) {
            *self = Self::default();
        }
    }

    /// Takes note of so many more rows; returns those that are back.
    pub fn grow(&mut self, by: usize) -> Option<Back> {
        let back = Back { rows: (self.top + by).saturating_sub(self.since).min(self.rows), since: self.since };
        if back.rows == self.rows {
            *self = Self::default();
        } else {
            self.rows -= back.rows;
            self.top = self.top + by - back.rows;
        }
        (back.rows > 0).then_some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_above_what_was_written_since() {
        let mut lost = Scrollback::default();
        assert_eq!(lost.grow(30), None);
        lost.push(20, 60);
        // Two lines of which one is broken, above a foot of four rows: one of the three has left the screen.
        lost.keep([10, 120].into_iter(), 4, (100, 6));
        assert_eq!(lost.grow(5), Some(Back { rows: 4, since: 3 }));
        assert_eq!(lost.grow(5), Some(Back { rows: 5, since: 3 }));
        assert_eq!(lost.grow(40), Some(Back { rows: 11, since: 3 }));
        assert_eq!(lost.grow(40), None);
    }

    #[test]
    fn where_lines_are_broken_anew_nothing_is_taken_away() {
        let mut lost = Scrollback::default();
        lost.push(20, 60);
        lost.widen(100, 80);
        assert_eq!(lost.grow(5), Some(Back { rows: 5, since: 0 }));
        lost.widen(80, 40);
        assert_eq!(lost.grow(5), None);
    }
}

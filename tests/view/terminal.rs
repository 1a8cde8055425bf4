//! A terminal of the few things that the live view asks of one: it counts what would look torn.

#![allow(dead_code, reason = "each test file uses its part")]

use unicode_width::UnicodeWidthChar;

pub struct Terminal {
    pub columns: usize,
    pub rows: usize,
    /// Everything from the first line on; the last `rows` are on the screen.
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// How often a line was longer than the terminal is wide.
    pub broken: usize,
    /// How often the cursor was sent above the screen.
    pub above: usize,
}

impl Terminal {
    pub fn new(columns: usize, rows: usize) -> Self {
        Self { columns, rows, lines: vec![Vec::new()], row: 0, column: 0, broken: 0, above: 0 }
    }

    /// Makes it shorter or taller. What is below the cursor goes first, then the top leaves the screen; it comes back.
    pub fn resize(&mut self, rows: usize) {
        for _ in rows..self.rows.min(self.lines.len()) {
            if self.lines.len() > self.row + 1 {
                self.lines.pop();
            }
        }
        self.rows = rows;
    }

    pub fn feed(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '\r' => self.column = 0,
                '\n' => {
                    self.column = 0;
                    self.down();
                }
                '\u{1b}' => {
                    assert_eq!(chars.next(), Some('['), "only control sequences");
                    let sequence: String = chars.by_ref().take_while_inclusive();
                    self.control(&sequence);
                }
                char => self.put(char),
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn put(&mut self, char: char) {
        let width = char.width().expect("no control character");
        if self.column + width > self.columns {
            self.broken += 1;
            self.column = 0;
            self.down();
        }
        let line = &mut self.lines[self.row];
        while line.len() < self.column + width {
            line.push(' ');
        }
        line[self.column] = char;
        // A wide character owns the cell after it.
        line[self.column + 1..self.column + width].fill('\0');
        self.column += width;
    }

    fn control(&mut self, sequence: &str) {
        let (number, kind) = sequence.split_at(sequence.len() - 1);
        let number: usize = number.parse().unwrap_or(0);
        match kind {
            "A" => {
                let top = self.lines.len().saturating_sub(self.rows);
                self.above += usize::from(self.row < top + number);
                self.row = self.row.saturating_sub(number).max(top);
            }
            "B" => self.row = (self.row + number).min(self.lines.len() - 1),
            // What is below moves up, and the bottom is empty.
            "M" => {
                let end = (self.row + number).min(self.lines.len());
                let gone = self.lines.drain(self.row..end).count();
                self.lines.extend(std::iter::repeat_n(Vec::new(), gone));
            }
            "K" => self.lines[self.row].clear(),
            "m" => {}
            other => panic!("the view asks for {other}"),
        }
    }

    /// Returns the lines that are on the screen.
    pub fn screen(&self) -> Vec<String> {
        let top = self.lines.len().saturating_sub(self.rows);
        let lines = self.lines[top..].iter().map(|line| line.iter().filter(|char| **char != '\0').collect::<String>());
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    /// Returns every line, without spaces at the ends and without empty lines at the end.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.iter().filter(|char| **char != '\0').collect::<String>());
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

trait TakeWhileInclusive {
    fn take_while_inclusive(self) -> String;
}

impl<I: Iterator<Item = char>> TakeWhileInclusive for I {
    /// Takes a control sequence's bytes up to and with its last.
    fn take_while_inclusive(self) -> String {
        let mut text = String::new();
        for char in self {
            text.push(char);
            if ('@'..='~').contains(&char) {
                break;
            }
        }
        text
    }
}

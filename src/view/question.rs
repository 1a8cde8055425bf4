//! A question to the person at the terminal, before anything is changed.

use std::io::IsTerminal;

use crate::view::stream;

/// Whether there is a person to ask: stdin and stderr are a terminal.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Waits for the answer. Whatever is not `y` or `yes` is no, and so is the end of the input.
pub async fn answer() -> bool {
    stream::line_of_stdin().await.is_ok_and(|line| is_yes(&line))
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_y_and_yes_are_yes() {
        for line in ["y\n", "Y\n", " yes \r\n", "YES"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "no\n", "yess\n", "ye\n", "j\n", "y y\n"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}

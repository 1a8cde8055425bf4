//! How a view is set up.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use tokio::sync::watch;

use crate::view::stream::Pending;

/// How a view looks; chosen once.
#[derive(Clone, Debug)]
pub struct Options {
    /// What stdout gets.
    pub format: Format,
    /// Whether stderr is drawn on, rather than written line by line.
    pub live: bool,
    /// Only the summary's failures and verdict.
    pub quiet: bool,
    /// Every event, in words.
    pub verbose: bool,
    /// Whether stderr is coloured.
    pub color: bool,
    /// Whether stdout is coloured.
    pub color_stdout: bool,
    /// The columns of lines that can be broken, and of a terminal whose size cannot be asked.
    pub width: usize,
    /// The rows of a terminal whose size cannot be asked.
    pub height: usize,
    /// Asks the terminal for its columns and rows, at each frame.
    pub size: Size,
    /// How far the terminal is behind: while it is, no frame is drawn.
    pub pending: Option<watch::Receiver<Pending>>,
}

impl Default for Options {
    /// Plain lines of 100 columns, without colour.
    fn default() -> Self {
        Self {
            format: Format::Text,
            live: false,
            quiet: false,
            verbose: false,
            color: false,
            color_stdout: false,
            width: 100,
            height: 24,
            size: || None,
            pending: None,
        }
    }
}

impl Options {
    /// Looks at the terminal and the environment: live only where a person watches and nothing else writes to the
    /// terminal, coloured as [`Color::applies`] says.
    pub fn detect(format: Format, (quiet, verbose): (bool, bool), color: Color, size: Size) -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let number = |name| variable(name).and_then(|value| value.parse().ok());
        let default = Self::default();
        let (width, height) = size().unwrap_or((default.width, default.height));
        let shares_terminal = format == Format::Jsonl && stdout.is_terminal();
        Self {
            format,
            live: stderr.is_terminal()
                && variable("CI").is_none()
                && variable("TERM").is_none_or(|term| term != "dumb")
                && !quiet
                && !verbose
                && !shares_terminal,
            quiet,
            verbose,
            color: color.applies(Sink::detect(&stderr), &variable),
            color_stdout: color.applies(Sink::detect(&stdout), &variable),
            width: number("COLUMNS").unwrap_or(width).max(20),
            height: number("LINES").unwrap_or(height).max(1),
            size,
            pending: None,
        }
    }
}

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, and in the log of a GitLab job.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl Color {
    /// Whether text is coloured on a stream. The flag decides before `NO_COLOR`, which decides before `CLICOLOR_FORCE` and
    /// `FORCE_COLOR`; then a terminal is coloured unless `TERM` or `CLICOLOR` says no, and so is the log of a GitLab job.
    pub fn applies(self, sink: Sink, variable: &dyn Fn(&str) -> Option<String>) -> bool {
        let is_on = |name: &str| variable(name).map(|value| value != "0" && value != "false");
        match self {
            Self::Always => return true,
            Self::Never => return false,
            Self::Auto => {}
        }
        if variable("NO_COLOR").is_some() {
            return false;
        }
        if is_on("CLICOLOR_FORCE") == Some(true) || is_on("FORCE_COLOR") == Some(true) {
            return true;
        }
        if is_on("FORCE_COLOR") == Some(false) || is_on("CLICOLOR") == Some(false) {
            return false;
        }
        match sink {
            // A job's log comes by a pipe, and GitLab shows its colours. `TERM` is not about that.
            Sink::Terminal | Sink::Other if is_on("GITLAB_CI") == Some(true) => true,
            Sink::Terminal => variable("TERM").is_some_and(|term| term != "dumb"),
            Sink::File | Sink::Other => false,
        }
    }

    /// Makes whatever else this process writes to a stream, such as an error of the command line, follow.
    pub fn follow(self, stream: &(impl IsTerminal + AsFd)) {
        let applies = self.applies(Sink::detect(stream), &variable);
        let choice = if applies { anstream::ColorChoice::Always } else { anstream::ColorChoice::Never };
        choice.write_global();
    }
}

/// Where a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// To a terminal.
    Terminal,
    /// Into a file, which is never coloured unless somebody says so.
    File,
    /// Into a pipe, or elsewhere.
    Other,
}

impl Sink {
    /// Looks where a stream goes.
    pub fn detect(stream: &(impl IsTerminal + AsFd)) -> Self {
        let file = || stream.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
        match stream.is_terminal() {
            true => Self::Terminal,
            false if file().is_ok_and(|metadata| metadata.is_file()) => Self::File,
            false => Self::Other,
        }
    }
}

/// Returns a variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
}

/// What stdout gets during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Nothing but the plan.
    #[default]
    Text,
    /// Each event as a line of JSON.
    Jsonl,
}

/// The terminal's columns and rows, if it can be asked.
pub type Size = fn() -> Option<(usize, usize)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_where_the_flag_the_variables_and_the_stream_say() {
        use Color::{Always, Auto, Never};
        use Sink::{File, Other, Terminal};
        let any = [Terminal, File, Other];
        // The choice, the variables, and where of a terminal, a file and a pipe there is colour.
        let table: &[(Color, &str, &[Sink])] = &[
            (Auto, "", &[]),
            (Auto, "TERM=xterm", &[Terminal]),
            (Auto, "TERM=dumb", &[]),
            (Auto, "TERM=xterm CLICOLOR=0", &[]),
            (Auto, "TERM=xterm CLICOLOR=1", &[Terminal]),
            (Auto, "CI=true TERM=xterm", &[Terminal]),
            (Auto, "GITLAB_CI=true", &[Terminal, Other]),
            (Auto, "GITLAB_CI=true TERM=dumb", &[Terminal, Other]),
            (Auto, "GITLAB_CI=false TERM=xterm", &[Terminal]),
            (Auto, "GITLAB_CI=true NO_COLOR=1", &[]),
            (Auto, "GITLAB_CI=true CLICOLOR=0", &[]),
            (Auto, "GITLAB_CI=true FORCE_COLOR=0", &[]),
            (Auto, "TERM=xterm NO_COLOR=0", &[]),
            (Auto, "NO_COLOR=1 CLICOLOR_FORCE=1 FORCE_COLOR=1 TERM=xterm", &[]),
            (Auto, "CLICOLOR_FORCE=1", &any),
            (Auto, "CLICOLOR_FORCE=0 TERM=xterm", &[Terminal]),
            (Auto, "CLICOLOR_FORCE=1 CLICOLOR=0 TERM=dumb", &any),
            (Auto, "FORCE_COLOR=3", &any),
            (Auto, "FORCE_COLOR=true TERM=dumb", &any),
            (Auto, "FORCE_COLOR=0 TERM=xterm", &[]),
            (Auto, "FORCE_COLOR=false TERM=xterm", &[]),
            (Auto, "FORCE_COLOR=0 CLICOLOR_FORCE=1", &any),
            (Always, "NO_COLOR=1 TERM=dumb CLICOLOR=0", &any),
            (Never, "CLICOLOR_FORCE=1 FORCE_COLOR=1 GITLAB_CI=true TERM=xterm", &[]),
        ];
        for (color, variables, coloured) in table {
            let variable = |name: &str| {
                let pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
            };
            for sink in any {
                let applies = color.applies(sink, &variable);
                assert_eq!(applies, coloured.contains(&sink), "{color:?} {variables} {sink:?}");
            }
        }
    }
}

//! The forms of a report, and what `--report KIND=PATH` asks for.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::json;
use crate::report::{Report, annotations, dotenv, html, junit, markdown, terraform};

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The whole report, for programs: docs/report.schema.json.
    Json,
    /// JUnit's XML, for `artifacts:reports:junit`.
    Junit,
    /// Three counts, for `artifacts:reports:terraform`.
    Terraform,
    /// A handful of variables, for `artifacts:reports:dotenv`.
    Dotenv,
    /// Links, for `artifacts:reports:annotations`.
    Annotations,
    /// For a note on a merge request.
    Markdown,
    /// For a browser: one page, complete in itself.
    Html,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Junit, Self::Terraform, Self::Dotenv, Self::Annotations, Self::Markdown, Self::Html];

    /// Those that there are of a plan.
    pub const OF_PLANS: [Self; 3] = [Self::Json, Self::Terraform, Self::Markdown];

    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Terraform => "terraform",
            Self::Dotenv => "dotenv",
            Self::Annotations => "annotations",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// Returns the name of its file in a directory of reports.
    pub fn file(self) -> &'static str {
        match self {
            Self::Json => "report.json",
            Self::Junit => "junit.xml",
            Self::Terraform => "terraform.json",
            Self::Dotenv => "deploy.env",
            Self::Annotations => "annotations.json",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
        }
    }

    /// Writes a report in this form. The forms of which a large run has megabytes are written piece by piece. `has_logs` says
    /// whether the logs of the targets are beside it.
    ///
    /// # Errors
    /// The writer fails; or it cannot be written in this form: nothing that a run can hold is known to be the reason.
    pub fn write(self, report: &Report, has_logs: bool, writer: &mut dyn Write) -> io::Result<()> {
        let text = match self {
            Self::Json => return json::write_pretty(report, writer),
            Self::Html => return html::write(report, has_logs, writer),
            Self::Junit => junit::text(report).map_err(io::Error::other)?,
            Self::Terraform => terraform::text(report),
            Self::Dotenv => dotenv::text(report),
            Self::Annotations => annotations::text(report),
            Self::Markdown => markdown::text(report),
        };
        writer.write_all(text.as_bytes())
    }

    /// Returns a report in this form, without logs beside it.
    ///
    /// # Errors
    /// As those of [`Self::write`].
    pub fn text(self, report: &Report) -> io::Result<String> {
        let mut text = Vec::new();
        self.write(report, false, &mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = Self::ALL.map(Self::word);
        let known = Self::ALL.into_iter().find(|kind| kind.word() == text);
        known.ok_or_else(|| format!("`{text}` is not a kind of report; there are {}", words.join(", ")))
    }
}

/// One report to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its form.
    pub kind: Kind,
    /// Its file.
    pub path: PathBuf,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, path) = text.split_once('=').ok_or("it has the form KIND=PATH, such as junit=junit.xml")?;
        if path.is_empty() {
            return Err(format!("`{text}` names no file: KIND=PATH, such as junit=junit.xml"));
        }
        Ok(Self { kind: kind.parse()?, path: PathBuf::from(path) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_report_is_a_kind_and_a_path() {
        let wanted: Wanted = "junit=out/a=b.xml".parse().expect("a wanted report");
        assert_eq!(wanted, Wanted { kind: Kind::Junit, path: PathBuf::from("out/a=b.xml") });
        let fault = |text: &str| text.parse::<Wanted>().expect_err("a fault");
        assert_eq!(fault("junit.xml"), "it has the form KIND=PATH, such as junit=junit.xml");
        assert_eq!(fault("junit="), "`junit=` names no file: KIND=PATH, such as junit=junit.xml");
        assert_eq!(
            fault("pdf=a.pdf"),
            "`pdf` is not a kind of report; there are json, junit, terraform, dotenv, annotations, markdown, html"
        );
    }
}

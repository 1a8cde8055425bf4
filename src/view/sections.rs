//! GitLab's collapsible sections: the lines of each target, gathered until it ends and then written as one whole.
//!
//! A job's log is a stream of lines, so two sections that are open at once would break each other: none is opened before it
//! can be closed. GitLab cuts a log at 4 MB, so beyond a limit targets that went well have one line, and beyond another
//! those that failed do, too; their whole logs are files in `--reports-dir`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use anstream::adapter::strip_str;
use jiff::Timestamp;

use crate::base::text;
use crate::base::text::cut;
use crate::fleet::TargetId;

/// After so many bytes a target that went well has one line.
const BRIEF: usize = 1_500_000;
/// After so many bytes one that failed has, too: 5,000 such lines and the summary still fit 4 MB.
const BRIEFER: usize = 2_500_000;
/// The most columns of such a line.
const COLUMNS: usize = 240;
/// How many lines of a target are kept: the first and the last of them.
const FIRST: usize = 50;
const LAST: usize = 150;

/// What begins and ends a marker: an escape sequence that clears the line's rest, so that no terminal shows the marker.
const CLEAR: &str = "\u{1b}[0K";

/// The lines of targets that have not ended.
#[derive(Debug, Default)]
pub struct Sections {
    open: HashMap<TargetId, Body>,
    names: HashSet<String>,
    raised: HashSet<(TargetId, Alarm)>,
    /// Which of the limits were said.
    said: [bool; 2],
}

/// What a person should see of a deployment at once, and not when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// ECS complains.
    Complaint,
    /// Tasks fail.
    Failing,
}

#[derive(Debug, Default)]
struct Body {
    lines: Vec<String>,
    left_out: usize,
}

/// A section that is complete.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// Whose it is.
    pub target: &'a TargetId,
    /// Its first line, which is shown where it is collapsed.
    pub header: &'a str,
    /// When it began; GitLab shows the time in between.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it is shown open.
    pub failed: bool,
}

impl Sections {
    /// Keeps a line of a target until it ends.
    pub fn line(&mut self, target: &TargetId, line: String) {
        let body = self.open.entry(target.clone()).or_default();
        if body.lines.len() == FIRST + LAST {
            body.lines.remove(FIRST);
            body.left_out += 1;
        }
        body.lines.push(line);
    }

    /// Takes note of an alarm; returns whether it is the first of its kind and `written`, the bytes of the log so far, leaves
    /// room for it.
    pub fn raise(&mut self, target: &TargetId, alarm: Alarm, written: usize) -> bool {
        self.raised.insert((target.clone(), alarm)) && written <= BRIEF
    }

    /// Forgets the alarms of a target: another deployment of it begins.
    pub fn calm(&mut self, target: &TargetId) {
        for alarm in [Alarm::Complaint, Alarm::Failing] {
            self.raised.remove(&(target.clone(), alarm));
        }
    }

    /// Whether an alarm of a target was raised.
    pub fn is_raised(&self, target: &TargetId, alarm: Alarm) -> bool {
        self.raised.contains(&(target.clone(), alarm))
    }

    /// Returns the targets that have lines and have not ended, by their names.
    pub fn open_targets(&self) -> Vec<TargetId> {
        let mut left: Vec<TargetId> = self.open.keys().cloned().collect();
        left.sort();
        left
    }

    /// Returns the section of a target, or its one line where `written`, the bytes of the log so far, leaves no room.
    pub fn close(&mut self, closed: Closed<'_>, written: usize) -> String {
        let body = self.open.remove(closed.target).unwrap_or_default();
        let limit = if closed.failed { BRIEFER } else { BRIEF };
        if written > limit {
            // What is cut has no colour: the end of its tone might be cut, too.
            let plain = strip_str(closed.header).to_string();
            let line = if text::width(&plain) > COLUMNS { cut(&plain, COLUMNS) } else { Cow::Borrowed(closed.header) };
            return self.limit(written) + &line + "\n";
        }
        let name = self.name(closed.target);
        let collapsed = if closed.failed { "" } else { "[collapsed=true]" };
        let (began, ended) = (closed.began.as_second(), closed.ended.as_second());
        let mut text = format!("{CLEAR}section_start:{began}:{name}{collapsed}\r{CLEAR}{}\n", closed.header);
        for (place, line) in body.lines.iter().enumerate() {
            if body.left_out > 0 && place == FIRST {
                text.push_str(&format!("({} lines are left out here)\n", body.left_out));
            }
            text.push_str(line);
            text.push('\n');
        }
        text + &format!("{CLEAR}section_end:{ended}:{name}\r{CLEAR}\n")
    }

    /// Returns what is said where a limit is passed, the first time.
    fn limit(&mut self, written: usize) -> String {
        let failures_too = written > BRIEFER;
        if std::mem::replace(&mut self.said[usize::from(failures_too)], true) {
            return String::new();
        }
        let whose = if failures_too { "all targets, also those that fail," } else { "targets that succeed" };
        format!(
            "GitLab cuts a job's log at 4 MB: from here on {whose} have one line each; with --reports-dir the log of every \
             target is a file\n"
        )
    }

    /// Returns a name that no other section of this log has, of the characters that GitLab takes; a target whose name has
    /// others is told apart by a hash of it.
    fn name(&mut self, target: &TargetId) -> String {
        let target = target.to_string();
        let safe = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
        let mut plain = format!("roleout_{}", target.replace(|char| !safe(char), "_"));
        if !target.chars().all(|char| safe(char) || char == '/') {
            plain = format!("{plain}-{}", text::hash(&target));
        }
        let mut name = plain.clone();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{plain}-{number}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TargetId {
        text.to_owned().try_into().expect("a target's name")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn closed<'a>(target: &'a TargetId, header: &'a str, failed: bool) -> Closed<'a> {
        Closed { target, header, began: at(1_560_896_352), ended: at(1_560_896_394), failed }
    }

    #[test]
    fn a_section_is_the_bytes_that_gitlab_takes() {
        let mut sections = Sections::default();
        let (api, hangul) = (id("prod/eu-west-1/api"), id("결제/eu-west-1/api"));
        sections.line(&api, "deploys api:2".to_owned());
        sections.line(&hangul, "another's".to_owned());
        assert_eq!(
            sections.close(closed(&api, "api succeeded", false), 0),
            "\x1b[0Ksection_start:1560896352:roleout_prod_eu-west-1_api[collapsed=true]\r\x1b[0Kapi succeeded\n\
             deploys api:2\n\
             \x1b[0Ksection_end:1560896394:roleout_prod_eu-west-1_api\r\x1b[0K\n"
        );
        sections.line(&api, "rolls back".to_owned());
        assert_eq!(
            sections.close(closed(&api, "api rolled back", true), 0),
            "\x1b[0Ksection_start:1560896352:roleout_prod_eu-west-1_api-2\r\x1b[0Kapi rolled back\n\
             rolls back\n\
             \x1b[0Ksection_end:1560896394:roleout_prod_eu-west-1_api-2\r\x1b[0K\n"
        );
        assert_eq!(sections.open_targets(), std::slice::from_ref(&hangul));
        let other = id("주문/eu-west-1/api");
        let [one, two] = [&hangul, &other].map(|target| sections.close(closed(target, "x", false), 0));
        assert!(one.contains(":roleout____eu-west-1_api-92c4302e["), "{one}");
        assert!(two.contains(":roleout____eu-west-1_api-") && !two.contains("-92c4302e"), "{two}");
    }

    #[test]
    fn a_log_that_nears_its_limit_says_less_and_of_failures_last() {
        let mut sections = Sections::default();
        let api = id("prod/eu-west-1/api");
        let brief = sections.close(closed(&api, "api succeeded", false), BRIEF + 1);
        assert!(
            brief.starts_with("GitLab cuts a job's log at 4 MB: from here on targets that succeed have"),
            "{brief}"
        );
        assert!(brief.ends_with("\napi succeeded\n"), "{brief}");
        assert_eq!(sections.close(closed(&api, "api succeeded", false), BRIEF + 1), "api succeeded\n");
        assert!(sections.close(closed(&api, "api failed", true), BRIEF + 1).contains("section_start"));
        let briefer = sections.close(closed(&api, "api failed", true), BRIEFER + 1);
        assert!(briefer.contains(" from here on all targets, also those that fail, have one line each"), "{briefer}");
        assert!(briefer.ends_with("\napi failed\n"), "{briefer}");
        assert_eq!(sections.close(closed(&api, "api failed", true), BRIEFER + 1), "api failed\n");
        assert_eq!(sections.close(closed(&api, "api succeeded", false), BRIEFER + 1), "api succeeded\n");
    }

    #[test]
    fn a_coloured_line_that_is_cut_leaves_no_colour_behind() {
        let mut sections = Sections::default();
        let api = id("prod/eu-west-1/api");
        let mut brief = |words: &str| {
            let header = format!("00:01 \x1b[1m\x1b[31m{words}\x1b[0m");
            sections.close(closed(&api, &header, true), BRIEFER + 1).lines().last().unwrap_or_default().to_owned()
        };
        assert_eq!(brief("failed"), "00:01 \x1b[1m\x1b[31mfailed\x1b[0m");
        let cut = brief(&"long ".repeat(80));
        assert!(!cut.contains('\x1b') && text::width(&cut) == COLUMNS, "{cut:?}");
    }

    #[test]
    fn an_alarm_is_raised_once_for_each_deployment_while_there_is_room() {
        let mut sections = Sections::default();
        let api = id("prod/eu-west-1/api");
        assert!(sections.raise(&api, Alarm::Failing, 0) && !sections.raise(&api, Alarm::Failing, 0));
        assert!(sections.raise(&api, Alarm::Complaint, 0));
        sections.calm(&api);
        assert!(!sections.raise(&api, Alarm::Complaint, BRIEF + 1));
        assert!(!sections.is_raised(&api, Alarm::Failing) && sections.is_raised(&api, Alarm::Complaint));
    }

    #[test]
    fn of_a_target_that_says_too_much_the_middle_is_left_out() {
        let mut sections = Sections::default();
        let api = id("prod/eu-west-1/api");
        (0..300).for_each(|number| sections.line(&api, format!("line {number}")));
        let text = sections.close(closed(&api, "api", false), 0);
        assert!(text.contains("line 49\n(100 lines are left out here)\nline 150\n") && text.contains("line 299\n"));
    }
}

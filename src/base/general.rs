//! A text without what differs from one failure to the next although the cause is the same: ids of requests, tasks,
//! deployments and accounts, addresses, times, and how many tasks it is about.
//!
//! Pure. It makes texts comparable; what people read is the text itself.

use crate::base::text::{without_request_ids, without_task_counts};

/// What stands for the part that differs.
const ANY: &str = "…";
/// Of so many digits, a number is an id.
const DIGITS: usize = 10;
/// Of so many hexadecimal digits, a word is an id.
const HEX: usize = 16;

/// Returns a text without what differs although the cause is the same.
pub fn general(text: &str) -> String {
    let text = without_request_ids(text);
    let mut general = String::with_capacity(text.len());
    let mut rest = &*text;
    while !rest.is_empty() {
        let length = rest.find(|char| !is_of_word(char)).unwrap_or(rest.len());
        if length == 0 {
            let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
            general.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        general.push_str(&word(&rest[..length]));
        rest = &rest[length..];
    }
    without_task_counts(&general)
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | ':')
}

/// Returns a word without the ids in it. Its parts are what its dots and colons keep apart.
fn word(word: &str) -> String {
    let core = word.trim_end_matches(['.', ':', '-']);
    let end = &word[core.len()..];
    if is_time(core) || is_address(core) {
        return format!("{ANY}{end}");
    }
    let mut general = String::with_capacity(word.len());
    let mut rest = core;
    while !rest.is_empty() {
        let length = rest.find(['.', ':']).unwrap_or(rest.len());
        general.push_str(if is_id(&rest[..length]) { ANY } else { &rest[..length] });
        let next = (length + 1).min(rest.len());
        general.push_str(&rest[length..next]);
        rest = &rest[next..];
    }
    general + end
}

fn is_id(part: &str) -> bool {
    let bytes = || part.bytes();
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let has_digit = bytes().any(|byte| byte.is_ascii_digit());
    let instance = part.strip_prefix("i-").is_some_and(|id| id.len() >= 8 && hex(id));
    let codedeploy =
        |id: &str| id.len() >= 9 && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    bytes().all(|byte| byte.is_ascii_digit()) && part.len() >= DIGITS
        || has_digit && part.len() >= HEX && hex(part)
        || instance
        || part.strip_prefix("d-").is_some_and(codedeploy)
}

/// Whether it is a date, or a time of day with seconds.
fn is_time(word: &str) -> bool {
    let form: String = word.chars().map(|char| if char.is_ascii_digit() { '9' } else { char }).collect();
    form.starts_with("9999-99-99") || form.starts_with("99:99:99")
}

/// Whether it is an IPv4 address, with or without a port.
fn is_address(word: &str) -> bool {
    let (host, port) = word.split_once(':').unwrap_or((word, "0"));
    let number = |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').count() == 4 && host.split('.').all(number) && number(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_addresses_and_counts_are_left_out_and_all_else_stays() {
        for (text, wanted) in [
            ("UpdateService: no (request id 0a1b-2c3d)", "UpdateService: no (request id …)"),
            ("ecs-svc/2162487430849305644 is PRIMARY.", "ecs-svc/… is PRIMARY."),
            ("task 0123456789abcdef0123456789abcdef stopped", "task … stopped"),
            ("task 3f2c9a52-8d1e-4b7a-9c63-5e0f7a1b2c3d stopped", "task … stopped"),
            ("arn:aws:iam::222222222222:role/leaf", "arn:aws:iam::…:role/leaf"),
            ("333333333333.dkr.ecr.eu-west-1.amazonaws.com/web:v2", "….dkr.ecr.eu-west-1.amazonaws.com/web:v2"),
            ("connect ECONNREFUSED 10.0.3.17:5432", "connect ECONNREFUSED …"),
            ("at 2026-11-29T21:03:15.123Z: no", "at …: no"),
            ("0 of 3 tasks run", "… of … tasks run"),
            ("on i-0abc1234def567890, d-A1B2C3D4E", "on …, …"),
            ("exits with 137 after 12.5s: api:15, web:v1.2.3", "exits with 137 after 12.5s: api:15, web:v1.2.3"),
            ("deadbeef, dead-letter-queue, eu-west-1", "deadbeef, dead-letter-queue, eu-west-1"),
            ("é … ✔ 일", "é … ✔ 일"),
        ] {
            assert_eq!(general(text), wanted);
            assert_eq!(general(wanted), wanted, "of a general text nothing more is left out");
        }
    }
}

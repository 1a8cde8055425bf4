//! Lengths of time as GitLab reads them in a configuration. Pure.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// GitLab refuses a job's timeout of a month or more, which is 30 days to it.
const MONTH: u64 = 30 * 24 * HOUR;

/// The units, as GitLab knows them.
const UNITS: [&str; 33] = [
    "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hr", "hrs", "hour",
    "hours", "d", "dy", "day", "days", "w", "wk", "wks", "week", "weeks", "mo", "mos", "month", "months", "y", "yr",
    "yrs", "year", "years",
];

/// Reads how long a job may take.
///
/// # Errors
/// It is no time, or GitLab would refuse it.
pub fn timeout(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let whole = time.as_secs().is_multiple_of(MINUTE) && time.subsec_nanos() == 0;
    match time.as_secs() {
        MINUTE..MONTH if whole => Ok(time),
        _ => Err("a job's timeout is in whole minutes, at least one, and less than 30 days".to_owned()),
    }
}

/// Writes whole minutes in hours and minutes.
pub fn hours(time: Duration) -> String {
    let (hours, minutes) = (time.as_secs() / HOUR, time.as_secs() % HOUR / MINUTE);
    match (hours, minutes) {
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h {minutes}m"),
    }
}

/// Reads how long GitLab keeps artifacts: `never`, seconds, or numbers and units such as `2 weeks 3 days`.
///
/// # Errors
/// GitLab would refuse the configuration.
pub fn expiry(text: &str) -> Result<String, String> {
    let wrong =
        || format!("`{text}` is no time that GitLab knows: write `30 days`, `2 weeks 3 days`, `12h` or `never`");
    let text = text.trim();
    if text == "never" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(text.to_owned());
    }
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|char: char| char.is_ascii_digit());
        let number = &rest[..rest.len() - unit.len()];
        let unit = unit.trim_start();
        let after = unit.trim_start_matches(|char: char| char.is_ascii_lowercase());
        if number.is_empty() || !UNITS.contains(&&unit[..unit.len() - after.len()]) {
            return Err(wrong());
        }
        rest = after.trim_start();
        rest = rest.strip_prefix("and ").unwrap_or(rest).trim_start();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_one_that_gitlab_takes() {
        let written = |text| timeout(text).map(hours);
        assert_eq!(written("2h").as_deref(), Ok("2h"));
        assert_eq!(written("90m").as_deref(), Ok("1h 30m"));
        assert_eq!(written("10m").as_deref(), Ok("10m"));
        assert_eq!(written("29d").as_deref(), Ok("696h"));
        for text in ["40d", "30d", "90s", "30s", "0s", "1h 1ms", "", "x"] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_expiry_is_one_that_gitlab_takes() {
        for text in
            ["30 days", "never", "42", "3 mins 4 sec", "2h20min", "6 mos 1 day", "47 yrs 6 mos and 4d", "1 week"]
        {
            assert_eq!(expiry(text).as_deref(), Ok(text));
        }
        for text in ["", " ", "bla \"x\"", "days", "30 dayz", "30 days x", "and 4d", "-1 day", "5 5 days"] {
            assert!(expiry(text).is_err(), "{text}");
        }
    }
}

//! Takes what looks like a secret out of the log lines and commands of others, before they are shown, sent or kept.
//!
//! Pure. It knows shapes, not values, so it can miss a secret that looks like nothing in particular; when in doubt it
//! takes out too much. What says only that there is none (`password=undefined`) stays, since that is often the cause.

#[cfg(test)]
mod tests;

/// What stands for a secret.
pub const REDACTED: &str = "[redacted]";

/// What well-known tokens begin with, and how many characters follow at least.
const PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 12),
    ("ASIA", 12),
    ("glpat-", 8),
    ("gldt-", 8),
    ("glrt-", 8),
    ("glcbt-", 8),
    ("glptt-", 8),
    ("glft-", 8),
    ("glsoat-", 8),
    ("glagent-", 8),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("xoxa-", 8),
    ("xoxb-", 8),
    ("xoxe-", 8),
    ("xoxp-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
    ("xapp-", 8),
    ("sk_live_", 8),
    ("rk_live_", 8),
    ("npm_", 30),
    ("AIza", 30),
    ("xoxc-", 8),
    ("xoxd-", 8),
    ("sk_test_", 8),
    ("rk_test_", 8),
    ("whsec_", 8),
    ("sk-proj-", 8),
    ("sk-svcacct-", 8),
    ("sk-ant-", 8),
    ("sk-", 32),
    ("dckr_pat_", 8),
    ("dckr_oat_", 8),
    ("pypi-", 16),
    ("rubygems_", 16),
    ("shpat_", 16),
    ("shpca_", 16),
    ("shppa_", 16),
    ("shpss_", 16),
    ("dop_v1_", 16),
    ("doo_v1_", 16),
    ("dor_v1_", 16),
    ("lin_api_", 16),
    ("figd_", 16),
    ("hf_", 20),
    ("gsk_", 20),
    ("r8_", 20),
    ("nvapi-", 16),
    ("sntrys_", 16),
    ("sntryu_", 16),
    ("PMAK-", 16),
    ("NRAK-", 16),
    ("sq0atp-", 16),
    ("sq0csp-", 16),
    ("AGE-SECRET-KEY-", 16),
    ("key-", 32),
    ("glimt-", 8),
    ("glffct-", 8),
    ("glwt-", 8),
];

/// Those whose tokens go on over dots and the signs of base64.
const LONG_PREFIXES: &[(&str, usize)] =
    &[("hvs.", 8), ("hvb.", 8), ("hvr.", 8), ("SG.", 8), ("ya29.", 16), ("IQoJb3JpZ2lu", 40), ("FwoGZXIvYXdz", 40)];

/// Hosts whose addresses are secrets: who knows one may post there.
const WEBHOOKS: [&str; 7] = [
    "hooks.slack.com",
    "discord.com",
    "discordapp.com",
    "outlook.office.com",
    "webhook.office.com",
    "chat.googleapis.com",
    "api.telegram.org",
];

/// What the names of secrets end with, without case, `_`, `-` and `.`.
const NAMES: [&str; 24] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "cookie",
    "signature",
    "connectionstring",
    "webhookurl",
    "passcode",
    "accountkey",
    "sharedkey",
    "masterkey",
    "licensekey",
    "appkey",
    "applicationkey",
];
/// The same as whole words at the end of a name: as ends of words they are common (`bypass`, `compass`).
const WORDS: [&str; 7] = ["pass", "pw", "sig", "auth", "credential", "credentials", "creds"];
/// Of those, the ones whose value goes on to the end of the line or its quotes.
const LONG: [&str; 2] = ["authorization", "cookie"];
/// What is no secret, whatever it is called.
const NOTHING: [&str; 12] =
    ["", "null", "nil", "none", "undefined", "true", "false", "missing", "empty", "required", "invalid", "***"];

/// The length of an AWS secret access key.
const SECRET_KEY: usize = 40;

/// Redacts the lines of one log, in their order: a private key spans several.
pub fn lines<S: AsRef<str>>(lines: &[S]) -> Vec<String> {
    // A log that is cut at its beginning may show the end of a key alone.
    let first = lines.iter().map(AsRef::as_ref).find(|line| line.contains("PRIVATE KEY-----"));
    let mut inside = first.is_some_and(|line| !line.contains("BEGIN") && line.contains("END"));
    let mut redacted = Vec::with_capacity(lines.len());
    for text in lines {
        let text = text.as_ref();
        let (begins, ends) = (text.contains("PRIVATE KEY-----") && text.contains("BEGIN"), text.contains("END"));
        let ends = ends && text.contains("PRIVATE KEY-----");
        redacted.push(if inside || begins || ends { REDACTED.to_owned() } else { line(text) });
        inside = (inside || begins) && !ends;
    }
    redacted
}

/// Redacts one line.
pub fn line(text: &str) -> String {
    let text = if is_only_a_key(text.trim()) { REDACTED.to_owned() } else { text.to_owned() };
    words(&users(&addresses(&named(&private_key(&text)))))
}

/// Whether a name is that of a secret; `after` is what follows it.
pub fn is_secret(name: &str, after: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if NAMES.iter().any(|known| plain.ends_with(known)) {
        return true;
    }
    let (head, last) = match name.rfind(['_', '-', '.']) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => ("", name),
    };
    WORDS.iter().any(|word| {
        let whole = last.eq_ignore_ascii_case(word);
        let start = last.len().saturating_sub(word.len());
        // `dbPass`
        let camel = last.get(start..).is_some_and(|end| {
            start > 0
                && end.eq_ignore_ascii_case(word)
                && end.starts_with(|char: char| char.is_ascii_uppercase())
                && last[..start].ends_with(|char: char| char.is_ascii_lowercase())
        });
        // Alone it is a word: `PASS: TestLogin`.
        camel || whole && (!head.trim_matches('-').is_empty() || name.starts_with('-') || after.starts_with('='))
    })
}

/// Redacts a private key that stands in one line.
fn private_key(text: &str) -> String {
    let (begin, end) = ("-----BEGIN ", "-----END ");
    let Some(start) = text.find(begin).filter(|&at| text[at..].contains("PRIVATE KEY-----")) else {
        return text.to_owned();
    };
    let rest = text[start..].find(end).map_or("", |at| {
        let end = &text[start + at + end.len()..];
        end.find("-----").map_or("", |at| &end[at + 5..])
    });
    format!("{}{REDACTED}{rest}", &text[..start])
}

/// Redacts the passwords of `-u name:password` and `--user name:password`, and of `jdbc:oracle:thin:name/password@…`.
fn users(text: &str) -> String {
    let mut result = text.to_owned();
    for (mark, between) in [("-u ", ':'), ("--user ", ':'), ("--user=", ':'), ("jdbc:oracle:thin:", '/')] {
        let mut from = 0;
        while let Some(at) = result[from..].find(mark) {
            let start = from + at + mark.len();
            from = start;
            if mark.starts_with('-') && result[..start - mark.len()].ends_with(|char: char| !char.is_whitespace()) {
                continue;
            }
            let open = result[start..].len() - result[start..].trim_start_matches(['"', '\'']).len();
            let word = &result[start + open..];
            let end = word.find(|char: char| char.is_whitespace() || matches!(char, '"' | '\'')).unwrap_or(word.len());
            let end = if between == '/' { word[..end].find('@').unwrap_or(0) } else { end };
            let Some(at) = word[..end].find(between).filter(|&at| at + 1 < end) else { continue };
            if !word[at + 1..end].starts_with(REDACTED.trim_end_matches(']')) {
                let (first, last) = (start + open + at + 1, start + open + end);
                result.replace_range(first..last, REDACTED);
            }
        }
    }
    result
}

/// Whether a text holds a token that is known by its shape, or a private key.
pub fn holds_token(text: &str) -> bool {
    text.contains("PRIVATE KEY-----") || text.split(|char| !is_token(char)).any(|word| token(word) != word)
}

/// Whether a line is nothing but letters and digits of all kinds, as one of a key, and no hexadecimal digest.
fn is_only_a_key(line: &str) -> bool {
    line.len() >= SECRET_KEY && line.chars().all(is_base64) && is_mixed(line)
}

/// Whether lower-case and upper-case letters and digits all occur.
fn is_mixed(word: &str) -> bool {
    let has = |kind: fn(&char) -> bool| word.chars().any(|char| kind(&char));
    has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit)
}

fn is_base64(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '+' | '/' | '=')
}

/// Whether a character can be part of a token.
fn is_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | '~' | '+' | '/' | '=')
}

/// Whether a character can be part of a name.
fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.')
}

/// Redacts the values of what has a secret's name: `name=value`, `"name": "value"`, `name => value`, `--name value`.
fn named(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_name) {
        let length = rest[at..].find(|char| !is_name(char)).unwrap_or(rest.len() - at);
        let (name, after) = (&rest[at..at + length], &rest[at + length..]);
        result.push_str(&rest[..at + length]);
        rest = after;
        if name == "arn" && after.starts_with(":aws") {
            // Its parts are names, and no secret is in it.
            let end = after.find(|char: char| char.is_whitespace() || matches!(char, '"' | '\'' | ',' | ')' | ']'));
            let (arn, more) = after.split_at(end.unwrap_or(after.len()));
            result.push_str(arn);
            rest = more;
            continue;
        }
        if !is_secret(name, after) {
            continue;
        }
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let Some(between) = separator(after, name.starts_with("--")) else { continue };
        let (value, quote) =
            (&after[between..], after[..between].chars().next_back().filter(|c| matches!(c, '"' | '\'')));
        let escaped = quote.is_some() && after[..between].trim_end_matches(['"', '\'']).ends_with('\\');
        let ends = |char: char| match quote {
            Some(_) if escaped => matches!(char, '\\' | '"' | '\''),
            Some(quote) => char == quote,
            None if LONG.iter().any(|long| plain.ends_with(long)) => matches!(char, '"' | '\''),
            None => char.is_whitespace() || matches!(char, ',' | ';' | '&' | '"' | '\'' | ')' | ']' | '}'),
        };
        let end = value.find(ends).unwrap_or(value.len());
        let is_nothing = NOTHING.contains(&value[..end].trim().to_ascii_lowercase().as_str())
            || value.starts_with("arn:")
            || value.starts_with(REDACTED.trim_end_matches(']'));
        result.push_str(&after[..between]);
        result.push_str(if is_nothing { &value[..end] } else { REDACTED });
        rest = &value[end..];
    }
    result.push_str(rest);
    result
}

/// Returns how long what stands between a name and its value is; `None` where no value follows.
fn separator(after: &str, is_option: bool) -> Option<usize> {
    let mut rest = after.trim_start_matches(['"', '\'', '\\', ']']).trim_start();
    let unquoted = rest.len();
    rest = ["=>", ":=", "==", "=", ":"].iter().find_map(|sign| rest.strip_prefix(sign)).unwrap_or(rest);
    if rest.len() == unquoted && !(is_option && after.starts_with(' ')) {
        return None;
    }
    rest = rest.trim_start();
    let rest = rest.strip_prefix('\\').filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(rest);
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    Some(after.len() - rest.len())
}

/// Redacts the password in addresses: `scheme://user:password@host`.
fn addresses(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        result.push_str(before);
        let end = after.find(|char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '<' | '>' | '`'));
        let (address, more) = after.split_at(end.unwrap_or(after.len()));
        let host = address.find(['/', '?', '#']).unwrap_or(address.len());
        let web = before.ends_with("http://") || before.ends_with("https://");
        if web
            && address.len() > host + 1
            && WEBHOOKS
                .iter()
                .any(|known| address[..host] == **known || address[..host].ends_with(&format!(".{known}")))
        {
            result.push_str(&format!("{}/{REDACTED}", &address[..host]));
            rest = more;
            continue;
        }
        // A password should have no slash in it, and some have; a port before one is no password.
        let at = address[..host].rfind('@').or_else(|| {
            let port = address[..host].split_once(':').map(|(_, port)| port);
            let is_port = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
            if is_port { None } else { address.rfind('@') }
        });
        match at.map(|at| address.split_at(at)) {
            Some((user, host)) => match user.split_once(':') {
                Some((name, password)) if !password.is_empty() => result.push_str(&format!("{name}:{REDACTED}{host}")),
                // A token can stand alone; a user's name is short.
                None if user.len() >= 16 || web && !user.is_empty() && user != "git" => {
                    result.push_str(&format!("{REDACTED}{host}"))
                }
                _ => result.push_str(address),
            },
            None => result.push_str(address),
        }
        rest = more;
    }
    result.push_str(rest);
    result
}

/// Redacts words that are secrets by their own shape, or by the word before.
fn words(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let names_key = ["aws_secret", "aws secret", "secret_access_key", "secretaccesskey", "secret access key"];
    let names_key = names_key.iter().any(|name| lower.contains(name));
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = String::new();
    while let Some(at) = rest.find(is_token) {
        let length = rest[at..].find(|char| !is_token(char)).unwrap_or(rest.len() - at);
        let word = &rest[at..at + length];
        result.push_str(&rest[..at]);
        let scheme = matches!(before.as_str(), "bearer" | "basic");
        let key = word.trim_end_matches(['=', '.']);
        if names_key && key.len() == SECRET_KEY && key.chars().all(is_base64) && is_mixed(key)
            || scheme && word.len() >= 8 && is_credential(word)
        {
            result.push_str(REDACTED);
            result.push_str(if scheme { "" } else { &word[key.len()..] });
        } else {
            result.push_str(&token(word));
        }
        before = word.to_ascii_lowercase();
        rest = &rest[at + length..];
    }
    result.push_str(rest);
    result
}

/// Whether a word after `Bearer` or `Basic` is a credential and no word of a sentence.
fn is_credential(word: &str) -> bool {
    let mixed = word.chars().skip(1).any(|char| char.is_ascii_uppercase())
        && word.contains(|char: char| char.is_ascii_lowercase());
    mixed || word.len() >= 20 || word.contains(|char: char| char.is_ascii_digit() || char == '=')
}

/// Redacts the tokens in a word that begin as known ones do, and JSON web tokens.
fn token(word: &str) -> String {
    let starts = |at: usize| at == 0 || !word[..at].ends_with(|char: char| char.is_ascii_alphanumeric() || char == '_');
    let part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    for (at, _) in word.char_indices().filter(|(at, _)| starts(*at)) {
        let rest = &word[at..];
        let known = PREFIXES.iter().any(|(prefix, length)| {
            let token = rest.strip_prefix(prefix);
            token.is_some_and(|token| token.find(|char| !part(char)).unwrap_or(token.len()) >= *length)
        });
        let is_jwt = rest.starts_with("eyJ") && rest.len() >= 20 && rest.contains('.')
            || LONG_PREFIXES.iter().any(|(prefix, length)| {
                rest.strip_prefix(prefix)
                    .is_some_and(|token| token.find(|char| !part(char)).unwrap_or(token.len()) >= *length)
            });
        if known || is_jwt {
            let ends = |char: char| !(part(char) || is_jwt && matches!(char, '.' | '=' | '+' | '/'));
            let end = rest.find(ends).unwrap_or(rest.len());
            return format!("{}{REDACTED}{}", &word[..at], token(&rest[end..]));
        }
    }
    word.to_owned()
}

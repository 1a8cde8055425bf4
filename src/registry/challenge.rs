//! How a registry wants to be asked: its `WWW-Authenticate`.

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A user and a password.
    Basic,
    /// A token from elsewhere.
    Bearer {
        /// Where from.
        realm: String,
        /// For what service.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the header.
    pub fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let found = |name: &str| {
            let parameters = parameters(rest);
            parameters.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        Some(Self::Bearer { realm: found("realm")?, service: found("service"), scope: found("scope") })
    }
}

/// Takes `name="value",name="value"` apart. A comma within quotes is part of the value.
fn parameters(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, more)) = rest.split_once('=') {
        let (value, after) = match more.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => more.split_once(',').unwrap_or((more, "")),
        };
        found.push((name.trim().trim_start_matches(',').trim(), value.to_owned()));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_ask_for_is_read() {
        let text = |text: &str| Some(text.to_owned());
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let bearer = |realm: &str, service, scope| Some(Challenge::Bearer { realm: realm.to_owned(), service, scope });
        let wanted =
            bearer("https://auth.docker.io/token", text("registry.docker.io"), text("repository:a/b:pull,push"));
        assert_eq!(Challenge::read(hub), wanted);
        let bare = "bearer realm=https://r.example/token, service=x";
        assert_eq!(Challenge::read(bare), bearer("https://r.example/token", text("x"), None));
        assert_eq!(Challenge::read(r#"Basic realm="Registry Realm""#), Some(Challenge::Basic));
        assert_eq!(Challenge::read("Negotiate"), None);
        assert_eq!(Challenge::read("Bearer"), None);
    }
}

//! Interpolation: `${NAME}` from the environment and `${account.id}` from the target, inside one string.
//!
//! Lookups, such as `${ssm:/path}`, stay as holes: their values are read later (`fleet/lookup.rs`).
//!
//! A string is parsed once into a [`Template`]; values that are put in are never parsed again, so no value of a
//! variable can inject a reference or YAML. There is no logic: no conditions, no functions. Reads no environment itself.

mod scope;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use crate::base::nearest::nearest;
use crate::fleet::lookup::{Lookup as Hole, Store};
use crate::manifest::credential::Credentials;
use crate::manifest::fault::{Problem, unset};

pub use crate::manifest::interpolate::scope::{Lookups, ORG_TAGS, Scope};

/// References inside references deeper than this are refused: nobody writes them, and parsing must not recurse freely.
const MAX_DEPTH: usize = 8;

/// A string with references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Reference {
        name: String,
        fallback: Fallback,
    },
    /// `${ssm:/path}`: the key may have references of its own.
    Hole {
        store: Store,
        key: Template,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fallback {
    /// `${NAME}`: must be set, though it may be empty.
    None,
    /// `${NAME:-default}`: taken where the name is unset or empty.
    Default(Template),
    /// `${NAME:?message}`: shown where the name is unset or empty.
    Message(Template),
}

/// How the environment variables of a manifest are looked up.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// The environment.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// What no manifest reads.
    pub credentials: &'a Credentials,
    /// Where variables that are not set stay in the text as `${NAME}`: the names of those. `None` = each is a problem.
    pub open: Option<&'a RefCell<BTreeSet<String>>>,
}

impl Template {
    /// Makes a template without references.
    pub fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// Parses a manifest's string: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `$${` for a `${`,
    /// and `${$}` for a `$` that one of these follows.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (template, rest) = parse(text, 0)?;
        debug_assert!(rest.is_empty(), "the top level takes everything");
        Ok(template)
    }

    /// Parses a string of a task definition: only `${...}` with an own name is a reference, and `$${...}` with an own
    /// name is its literal. Every other `$` belongs to the container, such as a shell's `${HOME}` in a command.
    pub fn parse_own(text: &str) -> Result<Self, Problem> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, tail) = rest.split_at(at);
            let is_reference = is_own(name_of(&tail[2..])) || Store::read(&tail[2..]).is_some();
            if !is_reference {
                template.push_text(before);
                template.push_text("${");
                rest = &tail[2..];
            } else if let Some(before) = before.strip_suffix('$') {
                template.push_text(before);
                template.push_text("${");
                rest = &tail[2..];
            } else {
                template.push_text(before);
                let (part, after) = parse_reference(tail, 0)?;
                template.parts.push(part);
                rest = after;
            }
        }
        template.push_text(rest);
        Ok(template)
    }

    /// Returns a text that [`Self::parse_own`] reads as `text` itself, whatever references that seems to hold.
    pub fn literal_own(text: &str) -> String {
        let mut written = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, tail) = rest.split_at(at);
            written.push_str(before);
            if is_own(name_of(&tail[2..])) || Store::read(&tail[2..]).is_some() {
                written.push('$');
            }
            written.push_str("${");
            rest = &tail[2..];
        }
        written.push_str(rest);
        written
    }

    /// Returns the text, where there is no reference.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Puts environment variables in, and leaves the target's own names. A variable
    /// that holds a credential is refused.
    pub fn expand(self, lookup: &Lookup<'_>, problems: &mut Vec<Problem>) -> Template {
        let mut expanded = Self::default();
        for part in self.parts {
            match part {
                Part::Text(text) => expanded.push_text(&text),
                Part::Hole { store, key } => {
                    expanded.parts.push(Part::Hole { store, key: key.expand(lookup, problems) });
                }
                Part::Reference { name, fallback } if is_own(&name) => {
                    let fallback = match fallback {
                        Fallback::None => Fallback::None,
                        Fallback::Default(template) => Fallback::Default(template.expand(lookup, problems)),
                        Fallback::Message(template) => Fallback::Message(template.expand(lookup, problems)),
                    };
                    expanded.parts.push(Part::Reference { name, fallback });
                }
                Part::Reference { name, fallback } => {
                    let value = (lookup.variables)(&name);
                    if let Some(problem) = lookup.credentials.refuse(&name, value.as_deref()) {
                        problems.push(problem);
                        continue;
                    }
                    match (value, fallback) {
                        (Some(value), Fallback::None) => expanded.push_text(&value),
                        (Some(value), _) if !value.is_empty() => expanded.push_text(&value),
                        (_, Fallback::Default(template)) => {
                            for part in template.expand(lookup, problems).parts {
                                expanded.push(part);
                            }
                        }
                        (_, fallback) => match (lookup.open, fallback) {
                            (Some(open), _) => {
                                expanded.push_text(&format!("${{{name}}}"));
                                open.borrow_mut().insert(name);
                            }
                            (None, Fallback::Message(template)) => {
                                let message = template.expand(lookup, problems);
                                problems.push(unset(&name, &message.to_text()));
                            }
                            (None, _) => problems.push(unset(&name, "")),
                        },
                    }
                }
            }
        }
        expanded
    }

    /// Puts the target's own names in.
    pub fn resolve(&self, scope: &Scope<'_>) -> Result<String, Problem> {
        let mut holes = Vec::new();
        let text = self.resolve_into(scope, &mut holes)?;
        // In a target's texts, what looks like a hole is one: it must not have come in with a value.
        if let Some(lookups) = scope.lookups
            && text.contains("${")
        {
            let seen = Hole::find_all(&text).0;
            if !seen.iter().map(|(_, hole)| hole).eq(&holes) {
                let seen = seen.first().map_or_else(String::new, |(_, hole)| hole.to_string());
                let message = format!("a value that is put in here has `{seen}`, which would be looked up");
                return Err(Problem::new("${", message, "a text cannot have that literally: write it in another way"));
            }
            holes.into_iter().for_each(|hole| _ = lookups.borrow_mut().entry(hole).or_default());
        }
        Ok(text)
    }

    fn resolve_into(&self, scope: &Scope<'_>, holes: &mut Vec<Hole>) -> Result<String, Problem> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Hole { store, key } => {
                    let needle = format!("${{{}:", store.word());
                    let key = key.resolve(&Scope { lookups: None, ..*scope })?;
                    if scope.lookups.is_none() {
                        let message = format!("`{needle}{key}}}` is not known here");
                        let help = "a value that is read online can be in a target's texts: task definition files, `set`, \
                                    `images`, `environment`, `secrets`, `deployment` and the tasks of `before` and `after`";
                        return Err(Problem::new(needle, message, help));
                    }
                    let hole = Hole::new(*store, &key).map_err(|error| {
                        let (message, help) = error.split_once('\n').unwrap_or((&error, "correct it"));
                        Problem::new(needle, message, help)
                    })?;
                    text.push_str(&hole.to_string());
                    holes.push(hole);
                }
                Part::Reference { name, fallback } => {
                    let value = scope.value(name)?;
                    match (value, fallback) {
                        (Some(value), Fallback::None) => text.push_str(value),
                        (Some(value), _) if !value.is_empty() => text.push_str(value),
                        (_, Fallback::Default(template)) => text.push_str(&template.resolve_into(scope, holes)?),
                        (_, Fallback::Message(template)) => {
                            let message = template.resolve(scope)?;
                            return Err(lacking(name, scope, &message));
                        }
                        (None, Fallback::None) => return Err(lacking(name, scope, "")),
                    }
                }
            }
        }
        Ok(text)
    }

    /// Returns the names of references that nothing stands in for.
    pub fn without_fallback(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Reference { name, fallback: Fallback::None } => Some(name.as_str()),
            Part::Reference { .. } | Part::Hole { .. } | Part::Text(_) => None,
        })
    }

    /// Returns the first reference, as far as it names what is put in.
    pub fn first_reference(&self) -> Option<String> {
        self.parts.iter().find_map(|part| match part {
            Part::Text(_) => None,
            Part::Reference { name, .. } => Some(name.clone()),
            Part::Hole { store, key } => Some(format!("{}:{key}", store.word())),
        })
    }

    /// Returns the references' names, those inside defaults and the keys of lookups too.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(_) => {}
                Part::Hole { key, .. } => names.extend(key.names()),
                Part::Reference { name, fallback } => {
                    names.push(name.as_str());
                    if let Fallback::Default(template) | Fallback::Message(template) = fallback {
                        names.extend(template.names());
                    }
                }
            }
        }
        names
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn push(&mut self, part: Part) {
        match part {
            Part::Text(text) => self.push_text(&text),
            reference => self.parts.push(reference),
        }
    }

    fn to_text(&self) -> String {
        self.as_literal().map_or_else(|| self.to_string(), str::to_owned)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, nested: bool) -> fmt::Result {
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    let is_end = place + 1 == self.parts.len() && !nested;
                    f.write_str(&written(text, nested, is_end))?;
                }
                Part::Hole { store, key } => {
                    write!(f, "${{{}:", store.word())?;
                    key.write(f, true)?;
                    f.write_str("}")?;
                }
                Part::Reference { name, fallback } => {
                    write!(f, "${{{name}")?;
                    match fallback {
                        Fallback::None => {}
                        Fallback::Default(template) => {
                            f.write_str(":-")?;
                            template.write(f, true)?;
                        }
                        Fallback::Message(template) => {
                            f.write_str(":?")?;
                            template.write(f, true)?;
                        }
                    }
                    f.write_str("}")?;
                }
            }
        }
        Ok(())
    }
}

/// Prints the template so that parsing gives it back.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

/// Writes a text so that it is read as itself: a `$` is written as `${$}` where what follows would give it a meaning. `is_end`
/// says that nothing follows the text.
fn written(text: &str, nested: bool, is_end: bool) -> String {
    let mut written = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('$', Some('{')) => {
                chars.next();
                written.push_str("$${");
            }
            ('$', Some('$' | '}')) => written.push_str("${$}"),
            ('$', None) if !is_end => written.push_str("${$}"),
            ('}', _) if nested => written.push_str("$}"),
            (other, _) => written.push(other),
        }
    }
    written
}

/// Whether a name is the target's own rather than an environment variable: `region`, or one with a dot.
fn is_own(name: &str) -> bool {
    name == "region" || name.contains('.')
}

fn name_of(text: &str) -> &str {
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || "_.-".contains(char)));
    // A `-` belongs to `vars.log-level`, and no variable's name has one.
    let name = &text[..end.unwrap_or(text.len())];
    if name.contains('.') { name } else { &name[..name.find('-').unwrap_or(name.len())] }
}

/// Parses up to the end, or inside a reference up to its closing brace; returns what is left.
fn parse(text: &str, depth: usize) -> Result<(Template, &str), Problem> {
    let mut template = Template::default();
    let mut rest = text;
    loop {
        let special = |char: char| char == '$' || (depth > 0 && char == '}');
        let Some(at) = rest.find(special) else {
            template.push_text(rest);
            return Ok((template, ""));
        };
        template.push_text(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('}') {
            return Ok((template, rest));
        } else if let Some(after) = rest.strip_prefix("${$}") {
            template.push_text("$");
            rest = after;
        } else if rest.starts_with("${") {
            let (part, after) = parse_reference(rest, depth)?;
            template.parts.push(part);
            rest = after;
        } else if rest.starts_with("$${") {
            template.push_text("${");
            rest = &rest[3..];
        } else if depth > 0 && rest.starts_with("$$}") {
            // A `$` at the end of a default.
            template.push_text("$");
            rest = &rest[2..];
        } else if depth > 0 && rest.starts_with("$}") {
            template.push_text("}");
            rest = &rest[2..];
        } else {
            template.push_text("$");
            rest = &rest[1..];
        }
    }
}

/// Parses one `${...}`; `text` begins with it.
fn parse_reference(text: &str, depth: usize) -> Result<(Part, &str), Problem> {
    let literal = "write `$${` for a literal `${`";
    if depth >= MAX_DEPTH {
        return Err(Problem::new("${", "references inside references are too deep", "use a variable of its own"));
    }
    let inner = &text[2..];
    if let Some((store, key)) = Store::read(inner) {
        let needle = format!("${{{}:", store.word());
        let (key, rest) = parse(key, depth + 1)?;
        let Some(rest) = rest.strip_prefix('}') else {
            return Err(Problem::new(needle, "`${` is never closed", format!("add `}}`, or {literal}")));
        };
        return Ok((Part::Hole { store, key }, rest));
    }
    let name = name_of(inner);
    let needle = format!("${{{name}");
    let rest = &inner[name.len()..];
    let valid = match name.strip_prefix("vars.") {
        Some(key) => !key.is_empty(),
        None => name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_') && !name.ends_with('.'),
    };
    if !valid {
        return Err(Problem::new(needle, "`${` is not followed by a name", literal));
    }
    if let Some(rest) = rest.strip_prefix('}') {
        return Ok((Part::Reference { name: name.to_owned(), fallback: Fallback::None }, rest));
    }
    let (is_default, tail) = match (rest.strip_prefix(":-"), rest.strip_prefix(":?")) {
        (Some(tail), _) => (true, tail),
        (_, Some(tail)) => (false, tail),
        _ if rest.is_empty() => {
            return Err(Problem::new(needle, "`${` is never closed", format!("add `}}`, or {literal}")));
        }
        _ => {
            let message = format!("`${{{name}` is followed by something that is not known");
            let help = format!("`${{{name}}}`, `${{{name}:-default}}` and `${{{name}:?message}}` exist; {literal}");
            return Err(Problem::new(needle, message, help));
        }
    };
    let (template, rest) = parse(tail, depth + 1)?;
    let Some(rest) = rest.strip_prefix('}') else {
        return Err(Problem::new(needle, "`${` is never closed", format!("add `}}`, or {literal}")));
    };
    let fallback = if is_default { Fallback::Default(template) } else { Fallback::Message(template) };
    Ok((Part::Reference { name: name.to_owned(), fallback }, rest))
}

fn lacking(name: &str, scope: &Scope<'_>, message: &str) -> Problem {
    if let Some((member, _)) = scope.member {
        let key = name.strip_prefix(ORG_TAGS).unwrap_or(name);
        let text = format!("account {} (`{}`) has no tag `{key}` in the organization", member.id, member.name);
        let help = match message {
            "" => format!("give it the tag there, or write a default: `${{{name}:-...}}`"),
            message => message.to_owned(),
        };
        return Problem::new(format!("${{{name}"), text, help);
    }
    let key = name.strip_prefix("vars.").unwrap_or(name);
    let account = scope.account.map_or("?", |(name, _, _)| name);
    let text = format!("account `{account}` has no `{key}` in its `vars`");
    let help = match scope.account.and_then(|(_, _, vars)| nearest(key, vars.keys().map(String::as_str))) {
        _ if !message.is_empty() => message.to_owned(),
        Some(near) => format!("did you mean `${{vars.{near}}}`?"),
        None => format!("add `{key}` to `vars`, or give a default: `${{{name}:-...}}`"),
    };
    let missing = Some((account.to_owned(), key.to_owned()));
    Problem { missing, ..Problem::new(format!("${{{name}"), text, help) }
}

#[cfg(test)]
mod tests;

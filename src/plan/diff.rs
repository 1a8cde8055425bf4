//! What registering and updating would change of one target, exactly: a line for every value that differs, and none for
//! a default of AWS, another order or another spelling.
//!
//! Both sides are compared in the canonical form of `task_definition`. A difference keeps its values to itself until it is
//! [`shown`](Differences::shown): values of environment variables as short salted hashes, unless they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::base::redact;
use crate::base::text::hex;
use crate::fleet::RunTasks;
use crate::plan::placeholders::{PlaceholderScope, Placeholders};
use crate::plan::settings;
use crate::task_definition::compose;

/// Lists whose entries are told apart by one of their members, and have no order.
const KEYED: [(&str, &str); 13] = [
    ("containerDefinitions", "name"),
    ("devices", "hostPath"),
    ("environment", "name"),
    ("extraHosts", "hostname"),
    ("mountPoints", "containerPath"),
    ("portMappings", "containerPort"),
    ("properties", "name"),
    ("resourceRequirements", "type"),
    ("secretOptions", "name"),
    ("secrets", "name"),
    ("systemControls", "namespace"),
    ("ulimits", "name"),
    ("volumes", "name"),
];

/// Maps of a driver's options and of labels, in which credentials are given by name (`splunk-token`, `apikey`).
const OPTIONS: [&str; 4] = ["dockerLabels", "driverOpts", "labels", "options"];
const TELLING: [&str; 9] = ["auth", "cookie", "credential", "header", "key", "pass", "pwd", "secret", "token"];
/// Lists that are one command: a password may be an entry of its own, after the one that names it.
const COMMANDS: [&str; 2] = ["command", "entryPoint"];
/// Members of names and ARNs, which are no secrets however they look.
const NAMED: [&str; 5] = ["credentialsParameter", "image", "secretOptions", "secrets", "valueFrom"];

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// `task`, `service`, or `container` and its name.
    pub place: String,
    /// Where in it: `image`, `environment.LOG_LEVEL`, `portMappings[80].protocol`.
    pub path: String,
    /// What it is now; absent where there is nothing.
    pub before: Option<String>,
    /// What it will be; absent where there will be nothing.
    pub after: Option<String>,
    /// Whether the values are hashes of what they stand for.
    pub masked: bool,
}

/// Whether values of environment variables are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// As they are.
    Shown,
    /// As `(value 1a2b3c4d)`: the start of SHA-256 over the salt, the place, the path and the value. The salt must be
    /// secret: a short hash alone of `debug` or of a PIN is as good as the value. By place and path one plan can test one
    /// guess for each value, and not as many guesses as a manifest has variables.
    Hashed {
        /// The salt.
        salt: String,
    },
}

impl Values {
    fn show(&self, place: &str, path: &str, text: &str) -> String {
        match self {
            Self::Shown => text.to_owned(),
            Self::Hashed { salt } => {
                // Each part with its length, so that none can stand for the end of the one before it.
                let hash = [salt.as_str(), place, path, text].iter().fold(Sha256::new(), |hash, part| {
                    hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
                });
                format!("(value {})", hex(&hash.finalize()[..4]))
            }
        }
    }
}

/// Everything that differs in one target.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Differences(Vec<Difference>);

#[derive(Clone, PartialEq, Eq)]
struct Difference {
    place: String,
    path: String,
    before: Option<String>,
    after: Option<String>,
    secret: bool,
}

impl Difference {
    /// Whether it is a name or an ARN.
    fn is_name(&self) -> bool {
        let first = self.path.split(['.', '[']).next().unwrap_or_default();
        let last = self.path.rsplit('.').next().unwrap_or_default();
        NAMED.iter().any(|name| first == *name || last.split('[').next() == Some(*name)) || last.ends_with("Arn")
    }
}

impl fmt::Debug for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|difference| (&difference.place, &difference.path))).finish()
    }
}

impl Differences {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the lines, with secret values as `values` says and placeholders for what is the target's own.
    pub fn shown(&self, values: &Values, own: &Placeholders<'_>, level: PlaceholderScope) -> Vec<Line> {
        let line = |difference: &Difference| {
            let text = |value: &String| {
                // A hash tells nobody what is the target's own in its value, so it leaves that out from the start: the
                // same value has the same hash in every target.
                let masks = difference.secret && *values != Values::Shown;
                let hash = || {
                    let value = own.template(value, level.max(PlaceholderScope::Place));
                    values.show(&difference.place, &difference.path, &value)
                };
                if masks {
                    return hash();
                }
                let shown = own.template(value, level);
                let safe = match difference.is_name() || *values == Values::Shown {
                    true => shown.clone(),
                    false => redact::line(&shown),
                };
                // That what is taken out changes, its hash still says.
                if safe == shown { shown } else { format!("{safe} {}", hash()) }
            };
            Line {
                place: difference.place.clone(),
                path: difference.path.clone(),
                before: difference.before.as_ref().map(text),
                after: difference.after.as_ref().map(text),
                masked: difference.secret && *values != Values::Shown,
            }
        };
        self.0.iter().map(line).collect()
    }

    /// Adds what registering `wanted` would change of `live`, two task definitions.
    pub fn definition(&mut self, live: &Value, wanted: &Value) {
        let (live, wanted) = compose::comparable(live, wanted);
        if live == wanted {
            return;
        }
        let (declared_live, declared_wanted) = (compose::declared(&live), compose::declared(&wanted));
        let old = Side { filled: Some(&live), declared: Some(&declared_live) };
        let new = Side { filled: Some(&wanted), declared: Some(&declared_wanted) };
        let mut walk = Walk { found: &mut self.0, place: "task".to_owned() };
        walk.members("", false, old, new, Some("containerDefinitions"));
        let list = "containerDefinitions";
        for (name, (old, new)) in paired(old.member(list), new.member(list), "name") {
            walk.place = format!("container {name}");
            // The image first: in most deployments it is all that changes.
            walk.value("image", "image", false, old.member("image"), new.member("image"));
            walk.members("", false, old, new, Some("image"));
        }
    }

    /// Adds a new desired count.
    pub fn desired_count(&mut self, before: u32, after: u32) {
        self.service("desiredCount".to_owned(), Some(before.to_string()), Some(after.to_string()));
    }

    /// Adds the declared deployment settings that do not hold.
    pub fn settings(&mut self, declared: &Value, live: &Value) {
        self.setting(&mut Vec::new(), declared, live);
    }

    /// Adds what the tasks before and after a deployment run with. Of a task nothing runs now, so all of it is new.
    pub fn run_tasks(&mut self, tasks: &RunTasks) {
        for (moment, task) in tasks.all() {
            let place = format!("{} {}", moment.word(), task.name);
            let new = |path: String, after: &str, secret| {
                let (place, after) = (place.clone(), Some(after.to_owned()));
                Difference { place, path, before: None, after, secret }
            };
            let variables = task.environment.iter();
            self.0.extend(variables.map(|(name, value)| new(format!("environment.{name}"), value, true)));
            self.0.push(new("timeout".to_owned(), &humantime::format_duration(task.timeout).to_string(), false));
        }
    }

    fn setting(&mut self, path: &mut Vec<String>, declared: &Value, live: &Value) {
        if let Value::Object(members) = declared {
            for (member, declared) in members {
                path.push(member.clone());
                self.setting(path, declared, live);
                path.pop();
            }
            return;
        }
        // Alone at its path, so that what is compared is this value and the defaults are known.
        let alone = path.iter().rev().fold(declared.clone(), |inner, member| json!({ member.as_str(): inner }));
        if !settings::settings_hold(&alone, live) {
            let before = path.iter().try_fold(live, |value, member| value.get(member)).filter(|it| !it.is_null());
            self.service(format!("deploymentConfiguration.{}", path.join(".")), before.map(text), Some(text(declared)));
        }
    }

    fn service(&mut self, path: String, before: Option<String>, after: Option<String>) {
        self.0.push(Difference { place: "service".to_owned(), path, before, after, secret: false });
    }
}

/// One side of a comparison: in its canonical form, and in the same without AWS's defaults.
#[derive(Clone, Copy, Default)]
struct Side<'a> {
    filled: Option<&'a Value>,
    declared: Option<&'a Value>,
}

impl<'a> Side<'a> {
    fn member(self, name: &str) -> Self {
        Self {
            filled: self.filled.and_then(|value| value.get(name)),
            declared: self.declared.and_then(|value| value.get(name)),
        }
    }

    fn item(self, index: usize) -> Self {
        Self {
            filled: self.filled.and_then(|value| value.get(index)),
            declared: self.declared.and_then(|value| value.get(index)),
        }
    }

    /// Returns what is shown of it as one: defaults within are left out, and are shown where they are all there is.
    fn shown_whole(self) -> Option<&'a Value> {
        self.declared.filter(|value| value.is_object() || value.is_array()).or(self.filled)
    }

    fn items(self) -> &'a [Value] {
        self.filled.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn names(self, all: bool) -> impl Iterator<Item = &'a String> {
        // Of what is only on one side, just what somebody declared is a difference.
        let object = if all { self.filled } else { self.declared };
        object.and_then(Value::as_object).into_iter().flat_map(Map::keys)
    }
}

struct Walk<'d> {
    found: &'d mut Vec<Difference>,
    place: String,
}

impl Walk<'_> {
    /// Compares the members of two objects, one of which may be absent.
    fn members(&mut self, path: &str, secret: bool, old: Side<'_>, new: Side<'_>, but: Option<&str>) {
        let both = old.filled.is_some() && new.filled.is_some();
        let names: BTreeSet<&String> = old.names(both).chain(new.names(both)).collect();
        for name in names.into_iter().filter(|name| but != Some(name)) {
            let secret = secret || name == "environment" || is_telling(path, name);
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.value(&path, name, secret, old.member(name), new.member(name));
        }
    }

    fn value(&mut self, path: &str, member: &str, secret: bool, old: Side<'_>, new: Side<'_>) {
        if old.filled == new.filled || (old.declared.is_none() && new.declared.is_none()) {
            return;
        }
        if COMMANDS.contains(&member) && self.command(path, secret, old, new) {
            return;
        }
        let is = |kind: fn(&Value) -> bool| [old, new].iter().all(|side| side.filled.is_none_or(kind));
        let says_something = |side: Side<'_>| side.names(false).next().is_some();
        if is(Value::is_object)
            && (old.filled.is_some() == new.filled.is_some() || says_something(old) || says_something(new))
        {
            self.members(path, secret, old, new, None);
        } else if let Some((_, key)) = KEYED.iter().find(|(list, _)| *list == member).filter(|_| is(Value::is_array)) {
            for (name, (old, new)) in paired(old, new, key) {
                self.entry(path, (&name, key), secret, old, new);
            }
        } else if is(Value::is_array) && !old.items().is_empty() && !new.items().is_empty() {
            self.list(path, member, secret, old, new);
        } else {
            self.push(path.to_owned(), secret, old.shown_whole(), new.shown_whole());
        }
    }

    /// Compares two commands as one line each, where something in one of them is taken out: entry by entry a password would
    /// stand without its name. Returns whether it did.
    fn command(&mut self, path: &str, secret: bool, old: Side<'_>, new: Side<'_>) -> bool {
        let joined = |side: Side<'_>| {
            let words: Option<Vec<&str>> = side.filled?.as_array()?.iter().map(Value::as_str).collect();
            words.map(|words| words.join(" "))
        };
        let (before, after) = (joined(old), joined(new));
        let holds_secret = [&before, &after].into_iter().flatten().any(|line| redact::line(line) != *line);
        if holds_secret {
            let place = self.place.clone();
            self.found.push(Difference { place, path: path.to_owned(), before, after, secret });
        }
        holds_secret
    }

    /// Compares two entries of a list that are told apart by `key`.
    fn entry(&mut self, path: &str, (name, key): (&str, &str), secret: bool, old: Side<'_>, new: Side<'_>) {
        if old.filled == new.filled {
            return;
        }
        // A variable and its value are one line; so are a secret and its ARN.
        for value in ["value", "valueFrom"] {
            let only = |side: Side<'_>| {
                side.filled.is_none_or(|entry| {
                    entry.get(value).is_some() && entry.as_object().is_some_and(|entry| entry.len() == 2)
                })
            };
            if only(old) && only(new) {
                let (old, new) = (old.member(value).filled, new.member(value).filled);
                self.push(format!("{path}.{name}"), secret, old, new);
                return;
            }
        }
        let path = format!("{path}[{name}]");
        let both = old.filled.is_some() && new.filled.is_some();
        let says_something = |side: Side<'_>| side.names(false).any(|member| member != key);
        if is_object(old) && is_object(new) && (both || says_something(old) || says_something(new)) {
            self.members(&path, secret, old, new, Some(key));
        } else {
            self.push(path, secret, old.shown_whole(), new.shown_whole());
        }
    }

    /// Compares two lists entry by entry.
    fn list(&mut self, path: &str, member: &str, secret: bool, old: Side<'_>, new: Side<'_>) {
        let (before, after) = (old.items(), new.items());
        let words = |items: &[Value]| items.iter().map(Value::to_string).collect::<Vec<_>>();
        // In a list without an order a place says nothing.
        let scalars = before.iter().chain(after).all(|item| !item.is_object() && !item.is_array());
        let set = scalars && compose::is_set(member);
        let place = |index: usize| if set { format!("{path}[]") } else { format!("{path}[{index}]") };
        for op in capture_diff_slices(Algorithm::Myers, &words(before), &words(after)) {
            let (gone, come) = match op {
                DiffOp::Equal { .. } => continue,
                DiffOp::Delete { old_index, old_len, new_index } => {
                    (old_index..old_index + old_len, new_index..new_index)
                }
                DiffOp::Insert { old_index, new_index, new_len } => {
                    (old_index..old_index, new_index..new_index + new_len)
                }
                DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                    (old_index..old_index + old_len, new_index..new_index + new_len)
                }
            };
            let one_for_one = gone.len() == come.len() && !set;
            for (gone, come) in gone.clone().zip(come.clone()).filter(|_| one_for_one) {
                self.value(&place(come), "", secret, old.item(gone), new.item(come));
            }
            if !one_for_one {
                gone.for_each(|index| self.push(place(index), secret, before.get(index), None));
                come.for_each(|index| self.push(place(index), secret, None, after.get(index)));
            }
        }
    }

    fn push(&mut self, path: String, secret: bool, before: Option<&Value>, after: Option<&Value>) {
        let (before, after) = (before.map(text), after.map(text));
        self.found.push(Difference { place: self.place.clone(), path, before, after, secret });
    }
}

fn is_object(side: Side<'_>) -> bool {
    side.filled.is_none_or(Value::is_object)
}

/// Whether a driver's option is a credential by its name.
fn is_telling(path: &str, name: &str) -> bool {
    let parent = path.rsplit('.').next().unwrap_or(path);
    let name = name.to_ascii_lowercase();
    OPTIONS.contains(&parent) && TELLING.iter().any(|word| name.contains(word))
}

/// Returns the entries of two lists side by side, by their key. A key's second entry is `key#2`.
fn paired<'a>(old: Side<'a>, new: Side<'a>, key: &str) -> BTreeMap<String, (Side<'a>, Side<'a>)> {
    let mut pairs: BTreeMap<String, (Side<'a>, Side<'a>)> = BTreeMap::new();
    for (side, is_new) in [(old, false), (new, true)] {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (index, item) in side.items().iter().enumerate() {
            let name = match (item.get(key), item.get("containerPortRange")) {
                (Some(Value::String(text)), _) | (None, Some(Value::String(text))) => text.clone(),
                (Some(other), _) => other.to_string(),
                (None, _) => String::new(),
            };
            let times = known.entry(name.clone()).or_default();
            *times += 1;
            let name = if *times == 1 { name } else { format!("{name}#{times}") };
            let pair = pairs.entry(name).or_default();
            *(if is_new { &mut pair.1 } else { &mut pair.0 }) = side.item(index);
        }
    }
    pairs
}

/// Returns a value as a person reads it. Quoted only where it would be taken for something else.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let ambiguous = text.is_empty()
                || text.trim() != text
                || text.starts_with(['"', '{', '[', '('])
                || text.chars().any(char::is_control)
                || matches!(text.as_str(), "true" | "false" | "null")
                || text.parse::<f64>().is_ok();
            if ambiguous { value.to_string() } else { text.clone() }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

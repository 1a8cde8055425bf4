//! An account's chain: its roles, resolved, and STS's own limits on how each may be assumed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::base::nearest::suggest;
use crate::fleet::Hop;
use crate::fleet::role_arn::{RoleArn, partition_of};
use crate::manifest::Role;
use crate::manifest::check::accounts::Draft;
use crate::manifest::check::{Checker, entries, items};
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::spanned::{Entry, Span, Spanned};
use crate::manifest::taskdef::map_text;

const HOUR: Duration = Duration::from_secs(3600);
/// STS: DurationSeconds is 900 to 43200.
const SHORTEST: Duration = Duration::from_secs(900);
const LONGEST: Duration = Duration::from_secs(43_200);
/// STS: the plaintext of all session policies together, in characters.
const MAX_POLICY: usize = 2048;

impl Checker<'_> {
    /// Resolves a chain for an account. Hops with a fault are left out.
    pub fn chain(
        self,
        chain: &[Spanned<String>],
        span: Span,
        roles: &[Entry<Role>],
        account: &Draft,
        ambient: bool,
    ) -> Vec<Hop> {
        if chain.is_empty() && !ambient {
            let message = format!("account `{}` has an empty chain", account.name);
            self.fault(span, message, "name its role, or use `identity: { ambient: true }` for your own credentials");
        }
        let known: Vec<&str> = roles.iter().map(|role| role.key.as_str()).collect();
        let mut hops = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (index, item) in chain.iter().enumerate() {
            let Some(name) = item.get() else { continue };
            let Some(role) = roles.iter().find(|role| role.key == *name) else {
                self.unknown_role(name, item.span, &known);
                continue;
            };
            if seen.contains(&name.as_str()) {
                self.fault(item.span, format!("role `{name}` is in this chain twice"), "remove one of the two");
                continue;
            }
            seen.push(name);
            let web_identity = index == 0 && !ambient;
            let Some(hop) = self.hop(role, account, web_identity) else { continue };
            self.partition(&hop, hops.last(), account, item.span);
            let last = index + 1 == chain.len();
            if last
                && let Some(id) = &account.id
                && hop.arn.account() != id
            {
                let place = role.value.get().and_then(|role| role.arn.as_ref()).map_or(role.key_span, |arn| arn.span);
                let message = format!(
                    "the chain of account `{}` ends in account {}, but its id is {id}",
                    account.name,
                    hop.arn.account()
                );
                let fault = self.context.fault(item.span, message).also(place, "this role");
                self.context.push(
                    fault.help("the last role must live in the account itself: `arn:aws:iam::${account.id}:role/...`"),
                );
            }
            hops.push(hop);
        }
        hops
    }

    /// Records a hop into another partition, and regions that are not of the role's: no credentials work across them.
    fn partition(self, hop: &Hop, before: Option<&Hop>, account: &Draft, span: Span) {
        let partition = hop.arn.partition();
        if let Some(before) = before.filter(|before| before.arn.partition() != partition) {
            let message = format!(
                "role `{}` is in the partition `{partition}`, and role `{}` before it in `{}`",
                hop.role,
                before.role,
                before.arn.partition()
            );
            self.fault(span, message, "no role can be assumed across partitions: use a hub role in each of them");
        } else if before.is_none()
            && let Some(region) = account.regions.iter().find(|region| partition_of(region) != partition)
        {
            let message = format!(
                "role `{}` is in the partition `{partition}`, and the region {region} of account `{}` in `{}`",
                hop.role,
                account.name,
                partition_of(region)
            );
            self.fault(span, message, "correct the region, or the partition of the role's ARN");
        }
    }

    /// Resolves a role of a chain for an account.
    pub fn hop(self, entry: &Entry<Role>, account: &Draft, web_identity: bool) -> Option<Hop> {
        let role = entry.value.get()?;
        let owner = format!("role `{}`", entry.key);
        if web_identity {
            self.refuse_on_web_identity(role, &entry.key);
        }
        self.duration(role, &entry.key, web_identity);
        let scope = account.scope();
        let arn = self.need(&role.arn, entry.value.span, &owner, "arn");
        let place = role.arn.as_ref().map_or(entry.key_span, |arn| arn.span);
        // Without a usable id, an ARN with `${account.id}` would only repeat that fault.
        let arn = arn.filter(|arn| account.id.is_some() || !arn.names().contains(&"account.id"));
        let arn = arn.and_then(|arn| self.resolve_at(arn, place, &scope)).and_then(|text| {
            let parsed: Result<RoleArn, String> = text.parse();
            parsed.map_err(|message| self.fault(place, message, "copy the ARN from the IAM console")).ok()
        });
        let tags = self.tags(role, &scope);
        let transitive_tags = self.transitive_tags(role, &tags);
        let allowed = |char: char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char);
        let external = |char: char| allowed(char) || ":/".contains(char);
        let external_id = self.limited(&role.external_id, &scope, "external id", 2..=1224, external);
        let source_identity = self.limited(&role.source_identity, &scope, "source identity", 2..=64, allowed);
        if let (Some(text), Some(place)) = (&source_identity, &role.source_identity)
            && text.starts_with("aws:")
        {
            self.fault(place.span, "a source identity cannot begin with `aws:`", "choose another one");
        }
        let policy = self.policy(role, &scope);
        let policy_arns = self.policy_arns(role, &scope);
        let length = |text: &String| text.chars().count();
        let total = policy.as_ref().map_or(0, length) + policy_arns.iter().map(length).sum::<usize>();
        if total > MAX_POLICY {
            let span = role.policy.as_ref().map_or(entry.key_span, |policy| policy.span);
            let message = format!("the session policies have {total} characters; STS allows {MAX_POLICY}");
            self.fault(self.head(span), message, "shorten the policy, or attach it to the role itself");
        }
        Some(Hop {
            role: entry.key.clone(),
            arn: arn?,
            external_id,
            tags,
            transitive_tags,
            source_identity,
            policy,
            policy_arns,
            duration: role.duration.as_ref().and_then(|duration| duration.get()).map(|duration| duration.0),
        })
    }

    /// AssumeRoleWithWebIdentity has no parameters for these: tags and source identity come from the token's claims.
    fn refuse_on_web_identity(self, role: &Role, name: &str) {
        let places = [
            ("external_id", role.external_id.as_ref().map(|value| value.span)),
            ("tags", role.tags.as_ref().map(|value| value.span)),
            ("transitive_tags", role.transitive_tags.as_ref().map(|value| value.span)),
            ("source_identity", role.source_identity.as_ref().map(|value| value.span)),
        ];
        for (key, span) in places {
            let Some(span) = span else { continue };
            let message = format!("role `{name}` is assumed with the web identity, which takes no `{key}`");
            let help = match key {
                "external_id" => "remove it: for a web identity the trust policy checks the token's claims instead",
                _ => "remove it, or set it on the next role: only AssumeRole takes it",
            };
            self.fault(self.head(span), message, help);
        }
    }

    fn duration(self, role: &Role, name: &str, web_identity: bool) {
        let Some(written) = &role.duration else { return };
        let Some(duration) = written.get().map(|duration| duration.0) else { return };
        if !(SHORTEST..=LONGEST).contains(&duration) {
            let message = format!("role `{name}` cannot have a session of {}", humantime::format_duration(duration));
            self.fault(written.span, message, "STS allows 15m to 12h");
        } else if !web_identity && duration > HOUR {
            let message = format!("role `{name}` is assumed from another role, so its session cannot exceed 1h");
            let help = "remove `duration`: AWS limits role chaining to one hour, and sessions are renewed as needed";
            self.fault(written.span, message, help);
        }
    }

    fn tags(self, role: &Role, scope: &Scope<'_>) -> BTreeMap<String, String> {
        let written = entries(&role.tags);
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        if written.len() > 50 {
            let span = role.tags.as_ref().map_or(Span::default(), |tags| tags.span);
            self.fault(self.head(span), format!("{} session tags; STS allows 50", written.len()), "remove some");
        }
        // STS's `\p{Z}` has every space and separator, and neither a tab nor a newline.
        let is_space = |char: char| char.is_whitespace() && !char.is_control();
        let allowed = |char: char| char.is_alphanumeric() || is_space(char) || "_.:/=+-@".contains(char);
        for tag in written {
            let Some(value) = tag.value.get().and_then(|scalar| self.resolve_at(&scalar.0, tag.value.span, scope))
            else {
                continue;
            };
            let key = &tag.key;
            if key.is_empty() || key.chars().count() > 128 || !key.chars().all(allowed) || key.starts_with("aws:") {
                let help = "use 1 to 128 letters, digits, spaces and `_.:/=+-@`, not beginning with `aws:`";
                self.fault(tag.key_span, format!("`{key}` is not the key of a session tag"), help);
            }
            if value.chars().count() > 256 || !value.chars().all(allowed) {
                let help = "use at most 256 letters, digits, spaces and `_.:/=+-@`, and no newline or tab";
                self.fault(tag.value.span, format!("the value of the session tag `{key}` is not allowed"), help);
            }
            if let Some(other) = tags.keys().find(|other| other.to_lowercase() == key.to_lowercase()) {
                let message = format!("the session tags `{other}` and `{key}` are the same to AWS");
                self.fault(tag.key_span, message, "keep one: upper and lower case do not differ here");
            }
            tags.insert(key.clone(), value);
        }
        tags
    }

    fn transitive_tags(self, role: &Role, tags: &BTreeMap<String, String>) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for item in items(&role.transitive_tags) {
            let Some(key) = item.get() else { continue };
            if !tags.contains_key(key) && !entries(&role.tags).iter().any(|tag| tag.key == *key) {
                let help = suggest(key, tags.keys().map(String::as_str));
                self.fault(item.span, format!("`{key}` is not one of this role's tags"), help);
            }
            keys.push(key.clone());
        }
        keys
    }

    /// Resolves a text that STS limits. The text itself is not repeated: it may be a secret.
    fn limited(
        self,
        text: &Option<Spanned<Template>>,
        scope: &Scope<'_>,
        what: &str,
        length: std::ops::RangeInclusive<usize>,
        allowed: impl Fn(char) -> bool,
    ) -> Option<String> {
        let text = text.as_ref()?;
        let value = self.resolve(text, scope)?;
        if !length.contains(&value.chars().count()) || !value.chars().all(allowed) {
            let extra = if what == "external id" { "_+=,.@:/-" } else { "_+=,.@-" };
            let (from, to) = length.into_inner();
            let help = format!("use {from} to {to} letters, digits and `{extra}`");
            self.fault(text.span, format!("this is not a valid {what}"), help);
        }
        Some(value)
    }

    fn policy(self, role: &Role, scope: &Scope<'_>) -> Option<String> {
        let written = role.policy.as_ref()?;
        let span = self.head(written.span);
        let mut problem = None;
        let mut resolve = |text: &str| match Template::parse(text).and_then(|template| template.resolve(scope)) {
            Ok(text) => Some(text),
            Err(found) => {
                problem.get_or_insert(found);
                None
            }
        };
        let mut document = written.get()?.0.clone();
        map_text(&mut document, &mut resolve);
        if let Some(problem) = problem {
            crate::manifest::node::record(self.context, written.span, problem);
            return None;
        }
        if let Value::String(text) = &document {
            match serde_json::from_str::<Value>(text) {
                Ok(parsed) => document = parsed,
                Err(error) => {
                    let message = format!("the policy is not valid JSON: {error}");
                    self.fault(span, message, "write it as JSON in a block, `policy: |`, or as YAML");
                    return None;
                }
            }
        }
        if !document.get("Statement").is_some_and(|statement| statement.is_array() || statement.is_object()) {
            let help = "write `Version: \"2012-10-17\"` and a `Statement` list";
            self.fault(span, "the policy has no `Statement`", help);
            return None;
        }
        let text = document.to_string();
        // STS's own pattern: "[\u0009\u000A\u000D\u0020-\u00FF]+".
        if let Some(char) = text.chars().find(|char| !matches!(char, '\t' | '\n' | '\r' | ' '..='\u{ff}')) {
            let message = format!("the policy has the character U+{:04X}, which STS does not take", u32::from(char));
            self.fault(span, message, "STS takes the characters up to U+00FF in a session policy; remove it");
            return None;
        }
        Some(text)
    }

    fn policy_arns(self, role: &Role, scope: &Scope<'_>) -> Vec<String> {
        let written = items(&role.policy_arns);
        if written.len() > 10 {
            let span = role.policy_arns.as_ref().map_or(Span::default(), |arns| arns.span);
            self.fault(self.head(span), format!("{} managed policies; STS allows 10", written.len()), "remove some");
        }
        let mut arns = Vec::new();
        for item in written {
            let Some(arn) = self.resolve(item, scope) else { continue };
            let is_policy = arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":policy/");
            // The path of a policy has the characters from ! to ~, and its name fewer.
            let is_policy = is_policy && arn.chars().all(|char| char.is_ascii_graphic());
            if !is_policy {
                let help = "it looks like `arn:aws:iam::aws:policy/ReadOnlyAccess`";
                self.fault(item.span, format!("`{arn}` is not the ARN of a managed policy"), help);
            }
            arns.push(arn);
        }
        arns
    }
}

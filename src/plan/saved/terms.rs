//! What a saved plan says besides its targets and waves, in words: whose identity, by which roles, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use humantime::format_duration;

use crate::base::redact;
use crate::fleet::webhook::{Format, Occasion};
use crate::fleet::{Account, IdentitySource, OnFailure, RoleChain, Wave};
use crate::plan::saved::Saved;
use crate::plan::work::Definition;

impl Saved {
    /// Returns a line for each thing that decides how and where the plan is carried out.
    pub fn terms(&self) -> Vec<String> {
        let identity = &self.identity;
        let source = match &identity.source {
            IdentitySource::TokenEnv(name) => format!("the ID token in {name}"),
            IdentitySource::TokenFile(path) => format!("the ID token in the file {}", path.display()),
            IdentitySource::Ambient => "the SDK's own credentials".to_owned(),
        };
        let mut lines =
            vec![format!("identity: {source}, as the session {} in {}", identity.session_name, identity.region)];
        let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for account in &self.accounts {
            let named = format!("{} ({})", account.name, account.id);
            chains.entry(chain(&account.chain, account)).or_default().push(named);
        }
        lines.extend(chains.into_iter().map(|(chain, accounts)| format!("{}: {chain}", accounts.join(", "))));
        let mut alarms: BTreeMap<&str, usize> = BTreeMap::new();
        self.targets.iter().flat_map(|target| &target.alarms).for_each(|it| *alarms.entry(it).or_default() += 1);
        lines.extend(alarms.iter().map(|(alarm, targets)| format!("alarm of a bake: {alarm}, of {targets} targets")));
        let mut timeouts: BTreeMap<Duration, usize> = BTreeMap::new();
        self.targets.iter().for_each(|target| *timeouts.entry(target.timeout).or_default() += 1);
        let timeouts =
            timeouts.iter().map(|(time, targets)| format!("{} for {targets} targets", format_duration(*time)));
        lines.push(format!("timeout: {}", timeouts.collect::<Vec<_>>().join(", ")));
        lines.extend(self.waves.iter().filter_map(wave));
        let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for target in &self.targets {
            *places.entry((&target.cluster, &target.service)).or_default() += 1;
        }
        let place = |((cluster, service), targets): (&(&str, &str), &usize)| {
            format!("service {service} in the cluster {cluster}: {targets} targets")
        };
        lines.extend(places.iter().map(place));
        let tags = self.targets.iter().filter_map(|target| match &target.work.as_ref()?.definition {
            Definition::Register { tags, .. } => Some(tags),
            _ => None,
        });
        let tags: BTreeSet<String> =
            tags.flatten().map(|tag| redact::line(&format!("{}={}", tag.key, tag.value))).collect();
        if !tags.is_empty() {
            lines.push(format!("new revisions are tagged {}", tags.into_iter().collect::<Vec<_>>().join(", ")));
        }
        for webhook in &self.notify {
            let form = match webhook.format {
                Format::Json => "JSON",
                Format::Slack => "Slack",
                Format::Gitlab => "GitLab",
            };
            let on = webhook.on.iter().map(|on| match on {
                Occasion::Start => "start",
                Occasion::Halt => "halt",
                Occasion::End => "end",
            });
            let on = on.collect::<Vec<_>>().join(" and ");
            let key = webhook.key_env.as_ref().map(|name| format!(" with the key in {name}")).unwrap_or_default();
            lines.push(format!("webhook: the URL in {}{key}, in {form}'s form, on {on}", webhook.url_env));
        }
        let tier = |name: &str| self.tiers.get(name).map(|tier| format!(", tier {}", tier.word())).unwrap_or_default();
        let environments = self.environments.iter().map(|(account, name)| format!("{name} ({account}{})", tier(name)));
        let environments: Vec<String> = environments.collect();
        if !environments.is_empty() {
            lines.push(format!("GitLab deployments: {}", environments.join(", ")));
        }
        lines
    }
}

/// Says of a wave what its row in the table of waves does not.
fn wave(wave: &Wave) -> Option<String> {
    let parts = [
        wave.max_parallel_per_account.map(|most| format!("{most} targets of an account at once")),
        wave.strict.then(|| "never more at once than may still fail, and one".to_owned()),
        match wave.on_failure {
            OnFailure::Rollback { timeout, .. } => Some(format!("a return may take {}", format_duration(timeout))),
            OnFailure::Stop => None,
        },
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("wave {}: {}", wave.name, parts.join("; ")))
}

/// Says how an account is reached, with `${account.id}` for its own id, so that accounts alike are told together.
fn chain(chain: &RoleChain, account: &Account) -> String {
    let hops = chain.hops.iter().map(|hop| {
        let mut text = hop.arn.as_str().replace(account.id.as_str(), "${account.id}");
        let more = [
            hop.external_id.as_ref().map(|_| "with an external id".to_owned()),
            hop.source_identity.as_ref().map(|identity| format!("source identity {identity}")),
            hop.policy.as_ref().map(|policy| format!("session policy {policy}")),
            (!hop.policy_arns.is_empty()).then(|| format!("session policies {}", hop.policy_arns.join(", "))),
            hop.duration.map(|duration| format!("for {}", format_duration(duration))),
            (!hop.transitive_tags.is_empty())
                .then(|| format!("session tags that go on {}", hop.transitive_tags.join(", "))),
            (!hop.tags.is_empty()).then(|| {
                let tags = hop.tags.iter().map(|(key, value)| format!("{key}={value}"));
                format!("session tags {}", tags.collect::<Vec<_>>().join(", "))
            }),
        ];
        let more: Vec<String> = more.into_iter().flatten().collect();
        if !more.is_empty() {
            text.push_str(&format!(" ({})", more.join("; ")));
        }
        text
    });
    let hops: Vec<String> = hops.collect();
    if hops.is_empty() { "no role".to_owned() } else { hops.join(" -> ") }
}

//! What a seed stands for: a fleet as a manifest, what goes wrong when, and how the run is ended.

use std::fmt::Write as _;

use roleout::fleet::TargetId;

/// What one simulation does. Everything in it can be taken away, one thing after the other, to find what a failure needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub seed: u64,
    pub accounts: Vec<Account>,
    pub services: Vec<Service>,
    /// Keys of `rollout`, such as `timeout: 60s`.
    pub rollout: Vec<String>,
    pub waves: Vec<Wave>,
    pub faults: Vec<Fault>,
    pub others: Vec<Other>,
    pub end: End,
    /// Whether tasks take minutes, as those of Fargate do, and not seconds.
    pub realistic: bool,
    /// The plan that is made first and carried out by the run; `None` = the run plans for itself.
    pub saved: Option<Saved>,
    /// Whether the run goes on without the targets that are blocked.
    pub skip_blocked: bool,
    /// Which targets `roleout rollback` takes back after the run; `None` = there is no such run.
    pub back: Option<Back>,
    /// Whether runs leave a journal and reports.
    pub on_disk: bool,
    /// When somebody sets the clock of the machine that runs it, and by how many milliseconds it is wrong from then on.
    pub clock: Vec<(u64, i64)>,
}

/// A saved plan, and what happens before it is carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Minutes between the two jobs.
    pub age: u64,
    /// What others do right after the plan is made.
    pub meanwhile: Vec<Other>,
    /// Whether the run goes on without the targets that changed.
    pub skip_stale: bool,
}

/// How `roleout rollback` is told what to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// By the report of the run.
    OfRun,
    /// By the manifest.
    OfManifest,
    /// Everything.
    All,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub number: usize,
    pub regions: Vec<&'static str>,
    /// How many roles lead to it: 1 to 4.
    pub chain: usize,
    /// Which wave it is in.
    pub ring: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub number: usize,
    pub cluster: &'static str,
    /// Keys that it has in AWS already, such as `deployment: { strategy: CANARY }`.
    pub keys: Vec<String>,
    /// Keys that AWS gets by the run.
    pub new_keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// The ring of accounts that is in it; `None` = the rest.
    pub ring: Option<usize>,
    /// Keys of the wave, such as `bake: 5s`.
    pub keys: Vec<String>,
}

/// A fault of the sandbox, from one moment of the run to another, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub text: String,
    pub from: u64,
    /// `None` = to the end of the run.
    pub until: Option<u64>,
}

impl Fault {
    /// Whether it is for a target, by the places that are drawn.
    pub fn covers(&self, id: &TargetId) -> bool {
        let place = self.text.split('=').next().unwrap_or_default();
        let mut parts = place.split('/');
        let mut is = |name: &str| parts.next().is_none_or(|part| part == "*" || part == name);
        is(&id.account) && is(&id.region) && is(&id.service)
    }
}

/// Something that somebody else does to a service meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    pub at: u64,
    pub account: usize,
    pub region: &'static str,
    pub service: usize,
    pub what: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Deploys another image.
    Deploys,
    /// Sets the desired count, as autoscaling does.
    Scales,
    /// Deploys again what runs.
    Repeats,
    /// Deploys what ran at first.
    Returns,
    /// Has ECS stop the deployment that goes on, and go back.
    Stops,
}

/// How the run is ended, in milliseconds after its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It runs to its own end.
    Whole,
    /// A signal comes.
    Signal(u64),
    /// It is gone between one moment and the next.
    Kill(u64),
}

/// What stands in manifests and must never stand in what a run writes.
pub const EXTERNAL_ID: &str = "canary-external-id-7f3a9c";
pub const ENVIRONMENT_VALUE: &str = "canary-environment-value-51bd0e";
/// The account in which the sandbox's fault `wrong-account` has its sessions.
const ELSEWHERE: &str = "999999999999";
/// Whose roles lead to the accounts.
const HUBS: [&str; 3] = ["111111111111", "111111111112", "111111111113"];

impl Account {
    pub fn name(&self) -> String {
        format!("a{}", self.number)
    }

    pub fn id(&self) -> String {
        format!("{:012}", 200_000_000_000_u64 + self.number as u64)
    }
}

impl Scenario {
    /// Returns how many targets it has.
    pub fn targets(&self) -> usize {
        self.accounts.iter().map(|account| account.regions.len()).sum::<usize>() * self.services.len()
    }

    /// Whether no call fails or is delayed: what goes wrong goes wrong in tasks.
    pub fn is_calm(&self) -> bool {
        self.clock.is_empty() && self.calls_are_answered()
    }

    fn calls_are_answered(&self) -> bool {
        const CALLS: [&str; 14] = [
            "throttle",
            "silent",
            "reset",
            "lost",
            "cut",
            "broken",
            "blind",
            "busy",
            "unavailable",
            "stale",
            "deny",
            "latency",
            "lagging",
            "session",
        ];
        !self
            .faults
            .iter()
            .any(|fault| CALLS.iter().any(|call| fault.text.contains(call)) || fault.text.contains("token"))
    }

    /// Whether any fault has this word.
    pub fn has_fault(&self, word: &str) -> bool {
        self.faults.iter().any(|fault| fault.text.contains(word))
    }

    /// Writes the manifest. Without `whole` it is the one by which AWS is furnished: without the keys that are new.
    pub fn manifest(&self, whole: bool) -> String {
        let mut text = String::from("version: 1\nidentity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n");
        for (number, hub) in HUBS.iter().enumerate() {
            let external = if number == 0 { String::new() } else { format!(", external_id: {EXTERNAL_ID}") };
            let _ = writeln!(text, "  hub{number}: {{ arn: \"arn:aws:iam::{hub}:role/hub\"{external} }}");
        }
        let _ = writeln!(text, "  direct: {{ arn: \"arn:aws:iam::${{account.id}}:role/direct\" }}");
        let _ =
            writeln!(text, "  leaf: {{ arn: \"arn:aws:iam::${{account.id}}:role/leaf\", external_id: {EXTERNAL_ID} }}");
        text.push_str("accounts:\n");
        for account in &self.accounts {
            let chain = match account.chain {
                1 => "direct".to_owned(),
                roles => {
                    let hubs: Vec<String> = (0..roles - 1).map(|number| format!("hub{number}")).collect();
                    format!("{}, leaf", hubs.join(", "))
                }
            };
            let (name, id, regions, ring) = (account.name(), account.id(), account.regions.join(", "), account.ring);
            let _ = writeln!(
                text,
                "  - {{ name: {name}, id: \"{id}\", chain: [{chain}], regions: [{regions}], labels: {{ ring: r{ring} }} }}"
            );
        }
        if !whole && self.has_fault("wrong-account") {
            // Where such a session leads, there is the same to be found.
            let _ = writeln!(
                text,
                "  - {{ name: elsewhere, id: \"{ELSEWHERE}\", chain: [direct], regions: [eu-west-1, us-east-1, eu-central-1], \
                 labels: {{ ring: elsewhere }} }}"
            );
        }
        text.push_str("services:\n");
        for service in &self.services {
            let (number, cluster) = (service.number, service.cluster);
            let _ = writeln!(text, "  - name: s{number}\n    cluster: {cluster}");
            let _ = writeln!(text, "    images: {{ app: \"registry.example.com/s{number}:v2\" }}");
            let _ = writeln!(text, "    environment: {{ app: {{ PASSWORD: {ENVIRONMENT_VALUE} }} }}");
            let new = service.new_keys.iter().filter(|_| whole);
            text.extend(service.keys.iter().chain(new).map(|key| format!("    {key}\n")));
        }
        text.push_str("rollout:\n");
        text.extend(self.rollout.iter().map(|key| format!("  {key}\n")));
        text.push_str("  waves:\n");
        let is_there = |ring: usize| self.accounts.iter().any(|account| account.ring == ring);
        for wave in self.waves.iter().filter(|wave| wave.ring.is_none_or(is_there)) {
            let name = wave.ring.map_or("rest".to_owned(), |ring| format!("w{ring}"));
            let select = wave.ring.map(|ring| format!("select: {{ ring: r{ring} }}"));
            let keys: Vec<String> = select.into_iter().chain(wave.keys.iter().cloned()).collect();
            let comma = if keys.is_empty() { "" } else { ", " };
            let _ = writeln!(text, "    - {{ name: {name}{comma}{} }}", keys.join(", "));
        }
        text
    }

    /// Describes it for a person who is to replay it by hand.
    pub fn describe(&self) -> String {
        let mut text = format!("# seed {}, {} targets, {:?}\n", self.seed, self.targets(), self.end);
        let _ = writeln!(text, "# tasks take {}", if self.realistic { "minutes" } else { "seconds" });
        for fault in &self.faults {
            let until = fault.until.map_or("the end".to_owned(), |until| format!("{until} ms"));
            let _ = writeln!(text, "# fault {} from {} ms to {until}", fault.text, fault.from);
        }
        for (at, error) in &self.clock {
            let _ = writeln!(text, "# at {at} ms somebody sets the clock of the runner: it is wrong by {error} ms");
        }
        if let Some(saved) = &self.saved {
            let skips = if saved.skip_stale { ", with --skip-stale" } else { "" };
            let _ = writeln!(text, "# a plan is saved, and carried out {} minutes later{skips}", saved.age);
        }
        let before = self.saved.iter().flat_map(|saved| &saved.meanwhile);
        if self.skip_blocked {
            text.push_str("# --skip-blocked\n");
        }
        if let Some(back) = self.back {
            let _ = writeln!(text, "# and then roleout rollback: {back:?}");
        }
        if self.on_disk {
            text.push_str("# with a journal and reports\n");
        }
        for other in before.chain(&self.others) {
            let Other { at, account, region, service, what } = other;
            let _ = writeln!(text, "# at {at} ms somebody else {what:?}: a{account}/{region}/s{service}");
        }
        text + &self.manifest(true)
    }
}

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
    /// The jobs of a child pipeline that the run is divided into; `None` = it is one job.
    pub pipeline: Option<Shards>,
    /// Somebody who runs `roleout continue` beside the run; `None` = the run continues its hooks itself.
    pub decisions: Option<Vec<Decision>>,
    /// Whether somebody runs `roleout watch` after the run.
    pub watches: bool,
    /// When the sessions of an account, by its place, end before their time, in milliseconds after the run began.
    pub revoked: Vec<(u64, usize)>,
    /// When the tags of images that are pinned move, in every registry at once; `None` = images are deployed by their tags.
    pub pinned: Option<Vec<u64>>,
    /// When the parameters that are looked up get another value, in every account at once; `None` = there are none.
    pub lookups: Option<Vec<u64>>,
}

/// One time that somebody runs `roleout continue`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Milliseconds after the run began.
    pub at: u64,
    /// Whether ECS is to roll the deployments back.
    pub rollback: bool,
    /// The account that is selected, by its place; `None` = all of them.
    pub account: Option<usize>,
}

/// How a child pipeline is divided, and what becomes of its jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct Shards {
    /// How many jobs share a wave, at most.
    pub jobs: usize,
    pub upsets: Vec<Upset>,
    /// Whether a job that is killed leaves no journal.
    pub loses: bool,
    /// Whether somebody starts the waves that have a gate.
    pub starts: bool,
    /// Whether the jobs that did not succeed are run again later, when nothing goes wrong any more.
    pub resumes: bool,
}

/// What becomes of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Upset {
    /// The place of its wave among those that have targets, and its own in the wave, from 0.
    pub wave: usize,
    pub job: usize,
    pub end: End,
    /// Whether it is run again at once.
    pub again: bool,
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
    /// What becomes of a plan that only a certain key may have signed; `None` = nobody asks for a signature.
    pub signed: Option<Signed>,
}

/// What becomes of the file of a saved plan between the job that signs it and the one that asks for that signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Nothing.
    Kept,
    /// It was never signed.
    Not,
    /// Somebody edits it.
    Edited,
    /// Somebody edits it and makes its digest anew.
    Resealed,
    /// Somebody edits it and signs it with another key.
    Resigned,
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
    /// Sets the desired count.
    Scales,
    /// Sets it to so many, again and again, as autoscaling does.
    ScalesTo(u32),
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

impl Service {
    /// Returns the name of the parameter that it looks up.
    pub fn parameter(&self) -> String {
        format!("/s{}/url", self.number)
    }
}

impl Scenario {
    /// Returns how many targets it has.
    pub fn targets(&self) -> usize {
        self.accounts.iter().map(|account| account.regions.len()).sum::<usize>() * self.services.len()
    }

    /// Whether no call fails or is delayed: what goes wrong goes wrong in tasks.
    pub fn is_calm(&self) -> bool {
        self.clock.is_empty() && self.revoked.is_empty() && self.calls_are_answered()
    }

    fn calls_are_answered(&self) -> bool {
        const CALLS: [&str; 15] = [
            "throttle",
            "truncated",
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
            let registry = match &self.pinned {
                Some(_) => "${account.id}.dkr.ecr.${region}.amazonaws.com",
                None => "registry.example.com",
            };
            let _ = writeln!(text, "    images: {{ app: \"{registry}/s{number}:v2\" }}");
            let pin = self.pinned.as_ref().map(|_| "    pin: digest\n    wait_for_images: 10s\n");
            text.push_str(pin.unwrap_or_default());
            let lookup = self.lookups.as_ref().map(|_| format!(", URL: \"${{ssm:{}}}\"", service.parameter()));
            let lookup = lookup.unwrap_or_default();
            let _ = writeln!(text, "    environment: {{ app: {{ PASSWORD: {ENVIRONMENT_VALUE}{lookup} }} }}");
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
            let _ = writeln!(
                text,
                "# a plan is saved, and carried out {} minutes later{skips}, signed {:?}",
                saved.age, saved.signed
            );
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
        if let Some(Shards { jobs, upsets, loses, starts, resumes }) = &self.pipeline {
            let _ = writeln!(
                text,
                "# a child pipeline of {jobs} jobs a wave; loses {loses}, starts {starts}, resumes {resumes}"
            );
            for Upset { wave, job, end, again } in upsets {
                let _ = writeln!(text, "# wave {wave}, job {job}: {end:?}, run again {again}");
            }
        }
        for Decision { at, rollback, account } in self.decisions.iter().flatten() {
            let _ = writeln!(text, "# at {at} ms roleout continue, rollback {rollback}, account {account:?}");
        }
        for (at, account) in &self.revoked {
            let _ = writeln!(text, "# at {at} ms the sessions of a{account} end");
        }
        if let Some(moments) = &self.pinned {
            let _ = writeln!(text, "# images are pinned, and their tags move at {moments:?} ms");
        }
        if let Some(moments) = &self.lookups {
            let _ = writeln!(text, "# parameters are looked up, and change at {moments:?} ms");
        }
        if self.watches {
            text.push_str("# and then roleout watch\n");
        }
        for other in before.chain(&self.others) {
            let Other { at, account, region, service, what } = other;
            let _ = writeln!(text, "# at {at} ms somebody else {what:?}: a{account}/{region}/s{service}");
        }
        text + &self.manifest(true)
    }
}

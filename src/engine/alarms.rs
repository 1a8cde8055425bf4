//! CloudWatch alarms during a bake: one look at all those of an account and region, for every target there that names
//! some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::aws::alarms::{State, States};
use crate::aws::error::CallError;
use crate::aws::others::AuxClients;
use crate::engine::context::Run;
use crate::event::Reason;
use crate::fleet::TargetSpec;

/// How often alarms are looked at: CloudWatch evaluates most of them once a minute, and high-resolution ones every ten
/// seconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// What a look at the alarms of a place came to; `None` before the first.
type Look = Option<Arc<Result<States, CallError>>>;

/// An account and a region.
type Place<'a> = (&'a str, &'a str);

/// Where the alarms of targets are looked at.
pub struct Alarms<'a> {
    places: BTreeMap<Place<'a>, WatchedAlarm>,
}

struct WatchedAlarm {
    others: AuxClients,
    region: String,
    names: BTreeSet<String>,
    sender: watch::Sender<Look>,
}

/// What a target has to do with the last look.
pub enum AlarmStates {
    /// Its alarms are there, and none is in ALARM.
    Calm,
    /// One of them is in ALARM.
    Raised(Reason),
    /// Some could not be looked at, or do not exist.
    Unknown(String),
}

/// The looks at one target's alarms.
pub struct AlarmSubscription {
    names: Vec<String>,
    receiver: watch::Receiver<Look>,
}

impl<'a> Alarms<'a> {
    /// Collects the alarms that targets name.
    pub fn collect(run: &Run, targets: impl Iterator<Item = &'a TargetSpec>) -> Self {
        let mut places: BTreeMap<Place<'a>, WatchedAlarm> = BTreeMap::new();
        for target in targets.filter(|target| !target.alarms.is_empty()) {
            let watched = places.entry(account_region(target)).or_insert_with(|| WatchedAlarm {
                others: run.ecs(target).aux().clone(),
                region: target.id.region.to_string(),
                names: BTreeSet::new(),
                sender: watch::channel(None).0,
            });
            watched.names.extend(target.alarms.iter().cloned());
        }
        Self { places }
    }

    /// Returns the looks at a target's alarms; `None` where it names none.
    pub fn follow(&self, target: &TargetSpec) -> Option<AlarmSubscription> {
        let watched = self.places.get(&account_region(target))?;
        let names = target.alarms.clone();
        (!names.is_empty()).then(|| AlarmSubscription { names, receiver: watched.sender.subscribe() })
    }

    /// Looks at all of them once, and returns which of these targets have one in ALARM; those that could not be seen have
    /// not.
    pub async fn raised(&self, targets: impl Iterator<Item = (usize, &TargetSpec)>) -> Vec<(usize, Reason)> {
        let looks = self.places.iter().map(|(place, watched)| async move {
            let names: Vec<String> = watched.names.iter().cloned().collect();
            let look = tokio::time::timeout(INTERVAL, watched.others.alarms(&watched.region).states(&names)).await;
            (*place, look.ok().and_then(Result::ok).unwrap_or_default())
        });
        let looks: BTreeMap<Place<'_>, States> = join_all(looks).await.into_iter().collect();
        let raised =
            |(index, target): (usize, &TargetSpec)| match judge(&target.alarms, looks.get(&account_region(target))?) {
                AlarmStates::Raised(reason) => Some((index, reason)),
                AlarmStates::Calm | AlarmStates::Unknown(_) => None,
            };
        targets.filter_map(raised).collect()
    }

    /// Looks at all of them again and again; never returns. `bake` is how long they are of interest.
    pub async fn watch(&self, bake: Duration) {
        let pace = (bake / 4).clamp(Duration::from_millis(500), INTERVAL);
        let watching = self.places.values().map(|watched| async move {
            let names: Vec<String> = watched.names.iter().cloned().collect();
            loop {
                let look = watched.others.alarms(&watched.region).states(&names).await;
                watched.sender.send_replace(Some(Arc::new(look)));
                tokio::time::sleep(pace).await;
            }
        });
        let mut watching: FuturesUnordered<_> = watching.collect();
        let _: Option<()> = watching.next().await;
        std::future::pending().await
    }
}

fn account_region(target: &TargetSpec) -> Place<'_> {
    (target.account.id.as_str(), &target.id.region)
}

impl AlarmSubscription {
    /// Waits for the next look.
    pub async fn next(&mut self) -> AlarmStates {
        if self.receiver.changed().await.is_err() {
            return std::future::pending().await;
        }
        let look = self.receiver.borrow_and_update().clone();
        match look.as_deref() {
            Some(Ok(states)) => judge(&self.names, states),
            Some(Err(error)) => AlarmStates::Unknown(format!("{error:#}")),
            None => AlarmStates::Unknown("it could not be read".to_owned()),
        }
    }
}

/// Says what states mean for a target that names some alarms.
fn judge(names: &[String], states: &States) -> AlarmStates {
    let raised = names.iter().find_map(|name| match states.get(name) {
        Some(State::Alarm(because)) => Some((name, because)),
        Some(State::Calm) | None => None,
    });
    if let Some((name, because)) = raised {
        return AlarmStates::Raised(Reason {
            summary: format!("the CloudWatch alarm {name} is in ALARM"),
            evidence: Some(because.clone()).filter(|text| !text.is_empty()).into_iter().map(Into::into).collect(),
            help: Some("look at what the alarm measures before the next run".to_owned()),
            cause: Some(format!("the CloudWatch alarm {name} is in ALARM")),
        });
    }
    match names.iter().find(|name| !states.contains_key(*name)) {
        Some(name) => AlarmStates::Unknown(format!("there is no CloudWatch alarm {name}")),
        None => AlarmStates::Calm,
    }
}

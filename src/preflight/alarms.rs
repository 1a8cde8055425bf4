//! What is checked of CloudWatch alarms before anything is changed: that they exist, and that none is in ALARM already.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use crate::aws::alarms::{State, States};
use crate::aws::denial;
use crate::aws::error::CallError;
use crate::base::text::count;
use crate::connect::Connection;
use crate::fleet::Fleet;
use crate::plan::work::Plan;
use crate::preflight::verified::Verified;
use crate::references::note::Notes;
use crate::view::View;

/// Accounts and regions asked at once.
const PLACES: usize = 64;

/// Why a target is blocked, and what to do.
type Finding = (String, String);

/// Blocks the targets whose bake would fail by an alarm, and notes which alarms could not be looked at.
pub async fn check(fleet: &Fleet, plan: &mut Plan, connection: &Connection, view: &mut View, verified: &mut Verified) {
    let mut places: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    let working = fleet.targets.iter().enumerate().filter(|(index, _)| plan.work[*index].is_some());
    for (index, target) in working.filter(|(_, target)| !target.alarms.is_empty()) {
        places.entry((&target.id.account, &target.id.region)).or_default().push(index);
    }
    if places.is_empty() {
        return;
    }
    let named = |targets: &[usize]| -> BTreeSet<String> {
        targets.iter().flat_map(|&index| fleet.targets[index].alarms.clone()).collect()
    };
    let alarms = places.values().map(|targets| named(targets).len()).sum();
    view.phase(&format!("looking at {}", count(alarms, "CloudWatch alarm")));
    let clients = connection.clients();
    let asked = places.into_iter().map(|((account, region), targets)| {
        let (clients, names) = (&clients, named(&targets));
        async move {
            let others = clients(&fleet.targets[targets[0]]).aux().clone();
            let states = others.alarms(region).states(&names.into_iter().collect::<Vec<_>>()).await;
            (account, targets, states)
        }
    });
    let mut answers: Vec<_> = futures::stream::iter(asked).buffer_unordered(PLACES).collect().await;
    answers.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    let (mut reasons, mut notes) = (BTreeMap::new(), Notes::default());
    for (account, targets, states) in answers {
        match states {
            Ok(states) => reasons.extend(targets.into_iter().filter_map(|index| {
                Some((index, finding(&fleet.targets[index].alarms, &states, &fleet.targets[index].id.region)?))
            })),
            Err(error) => notes.add(unchecked(&error), account),
        }
    }
    verified.blocked.extend(reasons.keys().map(|&index| fleet.targets[index].id.clone()));
    verified.notes.extend(notes.lines());
    plan.block(fleet, reasons);
}

fn finding(names: &[String], states: &States, region: &str) -> Option<Finding> {
    names.iter().find_map(|name| match states.get(name) {
        None => {
            let reason = format!("the CloudWatch alarm {name} does not exist in {region}");
            Some((reason, "create it, or correct `alarms`: a bake cannot pass without it".to_owned()))
        }
        Some(State::Alarm(because)) => {
            let because = if because.is_empty() { String::new() } else { format!(": {because}") };
            let help = "wait until it is OK; to deploy what puts it right, take it out of `alarms` for that run";
            Some((format!("the CloudWatch alarm {name} is in ALARM already{because}"), help.to_owned()))
        }
        Some(State::Calm) => None,
    })
}

/// Says why alarms could not be looked at, without the account.
fn unchecked(error: &CallError) -> String {
    format!("{}; a bake that cannot see its alarms fails", denial::unanswered(error, "cloudwatch", None))
}

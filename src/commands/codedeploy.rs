//! What is checked of CodeDeploy before anything is changed: that the deployment groups exist, and are not busy with
//! somebody else's deployment.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::reach::Reach;
use super::verify::Verified;
use crate::aws::error::{CallError, Kind};
use crate::fleet::Fleet;
use crate::plan::{Definition, Plan};
use crate::verify::note::Notes;
use crate::view::View;
use crate::view::style::count;

/// Groups asked for at once.
const GROUPS: usize = 32;

/// Blocks the targets whose deployment group cannot deploy them, and notes which could not be looked at.
pub(super) async fn check(fleet: &Fleet, plan: &mut Plan, reach: &Reach, view: &mut View, verified: &mut Verified) {
    let work = plan.work.iter().enumerate().filter_map(|(index, work)| Some((index, work.as_ref()?)));
    let asked: Vec<_> = work
        .filter(|(_, work)| matches!(work.definition, Definition::Existing { .. } | Definition::Register { .. }))
        .filter_map(|(index, work)| Some((index, work.codedeploy.clone()?, work.definition.clone())))
        .collect();
    if asked.is_empty() {
        return;
    }
    view.phase(&format!("looking at {} of CodeDeploy", count(asked.len(), "deployment group")));
    let clients = reach.clients();
    let answers = futures::stream::iter(asked).map(|(index, group, definition)| {
        let target = &fleet.targets[index];
        let api = clients(target).others().codedeploy(&target.id.region);
        async move { (index, definition, api.last(&group).await) }
    });
    let mut answers: Vec<_> = answers.buffer_unordered(GROUPS).collect().await;
    answers.sort_by_key(|(index, _, _)| *index);
    let (mut reasons, mut notes) = (BTreeMap::new(), Notes::default());
    for (index, definition, last) in answers {
        match last {
            Ok(Some(last)) if !last.is_over() => {
                let ours = matches!(&definition, Definition::Existing { arn, .. } if last.deploys(arn));
                if !ours {
                    let reason = format!("the deployment {} by CodeDeploy is in progress", last.id);
                    let help = "wait until it ends, or stop it with `aws deploy stop-deployment`, and run again";
                    reasons.insert(index, (reason, help.to_owned()));
                }
            }
            Ok(_) => {}
            Err(error) if error.kind == Kind::Refused => {
                let help = "correct `codedeploy` in the manifest, or create the deployment group".to_owned();
                reasons.insert(index, (error.to_string(), help));
            }
            Err(error) => notes.add(unchecked(&error), &fleet.targets[index].id.account),
        }
    }
    verified.blocked.extend(reasons.keys().map(|&index| fleet.targets[index].id.clone()));
    verified.notes.extend(notes.lines());
    plan.block(fleet, reasons);
}

/// Says why a group could not be looked at, without the account.
fn unchecked(error: &CallError) -> String {
    match error.kind {
        Kind::Denied => format!("codedeploy:{} is not allowed", error.operation),
        Kind::Throttled => format!("codedeploy:{} is throttled", error.operation),
        Kind::Unknown => format!("AWS did not answer codedeploy:{}", error.operation),
        Kind::Expired | Kind::Refused | Kind::NotSent | Kind::Withdrawn => format!("codedeploy:{error}"),
    }
}

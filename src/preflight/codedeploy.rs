//! What is checked of CodeDeploy before anything is changed: that the deployment groups exist, and are not busy with
//! somebody else's deployment.

use std::collections::BTreeMap;

use futures::StreamExt;

use crate::aws::denial;
use crate::aws::error::Kind;
use crate::base::text::count;
use crate::connect::Connection;
use crate::fleet::Fleet;
use crate::plan::work::{Definition, Plan};
use crate::preflight::verified::Verified;
use crate::references::note::Notes;
use crate::view::View;

/// Groups asked for at once.
const GROUPS: usize = 32;

/// Blocks the targets whose deployment group cannot deploy them, and notes which could not be looked at.
pub async fn check(fleet: &Fleet, plan: &mut Plan, connection: &Connection, view: &mut View, verified: &mut Verified) {
    let work = plan.work.iter().enumerate().filter_map(|(index, work)| Some((index, work.as_ref()?)));
    let asked: Vec<_> = work
        .filter(|(_, work)| matches!(work.definition, Definition::Existing { .. } | Definition::Register { .. }))
        .filter_map(|(index, work)| Some((index, work.codedeploy.clone()?, work.definition.clone())))
        .collect();
    if asked.is_empty() {
        return;
    }
    view.phase(&format!("looking at {} of CodeDeploy", count(asked.len(), "deployment group")));
    let clients = connection.clients();
    let answers = futures::stream::iter(asked).map(|(index, group, definition)| {
        let target = &fleet.targets[index];
        let api = clients(target).aux().codedeploy(&target.id.region);
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
                reasons.insert(index, (format!("{error:#}"), help));
            }
            Err(error) => notes.add(denial::unanswered(&error, "codedeploy", None), &fleet.targets[index].id.account),
        }
    }
    verified.blocked.extend(reasons.keys().map(|&index| fleet.targets[index].id.clone()));
    verified.notes.extend(notes.lines());
    plan.block(fleet, reasons);
}

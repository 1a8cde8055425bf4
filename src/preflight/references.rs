//! What `plan`, `deploy` and saved plans check before anything is changed: that what the task definitions name exists, and
//! the alarms of bakes.

use crate::base::error::Error;
use crate::connect::{CommandContext, Connection};
use crate::engine::cancel::unless_cancelled;
use crate::fleet::Fleet;
use crate::observe::{Observation, Observed};
use crate::plan::work::Plan;
use crate::preflight::alarms;
use crate::preflight::codedeploy;
use crate::preflight::run_tasks;
use crate::preflight::verified::Verified;
use crate::view::View;

/// Returns the targets that could be read, by their indices.
pub fn observed(seen: &[Observation]) -> impl Iterator<Item = (usize, &Observed)> {
    seen.iter().enumerate().filter_map(|(index, seen)| Some((index, seen.as_ref().ok()?)))
}

/// Looks for what the targets with work need, and at the alarms of their bakes; blocks those that need what is missing.
///
/// # Errors
/// A signal.
pub async fn verify(
    fleet: &Fleet,
    plan: &mut Plan,
    observed: impl Iterator<Item = (usize, &Observed)>,
    skip: bool,
    context: &mut CommandContext<'_>,
) -> Result<Verified, Error> {
    if skip {
        return Ok(Verified::default());
    }
    let CommandContext { connection, view, cancel } = context;
    let reads = async {
        let mut verified = definitions(fleet, plan, observed, connection, view).await;
        alarms::check(fleet, plan, connection, view, &mut verified).await;
        codedeploy::check(fleet, plan, connection, view, &mut verified).await;
        verified
    };
    unless_cancelled(reads, cancel).await
}

/// Looks for what task definitions name.
async fn definitions(
    fleet: &Fleet,
    plan: &mut Plan,
    observed: impl Iterator<Item = (usize, &Observed)>,
    connection: &Connection,
    view: &mut View,
) -> Verified {
    use std::collections::BTreeMap;

    use crate::base::text::count;
    use crate::observe::references::ReferenceReader;
    use crate::references::finding::Finding;

    let named =
        |(index, observed): (usize, &Observed)| Some((index, definition(plan.work[index].as_ref()?, observed)?));
    let mut definitions: Vec<_> = observed.filter_map(named).collect();
    let own = run_tasks::read(fleet, plan, connection).await;
    definitions.extend(own.definitions);
    let questions = ReferenceReader::collect(fleet, &definitions);
    if questions.count() == 0 && own.findings.is_empty() {
        return Verified { notes: own.notes.lines(), ..Verified::default() };
    }
    view.phase(&format!(
        "looking for {} that task definitions name: roles, images, log groups, secrets",
        count(questions.count(), "thing")
    ));
    let clients = connection.clients();
    let mut checked = questions.read(&|target| clients(target).aux().clone()).await;
    for (index, findings) in own.findings {
        checked.findings.entry(index).or_default().extend(findings);
    }
    checked.notes.extend(own.notes.lines());
    let joined = |findings: &[Finding], text: fn(&Finding) -> &String| {
        let mut texts: Vec<&str> = findings.iter().map(|finding| text(finding).as_str()).collect();
        texts.dedup();
        texts.join("; ")
    };
    let reasons: BTreeMap<usize, (String, String)> = checked
        .findings
        .iter()
        .map(|(&index, found)| (index, (joined(found, |it| &it.reason), joined(found, |it| &it.help))))
        .collect();
    let blocked = reasons.keys().map(|&index| fleet.targets[index].id.clone()).collect();
    plan.block(fleet, reasons);
    Verified { blocked, notes: checked.notes }
}

/// Returns the definition whose tasks the work starts; `None` where it starts none, or they are on their way already.
fn definition(work: &crate::plan::work::Work, observed: &Observed) -> Option<std::sync::Arc<serde_json::Value>> {
    use crate::plan::work::Definition;

    match &work.definition {
        Definition::Register { definition, .. } => Some(definition.clone()),
        Definition::Existing { arn, .. } => {
            let known = observed.newest.iter().chain(&observed.named).chain([&observed.live]);
            known.into_iter().find(|definition| definition["taskDefinitionArn"] == *arn.as_str()).cloned()
        }
        Definition::Keep => {
            let starts = work.desired_count.is_some_and(|count| count > observed.service.desired);
            starts.then(|| observed.live.clone())
        }
        Definition::Follow { .. } | Definition::Return { .. } => None,
    }
}

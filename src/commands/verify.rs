//! What `plan`, `deploy` and saved plans check before anything is changed: that what the task definitions name exists, and
//! the alarms of bakes.

use std::collections::HashSet;

use super::alarms;
#[cfg(feature = "codedeploy")]
use super::codedeploy;
use super::reach::Reach;
#[cfg(feature = "verify")]
use super::run_tasks;
use crate::fleet::{Fleet, TargetId};
use crate::observe::{Observed, Seen};
use crate::plan::Plan;
use crate::view::View;

/// What came of the checks.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// The targets that are blocked now.
    pub blocked: HashSet<TargetId>,
    /// What was not checked, a line each.
    pub notes: Vec<String>,
}

/// Returns the targets that could be read, by their indices.
pub(super) fn observed(seen: &[Seen]) -> impl Iterator<Item = (usize, &Observed)> {
    seen.iter().enumerate().filter_map(|(index, seen)| Some((index, seen.as_ref().ok()?)))
}

/// Looks for what the targets with work need, and at the alarms of their bakes; blocks those that need what is missing.
pub(super) async fn verify(
    fleet: &Fleet,
    plan: &mut Plan,
    observed: impl Iterator<Item = (usize, &Observed)>,
    reach: &Reach,
    skip: bool,
    view: &mut View,
) -> Verified {
    if skip {
        return Verified::default();
    }
    let mut verified = definitions(fleet, plan, observed, reach, view).await;
    alarms::check(fleet, plan, reach, view, &mut verified).await;
    #[cfg(feature = "codedeploy")]
    codedeploy::check(fleet, plan, reach, view, &mut verified).await;
    verified
}

/// Looks for what task definitions name.
#[cfg(feature = "verify")]
async fn definitions(
    fleet: &Fleet,
    plan: &mut Plan,
    observed: impl Iterator<Item = (usize, &Observed)>,
    reach: &Reach,
    view: &mut View,
) -> Verified {
    use std::collections::BTreeMap;

    use crate::verify::Finding;
    use crate::verify::check::Questions;
    use crate::view::style::count;

    let named =
        |(index, observed): (usize, &Observed)| Some((index, definition(plan.work[index].as_ref()?, observed)?));
    let mut definitions: Vec<_> = observed.filter_map(named).collect();
    let own = run_tasks::read(fleet, plan, reach).await;
    definitions.extend(own.definitions);
    let questions = Questions::of(fleet, &definitions);
    if questions.count() == 0 && own.findings.is_empty() {
        return Verified { notes: own.notes.lines(), ..Verified::default() };
    }
    view.phase(&format!(
        "looking for {} that task definitions name: roles, images, log groups, secrets",
        count(questions.count(), "thing")
    ));
    let clients = reach.clients();
    let mut checked = questions.ask(&|target| clients(target).others().clone()).await;
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

/// Without the feature `verify` none of that is checked.
#[cfg(not(feature = "verify"))]
async fn definitions(
    _: &Fleet,
    _: &mut Plan,
    _: impl Iterator<Item = (usize, &Observed)>,
    _: &Reach,
    _: &mut View,
) -> Verified {
    Verified::default()
}

/// Returns the definition whose tasks the work starts; `None` where it starts none, or they are on their way already.
#[cfg(feature = "verify")]
fn definition(work: &crate::plan::Work, observed: &Observed) -> Option<std::sync::Arc<serde_json::Value>> {
    use crate::plan::Definition;

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

//! The health of a service's targets behind its load balancers, as its target groups have it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use crate::aws::denial;
use crate::aws::ecs::Ecs;
use crate::aws::error::{CallError, Kind};
use crate::aws::health::TargetHealth;
use crate::event::Evidence;
use crate::fleet::TargetSpec;

/// Of how many target groups the health is read.
const GROUPS: usize = 4;
/// Health is worth a moment's wait: the other evidence is there already.
const LONGEST: Duration = Duration::from_secs(3);
/// What a call needs to be allowed.
const ACTION: &str = "elasticloadbalancing:DescribeTargetHealth";

/// The states of a target that explain nothing: it serves, or it goes as it was told to.
const CALM: [&str; 2] = ["healthy", "draining"];
/// The states in the order in which they are told.
const ORDER: [&str; 7] = ["unhealthy", "unhealthy.draining", "unavailable", "unused", "initial", "draining", "healthy"];

/// Says what is wrong with the targets of the groups, by their ARNs: a line for each group that has some which are neither
/// healthy nor draining, and one for all that could not be read.
pub async fn collect(ecs: &Ecs, target: &TargetSpec, groups: &[String]) -> Vec<Evidence> {
    let asked = &groups[..groups.len().min(GROUPS)];
    let api = ecs.aux().target_groups(&target.id.region);
    let answers = asked.iter().map(|arn| {
        let read = tokio::time::timeout(LONGEST, api.health(arn));
        async move { (name(arn), read.await) }
    });
    let (mut found, mut unread): (Vec<Evidence>, Vec<Evidence>) = Default::default();
    for (group, answer) in join_all(answers).await {
        match answer {
            Ok(Ok(targets)) => found.extend(summarize(group, &targets)),
            Ok(Err(error)) if matches!(error.kind, Kind::NotSent | Kind::NoSession) => {}
            Ok(Err(error)) => unread.push(note(group, target, &error).into()),
            Err(_) => {
                unread.push(format!("the health of its targets is not known: AWS did not answer {ACTION}").into())
            }
        }
    }
    unread.dedup();
    found.extend(unread);
    found
}

/// Returns the name in a target group's ARN, `…:targetgroup/NAME/0123456789abcdef`.
fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

fn note(group: &str, target: &TargetSpec, error: &CallError) -> String {
    match error.kind {
        Kind::Denied => {
            let why = denial::unanswered(error, "elasticloadbalancing", Some(target.account.chain.role_name()));
            format!("the health of its targets could not be read: {why}")
        }
        Kind::Throttled => format!("the health of its targets is not known: {ACTION} is throttled"),
        Kind::Unknown => format!("the health of its targets is not known: AWS did not answer {ACTION}"),
        Kind::Expired | Kind::Refused | Kind::NotSent | Kind::NoSession | Kind::Withdrawn => {
            format!("target group {group}: {error:#}")
        }
    }
}

/// Says how many targets of a group are in which state, each distinct reason once; `None` where nothing is wrong.
fn summarize(group: &str, targets: &[TargetHealth]) -> Option<Evidence> {
    let mut states: BTreeMap<(usize, &TargetHealth), usize> = BTreeMap::new();
    for target in targets {
        let place = ORDER.iter().position(|state| *state == target.state).unwrap_or(0);
        *states.entry((place, target)).or_default() += 1;
    }
    let wrong: Vec<String> =
        states.keys().map(|(_, target)| *target).filter(|target| !CALM.contains(&&*target.state)).map(words).collect();
    if wrong.is_empty() {
        return None;
    }
    let counted: Vec<String> = states.iter().map(|((_, target), count)| format!("{count} {}", words(target))).collect();
    let text = format!("target group {group}: {}", counted.join(", "));
    // How many targets have come how far, and how the group is called, differ from account to account.
    Some(Evidence { cause: Some(format!("target group: {}", wrong.join(", "))), ..Evidence::from(text) })
}

/// Returns `unhealthy (Target.Timeout: Request timed out)`; of a calm state the name alone.
fn words(target: &TargetHealth) -> String {
    let said = [&target.reason, &target.description].into_iter().flatten().map(|text| text.trim_end_matches('.'));
    let said: Vec<&str> = said.filter(|text| !text.is_empty() && !CALM.contains(&&*target.state)).collect();
    match said.is_empty() {
        true => target.state.clone(),
        false => format!("{} ({})", target.state, said.join(": ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(states: &[(&str, &str, &str)]) -> Vec<TargetHealth> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let target = |&(state, reason, description): &(&str, &str, &str)| TargetHealth {
            state: state.to_owned(),
            reason: some(reason),
            description: some(description),
        };
        states.iter().map(target).collect()
    }

    #[test]
    fn each_distinct_reason_is_told_once_with_its_count() {
        let failed = ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]");
        let slow = ("unhealthy", "Target.Timeout", "Request timed out");
        let leaves = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress");
        let serves = ("healthy", "", "");
        let found = summarize("web", &targets(&[serves, leaves, failed, slow, failed])).expect("something is wrong");
        assert_eq!(
            found.text,
            "target group web: 2 unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [503]), \
             1 unhealthy (Target.Timeout: Request timed out), 1 draining, 1 healthy"
        );
        let fewer = summarize("web-prod", &targets(&[slow, failed])).expect("something is wrong");
        assert_eq!(found.cause, fewer.cause, "counts and names make no other cause");
        assert_ne!(fewer.cause, summarize("web", &targets(&[slow])).expect("something is wrong").cause);
    }

    #[test]
    fn targets_that_serve_or_leave_explain_nothing() {
        assert_eq!(summarize("web", &targets(&[])), None);
        assert_eq!(
            summarize("web", &targets(&[("healthy", "", ""), ("draining", "Target.DeregistrationInProgress", "")])),
            None
        );
        let begins =
            summarize("web", &targets(&[("initial", "Elb.RegistrationInProgress", "")])).expect("not yet healthy");
        assert_eq!(begins.text, "target group web: 1 initial (Elb.RegistrationInProgress)");
    }

    #[test]
    fn a_group_is_told_by_its_name() {
        assert_eq!(name("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/web/0a1b2c3d4e5f6071"), "web");
    }
}

//! Asks AWS whether what is needed is there: each distinct thing once for an account, a few at a time, by reads alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::aws::error::CallError;
use crate::aws::others::AuxClients;
use crate::aws::{denial, ecr, secrets};
use crate::base::document::Document;
use crate::fleet::{Fleet, OWN_IDENTITY, TargetSpec};
use crate::references::finding::Finding;
use crate::references::image::Image;
use crate::references::need::Need;
use crate::references::needs;
use crate::references::note::Notes;

/// Accounts asked at once.
const ACCOUNTS: usize = 64;
/// Calls at once in one account. DescribeParameters and GetRole have small buckets, which are also everybody else's.
const CALLS: usize = 4;
/// All of it is worth so long a wait and no more: what is not known by then is a note.
const LONGEST: Duration = Duration::from_secs(60);

/// What has to be asked: the things that definitions need, and for which targets.
#[derive(Debug, Default)]
pub struct ReferenceReader<'a> {
    accounts: BTreeMap<&'a str, Account<'a>>,
}

/// What has to be asked in one account.
#[derive(Debug)]
struct Account<'a> {
    /// One of its targets: they have the same session.
    target: &'a TargetSpec,
    /// The things, and the targets that need each.
    things: BTreeMap<Need, Vec<usize>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is missing, by the targets' indices.
    pub findings: BTreeMap<usize, Vec<Finding>>,
    /// What was not checked, a line each.
    pub notes: Vec<String>,
}

/// Why something was not checked, as a lower-case fragment.
struct Unchecked(String);

impl<'a> ReferenceReader<'a> {
    /// Collects what the definitions of targets, by their indices into [`Fleet::targets`], need.
    pub fn collect(fleet: &'a Fleet, definitions: &[(usize, Document)]) -> Self {
        let mut questions = Self::default();
        for (index, definition) in definitions {
            let target = &fleet.targets[*index];
            for need in needs(&definition.value(), target.account.id.as_str(), &target.id.region) {
                let new = || Account { target, things: BTreeMap::new() };
                let account = questions.accounts.entry(&target.account.name).or_insert_with(new);
                account.things.entry(need).or_default().push(*index);
            }
        }
        questions
    }

    /// Returns how many things are to be asked for.
    pub fn count(&self) -> usize {
        self.accounts.values().map(|account| account.things.len()).sum()
    }

    /// Asks. `others` gives the services besides ECS of a target's account.
    pub async fn read(self, others: &dyn Fn(&TargetSpec) -> AuxClients) -> Checked {
        let deadline = Instant::now() + LONGEST;
        let asked = self.accounts.into_iter().map(|(name, Account { target, things })| async move {
            let others = others(target);
            let answers = futures::stream::iter(things).map(|(need, targets)| {
                let others = &others;
                async move {
                    let answer = timeout_at(deadline, Box::pin(read_one(&need, others, target))).await;
                    let late = || Unchecked(format!("it took longer than {}s to ask", LONGEST.as_secs()));
                    (answer.unwrap_or_else(|_| Err(late())), targets)
                }
            });
            (name, answers.buffer_unordered(CALLS).collect::<Vec<_>>().await)
        });
        let mut answers: Vec<_> = futures::stream::iter(asked).buffer_unordered(ACCOUNTS).collect().await;
        answers.sort_by_key(|(name, _)| *name);
        let (mut checked, mut notes) = (Checked::default(), Notes::default());
        for (name, answers) in answers {
            for (answer, targets) in answers {
                match answer {
                    Ok(None) => {}
                    Ok(Some(finding)) => {
                        for index in targets {
                            checked.findings.entry(index).or_default().push(finding.clone());
                        }
                    }
                    Err(Unchecked(reason)) => notes.add(reason, name),
                }
            }
        }
        // In the order of their words, however the answers came.
        checked.findings.values_mut().for_each(|findings| findings.sort_by(|a, b| a.reason.cmp(&b.reason)));
        checked.notes = notes.lines();
        checked
    }
}

async fn read_one(need: &Need, others: &AuxClients, target: &TargetSpec) -> Result<Option<Finding>, Unchecked> {
    let own = target.account.id.as_str();
    let whom = target.account.chain.role();
    let whom = whom.map_or_else(|| OWN_IDENTITY.to_owned(), |role| format!("the role {}", role.name()));
    let failed = |service: &'static str| {
        let whom = &whom;
        move |error: CallError| Unchecked(denial::unanswered(&error, service, Some(whom)))
    };
    match need {
        Need::Role(role) if role.account != own => Ok(Some(role.is_foreign(own))),
        Need::Role(role) => {
            let found = others.roles(&target.id.region).find(&role.name).await.map_err(failed("iam"))?;
            Ok(match found {
                Some(found) => role.judge(&found.arn, found.trust.as_ref()),
                None => Some(role.missing()),
            })
        }
        Need::Image(image) => {
            let images = others.images(&image.region);
            match images.find(image).await.map_err(failed("ecr"))? {
                ecr::Found::There => Ok(None),
                ecr::Found::NoImage => unless_cached(image, image.missing(), images.caches(&image.registry).await),
                ecr::Found::NoRepository => {
                    unless_cached(image, image.no_repository(), images.caches(&image.registry).await)
                }
            }
        }
        Need::LogGroup(group) => {
            let there = others.logs(&group.region).has_group(&group.name).await.map_err(failed("logs"))?;
            Ok((!there).then(|| group.missing()))
        }
        Need::Secret(secret) => {
            let found = others.secrets(&secret.region).find(&secret.id).await.map_err(failed("secretsmanager"))?;
            Ok(match found {
                secrets::Found::There => None,
                secrets::Found::Deleted => Some(secret.is_deleted()),
                secrets::Found::Missing => Some(secret.missing()),
            })
        }
        Need::Parameter(parameter) if parameter.account.as_deref().is_some_and(|account| account != own) => {
            Ok(Some(parameter.is_foreign(own)))
        }
        Need::Parameter(parameter) => {
            let there = others.parameters(&parameter.region).any(&parameter.names).await.map_err(failed("ssm"))?;
            Ok((!there).then(|| parameter.missing()))
        }
    }
}

/// Lets an image pass that its registry fetches from another one at the first pull.
fn unless_cached(
    image: &Image,
    mut finding: Finding,
    prefixes: Result<BTreeSet<String>, CallError>,
) -> Result<Option<Finding>, Unchecked> {
    match prefixes {
        Ok(prefixes) => Ok((!prefixes.iter().any(|prefix| image.is_cached_by(prefix))).then_some(finding)),
        Err(_) => {
            finding.help.push_str(
                "; if a pull through cache rule fills the repository, allow ecr:DescribePullThroughCacheRules, or deploy \
                 with --no-verify",
            );
            Ok(Some(finding))
        }
    }
}

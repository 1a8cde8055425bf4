//! Resolves the tags of images to digests, once, before the plan; waits for those that are not there yet.
//!
//! An image is asked for with a session of the account whose registry it is in, where the fleet has that account, else with
//! one of those that deploy it.

use std::time::Duration;

use futures::StreamExt;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::aws::denial;
use crate::aws::ecr::{Images, Resolved};
use crate::aws::error::{CallError, Kind};
use crate::base::error::Error;
use crate::base::secrets;
use crate::base::text::count;
use crate::connect::CommandContext;
use crate::engine::cancel::unless_cancelled;
use crate::engine::context::Clients;
use crate::fleet::{Base, Fleet, OWN_IDENTITY, TargetSpec};
use crate::images::digests::Digests;
use crate::images::{Answer, Wanted, settle, wanted};
use crate::load::environment;
use crate::observe::{Observation, Observed};
use crate::references::content::{Content, Platform};
use crate::references::finding::Finding;
use crate::references::image::{HELP, Image};
use crate::registry::Registries;
use crate::registry::keychain::Keychain;
use crate::view::View;
use crate::web::{Answer as Answered, Method, Request, Web};

/// Images asked for at once.
const AT_ONCE: usize = 64;
/// How many accounts are tried where the registry refuses the ones before.
const SESSIONS: usize = 3;
/// How often an image that is not there is asked for again.
const PACE: Duration = Duration::from_secs(10);
/// The longest configuration of an image that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many images that are waited for are named.
const NAMED: usize = 3;

/// Pins the images of every target that could be read, as the manifest says; `seen` is what was read of them. No registry is asked
/// for those whose digests are `known`.
///
/// # Errors
/// A signal.
pub async fn pin(
    mut fleet: Fleet,
    seen: &[Observation],
    known: &Digests,
    context: &mut CommandContext<'_>,
) -> Result<Fleet, Error> {
    let wanted = wanted(&fleet, |index| seen[index].is_ok());
    if wanted.is_empty() {
        return Ok(fleet);
    }
    let (told, asked): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|wanted| known.find(&wanted.name).is_some());
    let told_answers = told.iter().filter_map(|wanted| Some(Answer::Found(Content::named(known.find(&wanted.name)?))));
    let mut answers: Vec<Answer> = told_answers.collect();
    if !asked.is_empty() {
        answers.extend(ask(&fleet, &asked, context).await?);
    }
    let wanted = [told, asked].concat();
    let platforms: Vec<Option<Platform>> =
        fleet.targets.iter().zip(seen).map(|(target, seen)| platform(target, seen.as_ref().ok()?)).collect();
    settle(&mut fleet, &wanted, &answers, &platforms);
    Ok(fleet)
}

/// Asks the registries for images, each once, and waits for those that are to be waited for.
///
/// # Errors
/// A signal.
pub async fn ask(fleet: &Fleet, wanted: &[Wanted], context: &mut CommandContext<'_>) -> Result<Vec<Answer>, Error> {
    let CommandContext { connection, view, cancel } = context;
    view.phase(&format!("asking registries for {}", count(wanted.len(), "image")));
    let reader = Reader {
        fleet,
        clients: connection.clients(),
        registries: Registries::new(Web::beside(&connection.aws)?, Keychain::read(&environment)),
        web: Web::beside(&connection.aws)?,
    };
    unless_cancelled(reader.all(wanted, view), cancel).await
}

/// Returns what the tasks of a target run on.
fn platform(target: &TargetSpec, observed: &Observed) -> Option<Platform> {
    let base = match &target.desired.task_definition {
        Base::File(definition) => definition,
        Base::Live => &observed.live,
        Base::Revision { number: Some(_), .. } => observed.named.as_ref()?,
        Base::Revision { number: None, .. } => observed.newest.as_ref()?,
    };
    Platform::wanted(&base.value())
}

/// Asks the registries.
struct Reader<'a> {
    fleet: &'a Fleet,
    clients: Clients,
    registries: Registries,
    web: Web,
}

impl Reader<'_> {
    /// Asks for all, and again for what is waited for.
    async fn all(&self, wanted: &[Wanted], view: &mut View) -> Vec<Answer> {
        let start = Instant::now();
        let mut answers: Vec<Option<Answer>> = vec![None; wanted.len()];
        let mut open: Vec<usize> = (0..wanted.len()).collect();
        let mut told = 0;
        loop {
            let asked = open.iter().map(|&index| async move { (index, self.one(&wanted[index]).await) });
            let found: Vec<_> = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
            found.into_iter().for_each(|(index, answer)| answers[index] = Some(answer));
            open.retain(|&index| {
                matches!(answers[index], Some(Answer::Missing(_))) && start.elapsed() < wanted[index].wait
            });
            let Some(longest) = open.iter().map(|&index| wanted[index].wait).max() else { break };
            if told != open.len() {
                view.phase(&waiting(open.iter().map(|&index| &wanted[index]), longest.saturating_sub(start.elapsed())));
                told = open.len();
            }
            tokio::time::sleep(PACE.min(longest.saturating_sub(start.elapsed()))).await;
        }
        let mut answers: Vec<Answer> = answers.into_iter().flatten().collect();
        self.tell_late(wanted, &mut answers).await;
        answers
    }

    /// Asks for one.
    async fn one(&self, wanted: &Wanted) -> Answer {
        let unknown = |reason: String| {
            let help = "allow that, or give the image by its digest (`@sha256:...`) or without `pin: digest`";
            Answer::Unknown(Finding::new(
                format!("the image {} is not known by its digest: {reason}", wanted.name),
                help,
            ))
        };
        let Some(image) = Image::read(&wanted.name) else {
            return match self.registries.resolve(&wanted.name).await {
                Ok(Some(content)) => Answer::Found(content),
                Ok(None) => Answer::Missing(Finding::new(
                    format!("the image {} does not exist in its registry", wanted.name),
                    HELP,
                )),
                Err(reason) => unknown(reason),
            };
        };
        let mut refused = None;
        for target in self.askers(wanted, &image) {
            match self.images(target, &image.region).resolve(&image).await {
                Ok(Resolved::Found(mut content)) => {
                    if let Some(configuration) = &content.configuration
                        && let Some(configuration) = self.configuration(target, &image, configuration).await
                    {
                        content.configure(&configuration);
                    }
                    return Answer::Found(content);
                }
                Ok(Resolved::Missing(finding)) => return Answer::Missing(finding),
                Ok(Resolved::Failed(reason)) => return unknown(reason),
                Err(error) if error.kind == Kind::Denied => {
                    refused.get_or_insert_with(|| unanswered(&error, target));
                }
                Err(error) => return unknown(unanswered(&error, target)),
            }
        }
        unknown(refused.unwrap_or_default())
    }

    /// Returns the configuration of one image, which says what it runs on; a refusal says nothing, and stops nothing.
    async fn configuration(&self, target: &TargetSpec, image: &Image, digest: &str) -> Option<Vec<u8>> {
        let url = self.images(target, &image.region).locate(image, digest).await.ok()?;
        let url = url.expose_secret();
        secrets::hold(url);
        let asked = Request { method: Method::Get, url, secret: None, body: None, longest: LONGEST };
        let answer = self.web.send(asked, PATIENCE).await.ok().filter(Answered::is_success)?;
        Some(answer.body)
    }

    /// Returns a target of each account that may ask for an image, the owner of its registry first.
    fn askers(&self, wanted: &Wanted, image: &Image) -> Vec<&TargetSpec> {
        let is_owner = |target: &&TargetSpec| target.account.id.as_str() == image.registry;
        let mut askers: Vec<&TargetSpec> = Vec::new();
        let others = wanted.targets.iter().map(|&index| &self.fleet.targets[index]);
        for target in self.fleet.targets.iter().find(is_owner).into_iter().chain(others) {
            if !askers.iter().any(|known| known.account.name == target.account.name) {
                askers.push(target);
            }
        }
        askers.truncate(SESSIONS);
        askers
    }

    fn images(&self, target: &TargetSpec, region: &str) -> Images {
        (self.clients)(target).aux().images(region)
    }

    /// Adds to what was waited for in vain what ECR says of its replication.
    async fn tell_late(&self, wanted: &[Wanted], answers: &mut [Answer]) {
        let found = |image: &Image| {
            let same = |other: &Image| {
                (&other.repository, &other.version) == (&image.repository, &image.version) && other != image
            };
            let there = wanted.iter().zip(&*answers).filter(|(_, answer)| matches!(answer, Answer::Found(_)));
            let mut there = there.filter_map(|(wanted, _)| Some((wanted, Image::read(&wanted.name)?)));
            there.find(|(_, other)| same(other)).map(|(wanted, other)| (wanted.clone(), other))
        };
        let late = |(index, wanted): (usize, &Wanted)| {
            let is_late = matches!(answers[index], Answer::Missing(_)) && !wanted.wait.is_zero();
            let image = Image::read(&wanted.name).filter(|_| is_late)?;
            let source = found(&image);
            Some((index, wanted.wait, image, source))
        };
        let late: Vec<_> = wanted.iter().enumerate().filter_map(late).collect();
        let asked = late.into_iter().map(|(index, wait, image, source)| async move {
            let mut more = format!(", {} after it was first asked for", humantime::format_duration(wait));
            if let Some((wanted, source)) = source
                && let Some(target) = self.askers(&wanted, &source).first()
                && let Ok(Some(status)) =
                    self.images(target, &source.region).replication(&source, (&image.registry, &image.region)).await
            {
                more.push_str(&format!("; ECR says of its replication from {}: {status}", target.id.account));
            }
            (index, more)
        });
        let told: Vec<_> = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for (index, more) in told {
            if let Answer::Missing(finding) = &mut answers[index] {
                finding.reason.push_str(&more);
            }
        }
    }
}

/// Says why a call says nothing.
fn unanswered(error: &CallError, target: &TargetSpec) -> String {
    let role = target.account.chain.role();
    let whom = role.map_or_else(|| OWN_IDENTITY.to_owned(), |role| format!("the role {}", role.name()));
    denial::unanswered(error, "ecr", Some(&whom))
}

fn waiting<'a>(images: impl ExactSizeIterator<Item = &'a Wanted>, left: Duration) -> String {
    let number = images.len();
    let names: Vec<&str> = images.take(NAMED).map(|wanted| wanted.name.as_str()).collect();
    let more = if number > NAMED { format!(" and {} more", number - NAMED) } else { String::new() };
    let left = humantime::format_duration(Duration::from_secs(left.as_secs_f64().ceil() as u64));
    format!("waiting for {}, for at most {left}: {}{more}", count(number, "image"), names.join(", "))
}

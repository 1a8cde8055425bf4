//! What is there besides ECS: images, log groups, secrets and parameters, and who needs them.
//!
//! They have no content. What a fault takes away is still known here, so that it comes back when the fault is cleared.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::TargetSpec;
use crate::references::image::Image;
use crate::references::need::Need;
use crate::references::needs;
use crate::sandbox::account::Role;
use crate::sandbox::fault::Fault;
use crate::sandbox::world::World;

/// A service in ECS: account, region and name.
type Place = (String, String, String);

/// Everything that exists, by the account that it is in.
#[derive(Debug, Default)]
pub(crate) struct Things {
    known: BTreeMap<String, BTreeMap<Need, Thing>>,
    /// The prefixes of pull through cache rules, by account and region.
    pub(crate) caches: BTreeMap<(String, String), BTreeSet<String>>,
    /// What was pushed to images of ECR that have a tag, the newest last.
    pub(crate) pushed: BTreeMap<Image, Vec<String>>,
}

/// One of them.
#[derive(Debug, Default)]
struct Thing {
    needed_by: BTreeSet<Place>,
    /// Whether it is a secret that is scheduled for deletion.
    deleted: bool,
}

impl Things {
    /// Returns the things of an account, also those that a fault takes away.
    pub(crate) fn listed<'a>(&'a self, account: &str) -> impl Iterator<Item = &'a Need> {
        self.known.get(account).into_iter().flatten().map(|(need, _)| need)
    }

    /// Returns the images of all accounts.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.known.values().flatten().filter_map(|(need, _)| match need {
            Need::Image(image) => Some(image),
            _ => None,
        })
    }
}

impl World {
    /// Makes what a service's definition needs exist, where it does not yet.
    pub(crate) fn provide(&mut self, target: &TargetSpec, definition: &serde_json::Value) {
        let (account, region) = (target.account.id.as_str(), target.id.region.as_ref());
        for need in needs(definition, account, region) {
            if let Need::Role(role) = &need
                && role.account == account
            {
                let arn = role.arn.clone().unwrap_or_else(|| {
                    format!("arn:{}:iam::{account}:role/{}", crate::sandbox::account::partition(region), role.name)
                });
                self.add_role(Role::new(arn).trusting_service("ecs-tasks.amazonaws.com"));
            }
            let place = (account.to_owned(), region.to_owned(), target.service.clone());
            let own = self.things.known.entry(home(&need, account)).or_default();
            own.entry(need).or_default().needed_by.insert(place);
        }
    }

    /// Returns the things of an account that are there, in their order, and whether they are being deleted.
    pub(crate) fn things<'a>(&'a self, account: &'a str) -> impl Iterator<Item = (&'a Need, bool)> {
        let own = self.things.known.get(account).into_iter().flatten();
        own.filter(|(need, thing)| !self.is_taken(need, thing)).map(|(need, thing)| (need, thing.deleted))
    }

    /// Whether a fault of a service that needs the role takes it away.
    pub(crate) fn is_role_taken(&self, account: &str, name: &str) -> bool {
        let mut own = self.things.known.get(account).into_iter().flatten();
        own.any(|(need, thing)| matches!(need, Need::Role(role) if role.name == name) && self.is_taken(need, thing))
    }

    /// Returns the faults of the services that need an image.
    pub(crate) fn image_faults(&self, image: &Image) -> Vec<Fault> {
        let own = self.things.known.get(&image.registry).filter(|_| !self.rules.is_empty());
        let thing = own.and_then(|own| own.get(&Need::Image(image.clone())));
        let places = thing.into_iter().flat_map(|thing| &thing.needed_by);
        places.flat_map(|(account, region, service)| self.service_faults(account, region, service)).collect()
    }

    fn is_taken(&self, need: &Need, thing: &Thing) -> bool {
        let fault = match need {
            Need::Role(_) => Fault::RoleMissing,
            Need::Image(_) => Fault::ImageMissing,
            Need::LogGroup(_) => Fault::LogGroupMissing,
            Need::Secret(_) | Need::Parameter(_) => Fault::SecretMissing,
        };
        !self.rules.is_empty()
            && thing
                .needed_by
                .iter()
                .any(|(account, region, service)| self.service_faults(account, region, service).contains(&fault))
    }

    /// Adds a thing to an account, by its id.
    pub(crate) fn add_thing(&mut self, account: &str, need: Need) {
        self.things.known.entry(account.to_owned()).or_default().entry(need).or_default();
    }

    /// Takes a thing out of an account; `false` where there is none.
    pub(crate) fn remove_thing(&mut self, account: &str, need: &Need) -> bool {
        self.things.known.get_mut(account).is_some_and(|own| own.remove(need).is_some())
    }

    /// Schedules a secret's deletion; `false` where there is none.
    pub(crate) fn delete_secret(&mut self, account: &str, need: &Need) -> bool {
        let thing = self.things.known.get_mut(account).and_then(|own| own.get_mut(need));
        thing.map(|thing| thing.deleted = true).is_some()
    }
}

/// Returns the account that a thing is in; that of the service, unless it says another.
fn home(need: &Need, account: &str) -> String {
    match need {
        Need::Role(role) => role.account.clone(),
        Need::Image(image) => image.registry.clone(),
        Need::LogGroup(_) => account.to_owned(),
        Need::Secret(secret) => secret.id.split(':').nth(4).unwrap_or(account).to_owned(),
        Need::Parameter(parameter) => parameter.account.clone().unwrap_or_else(|| account.to_owned()),
    }
}

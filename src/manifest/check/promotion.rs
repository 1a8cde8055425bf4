//! `images: { app: { from: ... } }`: where the image runs that a target gets.

use std::collections::BTreeMap;

use crate::base::nearest::suggest;
use crate::fleet::TargetId;
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::draft::{ServiceDraft, Target};
use crate::manifest::check::{Checker, entries, given, items};
use crate::manifest::image::{ImageSource, Running};
use crate::manifest::select::Candidate;
use crate::manifest::spanned::{Span, Spanned};

impl Checker<'_> {
    /// Reads where an image runs. Whether the service is there is known once all targets are.
    pub fn running(self, running: &Running, span: Span, candidate: Candidate<'_>) -> Option<TargetId> {
        let from = self.need(&running.from, span, "an image", "from")?;
        let place = running.from.as_ref().map_or(span, |from| from.span);
        let account = self.need(&from.account, place, "`from`", "account")?;
        let region = given(&from.region).map_or(candidate.region, String::as_str);
        Some(TargetId { account: account.as_str().into(), region: region.into(), service: candidate.service.into() })
    }

    /// Finds the targets whose images others get, and records those that are not there. A target keeps its own.
    pub fn find_sources(self, services: &[ServiceDraft<'_>], accounts: &Accounts, list: &mut [Target]) {
        let mut regions: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for target in list.iter() {
            let place = (target.id.account.to_string(), target.id.service.to_string());
            regions.entry(place).or_default().push(target.id.region.to_string());
        }
        for target in list {
            let own = target.id.clone();
            for (container, source) in std::mem::take(&mut target.desired.promoted) {
                let Some(service) = services.iter().find(|service| *service.name == *own.service) else { continue };
                let (span, is_explicit) = written(service, &container);
                let (account, name) = (source.account.to_string(), source.service.to_string());
                if !accounts.list.iter().any(|known| known.name == account) {
                    let known: Vec<&str> = accounts.list.iter().map(|account| account.name.as_str()).collect();
                    self.fault(span, format!("unknown account `{account}`"), suggest(&account, known));
                    continue;
                }
                let there = regions.get(&(account.clone(), name.clone())).map(Vec::as_slice).unwrap_or_default();
                let region = match there {
                    _ if there.iter().any(|region| **region == *source.region) => source.region.clone(),
                    [only] if !is_explicit => only.as_str().into(),
                    [] => {
                        let help = "select that account for the service, or name another one";
                        self.fault(span, format!("service `{name}` is not in account `{account}`"), help);
                        continue;
                    }
                    there => {
                        let message = format!("service `{name}` is not in {} of account `{account}`", source.region);
                        self.fault(span, message, format!("name its `region`: it is in {}", there.join(", ")));
                        continue;
                    }
                };
                let source = TargetId { region, ..source };
                if source != own {
                    target.desired.promoted.insert(container, source);
                }
            }
        }
    }
}

/// Returns where it is written that a container's image comes from elsewhere, and whether a region is.
fn written(service: &ServiceDraft<'_>, container: &str) -> (Span, bool) {
    let overrides = items(&service.written.overrides).iter().filter_map(Spanned::get);
    let layers = std::iter::once(&service.written.images).chain(overrides.map(|other| &other.images));
    let mut found = layers.flat_map(entries).filter(|entry| entry.key == container).filter_map(|entry| {
        let Some(ImageSource::Running(running)) = entry.value.get() else { return None };
        Some((entry.value.span, given(&running.from).is_some_and(|from| given(&from.region).is_some())))
    });
    found.next_back().unwrap_or((service.span, false))
}

//! `alarms`: the CloudWatch alarms that a wave's bake looks at, of the rollout or of a wave.

use crate::fleet::Wave;
use crate::manifest::check::accounts::Accounts;
use crate::manifest::check::draft::Targets;
use crate::manifest::check::{Checker, given};
use crate::manifest::interpolate::{Scope, Template};
use crate::manifest::spanned::Spanned;
use crate::manifest::{Manifest, Wave as Written};

/// The longest name of an alarm (CloudWatch API Reference, AlarmName).
const LONGEST: usize = 255;

type Names = Option<Spanned<Vec<Spanned<Template>>>>;

impl Checker<'_> {
    /// Gives each target the alarms of its wave. Records alarms that nothing would look at.
    pub fn alarms_of_waves(self, manifest: &Manifest, waves: &[Wave], targets: &mut Targets, accounts: &Accounts) {
        let Some(rollout) = given(&manifest.rollout) else { return };
        let written = rollout.waves.as_ref().and_then(Spanned::get);
        let written: Vec<&Written> = written.into_iter().flatten().filter_map(Spanned::get).collect();
        let lists = || [&rollout.alarms].into_iter().chain(written.iter().map(|wave| &wave.alarms));
        if lists().flatten().next().is_none() {
            return;
        }
        if let Some(alarms) = rollout.alarms.as_ref().filter(|_| waves.iter().all(|wave| wave.bake.is_zero())) {
            self.unwatched(alarms, "no wave has a bake");
        }
        for (wave, written) in waves.iter().zip(written) {
            if let Some(alarms) = written.alarms.as_ref().filter(|_| wave.bake.is_zero()) {
                self.unwatched(alarms, &format!("wave `{}` has no bake", wave.name));
            }
            let names: &Names = if written.alarms.is_some() { &written.alarms } else { &rollout.alarms };
            let Some(names) = given(names).filter(|_| !wave.bake.is_zero()) else { continue };
            for &index in &wave.targets {
                let Some(target) = targets.list.get_mut(index) else { continue };
                let Some(account) = accounts.list.get(target.account) else { continue };
                let (region, service) = (Some(&*target.id.region), Some(&*target.id.service));
                let scope = Scope { region, service, ..account.scope() };
                let mut alarms: Vec<String> = names.iter().filter_map(|name| self.alarm(name, &scope)).collect();
                alarms.sort();
                alarms.dedup();
                target.alarms = alarms;
            }
        }
    }

    fn unwatched(self, alarms: &Spanned<Vec<Spanned<Template>>>, why: &str) {
        if alarms.get().is_some_and(|names| !names.is_empty()) {
            self.fault(alarms.span, format!("`alarms` are looked at during a bake, and {why}"), "add `bake: 10m`");
        }
    }

    fn alarm(self, name: &Spanned<Template>, scope: &Scope<'_>) -> Option<String> {
        let value = self.resolve(name, scope)?;
        if value.trim().is_empty() {
            self.fault(
                name.span,
                "the alarm has no name",
                "write that of a CloudWatch alarm; check the variables in it",
            );
        }
        if value.chars().count() > LONGEST {
            self.fault(name.span, format!("the alarm's name is longer than {LONGEST} characters"), "correct it");
        }
        Some(value)
    }
}

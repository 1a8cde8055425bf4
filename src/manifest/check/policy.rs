//! `on_failure`, `rollback_scope`, `rollback_timeout` and `on_cancel`: of the rollout, and of a wave.

use std::time::Duration;

use crate::fleet;
use crate::manifest::check::{Checker, given};
use crate::manifest::scalar::DurationValue;
use crate::manifest::spanned::Spanned;
use crate::manifest::{OnCancel, OnFailure, RollbackScope, Rollout, Wave};

/// What a wave begins with, or has.
#[derive(Clone, Debug)]
pub struct Policy {
    rolls_back: bool,
    scope: fleet::Scope,
    timeout: Duration,
    /// What is done with what is under way when the run is cancelled.
    pub on_cancel: fleet::OnCancel,
}

/// The keys, as the rollout or a wave has them.
struct Written<'m> {
    on_failure: &'m Option<Spanned<OnFailure>>,
    scope: &'m Option<Spanned<RollbackScope>>,
    timeout: &'m Option<Spanned<DurationValue>>,
    on_cancel: &'m Option<Spanned<OnCancel>>,
}

impl Policy {
    /// Returns what is done with a target that fails.
    pub fn on_failure(&self) -> fleet::OnFailure {
        match self.rolls_back {
            true => fleet::OnFailure::Rollback { scope: self.scope, timeout: self.timeout },
            false => fleet::OnFailure::Stop,
        }
    }
}

impl Checker<'_> {
    /// Resolves the rollout's own: `timeout` is how long a target may take.
    pub fn failure_policy(self, rollout: Option<&Rollout>, timeout: Duration) -> Policy {
        let none =
            Policy { rolls_back: false, scope: fleet::Scope::Target, timeout, on_cancel: fleet::OnCancel::Detach };
        let Some(rollout) = rollout else { return none };
        let written = Written {
            on_failure: &rollout.on_failure,
            scope: &rollout.rollback_scope,
            timeout: &rollout.rollback_timeout,
            on_cancel: &rollout.on_cancel,
        };
        // A wave may be the one that rolls back.
        let waves = rollout.waves.as_ref().and_then(Spanned::get).into_iter().flatten().filter_map(Spanned::get);
        let any_wave = waves.into_iter().any(|wave| wave.on_failure.is_some());
        self.resolved(&written, &none, any_wave)
    }

    /// Resolves a wave's, on top of the rollout's.
    pub fn policy_of_wave(self, wave: &Wave, defaults: &Policy) -> Policy {
        let written = Written {
            on_failure: &wave.on_failure,
            scope: &wave.rollback_scope,
            timeout: &wave.rollback_timeout,
            on_cancel: &wave.on_cancel,
        };
        self.resolved(&written, defaults, false)
    }

    fn resolved(self, written: &Written<'_>, defaults: &Policy, excused: bool) -> Policy {
        let rolls_back = match given(written.on_failure) {
            Some(on_failure) => *on_failure == OnFailure::Rollback,
            None => defaults.rolls_back,
        };
        let broken = written.on_failure.as_ref().is_some_and(|value| value.get().is_none());
        let places = [
            ("rollback_scope", written.scope.as_ref().map(|value| value.span)),
            ("rollback_timeout", written.timeout.as_ref().map(|value| value.span)),
        ];
        for (key, place) in places {
            if let Some(place) = place.filter(|_| !rolls_back && !broken && !excused) {
                let message = format!("`{key}` is about rollback, and nothing is rolled back here");
                self.fault(place, message, "add `on_failure: rollback`, or remove the key");
            }
        }
        let timeout = given(written.timeout).map_or(defaults.timeout, |timeout| timeout.0);
        if let Some(place) = written.timeout.as_ref().map(|value| value.span).filter(|_| timeout.is_zero()) {
            self.fault(place, "the timeout is 0: every rollback would time out", "write how long one may take");
        }
        Policy {
            rolls_back,
            scope: match given(written.scope) {
                Some(RollbackScope::Target) => fleet::Scope::Target,
                Some(RollbackScope::Wave) => fleet::Scope::Wave,
                Some(RollbackScope::Run) => fleet::Scope::Run,
                None => defaults.scope,
            },
            timeout,
            on_cancel: match given(written.on_cancel) {
                Some(OnCancel::Detach) => fleet::OnCancel::Detach,
                Some(OnCancel::Rollback) => fleet::OnCancel::Rollback,
                None => defaults.on_cancel,
            },
        }
    }
}

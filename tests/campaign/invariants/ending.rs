//! How a run ends: in time, without a secret, without having hammered AWS; and what the next runs make of what it left.

use std::time::Duration;

use roleout::base::exit::Exit;

use crate::simulation::facts::{Facts, is_wanted};
use crate::simulation::invariants::Broken;
use crate::simulation::run::{History, shows_token};
use crate::simulation::scenario::{ENVIRONMENT_VALUE, EXTERNAL_ID, Scenario};
use crate::simulation::truth::State;

pub fn nothing_secret_is_written(facts: &Facts<'_>, broken: &mut Broken) {
    for (name, text) in [("stdout", &facts.ran.stdout), ("stderr", &facts.ran.stderr)] {
        for secret in [EXTERNAL_ID, ENVIRONMENT_VALUE] {
            if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                broken.push("secrets", format!("{secret} stands in {name}: {line}"));
            }
        }
        if shows_token(text, &facts.ran.token) {
            broken.push("secrets", format!("the ID token stands in {name}"));
        }
    }
}

pub fn it_ends_in_time(facts: &Facts<'_>, broken: &mut Broken) {
    let took = Duration::from_millis(facts.ran.ended - facts.ran.began);
    if let Some(at) = facts.ran.signalled
        && facts.ran.ended > at + 5_000
    {
        broken.push("time", format!("it ended {} ms after the signal", facts.ran.ended - at));
    }
    let fleet = facts.fleet();
    let waves = fleet.waves.iter().map(|wave| {
        let each = wave.targets.iter().map(|&index| fleet.targets[index].timeout * 5 + Duration::from_secs(20 * 60));
        each.sum::<Duration>() + wave.bake * 2
    });
    let most = waves.sum::<Duration>() + Duration::from_secs(30 * 60);
    if took > most {
        broken.push("time", format!("it took {took:?}, and {most:?} at most"));
    }
    if let Some(Err(error)) = &facts.ran.exit
        && error.exit == Exit::Unexpected
    {
        broken.push("time", format!("it ended with {error}"));
    }
}

pub fn calls_stay_in_their_buckets(facts: &Facts<'_>, broken: &mut Broken) {
    let (throttled, total) = (facts.ran.calls.throttled, facts.ran.calls.total());
    let others = facts.has_fault("throttle") || facts.has_fault("busy");
    if (!others && throttled > 0) || throttled > total / 2 + 50 {
        broken.push("rate", format!("{throttled} of {total} calls were throttled"));
    }
}

/// A session is renewed before it ends: no call is signed by one that is over, unless AWS ended it, or the call took long.
pub fn no_session_is_used_after_its_end(facts: &Facts<'_>, broken: &mut Broken) {
    let is_late = facts.has_fault("latency") || !facts.scenario.clock.is_empty();
    let expired = facts.ran.calls.expired;
    if expired > 0 && facts.scenario.revoked.is_empty() && !is_late {
        broken.push("sessions", format!("{expired} calls were signed by a session that had ended"));
    }
}

/// After the faults are over, a run finishes what is left, and a further one has nothing to do.
pub fn a_rerun_converges(scenario: &Scenario, history: &History, broken: &mut Broken) {
    if !history.rested {
        return;
    }
    let (Some(idle), Some(finishing)) =
        (history.runs.last(), history.runs.iter().nth_back(usize::from(!history.nothing_was_left)))
    else {
        return;
    };
    if let Some(Err(error)) = &finishing.exit
        && error.message.contains("by CodeDeploy is in progress")
    {
        // One that hangs is for somebody to stop.
        return;
    }
    let is_one = |state: &State| state.desired == 1;
    let narrow =
        scenario.services.iter().any(|service| service.new_keys.iter().any(|key| key.contains("maximum_percent: 150")));
    if finishing.code() != Some(Exit::Done) && narrow && finishing.before.iter().flatten().any(is_one) {
        // ECS may neither stop the one task nor start a second: no deployment of it ever ends.
        return;
    }
    if finishing.code() != Some(Exit::Done) && (scenario.has_fault("degrade") || scenario.has_fault("flap")) {
        // What degrades does so for as long as it runs, and where only the count differs nothing is deployed in its place.
        return;
    }
    if finishing.code() != Some(Exit::Done) {
        let failed: Vec<&str> = finishing.stderr.lines().filter(|line| line.contains('✖')).take(3).collect();
        broken.push("convergence", format!("the rerun ended with {:?}: {}", finishing.exit, failed.join("; ")));
        return;
    }
    for (target, state) in history.fleet.targets.iter().zip(&finishing.after) {
        let is_as_wanted = state.as_ref().is_some_and(|state| {
            let count = target.desired.desired_count;
            is_wanted(&state.image) && state.settled && count.is_none_or(|count| u64::from(count) == state.desired)
        });
        if !is_as_wanted {
            broken.push("convergence", format!("{} is {state:?} after the rerun", target.id));
        }
    }
    if idle.code() != Some(Exit::Done) || !idle.calls.attempts.is_empty() {
        let writes = &idle.calls.attempts;
        broken.push("convergence", format!("a run with nothing to do ended with {:?} and sent {writes:?}", idle.exit));
    }
}

//! `deployment:` of a service: what ECS requires inside it, which words and numbers it knows, and what does not go
//! together. What depends on the live service is the plan's to say.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use crate::base::nearest::suggest;
use crate::fleet::strategy::{bakes, standstill};
use crate::manifest::check::draft::Target;
use crate::manifest::check::{Checker, given, items};
use crate::manifest::deployment::{Alarms, CircuitBreaker, Deployment, EarlySuccessCriteria, LifecycleHook, Strategy};
use crate::manifest::interpolate::Template;
use crate::manifest::spanned::{Span, Spanned};

/// The stages at which ECS calls hooks.
const HOOKED: [&str; 8] = [
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
];
/// Those at which it does not pause.
const NO_PAUSE: [&str; 2] = ["TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"];

impl Checker<'_> {
    /// Records what is wrong with the settings of a service, or with those of an override on top of the `base`.
    pub fn deployment(self, deployment: &Option<Spanned<Deployment>>, base: &Option<Spanned<Deployment>>) {
        let (Some(settings), base) = (given(deployment), given(base)) else { return };
        if let Some(breaker) = &settings.circuit_breaker {
            self.breaker(breaker);
        }
        if let Some(alarms) = &settings.alarms {
            self.alarms(alarms);
        }
        self.bounds(settings);
        self.strategy(settings, base);
        let strategy = |it: &Deployment| given(&it.strategy).copied();
        let strategy = strategy(settings).or(base.and_then(strategy));
        if let Some(early) = &settings.early_success_criteria {
            self.early(early, settings, strategy);
        }
        for hook in items(&settings.lifecycle_hooks) {
            self.hook(hook);
        }
    }

    fn breaker(self, breaker: &Spanned<CircuitBreaker>) {
        let Some(value) = breaker.get() else { return };
        self.need(&value.enable, breaker.span, "`circuit_breaker`", "enable");
        self.need(&value.rollback, breaker.span, "`circuit_breaker`", "rollback");
        if let Some(threshold) = &value.threshold
            && let Some(value) = threshold.get()
        {
            self.need(&value.r#type, threshold.span, "`threshold`", "type");
            self.need(&value.value, threshold.span, "`threshold`", "value");
            self.one_of(&value.r#type, "type", &["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"]);
        }
    }

    fn alarms(self, alarms: &Spanned<Alarms>) {
        let Some(value) = alarms.get() else { return };
        let names = self.need(&value.alarm_names, alarms.span, "`alarms`", "alarm_names");
        let enable = self.need(&value.enable, alarms.span, "`alarms`", "enable");
        self.need(&value.rollback, alarms.span, "`alarms`", "rollback");
        if enable == Some(&true)
            && names.is_some_and(Vec::is_empty)
            && let Some(names) = &value.alarm_names
        {
            self.fault(names.span, "`alarms` is enabled and names no alarm", "name one, or write `enable: false`");
        }
    }

    fn bounds(self, settings: &Deployment) {
        let minimum = settings.minimum_healthy_percent.as_ref();
        let maximum = settings.maximum_percent.as_ref();
        if let Some(written) = minimum
            && written.get().is_some_and(|percent| *percent > 100)
        {
            self.fault(written.span, "`minimum_healthy_percent` is more than 100", "write 0 to 100");
        }
        if let (Some(low), Some(high)) = (minimum, maximum)
            && let (Some(from), Some(to)) = (low.get(), high.get())
            && from >= to
        {
            let message = format!("`maximum_percent` is {to} and `minimum_healthy_percent` {from}: no task can move");
            let fault = self.context.fault(high.span, message).also(low.span, "the minimum");
            self.context.push(fault.help("leave room to start a task first (100 and 200) or to stop one (50 and 100)"));
        }
    }

    fn strategy(self, settings: &Deployment, base: Option<&Deployment>) {
        self.range(&settings.bake_time_in_minutes, "bake_time_in_minutes", 0..=1440);
        if let Some(linear) = given(&settings.linear_configuration) {
            self.range(&linear.step_percent, "step_percent", 3.0..=100.0);
            self.tenths(&linear.step_percent, "step_percent");
            self.range(&linear.step_bake_time_in_minutes, "step_bake_time_in_minutes", 0..=1440);
        }
        if let Some(canary) = given(&settings.canary_configuration) {
            self.range(&canary.canary_percent, "canary_percent", 0.1..=100.0);
            self.tenths(&canary.canary_percent, "canary_percent");
            self.range(&canary.canary_bake_time_in_minutes, "canary_bake_time_in_minutes", 0..=1440);
        }
        let Some(written) = settings.strategy.as_ref().or(base.and_then(|base| base.strategy.as_ref())) else { return };
        let Some(strategy) = written.get().copied() else { return };
        let bakes = settings.bake_time_in_minutes.is_some() || base.is_some_and(|it| it.bake_time_in_minutes.is_some());
        if strategy == Strategy::BlueGreen && settings.strategy.is_some() && !bakes {
            let help =
                "add `bake_time_in_minutes:`, for how long both revisions run after the traffic moved; 0 is a time";
            self.fault(written.span, "BLUE_GREEN needs `bake_time_in_minutes`", help);
        }
        let only = |span: Option<Span>, key: &str, its: Strategy| {
            if let Some(span) = span.filter(|_| strategy != its) {
                let help = format!("remove it, or write `strategy: {}`", its.word());
                self.fault(span, format!("`{key}` is not for the strategy {}", strategy.word()), help);
            }
        };
        only(settings.linear_configuration.as_ref().map(|it| it.span), "linear_configuration", Strategy::Linear);
        only(settings.canary_configuration.as_ref().map(|it| it.span), "canary_configuration", Strategy::Canary);
    }

    fn early(self, early: &Spanned<EarlySuccessCriteria>, settings: &Deployment, strategy: Option<Strategy>) {
        let Some(value) = early.get() else { return };
        let enable = self.need(&value.enable, early.span, "`early_success_criteria`", "enable");
        self.range(&value.healthy_percent, "healthy_percent", 0..=100);
        self.one_of(
            &value.source_service_revision_cleanup,
            "source_service_revision_cleanup",
            &["BLOCKING", "DEFERRED"],
        );
        if enable != Some(&true) {
            return;
        }
        let owner = "`early_success_criteria`";
        self.need(&value.healthy_percent, early.span, owner, "healthy_percent");
        self.need(&value.source_service_revision_cleanup, early.span, owner, "source_service_revision_cleanup");
        if let Some(strategy) = strategy.filter(|strategy| *strategy != Strategy::Rolling) {
            let message = format!("`early_success_criteria` is not for the strategy {}", strategy.word());
            self.fault(self.head(early.span), message, "remove it: only ROLLING has it");
        }
        if let (Some(healthy), Some(minimum)) = (&value.healthy_percent, &settings.minimum_healthy_percent)
            && let (Some(share), Some(least)) = (healthy.get(), minimum.get())
            && share < least
        {
            let message = format!("`healthy_percent` is {share}, less than `minimum_healthy_percent`");
            let fault = self.context.fault(healthy.span, message).also(minimum.span, "the minimum");
            self.context.push(fault.help(format!("write {least} to 100")));
        }
    }

    fn hook(self, hook: &Spanned<LifecycleHook>) {
        let Some(value) = hook.get() else { return };
        self.one_of(&value.target_type, "target_type", &["AWS_LAMBDA", "PAUSE"]);
        let pauses = literal(&value.target_type) == Some("PAUSE");
        let owner = if pauses { "a PAUSE hook" } else { "a lifecycle hook" };
        self.need(&value.lifecycle_stages, hook.span, owner, "lifecycle_stages");
        if let Some(stages) = value.lifecycle_stages.as_ref().filter(|it| it.get().is_some_and(Vec::is_empty)) {
            self.fault(stages.span, format!("{owner} names no stage"), "name one, such as POST_TEST_TRAFFIC_SHIFT");
        }
        for stage in items(&value.lifecycle_stages) {
            self.stage(stage, pauses);
        }
        if value.target_type.is_none() || literal(&value.target_type) == Some("AWS_LAMBDA") {
            self.need(&value.hook_target_arn, hook.span, "a hook of AWS_LAMBDA", "hook_target_arn");
        }
        let of_lambda = [
            (value.hook_target_arn.as_ref().map(|it| it.span), "hook_target_arn"),
            (value.role_arn.as_ref().map(|it| it.span), "role_arn"),
            (value.hook_details.as_ref().map(|it| it.span), "hook_details"),
        ];
        for (span, key) in of_lambda.into_iter().filter(|_| pauses) {
            if let Some(span) = span {
                self.fault(span, format!("a PAUSE hook has no `{key}`"), "remove it: a PAUSE hook calls nothing");
            }
        }
        if let Some(timeout) = given(&value.timeout) {
            self.range(&timeout.timeout_in_minutes, "timeout_in_minutes", 1..=20160);
            self.one_of(&timeout.action, "action", &["ROLLBACK", "CONTINUE"]);
        }
    }

    fn stage(self, stage: &Spanned<Template>, pauses: bool) {
        let Some(word) = stage.get().and_then(Template::as_literal) else { return };
        if ["SCALE_UP", "BAKE_TIME", "CLEAN_UP"].contains(&word) {
            let help = format!("choose one of {}", HOOKED.join(", "));
            self.fault(stage.span, format!("ECS calls no hook at {word}"), help);
        } else if !HOOKED.contains(&word) {
            let message = format!("there is no lifecycle stage `{word}`");
            self.fault(stage.span, message, suggest(word, HOOKED));
        } else if pauses && NO_PAUSE.contains(&word) {
            let help = format!("pause at POST_{word} instead, or call a Lambda function here");
            self.fault(stage.span, format!("ECS does not pause at {word}"), help);
        }
    }

    /// Records a word that ECS does not know. One that is made of variables is left to ECS.
    pub fn one_of(self, value: &Option<Spanned<Template>>, key: &str, known: &[&str]) {
        if let (Some(word), Some(written)) = (literal(value), value)
            && !known.contains(&word)
        {
            self.fault(written.span, format!("`{key}` cannot be `{word}`"), suggest(word, known.iter().copied()));
        }
    }

    /// Records a number that is out of its range.
    pub fn range<T: PartialOrd + Display>(self, value: &Option<Spanned<T>>, key: &str, range: RangeInclusive<T>) {
        if let Some(written) = value
            && written.get().is_some_and(|number| !range.contains(number))
        {
            let help = format!("write {} to {}", range.start(), range.end());
            let number = written.get().map(ToString::to_string).unwrap_or_default();
            self.fault(written.span, format!("`{key}` cannot be {number}"), help);
        }
    }

    fn tenths(self, value: &Option<Spanned<f64>>, key: &str) {
        if let Some(written) = value
            && written.get().is_some_and(|number| ((number * 10.0).round() - number * 10.0).abs() > 1e-6)
        {
            self.fault(written.span, format!("`{key}` is finer than ECS counts"), "write one digit after the point");
        }
    }
}

/// Returns a text without variables.
fn literal(text: &Option<Spanned<Template>>) -> Option<&str> {
    given(text).and_then(Template::as_literal)
}

/// Leaves out the steps of a strategy that an override replaced by another: ECS refuses them.
pub fn leave_out_moot(settings: &mut Value) {
    let Some(strategy) = settings["strategy"].as_str().map(str::to_owned) else { return };
    let Some(settings) = settings.as_object_mut() else { return };
    for (member, only) in
        [("linearConfiguration", "LINEAR"), ("canaryConfiguration", "CANARY"), ("earlySuccessCriteria", "ROLLING")]
    {
        if strategy != only {
            settings.remove(member);
        }
    }
}

/// Warns, once a service, of bakes that a target's timeout cannot outlast.
pub fn warn_of_bakes(targets: &[Target], timeout: Duration, warnings: &mut Vec<String>) {
    let mut told: Vec<&str> = Vec::new();
    for target in targets {
        let bakes = target.desired.deployment.as_ref().map(bakes).unwrap_or_default();
        if bakes >= timeout && !told.contains(&&*target.id.service) {
            told.push(&target.id.service);
            let (bakes, timeout) = (humantime::format_duration(bakes), humantime::format_duration(timeout));
            warnings.push(format!(
                "service `{}` bakes for {bakes} in ECS, and `rollout.timeout` is {timeout}: its deployments cannot end in \
                 time; raise the timeout",
                target.id.service
            ));
        }
    }
}

/// Warns, once a service, of task counts under which no task can move. What only AWS knows, the plan says.
pub fn warn_of_counts(targets: &[Target], warnings: &mut Vec<String>) {
    let mut warned: Vec<&str> = Vec::new();
    for target in targets {
        let Some((settings, count)) = target.desired.deployment.as_ref().zip(target.desired.desired_count) else {
            continue;
        };
        // A bound that is not declared stays the service's own.
        let whole = ["minimumHealthyPercent", "maximumPercent"].iter().all(|bound| settings[*bound].is_u64());
        if let Some(stuck) = standstill(settings, count).filter(|_| whole && !warned.contains(&&*target.id.service)) {
            warned.push(&target.id.service);
            warnings.push(format!(
                "service `{}`: {stuck}; raise `maximum_percent` or lower `minimum_healthy_percent`",
                target.id.service
            ));
        }
    }
}

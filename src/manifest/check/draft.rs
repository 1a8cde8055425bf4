//! What is known of services and targets while they are checked.

use crate::fleet::{Desired, Pin, TargetId};
use crate::manifest::codedeploy::CodeDeploy;
use crate::manifest::definition::DefinitionSource;
use crate::manifest::deployment::Deployment;
use crate::manifest::image::ImageSource;
use crate::manifest::interpolate::Template;
use crate::manifest::patch::Patch;
use crate::manifest::run_task::RunTask;
use crate::manifest::scalar::{Count, DurationValue, Scalar};
use crate::manifest::spanned::{Entries, Span, Spanned};
use crate::manifest::{Override, Service};

/// A service as far as it could be read.
pub struct ServiceDraft<'a> {
    pub name: &'a str,
    pub(crate) span: Span,
    pub(crate) written: &'a Service,
    /// What its targets have where nothing else is said.
    pub(crate) defaults: Desired,
}

/// A target before its account is shared.
pub struct Target {
    pub id: TargetId,
    /// The index of its account's draft.
    pub account: usize,
    pub cluster: String,
    pub service: String,
    pub desired: Desired,
    /// What its wave gives it.
    pub alarms: Vec<String>,
}

/// The targets of every enabled account.
pub struct Targets {
    pub list: Vec<Target>,
    /// Whether that is all of them: if not, nothing can be said about the waves.
    pub complete: bool,
}

/// What a service or an override says of a target.
pub struct Layer<'a> {
    pub(crate) cluster: &'a Option<Spanned<Template>>,
    pub(crate) service: &'a Option<Spanned<Template>>,
    pub(crate) task_definition: &'a Option<Spanned<DefinitionSource>>,
    /// What an override sets. A service sets in its `task_definition`.
    pub set: Option<&'a Spanned<Patch>>,
    pub images: &'a Option<Spanned<Entries<ImageSource>>>,
    pub pin: &'a Option<Spanned<Pin>>,
    pub wait_for_images: &'a Option<Spanned<DurationValue>>,
    pub environment: &'a Option<Spanned<Entries<Entries<Scalar>>>>,
    pub secrets: &'a Option<Spanned<Entries<Entries<Template>>>>,
    pub(crate) desired_count: &'a Option<Spanned<Count>>,
    pub(crate) deployment: &'a Option<Spanned<Deployment>>,
    pub before: &'a Written,
    pub after: &'a Written,
    pub(crate) codedeploy: &'a Option<Spanned<CodeDeploy>>,
}

macro_rules! layer {
    ($from:expr, $set:expr) => {
        Layer {
            cluster: &$from.cluster,
            service: &$from.service,
            task_definition: &$from.task_definition,
            set: $set,
            images: &$from.images,
            pin: &$from.pin,
            wait_for_images: &$from.wait_for_images,
            environment: &$from.environment,
            secrets: &$from.secrets,
            desired_count: &$from.desired_count,
            deployment: &$from.deployment,
            before: &$from.before,
            after: &$from.after,
            codedeploy: &$from.codedeploy,
        }
    };
}

impl<'a> From<&'a Service> for Layer<'a> {
    fn from(service: &'a Service) -> Self {
        layer!(service, None)
    }
}

impl<'a> From<&'a Override> for Layer<'a> {
    fn from(other: &'a Override) -> Self {
        layer!(other, other.set.as_ref())
    }
}

/// A list of tasks, as a service or an override has it.
pub type Written = Option<Spanned<Vec<Spanned<RunTask>>>>;

//! The manifest, `deploy.yaml`, as it is written: the types that mirror the YAML.
//!
//! The doc comments of the fields are the descriptions of the JSON Schema, so they speak to whoever writes a manifest.
//! Nothing here is checked or resolved: [`load::load`] makes a [`Fleet`](crate::fleet::Fleet) of it. Every field is
//! optional in the types; which ones are required, `check.rs` says, so that one missing key hides no other fault.

pub mod account;
pub mod allow;
pub mod check;
pub mod codedeploy;
pub mod console;
pub mod credential;
pub mod decode;
pub mod definition;
pub mod deployment;
pub mod fault;
pub mod gitlab;
pub mod image;
pub mod include;
pub mod interpolate;
pub mod load;
pub mod locate;
pub mod lock;
mod lookalike;
pub mod node;
pub mod patch;
pub mod render;
pub mod run_task;
pub mod scalar;
pub mod schema;
pub mod select;
mod shown;
pub mod spanned;
pub mod taskdef;
pub mod tfstate;
mod yaml;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::fleet::webhook::{Format, Occasion};
use crate::fleet::{OnBusy, Pin};
use crate::manifest::account::AccountEntry;
use crate::manifest::allow::Allow;
use crate::manifest::codedeploy::CodeDeploy;
use crate::manifest::console::Console;
use crate::manifest::definition::DefinitionSource;
use crate::manifest::deployment::Deployment;
use crate::manifest::gitlab::GitLab;
use crate::manifest::image::ImageSource;
use crate::manifest::interpolate::Template;
use crate::manifest::patch::Patch;
use crate::manifest::run_task::RunTask;
use crate::manifest::scalar::{AmountValue, Count, DurationValue, Json, Scalar};
use crate::manifest::select::Selector;
use crate::manifest::spanned::{Entries, OneOrMany, Spanned};
use crate::manifest::tfstate::TfState;

/// The ECS services, the AWS accounts that they are deployed to, the way to reach these accounts, and the order.
///
/// Every text value may use `${NAME}`, `${NAME:-default}` and `${NAME:?message}` for environment variables; `$${` is a
/// literal `${`. Where a target is known, its own names work the same way: `${account.id}`, `${account.name}`,
/// `${region}`, `${service.name}` and `${vars.x}`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: 1.
    #[schemars(required, range(min = 1, max = 1))]
    pub version: Option<Spanned<u32>>,
    /// Other files that add `accounts`, `roles` and `services`, and nothing else: paths or patterns such as `teams/*.yaml`,
    /// relative to the manifest, in its directory or its repository. `*` and `?` stay within a folder, `**` is any number of
    /// folders. A name that is there twice is an error. An included file includes no other file, and the paths in it are
    /// relative to it.
    pub include: Option<Spanned<OneOrMany<String>>>,
    /// Where the run's first credentials come from. Default: the ID token in the variable `GITLAB_OIDC_TOKEN`.
    pub identity: Option<Spanned<Identity>>,
    /// The IAM roles, by a name of your own that `chain` uses.
    pub roles: Option<Spanned<Entries<Role>>>,
    /// The AWS accounts: each by itself, or those of an organization that match.
    #[schemars(required)]
    pub accounts: Option<Spanned<Vec<Spanned<AccountEntry>>>>,
    /// The ECS services.
    #[schemars(required)]
    pub services: Option<Spanned<Vec<Spanned<Service>>>>,
    /// Settings of every service that says nothing else.
    pub defaults: Option<Spanned<Defaults>>,
    /// The Terraform states that `${tfstate:...}` looks into, by a name of your own.
    pub tfstate: Option<Spanned<Entries<TfState>>>,
    /// The order of the rollout, and how much of it may fail. Default: every target at once, in one wave named `all`.
    pub rollout: Option<Spanned<Rollout>>,
    /// Webhooks that get a message when a run starts, halts and ends. A webhook that fails changes nothing.
    pub notify: Option<Spanned<Vec<Spanned<Webhook>>>>,
    /// What is recorded in GitLab as well. If GitLab refuses it, the run goes on.
    pub gitlab: Option<Spanned<GitLab>>,
    /// How links to the AWS console are made. Without it they open in the account to which the browser is signed in.
    pub console: Option<Spanned<Console>>,
}

/// Where the run's first credentials come from: one of `token_env`, `token_file` and `ambient`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The name of the variable that holds the ID token, as the job's `id_tokens` has it. The name, not `${NAME}`:
    /// the token never passes through the manifest. Default: `GITLAB_OIDC_TOKEN`.
    pub token_env: Option<Spanned<String>>,
    /// The path of a file that holds the ID token, relative to the manifest.
    pub token_file: Option<Spanned<String>>,
    /// `true`: use the AWS SDK's own credentials, such as a profile. For a laptop.
    pub ambient: Option<Spanned<bool>>,
    /// The region of the STS endpoint. Default: `AWS_REGION`, then `AWS_DEFAULT_REGION`, then the first account's first
    /// region.
    pub region: Option<Spanned<String>>,
    /// The role session name of every hop, as CloudTrail shows it: 2 to 64 of letters, digits and `_+=,.@-`. Default:
    /// `gl-${CI_PROJECT_ID}-${CI_PIPELINE_ID}-${CI_JOB_ID}` in a GitLab job, otherwise `roleout`.
    pub session_name: Option<Spanned<String>>,
    /// The roles that lead to the management account of the organization, or to a delegated administrator, for `roleout
    /// accounts --update`. No other command walks them.
    pub organization_chain: Option<Spanned<Vec<Spanned<String>>>>,
    /// The address of the GitLab that issues the ID tokens, exactly as in their `iss`, such as `https://gitlab.com`.
    /// `roleout iam` writes trust policies for it. `roleout doctor` compares it with the token, and checks it if there is
    /// no token. Default: `CI_SERVER_URL` for `iam`, the token's own for `doctor`.
    pub issuer: Option<Spanned<String>>,
    /// Which GitLab jobs may assume the first role of every chain. `roleout iam` writes trust policies from it.
    pub allow: Option<Spanned<Allow>>,
}

/// An IAM role and the parameters with which it is assumed. `${account.id}`, `${account.name}` and `${vars.x}` are those of
/// the chain's account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The role's ARN, such as `arn:aws:iam::${account.id}:role/ecs-deployer`.
    #[schemars(required)]
    pub arn: Option<Spanned<Template>>,
    /// The external id that the role's trust policy asks for. Not for the first role of a web identity.
    pub external_id: Option<Spanned<Template>>,
    /// Session tags, at most 50. Not for the first role of a web identity: there, tags come from the token.
    pub tags: Option<Spanned<Entries<Scalar>>>,
    /// The keys of those tags that pass on to the next role.
    pub transitive_tags: Option<Spanned<Vec<Spanned<String>>>>,
    /// The source identity, which CloudTrail keeps through the whole chain. Not for the first role of a web identity.
    pub source_identity: Option<Spanned<Template>>,
    /// A session policy that narrows the role: an IAM policy document, inline as YAML or as a string of JSON. Write an IAM
    /// policy variable with two dollars: `$${aws:username}`.
    pub policy: Option<Spanned<Json>>,
    /// The ARNs of managed session policies, at most 10.
    pub policy_arns: Option<Spanned<Vec<Spanned<Template>>>>,
    /// How long the session lasts: 15m to 12h, or at most 1h for a role that is assumed from another role. Default: 1h.
    pub duration: Option<Spanned<DurationValue>>,
}

/// An ECS service that exists in the accounts and regions that it selects.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// A unique name of your own: letters, digits, `.`, `_` and `-`.
    #[schemars(required, regex(pattern = r"^[\p{L}\p{M}\p{N}._-]+$|\$\{"))]
    pub name: Option<Spanned<String>>,
    /// Which accounts and regions have the service. Default: all of them.
    pub select: Option<Spanned<Selector>>,
    /// The cluster's name or ARN.
    #[schemars(required)]
    pub cluster: Option<Spanned<Template>>,
    /// The service's name in ECS. Default: `name`.
    pub service: Option<Spanned<Template>>,
    /// The path, relative to the manifest, of a task definition in AWS's own JSON: the input of `aws ecs
    /// register-task-definition --cli-input-json`, or the output of `describe-task-definition`. In its text values only the
    /// target's own names are filled in (`${account.id}`, `${account.name}`, `${region}`, `${service.name}`, `${vars.x}`);
    /// every other `$` is left to the container, and `$${region}` is a literal `${region}`. Or an existing revision: `{
    /// family: api, revision: 12 }`. It is deployed as it is, or with the changes below as a new revision of that family.
    /// `set` changes other members: `{ file: api.json, set: { cpu: 512 } }`. Default: the revision that runs now, with the
    /// changes below.
    pub task_definition: Option<Spanned<DefinitionSource>>,
    /// The image of each container that changes. Or `{ from: { account: staging } }`: the image that the same service runs in
    /// that account when the run is planned.
    pub images: Option<Spanned<Entries<ImageSource>>>,
    /// `digest`: resolve the tags of `images` and of the task definition file once, before anything changes, and register
    /// them with their digests. `none`: register them as they are. Default: that of `defaults`, else none.
    pub pin: Option<Spanned<Pin>>,
    /// How long `plan` and `deploy` wait for an image that is not in its registry yet, such as one that is still replicated.
    /// Default: that of `defaults`, else 0s.
    pub wait_for_images: Option<Spanned<DurationValue>>,
    /// Environment variables by container. Those not named stay as they are.
    pub environment: Option<Spanned<Entries<Entries<Scalar>>>>,
    /// Secrets by container: the ARN of a Secrets Manager secret or an SSM parameter for each variable.
    pub secrets: Option<Spanned<Entries<Entries<Template>>>>,
    /// How many tasks should run. Default: never changed, because autoscaling may own it.
    pub desired_count: Option<Spanned<Count>>,
    /// ECS's deployment configuration, with its names in snake case. Default: as it is.
    pub deployment: Option<Spanned<Deployment>>,
    /// Tasks that run, one after the other, after the new revision is registered and before the service runs it, such as a
    /// migration. If one fails, the target has failed and nothing of it is deployed.
    pub before: Option<Spanned<Vec<Spanned<RunTask>>>>,
    /// Tasks that run, one after the other, after the deployment succeeded, such as a smoke test. If one fails, the target
    /// has failed.
    pub after: Option<Spanned<Vec<Spanned<RunTask>>>>,
    /// How CodeDeploy deploys a service with the deployment controller CODE_DEPLOY.
    pub codedeploy: Option<Spanned<CodeDeploy>>,
    /// Settings that differ on some targets: applied in order, each on top of the ones before.
    pub overrides: Option<Spanned<Vec<Spanned<Override>>>>,
}

/// Settings of every service that says nothing else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// How new revisions name their images: `digest` or `none`. Default: none.
    pub pin: Option<Spanned<Pin>>,
    /// How long an image that is not in its registry yet is waited for. Default: 0s.
    pub wait_for_images: Option<Spanned<DurationValue>>,
}

/// Settings for the targets that it selects. Mappings are merged key by key; anything else is replaced.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Which of the service's targets it changes.
    #[schemars(required)]
    pub select: Option<Spanned<Selector>>,
    /// Another cluster.
    pub cluster: Option<Spanned<Template>>,
    /// Another name in ECS.
    pub service: Option<Spanned<Template>>,
    /// Another task definition, as a whole: a revision here inherits neither the family nor what is `set`.
    pub task_definition: Option<Spanned<DefinitionSource>>,
    /// Members of the task definition that get other values, by AWS's names: `{ cpu: 512, containerDefinitions: { app: {
    /// memory: 1024 } } }`. Containers go by their names. Mappings are merged key by key, `null` takes a member out, and
    /// anything else, a list too, takes the place of what was there. A text stands for a number, `true` or `false` where AWS
    /// wants one. `images`, `environment` and `secrets` have keys of their own.
    pub set: Option<Spanned<Patch>>,
    /// Other images.
    pub images: Option<Spanned<Entries<ImageSource>>>,
    /// Another way to name images.
    pub pin: Option<Spanned<Pin>>,
    /// Another time to wait for them.
    pub wait_for_images: Option<Spanned<DurationValue>>,
    /// More or other environment variables.
    pub environment: Option<Spanned<Entries<Entries<Scalar>>>>,
    /// More or other secrets.
    pub secrets: Option<Spanned<Entries<Entries<Template>>>>,
    /// Another number of tasks.
    pub desired_count: Option<Spanned<Count>>,
    /// More or other deployment settings.
    pub deployment: Option<Spanned<Deployment>>,
    /// Other tasks before the deployment; they replace the whole list.
    pub before: Option<Spanned<Vec<Spanned<RunTask>>>>,
    /// Other tasks after the deployment; they replace the whole list.
    pub after: Option<Spanned<Vec<Spanned<RunTask>>>>,
    /// Other CodeDeploy settings, as a whole.
    pub codedeploy: Option<Spanned<CodeDeploy>>,
}

/// The order of the rollout, and how much of it may fail. The settings here are the defaults of every wave.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// How long each target may take, from the last read before UpdateService on. The steps before that have the same time.
    /// Default: 20m.
    pub timeout: Option<Spanned<DurationValue>>,
    /// What to do with a target that fails. `stop`: leave it as ECS's circuit breaker leaves it. `rollback`: roll it back
    /// to what it ran before, unless ECS does, and watch the rollback to its end. Default: stop.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// With `on_failure: rollback`, what else is rolled back when a wave exceeds its failure budget. `target`: nothing.
    /// `wave`: the targets that had succeeded in that wave. `run`: the targets that had succeeded in any wave. Default:
    /// target.
    pub rollback_scope: Option<Spanned<RollbackScope>>,
    /// With `on_failure: rollback`, how long each rollback may take. Default: `timeout`.
    pub rollback_timeout: Option<Spanned<DurationValue>>,
    /// What to do with deployments that are under way when the job is cancelled. `detach`: let them go on.
    /// `rollback`: ask ECS to roll them back, without waiting for it. Default: detach.
    pub on_cancel: Option<Spanned<OnCancel>>,
    /// What to do with a target on which another deployment is in progress. `fail`: block the target. `wait`: `deploy`
    /// waits until that deployment has ended, for at most the target's timeout, and then plans. `supersede`: our deployment
    /// replaces it. Default: fail.
    pub on_busy: Option<Spanned<OnBusy>>,
    /// How many targets of a wave run at once: a number or a percentage, or a list of batches. Default: 100%.
    pub max_parallel: Option<Spanned<OneOrMany<AmountValue>>>,
    /// How many targets of one account run at once. Default: no separate limit.
    pub max_parallel_per_account: Option<Spanned<Count>>,
    /// The failure budget: how many targets of a wave may fail before nothing new starts, as a number or a percentage.
    /// Default: 0.
    pub max_failures: Option<Spanned<AmountValue>>,
    /// `true`: never run more targets at once than may still fail, plus one. Default: false.
    pub strict: Option<Spanned<bool>>,
    /// The CloudWatch alarms that each wave's bake reads, by name, such as `api-5xx-${region}`, in the account and region
    /// of every deployed target. An alarm in ALARM fails every target that names it. Default: none.
    pub alarms: Option<Spanned<Vec<Spanned<Template>>>>,
    /// `false`: do not tag new revisions with the commit and the pipeline. Default: true.
    pub tag_revisions: Option<Spanned<bool>>,
    /// The waves, in order. Every target is in exactly one of them. Default: one wave named `all`.
    pub waves: Option<Spanned<Vec<Spanned<Wave>>>>,
}

/// A webhook: a URL that gets the run's messages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The name of the variable that holds the URL. The name, not `${NAME}`: anyone with the URL can post.
    #[schemars(required)]
    pub url_env: Option<Spanned<String>>,
    /// `json`: the run in numbers and its failures. `slack`: a message for the incoming webhooks of Slack and Mattermost.
    /// `gitlab`: an alert for an HTTP endpoint of GitLab's alerts, which a run that succeeds resolves. Default: json.
    pub format: Option<Spanned<Format>>,
    /// With `format: gitlab`, the name of the variable that holds the endpoint's authorization key.
    pub key_env: Option<Spanned<String>>,
    /// When: `start`, `halt`, as soon as the failure budget is exceeded, and `end`. Default: `halt` and `end`. `start` is not
    /// for `format: gitlab`.
    pub on: Option<Spanned<Vec<Spanned<Occasion>>>>,
}

/// Targets that are rolled out together; the next wave waits for them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// A unique name of your own: letters, digits, `.`, `_` and `-`.
    #[schemars(required, regex(pattern = r"^[\p{L}\p{M}\p{N}._-]+$|\$\{"))]
    pub name: Option<Spanned<String>>,
    /// Which targets are in it. One wave may omit it: that wave gets the rest.
    pub select: Option<Spanned<Selector>>,
    /// How many targets run at once. A number or a percentage of the wave is a sliding window. A list such as `[1, 5, 25%]`
    /// is a sequence of batches: each waits for the one before, and the last one repeats.
    pub max_parallel: Option<Spanned<OneOrMany<AmountValue>>>,
    /// How many targets of one account run at once.
    pub max_parallel_per_account: Option<Spanned<Count>>,
    /// The failure budget: how many targets may fail before nothing new starts in this or any later wave, as a number or a
    /// percentage.
    pub max_failures: Option<Spanned<AmountValue>>,
    /// `true`: never run more targets at once than may still fail, plus one.
    pub strict: Option<Spanned<bool>>,
    /// How long every deployed target must stay healthy before the next wave starts. Default: 0s.
    pub bake: Option<Spanned<DurationValue>>,
    /// The CloudWatch alarms that this wave's bake reads, instead of the rollout's.
    pub alarms: Option<Spanned<Vec<Spanned<Template>>>>,
    /// `manual`: stop the run before this wave. `deploy --from WAVE` goes on with it, for example from a manual job.
    pub gate: Option<Spanned<Gate>>,
    /// What to do with a target of this wave that fails.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// What else is rolled back when this wave exceeds its failure budget.
    pub rollback_scope: Option<Spanned<RollbackScope>>,
    /// How long each rollback of this wave's targets may take.
    pub rollback_timeout: Option<Spanned<DurationValue>>,
    /// What to do with this wave's deployments that are under way when the job is cancelled.
    pub on_cancel: Option<Spanned<OnCancel>>,
}

/// What to do with a target that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Leave it as ECS's circuit breaker leaves it.
    Stop,
    /// Roll it back to what it ran before.
    Rollback,
}

/// What is rolled back when a wave exceeds its failure budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackScope {
    /// The targets that failed.
    Target,
    /// Also the targets that succeeded in the wave.
    Wave,
    /// Also the targets that succeeded in any wave of the run.
    Run,
}

/// What to do with deployments that are under way when the job is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// Let them go on.
    Detach,
    /// Ask ECS to roll them back.
    Rollback,
}

/// What must happen before a wave starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A person starts it.
    Manual,
}

//! What the last role of a chain may do in its account: what its targets need, target by target.
//!
//! What a target's task definition names is known where the definition is a file. Where it is the revision that runs, or one
//! that exists, it is not: then the resources are all of the account, and a note says so.

use serde_json::{Value, json};

use crate::fleet::lookup::{StateSource, Store};
use crate::fleet::role_arn::RoleArn;
use crate::fleet::{Account, Base, Fleet, OnCancel, OnFailure, OrganizationSource, Pin, TargetSpec, identity_provider};
use crate::iam::grant::{Grants, one_or_many};
use crate::iam::{IamOptions, Permissions};
use crate::references::image::Image;
use crate::references::log::Log;
use crate::references::need::Need;
use crate::references::role::Role;
use crate::references::{need, needs, secret};
use crate::task_definition::compose;

const ALL: &str = "*";

/// Grants what an account's targets need. Returns what is not known of which service, by the manifest's name for it.
pub fn of_account(fleet: &Fleet, account: &Account, choice: IamOptions, grants: &mut Grants) -> Vec<(String, String)> {
    let partition = account.chain.role().map_or("aws", RoleArn::partition);
    let mut notes = Vec::new();
    for (index, target) in fleet.targets.iter().enumerate().filter(|(_, target)| target.account.name == account.name) {
        let waves = || fleet.waves.iter().filter(|wave| wave.targets.contains(&index));
        let returns = waves().any(|wave| wave.on_failure != OnFailure::Stop || wave.on_cancel == OnCancel::Rollback);
        let definition = match &target.desired.task_definition {
            Base::File(file) => compose::build(&file.value(), &target.desired).ok(),
            Base::Live | Base::Revision { .. } => None,
        };
        let needs = Needs {
            partition,
            target,
            definition,
            returns,
            tags: fleet.release.tag_revisions,
            deploys: choice.permissions == Permissions::Deploy,
        };
        needs.read(grants);
        needs.resolve(grants);
        needs.look_up(grants);
        notes.extend(needs.encrypted().map(|why| (why, target.id.service.to_string())));
        if choice.verify && needs.starts_tasks() {
            needs.verify(grants);
        }
        if needs.deploys {
            needs.deploy(grants);
            needs.explain(grants);
            notes.extend(needs.unknown().map(|why| (why, target.id.service.to_string())));
        }
    }
    notes
}

/// Grants what `roleout accounts --update` reads. Most of these actions know no resources.
pub fn of_organization(source: &OrganizationSource, grants: &mut Grants) {
    let actions = [
        "organizations:DescribeOrganization",
        "organizations:ListAccountsForParent",
        "organizations:ListOrganizationalUnitsForParent",
        "organizations:ListRoots",
        "organizations:ListTagsForResource",
    ];
    let wanted = if source.question.facts.tags.is_empty() { &actions[..4] } else { &actions };
    grants.allow("ReadOrganization", wanted, [ALL.to_owned()], None);
}

/// Grants what `roleout iam check` reads of an account: its roles that chains go through, their policies, and the provider.
pub fn of_check<'a>(roles: impl Iterator<Item = &'a RoleArn>, issuer: &str, grants: &mut Grants) {
    let actions = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"];
    for role in roles {
        let (partition, account) = (role.partition(), role.account());
        grants.allow("CheckRoles", &actions, [role.to_string()], None);
        let policies =
            [format!("arn:{partition}:iam::{account}:policy/*"), format!("arn:{partition}:iam::aws:policy/*")];
        grants.allow("CheckPolicies", &["iam:GetPolicy", "iam:GetPolicyVersion"], policies, None);
        let provider = identity_provider::arn(issuer, partition, account.as_str());
        grants.allow("CheckProvider", &["iam:GetOpenIDConnectProvider"], [provider], None);
    }
}

/// What one target needs.
struct Needs<'a> {
    partition: &'a str,
    target: &'a TargetSpec,
    /// The task definition, where it is known.
    definition: Option<Value>,
    /// Whether its wave returns what failed or was cancelled.
    returns: bool,
    /// Whether revisions are tagged.
    tags: bool,
    deploys: bool,
}

impl Needs<'_> {
    fn arn_in(&self, service: &str, region: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{region}:{}:{resource}", self.partition, self.target.account.id)
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        self.arn_in(service, &self.target.id.region, resource)
    }

    fn cluster(&self) -> &str {
        self.target.cluster.rsplit('/').next().unwrap_or(&self.target.cluster)
    }

    /// Returns an ECS ARN of a thing that its service has: `service`, `service-deployment` and so on.
    fn of_service(&self, kind: &str, rest: &str) -> String {
        self.arn("ecs", &format!("{kind}/{}/{}{rest}", self.cluster(), self.target.service))
    }

    fn by_codedeploy(&self) -> bool {
        self.target.desired.codedeploy.is_some()
    }

    /// Whether a new revision may be registered for it.
    fn registers(&self) -> bool {
        matches!(self.target.desired.task_definition, Base::File(_)) || self.target.desired.changes_definition()
    }

    /// Whether a deployment of it may start tasks of another revision, or more of them.
    fn starts_tasks(&self) -> bool {
        self.registers()
            || self.target.desired.desired_count.is_some()
            || matches!(self.target.desired.task_definition, Base::Revision { .. })
    }

    /// What every command reads.
    fn read(&self, grants: &mut Grants) {
        grants.allow("Services", &["ecs:DescribeServices"], [self.of_service("service", "")], None);
        grants.allow("TaskDefinitions", &["ecs:DescribeTaskDefinition"], [ALL.to_owned()], None);
        match &self.target.desired.codedeploy {
            None => {
                // What it ran before, and what comes of the deployment that is under way.
                let (service, deployments) =
                    (self.of_service("service", ""), self.of_service("service-deployment", "/*"));
                let revisions = self.of_service("service-revision", "/*");
                grants.allow("Services", &["ecs:ListServiceDeployments"], [service.clone()], None);
                grants.allow("Deployments", &["ecs:DescribeServiceDeployments"], [service.clone(), deployments], None);
                grants.allow("Revisions", &["ecs:DescribeServiceRevisions"], [service, revisions], None);
                grants.allow("TaskDefinitions", &["ecs:ListTaskDefinitions"], [ALL.to_owned()], None);
            }
            Some(group) => {
                let name = format!("deploymentgroup:{}/{}", group.application, group.deployment_group);
                let actions = [
                    "codedeploy:BatchGetDeployments",
                    "codedeploy:GetDeployment",
                    "codedeploy:GetDeploymentGroup",
                    "codedeploy:ListDeployments",
                ];
                grants.allow("CodeDeploy", &actions, [self.arn("codedeploy", &name)], None);
                // Where the group has no deployment from before, its family's revisions are gone by.
                grants.allow("TaskDefinitions", &["ecs:ListTaskDefinitions"], [ALL.to_owned()], None);
            }
        }
        if !self.target.alarms.is_empty() {
            grants.allow("Alarms", &["cloudwatch:DescribeAlarms"], [self.arn("cloudwatch", "alarm:*")], None);
        }
    }

    /// What resolves the tags of its images, or waits for them.
    fn resolve(&self, grants: &mut Grants) {
        let desired = &self.target.desired;
        if desired.pin == Pin::None && desired.wait_for_images.is_zero() {
            return;
        }
        let named = desired.tagged_images().into_iter().filter_map(|(_, image)| Image::read(&image));
        let mut repositories: Vec<String> = named.map(|image| self.repository(&image)).collect();
        if !desired.promoted.is_empty() {
            repositories.push(self.arn("ecr", "repository/*"));
        }
        if !repositories.is_empty() {
            let actions = ["ecr:BatchGetImage", "ecr:DescribeImageReplicationStatus", "ecr:GetDownloadUrlForLayer"];
            grants.allow("ResolveImages", &actions, repositories, None);
        }
    }

    fn repository(&self, image: &Image) -> String {
        format!("arn:{}:ecr:{}:{}:repository/{}", self.partition, image.region, image.registry, image.repository)
    }

    /// What the target's texts look up.
    fn look_up(&self, grants: &mut Grants) {
        for lookup in self.target.desired.lookups.keys() {
            match lookup.store {
                Store::Ssm => {
                    // The ARN has neither a version nor the first slash.
                    let name = lookup.key.split(':').next().unwrap_or_default().trim_start_matches('/');
                    let arn = self.arn("ssm", &format!("parameter/{name}"));
                    grants.allow("LookUpParameters", &["ssm:GetParameters"], [arn], None);
                }
                Store::Cfn => {
                    let stack = lookup.key.split('.').next().unwrap_or_default();
                    let arn = self.arn("cloudformation", &format!("stack/{stack}/*"));
                    grants.allow("LookUpStacks", &["cloudformation:DescribeStacks"], [arn], None);
                }
                Store::Tfstate => {
                    if let Some(StateSource::S3 { bucket, key, .. }) = self.target.desired.state_of(lookup) {
                        let arn = format!("arn:{}:s3:::{bucket}/{key}", self.partition);
                        grants.allow("LookUpStates", &["s3:GetObject"], [arn], None);
                    }
                }
                Store::CfnExport => {
                    // It knows no resources.
                    grants.allow("LookUpExports", &["cloudformation:ListExports"], [ALL.to_owned()], None);
                }
            }
        }
    }

    /// Says what a state needs besides, which is not known here.
    fn encrypted(&self) -> Option<String> {
        let mut states = self.target.desired.states.values();
        states.any(|state| matches!(**state, StateSource::S3 { .. })).then(|| {
            "it looks into a Terraform state in S3: where a customer managed key of KMS encrypts it, the role needs kms:Decrypt \
             on that key, too"
                .to_owned()
        })
    }

    /// What a deployment changes.
    fn deploy(&self, grants: &mut Grants) {
        let desired = &self.target.desired;
        if !self.by_codedeploy() || desired.desired_count.is_some() || desired.deployment.is_some() {
            grants.allow("Services", &["ecs:UpdateService"], [self.of_service("service", "")], None);
        }
        if !self.by_codedeploy() {
            let resources = [self.of_service("service", ""), self.of_service("service-deployment", "/*")];
            grants.allow("Deployments", &["ecs:StopServiceDeployment"], resources.clone(), None);
            if self.has_pauses() {
                grants.allow("Deployments", &["ecs:ContinueServiceDeployment"], resources, None);
            }
        }
        if self.registers() {
            let family = [self.family()];
            grants.allow("Register", &["ecs:RegisterTaskDefinition"], family.clone(), None);
            let own_tags =
                self.definition.as_ref().is_some_and(|it| it["tags"].as_array().is_some_and(|it| !it.is_empty()));
            // What tags the revision that it starts from has is not known.
            if self.tags || own_tags || self.definition.is_none() {
                let created = json!({ "StringEquals": { "ecs:CreateAction": "RegisterTaskDefinition" } });
                grants.allow("TagRevisions", &["ecs:TagResource"], family, Some(created));
            }
        }
        self.run_tasks(grants);
        self.pass_roles(grants);
        self.codedeploy(grants);
    }

    fn run_tasks(&self, grants: &mut Grants) {
        let tasks = &self.target.desired.run_tasks;
        if tasks.is_empty() {
            return;
        }
        let families = tasks.all().map(|(_, task)| match task.task_definition.as_deref() {
            None => self.family(),
            Some(name) => {
                let family = name.rsplit('/').next().unwrap_or(name).split(':').next().unwrap_or(name);
                self.arn("ecs", &format!("task-definition/{family}:*"))
            }
        });
        grants.allow("RunTasks", &["ecs:RunTask"], families, Some(self.in_cluster()));
        grants.allow("Tasks", &["ecs:DescribeTasks", "ecs:StopTask"], [self.tasks()], None);
    }

    fn pass_roles(&self, grants: &mut Grants) {
        let to = |service: &str| Some(json!({ "StringEquals": { "iam:PassedToService": service } }));
        if let Some(roles) = self.roles() {
            grants.allow("PassRoles", &["iam:PassRole"], roles, to("ecs-tasks.amazonaws.com"));
        }
        let hooks = self.hooks().filter_map(|hook| hook["roleArn"].as_str().map(str::to_owned));
        let hooks: Vec<String> = hooks.collect();
        if !hooks.is_empty() {
            grants.allow("PassHookRoles", &["iam:PassRole"], hooks, to("ecs.amazonaws.com"));
        }
    }

    fn codedeploy(&self, grants: &mut Grants) {
        let Some(group) = &self.target.desired.codedeploy else { return };
        let name = format!("deploymentgroup:{}/{}", group.application, group.deployment_group);
        let own = [self.arn("codedeploy", &name)];
        grants.allow("CodeDeploy", &["codedeploy:CreateDeployment"], own.clone(), None);
        if self.returns {
            grants.allow("CodeDeploy", &["codedeploy:StopDeployment"], own, None);
        }
        // Both are asked of whoever creates a deployment.
        let configuration = format!("deploymentconfig:{}", group.config.as_deref().unwrap_or(ALL));
        grants.allow("CodeDeploy", &["codedeploy:GetDeploymentConfig"], [self.arn("codedeploy", &configuration)], None);
        let application = self.arn("codedeploy", &format!("application:{}", group.application));
        grants.allow("CodeDeploy", &["codedeploy:RegisterApplicationRevision"], [application], None);
    }

    /// What says why a deployment failed.
    fn explain(&self, grants: &mut Grants) {
        grants.allow("ListTasks", &["ecs:ListTasks"], [ALL.to_owned()], Some(self.in_cluster()));
        grants.allow("Tasks", &["ecs:DescribeTasks"], [self.tasks()], None);
        grants.allow("TargetHealth", &["elasticloadbalancing:DescribeTargetHealth"], [ALL.to_owned()], None);
        let groups: Vec<String> = match &self.definition {
            Some(definition) if !self.runs_others() => {
                let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
                let logs = containers.filter_map(|container| Log::from_container(container, &self.target.id.region));
                logs.map(|log| self.log_streams(&log.group.region, &log.group.name)).collect()
            }
            _ => vec![self.log_streams(&self.target.id.region, ALL)],
        };
        if !groups.is_empty() {
            grants.allow("Logs", &["logs:GetLogEvents"], groups, None);
        }
    }

    /// What is looked for before anything is changed.
    fn verify(&self, grants: &mut Grants) {
        let (own, region) = (self.target.account.id.as_str(), self.target.id.region.as_ref());
        for need in self.named() {
            match need {
                Need::Role(role) if role.account == own => {
                    grants.allow("VerifyRoles", &["iam:GetRole"], [self.role(&role)], None);
                }
                Need::Role(_) => {}
                Need::Image(image) => {
                    self.verify_images(grants, self.repository(&image));
                }
                Need::LogGroup(group) => self.verify_logs(grants, &group.region),
                Need::Secret(secret) => {
                    grants.allow("VerifySecrets", &["secretsmanager:DescribeSecret"], [self.secret(&secret)], None);
                }
                Need::Parameter(parameter) if parameter.account.as_deref().is_none_or(|account| account == own) => {
                    grants.allow("VerifyParameters", &["ssm:DescribeParameters"], [ALL.to_owned()], None);
                }
                Need::Parameter(_) => {}
            }
        }
        if self.definition.is_none() {
            grants.allow("VerifyRoles", &["iam:GetRole"], [self.any_role()], None);
            self.verify_images(grants, self.arn("ecr", "repository/*"));
            self.verify_logs(grants, region);
            grants.allow(
                "VerifySecrets",
                &["secretsmanager:DescribeSecret"],
                [self.arn("secretsmanager", "secret:*")],
                None,
            );
            grants.allow("VerifyParameters", &["ssm:DescribeParameters"], [ALL.to_owned()], None);
        }
    }

    fn verify_images(&self, grants: &mut Grants, repository: String) {
        grants.allow("VerifyImages", &["ecr:DescribeImages"], [repository], None);
        grants.allow("VerifyCaches", &["ecr:DescribePullThroughCacheRules"], [ALL.to_owned()], None);
    }

    fn verify_logs(&self, grants: &mut Grants, region: &str) {
        grants.allow("VerifyLogs", &["logs:DescribeLogGroups"], [self.arn_in("logs", region, "log-group:*")], None);
    }

    /// Returns what the definition is known to name.
    fn named(&self) -> Vec<Need> {
        let (own, region) = (self.target.account.id.as_str(), self.target.id.region.as_ref());
        if let Some(definition) = &self.definition {
            return needs(definition, own, region).into_iter().collect();
        }
        let desired = &self.target.desired;
        let images = desired.images.values().filter_map(|image| Image::read(image)).map(Need::Image);
        let secrets = desired.secrets.values().flat_map(|secrets| secrets.values());
        images.chain(secrets.filter_map(|value| need::read(value, region))).collect()
    }

    /// Returns the roles that are passed to tasks; `None` where none is.
    fn roles(&self) -> Option<Vec<String>> {
        let tasks = &self.target.desired.run_tasks;
        if !self.registers() && tasks.is_empty() {
            return None;
        }
        let definition = match &self.definition {
            Some(definition) if !self.runs_others() => definition,
            _ => return Some(vec![self.any_role()]),
        };
        let named = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|member| definition[member].as_str());
        let read = |text| Role::read(text, self.target.account.id.as_str());
        let roles: Vec<String> = named.filter_map(read).map(|role| self.role(&role)).collect();
        (!roles.is_empty()).then_some(roles)
    }

    /// Whether it runs tasks of other definitions, of which nothing is known.
    fn runs_others(&self) -> bool {
        self.target.desired.run_tasks.all().any(|(_, task)| task.task_definition.is_some())
    }

    fn role(&self, role: &Role) -> String {
        let by_name = || format!("arn:{}:iam::{}:role/{}", self.partition, role.account, role.name);
        role.arn.clone().unwrap_or_else(by_name)
    }

    fn any_role(&self) -> String {
        format!("arn:{}:iam::{}:role/*", self.partition, self.target.account.id)
    }

    /// Returns the ARN of a secret; Secrets Manager puts a hyphen and six letters behind a name.
    fn secret(&self, secret: &secret::Secret) -> String {
        let arn = match secret.id.starts_with("arn:") {
            true => secret.id.clone(),
            false => self.arn_in("secretsmanager", &secret.region, &format!("secret:{}", secret.id)),
        };
        let whole = arn
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()));
        if whole && secret.id.starts_with("arn:") { arn } else { format!("{arn}-??????") }
    }

    fn tasks(&self) -> String {
        self.arn("ecs", &format!("task/{}/*", self.cluster()))
    }

    fn in_cluster(&self) -> Value {
        let cluster = self.arn("ecs", &format!("cluster/{}", self.cluster()));
        json!({ "ArnEquals": { "ecs:cluster": one_or_many(vec![cluster]) } })
    }

    fn log_streams(&self, region: &str, group: &str) -> String {
        self.arn_in("logs", region, &format!("log-group:{group}:log-stream:*"))
    }

    /// Returns the revisions of the family that is deployed; of every family where it is not known.
    fn family(&self) -> String {
        let family = match &self.target.desired.task_definition {
            Base::File(definition) => definition.value()["family"].as_str().map(str::to_owned),
            Base::Revision { family, .. } => Some(family.clone()),
            Base::Live => None,
        };
        self.arn("ecs", &format!("task-definition/{}:*", family.as_deref().unwrap_or(ALL)))
    }

    fn hooks(&self) -> impl Iterator<Item = &Value> {
        let settings = self.target.desired.deployment.as_ref();
        settings.and_then(|settings| settings["lifecycleHooks"].as_array()).into_iter().flatten()
    }

    fn has_pauses(&self) -> bool {
        self.hooks().any(|hook| hook["targetType"] == "PAUSE")
    }

    /// Says what is not known of it, and so allowed for all of the account.
    fn unknown(&self) -> Option<String> {
        let any_role = self.any_role();
        self.roles().filter(|roles| roles.contains(&any_role))?;
        let (why, instead) = match &self.target.desired.task_definition {
            Base::Live => ("its task definition is the one that runs", "a task definition file"),
            Base::Revision { .. } => ("its task definition is one that exists", "a task definition file"),
            Base::File(_) => ("it runs tasks of another task definition", "tasks of the service's own definition"),
        };
        let any_family = self.registers() && self.target.desired.task_definition == Base::Live;
        let family = if any_family { "register every family, " } else { "" };
        Some(format!(
            "{why}, whose roles and logs are not known here: the role may {family}pass every role of the account to ECS \
             tasks, and read every log group; {instead} narrows that"
        ))
    }
}

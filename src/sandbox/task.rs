//! A task: its way from PROVISIONING to STOPPED, and how DescribeTasks shows it.
//!
//! Which tasks should run is not decided here but in [`super::rollout`].

use serde_json::{Map, Value, json};

use crate::base::document::Document;
use crate::fleet::image_ref::ImageRef;
use crate::sandbox::moment::{Moment, epoch, millis};
use crate::sandbox::region::Region;
use crate::sandbox::rng::Chance;
use crate::sandbox::timing::Timing;

/// What a task does once it is started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Nature {
    /// It becomes healthy and stays so.
    Sound,
    /// It exits with code 1 soon after it began to run.
    Crash,
    /// Its image cannot be pulled.
    NoPull,
    /// It stays PENDING.
    Hang,
    /// It runs, fails the health checks and is stopped for that.
    Unhealthy,
    /// It becomes healthy, and exits with code 1 some time later.
    Flap,
    /// It runs to its end and exits with the code: a task of RunTask.
    Exit(i32),
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Provisioning,
    Pending,
    Running,
    /// Told to stop, not stopped yet.
    Stopping,
    Stopped,
}

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    /// `ecs-svc/N` for a service's task; what RunTask was given for another.
    pub(crate) started_by: Option<String>,
    /// `service:api` or `family:migrate`.
    pub(crate) group: String,
    pub(crate) definition: Document,
    pub(crate) nature: Nature,
    /// How many times longer than usual everything takes.
    pub(crate) factor: f64,
    pub(crate) phase: Phase,
    /// Whether it counts as healthy.
    pub(crate) healthy: bool,
    /// When its phase ends by itself.
    pub(crate) due: Option<Moment>,
    pub(crate) created: Moment,
    pub(crate) pending: Option<Moment>,
    pub(crate) started: Option<Moment>,
    pub(crate) stopping: Option<Moment>,
    pub(crate) stopped: Option<Moment>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) container_reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    /// What RunTask overrides.
    pub(crate) overrides: Map<String, Value>,
    pub(crate) launch_type: String,
    /// The ARN of the target group that it is registered with.
    pub(crate) target_group: Option<String>,
}

/// What just happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing that anyone counts.
    Moved,
    /// It counts as healthy now.
    Healthy,
    /// It stopped by itself.
    Failed,
    /// It stopped as it was told to, or ran to its end.
    Stopped,
}

/// How long the rest of a task's life takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) chance: Chance,
    pub(crate) timing: Timing,
}

impl Pace {
    /// Returns the moment at which a step that begins now ends.
    pub(crate) fn after(self, now: Moment, step: std::time::Duration, factor: f64, name: &str) -> Moment {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a factor is positive and small")]
        #[expect(clippy::cast_precision_loss, reason = "a step is far shorter than 2^53 milliseconds")]
        let length = (self.chance.jitter(millis(step), name) as f64 * factor) as u64;
        now + length.max(1)
    }
}

impl Task {
    /// Starts a task.
    pub(crate) fn start(
        id: String,
        definition: Document,
        nature: Nature,
        factor: f64,
        now: Moment,
        pace: Pace,
    ) -> Self {
        let due = pace.after(now, pace.timing.provision, factor, &format!("{id}/provision"));
        Self {
            id,
            started_by: None,
            group: String::new(),
            definition,
            nature,
            factor,
            phase: Phase::Provisioning,
            healthy: false,
            due: Some(due),
            created: now,
            pending: None,
            started: None,
            stopping: None,
            stopped: None,
            stop_code: None,
            stop_reason: None,
            container_reason: None,
            exit_code: None,
            overrides: Map::new(),
            launch_type: "FARGATE".to_owned(),
            target_group: None,
        }
    }

    /// Whether it is neither stopped nor told to stop.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Provisioning | Phase::Pending | Phase::Running)
    }

    /// Returns `lastStatus`.
    pub(crate) fn status(&self) -> &'static str {
        match self.phase {
            Phase::Provisioning => "PROVISIONING",
            Phase::Pending => "PENDING",
            Phase::Running => "RUNNING",
            Phase::Stopping => "DEPROVISIONING",
            Phase::Stopped => "STOPPED",
        }
    }

    /// Goes on to the next phase, which begins at `now`.
    pub(crate) fn turn(&mut self, now: Moment, pace: Pace) -> Turn {
        self.due = None;
        let after =
            |task: &Self, step, what: &str| Some(pace.after(now, step, task.factor, &format!("{}/{what}", task.id)));
        match self.phase {
            Phase::Provisioning => {
                self.phase = Phase::Pending;
                self.pending = Some(now);
                if self.nature != Nature::Hang {
                    self.due = after(self, pace.timing.start, "start");
                }
                Turn::Moved
            }
            Phase::Pending if self.nature == Nature::NoPull => {
                let image = self.image();
                let text = format!(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: \
                     {image}: not found"
                );
                self.container_reason = Some(text.clone());
                self.fail("TaskFailedToStart", text, None, now)
            }
            Phase::Pending => {
                self.phase = Phase::Running;
                self.started = Some(now);
                self.due = match self.nature {
                    Nature::Crash => after(self, pace.timing.healthy / 4, "crash"),
                    Nature::Unhealthy => after(self, pace.timing.healthy * 3, "unhealthy"),
                    _ => after(self, pace.timing.healthy, "healthy"),
                };
                Turn::Moved
            }
            Phase::Running => match self.nature {
                Nature::Flap if !self.healthy => {
                    self.healthy = true;
                    self.due = after(self, pace.timing.healthy * 3, "flap");
                    Turn::Healthy
                }
                Nature::Crash | Nature::Flap => {
                    self.fail("EssentialContainerExited", "Essential container in task exited".into(), Some(1), now)
                }
                Nature::Unhealthy => {
                    let reason = match &self.target_group {
                        Some(arn) => format!("Task failed ELB health checks in (target-group {arn})"),
                        None => "Task failed container health checks".to_owned(),
                    };
                    self.fail("ServiceSchedulerInitiated", reason, Some(143), now)
                }
                Nature::Exit(code) => {
                    let _ = self.fail(
                        "EssentialContainerExited",
                        "Essential container in task exited".into(),
                        Some(code),
                        now,
                    );
                    Turn::Stopped
                }
                _ => {
                    self.healthy = true;
                    Turn::Healthy
                }
            },
            Phase::Stopping => {
                self.phase = Phase::Stopped;
                self.stopped = Some(now);
                Turn::Stopped
            }
            Phase::Stopped => Turn::Moved,
        }
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self, code: &'static str, reason: String, now: Moment, pace: Pace) {
        if !self.is_live() {
            return;
        }
        if self.phase == Phase::Running {
            // SIGTERM, and a program that heeds it.
            self.exit_code = Some(143);
        }
        self.phase = Phase::Stopping;
        self.healthy = false;
        self.stopping = Some(now);
        self.stop_code = Some(code);
        self.stop_reason = Some(reason);
        self.due = Some(pace.after(now, pace.timing.drain, 1.0, &format!("{}/drain", self.id)));
    }

    fn fail(&mut self, code: &'static str, reason: String, exit_code: Option<i32>, now: Moment) -> Turn {
        self.phase = Phase::Stopped;
        self.healthy = false;
        self.stopping = Some(now);
        self.stopped = Some(now);
        self.stop_code = Some(code);
        self.stop_reason = Some(reason);
        self.exit_code = exit_code;
        Turn::Failed
    }

    fn image(&self) -> String {
        let definition = self.definition.value();
        let containers = containers(&definition);
        let faulty = |container: &&Value| container["image"].as_str().is_some_and(|image| word(image, "nopull"));
        let container = containers.iter().find(faulty).or(containers.first());
        container.and_then(|container| container["image"].as_str()).unwrap_or_default().to_owned()
    }

    /// Returns the task as DescribeTasks has it.
    pub(crate) fn describe(&self, region: &Region, cluster: &str, chance: Chance) -> Value {
        let arn = region.arn(&format!("task/{cluster}/{}", self.id));
        let (stopped, definition) = (self.phase == Phase::Stopped, self.definition.value());
        let mut body = Map::new();
        let mut put = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
        put("attachments", json!([]));
        put("availabilityZone", json!(format!("{}a", region.place.region)));
        put("clusterArn", json!(region.arn(&format!("cluster/{cluster}"))));
        put("connectivity", json!("CONNECTED"));
        let containers: Vec<Value> =
            containers(&definition).iter().map(|c| self.container(c, region, cluster, &arn, chance)).collect();
        put("containers", json!(containers));
        for key in ["cpu", "memory", "ephemeralStorage"] {
            if let Some(value) = definition.get(key) {
                put(key, value.clone());
            }
        }
        put("createdAt", epoch(self.created));
        put("desiredStatus", json!(if self.is_live() { "RUNNING" } else { "STOPPED" }));
        put("enableExecuteCommand", json!(false));
        put("group", json!(self.group));
        put("healthStatus", json!(if self.healthy { "HEALTHY" } else { "UNKNOWN" }));
        put("lastStatus", json!(self.status()));
        put("launchType", json!(self.launch_type));
        let mut overrides = json!({ "containerOverrides": [], "inferenceAcceleratorOverrides": [] });
        for (key, value) in &self.overrides {
            overrides[key] = value.clone();
        }
        put("overrides", overrides);
        if self.launch_type == "FARGATE" {
            put("platformVersion", json!("1.4.0"));
            put("platformFamily", json!("Linux"));
        }
        put("tags", region.tags.get(&arn).map_or_else(|| json!([]), |tags| json!(tags)));
        let times = [
            ("connectivityAt", self.pending),
            ("pullStartedAt", self.pending),
            ("pullStoppedAt", self.started),
            ("startedAt", self.started),
            ("stoppingAt", self.stopping),
            ("executionStoppedAt", self.stopped.filter(|_| self.started.is_some())),
            ("stoppedAt", self.stopped),
        ];
        for (key, at) in times {
            if let Some(at) = at {
                put(key, epoch(at));
            }
        }
        if let Some(by) = &self.started_by {
            put("startedBy", json!(by));
        }
        if let Some(code) = self.stop_code {
            put("stopCode", json!(code));
        }
        if let Some(reason) = &self.stop_reason {
            put("stoppedReason", json!(reason));
        }
        put("taskArn", json!(arn));
        put("taskDefinitionArn", definition["taskDefinitionArn"].clone());
        put("version", json!(if stopped { 5 } else { 3 }));
        Value::Object(body)
    }

    fn container(&self, definition: &Value, region: &Region, cluster: &str, task: &str, chance: Chance) -> Value {
        let name = definition["name"].as_str().unwrap_or_default();
        let id = chance.uuid(&format!("{}/{name}", self.id));
        let status = match self.phase {
            Phase::Provisioning | Phase::Pending => "PENDING",
            Phase::Running | Phase::Stopping => "RUNNING",
            Phase::Stopped => "STOPPED",
        };
        let mut body = json!({
            "containerArn": region.arn(&format!("container/{cluster}/{}/{id}", self.id)),
            "taskArn": task,
            "name": name,
            "image": definition["image"],
            "lastStatus": status,
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": definition.get("cpu").and_then(Value::as_u64).unwrap_or_default().to_string(),
        });
        if self.started.is_some() {
            body["runtimeId"] = json!(format!("{}-{}", self.id, chance.bits(name) % 10_000_000_000));
            body["imageDigest"] =
                json!(format!("sha256:{}", chance.hex(64, definition["image"].as_str().unwrap_or_default())));
            body["networkBindings"] = json!([]);
        }
        for (from, to) in [("memory", "memory"), ("memoryReservation", "memoryReservation")] {
            if let Some(number) = definition.get(from).and_then(Value::as_u64) {
                body[to] = json!(number.to_string());
            }
        }
        if let Some(code) = self.exit_code.filter(|_| self.phase == Phase::Stopped) {
            body["exitCode"] = json!(code);
        }
        if let Some(reason) = &self.container_reason {
            body["reason"] = json!(reason);
        }
        body
    }
}

/// Returns the containers of a definition.
fn containers(definition: &Value) -> &[Value] {
    definition.get("containerDefinitions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether an image's tag holds the word, as in `:1.4-crash`.
pub(crate) fn word(image: &str, word: &str) -> bool {
    let tag = ImageRef::parse(image).tag.unwrap_or_default();
    tag.split(['-', '_', '.']).any(|part| part == word)
}

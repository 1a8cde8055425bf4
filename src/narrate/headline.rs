//! The cause of a failure in one short sentence, out of what ECS says: `app exits with 1: no database`.
//!
//! Pure. ECS says much about one failure: why tasks stopped, what its service deployment came to, its messages. Each of these
//! is read for itself, and the one that tells the most is the headline. AWS's words are those of its documentation, of
//! recorded answers and of public reports; words that are not known make no headline.

mod image;
mod placement;
mod resources;

use serde_json::Value;

use crate::base::arn;
use crate::base::text::cut;

/// The most columns of what a log line adds.
const LINE: usize = 100;

/// The cause of a failure, as one thing that ECS says has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Headline {
    weight: Weight,
    /// How many tasks say so.
    tasks: u32,
    /// The sentence: a lower-case fragment.
    pub text: String,
    /// The sentence as it is wherever the cause is the same.
    pub cause: String,
}

/// How much it tells, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// That tasks fail, and not why.
    Fails,
    /// Why tasks were stopped from outside.
    Stopped,
    /// Why tasks are not placed.
    Placement,
    /// That the load balancer does not find its tasks healthy.
    Balancer,
    /// That a container does not find itself healthy.
    Container,
    /// Why a task did not start.
    Start,
    /// How a container ended.
    Exit,
    /// Why ECS ended the deployment, other than for its tasks.
    Decision,
}

impl Headline {
    fn new(weight: Weight, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self { weight, tasks: 0, text: cause.clone(), cause }
    }

    /// Adds what differs from target to target.
    fn with(self, detail: &str) -> Self {
        let detail = detail.trim().trim_end_matches('.');
        let text =
            if detail.is_empty() { self.cause.clone() } else { format!("{}: {}", self.cause, cut(detail, LINE)) };
        Self { text, ..self }
    }

    /// Says how many tasks it is of.
    #[must_use]
    pub fn with_tasks(self, tasks: u32) -> Self {
        Self { tasks, ..self }
    }

    /// Whether it says the same as another, or more.
    pub fn covers(&self, other: &Self) -> bool {
        self.cause == other.cause
    }

    /// Whether it says why, and not only that something is wrong.
    pub fn tells_why(&self) -> bool {
        self.weight > Weight::Fails
    }
}

/// Returns the one that tells the most: of equals the one with more detail, that of more tasks, and then any, but always the
/// same one.
pub fn strongest(headlines: impl IntoIterator<Item = Headline>) -> Option<Headline> {
    let detail = |headline: &Headline| headline.text.len() > headline.cause.len();
    headlines.into_iter().max_by(|one, other| {
        let order = |it: &Headline| (it.weight, detail(it), it.tasks);
        order(one).cmp(&order(other)).then_with(|| other.text.cmp(&one.text))
    })
}

/// Reads a stopped task, with the last lines of its log.
pub fn of_task(task: &Value, log: &[String]) -> Option<Headline> {
    let reason = task["stoppedReason"].as_str().unwrap_or_default();
    let containers = || task["containers"].as_array().into_iter().flatten();
    let reasons = containers().filter_map(|container| Some((container["reason"].as_str()?, Some(container))));
    for (words, container) in reasons.chain([(reason, None)]) {
        let image = container.or_else(|| containers().next()).and_then(|container| container["image"].as_str());
        let name = container.and_then(|container| container["name"].as_str());
        if let Some(headline) = start(words, image, name) {
            return Some(headline);
        }
    }
    if let Some(headline) = health(reason) {
        return Some(headline);
    }
    match task["stopCode"].as_str() {
        Some("SpotInterruption") => {
            Some(Headline::new(Weight::Stopped, "AWS took the Spot capacity of its tasks back"))
        }
        Some("TerminationNotice") => Some(Headline::new(Weight::Stopped, "the instances of its tasks are terminated")),
        Some("InfrastructureHealth") => Some(Headline::new(Weight::Stopped, "the hosts of its tasks are not healthy")),
        Some("UserInitiated") => Some(Headline::new(Weight::Stopped, "its tasks were stopped by StopTask")),
        // What the scheduler stops for its own reasons ends with the code of the signal.
        Some("ServiceSchedulerInitiated") => None,
        code => exit(task, log).or_else(|| {
            let starts = code == Some("TaskFailedToStart") && !reason.is_empty();
            starts.then(|| Headline::new(Weight::Start, "its tasks cannot start").with(reason))
        }),
    }
}

/// Reads a sentence of ECS: a message, the reason of a state, or what is told of target groups, hooks and alarms.
pub fn of_words(text: &str) -> Option<Headline> {
    decision(text)
        .or_else(|| placement::read(text))
        .or_else(|| start(text, None, None))
        .or_else(|| health(text))
        .or_else(|| {
            let lower = text.to_ascii_lowercase();
            let fails = ["circuit breaker", "tasks failed to start", "unable to consistently start tasks"];
            let fails = fails.iter().any(|words| lower.contains(words)) && !lower.contains("rolling back to");
            fails.then(|| Headline::new(Weight::Fails, "tasks fail to start, and ECS does not say why"))
        })
}

/// How the container that stopped the task ended.
fn exit(task: &Value, log: &[String]) -> Option<Headline> {
    let container = failing(task)?;
    let name = container["name"].as_str().unwrap_or("a container");
    let code = container["exitCode"].as_i64()?;
    let ends = Headline::new(Weight::Exit, format!("{name} exits with {code}"));
    Some(ends.with(&last_words(log)))
}

/// Returns the container whose end stopped the task: one that exited with another code than 0, or else one that exited.
/// One that never ran wrote nothing.
pub fn failing(task: &Value) -> Option<&Value> {
    let containers = || task["containers"].as_array().into_iter().flatten();
    let code = |container: &&Value| container["exitCode"].as_i64();
    // Those that are essential besides it are ended by signals: 137 and 143 are the codes of these.
    containers()
        .find(|container| code(container).is_some_and(|code| !matches!(code, 0 | 137 | 143)))
        .or_else(|| containers().find(|container| code(container).is_some_and(|code| code != 0)))
        .or_else(|| containers().find(|container| code(container).is_some()))
}

/// Why a container or a task did not start, or was killed.
fn start(text: &str, image: Option<&str>, container: Option<&str>) -> Option<Headline> {
    let name = container.unwrap_or("a container");
    if text.contains("OutOfMemory") {
        return Some(Headline::new(Weight::Exit, format!("{name} runs out of memory")));
    }
    if let Some(why) = after(text, "CannotStartContainerError").or_else(|| after(text, "CannotCreateContainerError")) {
        return Some(Headline::new(Weight::Start, format!("{name} cannot be started")).with(why));
    }
    if let Some((_, rest)) = text.split_once("unable to assume the role") {
        let role = rest.split(['\'', '"']).nth(1).map_or("of the task", arn::name);
        return Some(Headline::new(Weight::Start, format!("ECS cannot assume the role {role}")));
    }
    image::read(text, image).or_else(|| resources::read(text))
}

/// What follows an error's name.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split_once(name)?.1.trim_start_matches([':', ' ']);
    Some(rest.trim_start_matches("Error response from daemon: "))
}

/// Which health check fails.
fn health(text: &str) -> Option<Headline> {
    if text.contains("failed container health checks") {
        return Some(Headline::new(Weight::Container, "container health check fails"));
    }
    let in_group = text.contains("is unhealthy in") || text.contains("failed ELB health checks");
    let of_group = text.starts_with("target group") && text.contains("unhealthy");
    if !in_group && !of_group {
        return None;
    }
    let said = text.split_once("unhealthy (").map(|(_, rest)| rest.split_once(": ").map_or(rest, |(_, rest)| rest));
    let said = said.or_else(|| text.split_once("(reason ").map(|(_, rest)| rest));
    // It ends with its parenthesis; one inside is of AWS's words.
    let said = said.and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let codes = said.split_once("with these codes: [").and_then(|(_, codes)| codes.split(']').next());
    let detail = codes.map_or_else(|| said.to_owned(), |codes| format!("it answers {codes}"));
    Some(Headline::new(Weight::Balancer, "load balancer health check fails").with(&detail))
}

/// Why ECS ended a deployment, where that were not its tasks.
fn decision(text: &str) -> Option<Headline> {
    let new = |cause: String| Some(Headline::new(Weight::Decision, cause));
    if let Some(alarm) = between(text, "the CloudWatch alarm ", " went ") {
        return new(format!("the CloudWatch alarm {alarm} went off"));
    }
    if let Some((hook, status)) = text.split_once("hook ").and_then(|(_, rest)| rest.split_once(": ")) {
        match status {
            "FAILED" => return new(format!("the lifecycle hook {hook} fails")),
            "TIMED_OUT" => return new("a lifecycle hook timed out".to_owned()).map(|headline| headline.with(hook)),
            _ => {}
        }
    }
    let because = text.strip_prefix("Service deployment ")?.split_once(" because ")?.1.trim_end_matches('.');
    if because.contains("circuit breaker") {
        return None;
    }
    if let Some((stage, rest)) = because.split_once(" lifecycle hook(s) ") {
        let function = rest.split_once("hook target ").and_then(|(_, rest)| rest.split(' ').next());
        let name =
            function.map_or_else(|| "a lifecycle hook".to_owned(), |arn| format!("the lifecycle hook {}", last(arn)));
        let ends = if rest.starts_with("timed out") { "timed out" } else { "fails" };
        let headline = Headline::new(Weight::Decision, format!("{name} {ends}"));
        return Some(Headline { text: format!("{} at {stage}", headline.cause), ..headline });
    }
    if because.contains("StopServiceDeployment") {
        return new("the deployment was stopped by StopServiceDeployment".to_owned());
    }
    new(because.trim_start_matches("of ").split(". ").next().unwrap_or(because).to_owned())
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_once(end).map(|(between, _)| between)
}

/// Returns the name at the end of a function's ARN.
fn last(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

/// Returns what the end of a log says: its last line that is neither of a stack trace nor empty, without the time and the
/// level before it.
fn last_words(log: &[String]) -> String {
    const TRACE: [&str; 6] = ["at ", "... ", "Node.js v", "npm ERR!", "npm error", "stack backtrace"];
    let is_trace =
        |line: &str| line.starts_with(char::is_whitespace) || TRACE.iter().any(|begin| line.starts_with(begin));
    let has_words = |line: &str| line.chars().any(char::is_alphabetic);
    let told = log.iter().rev().find(|line| has_words(line) && !is_trace(line));
    told.or(log.last()).map(|line| message(line.trim())).unwrap_or_default()
}

/// Returns the message of a log line: the member of a JSON object, `msg` of logfmt, or the line without what begins it.
fn message(line: &str) -> String {
    const MEMBERS: [&str; 5] = ["msg", "message", "error", "err", "event"];
    if let Ok(Value::Object(object)) = serde_json::from_str(line) {
        let found = MEMBERS.iter().find_map(|member| object.get(*member)?.as_str());
        return found.unwrap_or(line).to_owned();
    }
    for member in MEMBERS {
        let quoted = line.split_once(&format!("{member}=\"")).and_then(|(_, rest)| rest.split_once('"'));
        if let Some((message, _)) = quoted.filter(|(message, _)| !message.is_empty()) {
            return message.to_owned();
        }
    }
    let mut rest = line;
    while let Some((_, more)) = rest.split_once(' ').filter(|(word, _)| begins_a_line(word)) {
        rest = more.trim_start();
    }
    rest.to_owned()
}

/// Whether a word is the time or the level with which log lines begin.
fn begins_a_line(word: &str) -> bool {
    const LEVELS: [&str; 8] = ["error", "fatal", "panic", "critical", "warn", "warning", "info", "debug"];
    let core = word.trim_matches(|char: char| !char.is_alphanumeric());
    let is_time = core.contains(|char: char| char.is_ascii_digit())
        && core.chars().all(|char| char.is_ascii_digit() || "-:./,+TZ".contains(char));
    is_time || core.is_empty() || LEVELS.iter().any(|level| core.eq_ignore_ascii_case(level))
}

#[cfg(test)]
mod tests;

//! The YAML of a child pipeline, in GitLab's terms.
//!
//! Its size does not depend on the number of targets: the jobs of a wave are one job in it, made several by `parallel`, and
//! each finds its own targets by its number. Every text of others stands in double quotes.

use std::time::Duration;

use crate::base::json::literal as quoted;
use crate::base::text::shell_word;
use crate::pipeline::{Layout, duration};

/// The most bytes of a configuration that GitLab takes out of an artifact.
pub const MOST: usize = 5_000_000;
/// Where the jobs leave what the later ones read.
pub const REPORTS: &str = "roleout-reports";
/// What a job leaves in its directory there.
pub const JOURNAL: &str = crate::event::JOURNAL;

/// What the preflight leaves for them of pinned images.
pub const DIGESTS: &str = "digests.json";

/// What a job that somebody starts leaves beside the wave's journals: the wave's name.
pub const STARTED: &str = "started";

/// What the jobs are like.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    /// The image that holds `roleout`; the runner's own where there is none.
    pub image: Option<String>,
    /// The tags of the runners.
    pub tags: Vec<String>,
    /// The name of the ID token's variable, if the manifest names one.
    pub token: Option<String>,
    /// The ID token's audience.
    pub audience: String,
    /// The GitLab environment whose variables the jobs get.
    pub environment: Option<String>,
    /// How long a job may take.
    pub timeout: Duration,
    /// How long GitLab keeps what jobs leave, in its own words.
    pub expire_in: String,
    /// The manifest's path.
    pub manifest: String,
    /// The fleet's fingerprint.
    pub fingerprint: String,
    /// Arguments of every job that reaches AWS, such as `--only` and its value.
    pub arguments: Vec<String>,
    /// Whether images are pinned: then every job takes the digests that the preflight resolved.
    pub pins: bool,
    /// Arguments of the preflight besides.
    pub preflight: Vec<String>,
    /// Arguments of the jobs that deploy besides.
    pub deploy: Vec<String>,
}

/// Why there is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pipeline has {bytes} bytes, and GitLab takes at most {MOST}: name fewer targets with --only, or use globs"
)]
pub struct TooLarge {
    /// Its size.
    pub bytes: usize,
}

/// Writes the pipeline.
///
/// # Errors
/// GitLab would refuse it for its size.
pub fn text(layout: &Layout, jobs: &Jobs) -> Result<String, TooLarge> {
    let mut text = head(layout, jobs);
    text.push_str(&preflight(jobs));
    for (place, stage) in layout.stages.iter().enumerate() {
        let (wave, word, number) = (&stage.wave, shell_word(&stage.wave), stage.number);
        if stage.gate {
            let name = quoted(&format!("start {wave}"));
            text.push_str(&format!(
                "\n{name}:\n  extends: .roleout\n{}  stage: {name}\n  when: manual\n  allow_failure: false                    # what follows waits for it\n  \
                 dependencies: []\n  script:\n    - mkdir -p {REPORTS}/wave-{number}\n    - {}\n  \
                 artifacts:\n    expire_in: {}\n    paths: [{REPORTS}/]\n",
                environment(jobs),
                quoted(&format!("echo {word} > {REPORTS}/wave-{number}/{STARTED}")),
                quoted(&jobs.expire_in),
            ));
        }
        let name = quoted(&format!("deploy {wave}"));
        let (index, total) = match stage.parts {
            1 => ("1", "1"),
            _ => ("$CI_NODE_INDEX", "$CI_NODE_TOTAL"),
        };
        let place_of_reports = format!("{REPORTS}/wave-{number}/shard-{index}");
        let mut arguments = jobs.arguments.clone();
        arguments.extend(jobs.deploy.clone());
        arguments.extend(digests(jobs));
        // What the job gets of the preflight is not its own to pass on.
        let (needed, exclude) = match jobs.pins {
            true => ("preflight", format!("    exclude: [{REPORTS}/preflight/**/*]\n")),
            false => ("", String::new()),
        };
        let command = format!(
            "roleout deploy {} --wave {word} --from {word} --shard \"{index}/{total}\" --reports-dir \"{place_of_reports}\" \
             --journal \"{place_of_reports}/{JOURNAL}\"",
            shared(jobs, &arguments),
        );
        let parallel = if stage.parts > 1 { format!("  parallel: {}\n", stage.parts) } else { String::new() };
        text.push_str(&format!(
            "\n{name}:\n  extends: .aws\n  stage: {name}\n{parallel}  dependencies: [{needed}]\n  script:\n    - mkdir -p \"{place_of_reports}\"\n    \
             - {}\n  allow_failure:\n    exit_codes: [10, 11, 12, 13, 14]       # targets failed: the gate after the wave decides\n  \
             retry:\n    max: 1\n    exit_codes: [4]                        # identity or preflight failed, and nothing was changed\n  \
             artifacts:\n    when: always\n    expire_in: {}\n    access: developer\n    paths: [{REPORTS}/]\n{exclude}    reports:\n      \
             annotations: {REPORTS}/wave-{number}/shard-*/annotations.json\n",
            quoted(&command),
            quoted(&jobs.expire_in),
        ));
        if place + 1 < layout.stages.len() {
            let name = quoted(&format!("gate after {wave}"));
            text.push_str(&format!(
                "\n{name}:\n  extends: .roleout\n  stage: {name}\n  script:\n    - {}\n",
                quoted(&format!("roleout pipeline gate --wave {word} {REPORTS}")),
            ));
        }
    }
    text.push_str(&last(jobs));
    if text.len() > MOST { Err(TooLarge { bytes: text.len() }) } else { Ok(text) }
}

fn head(layout: &Layout, jobs: &Jobs) -> String {
    let mut stages = vec!["preflight".to_owned()];
    for (place, stage) in layout.stages.iter().enumerate() {
        stages.extend(stage.gate.then(|| format!("start {}", stage.wave)));
        stages.push(format!("deploy {}", stage.wave));
        stages.extend((place + 1 < layout.stages.len()).then(|| format!("gate after {}", stage.wave)));
    }
    stages.push("report".to_owned());
    let stages: String = stages.iter().map(|stage| format!("  - {}\n", quoted(stage))).collect();
    let image =
        jobs.image.as_ref().map(|image| format!("  image: {{ name: {}, entrypoint: [\"\"] }}\n", quoted(image)));
    let tags = (!jobs.tags.is_empty())
        .then(|| format!("  tags: [{}]\n", jobs.tags.iter().map(|tag| quoted(tag)).collect::<Vec<_>>().join(",")));
    let token = jobs
        .token
        .as_ref()
        .map(|name| format!("  id_tokens:\n    {}: {{ aud: {} }}\n", quoted(name), quoted(&jobs.audience)));
    format!(
        "# Made by `roleout pipeline` ({}) of {} targets in {} accounts. Make it anew rather than change it: the jobs\n\
         # refuse a manifest that means other targets or other waves.\n\
         workflow:\n  rules: [{{ when: always }}]              # in the pipelines of merge requests, too\n\n\
         stages:\n{stages}\n.roleout:\n{}{}  interruptible: false\n  timeout: {}\n\n.aws:\n  \
         extends: .roleout\n{}{}",
        env!("CARGO_PKG_VERSION"),
        layout.targets,
        layout.accounts,
        image.unwrap_or_default(),
        tags.unwrap_or_default(),
        quoted(&duration::hours(jobs.timeout)),
        environment(jobs),
        token.unwrap_or_default(),
    )
}

fn environment(jobs: &Jobs) -> String {
    let line = |name: &String| format!("  environment: {{ name: {}, action: access }}\n", quoted(name));
    jobs.environment.as_ref().map(line).unwrap_or_default()
}

/// The arguments that pass the digests of images on.
fn digests(jobs: &Jobs) -> impl Iterator<Item = String> {
    let words = ["--digests".to_owned(), format!("{REPORTS}/preflight/{DIGESTS}")];
    words.into_iter().filter(|_| jobs.pins)
}

/// Every chain and every target, before the first change of any job.
fn preflight(jobs: &Jobs) -> String {
    let mut arguments = jobs.arguments.clone();
    arguments.extend(jobs.preflight.clone());
    arguments.extend(digests(jobs));
    let command =
        format!("roleout pipeline preflight {} --journal {REPORTS}/preflight/{JOURNAL}", shared(jobs, &arguments));
    format!(
        "\npreflight:\n  extends: .aws\n  stage: preflight\n  script:\n    - mkdir -p {REPORTS}/preflight\n    - {}\n  retry:\n    \
         max: 1\n    exit_codes: [4]\n  artifacts:\n    when: always\n    expire_in: {}\n    access: developer\n    paths: [{REPORTS}/]\n",
        quoted(&command),
        quoted(&jobs.expire_in),
    )
}

/// What it all came to, whatever became of the jobs before.
fn last(jobs: &Jobs) -> String {
    let merged = format!("{REPORTS}/merged");
    let command =
        format!("roleout pipeline merge --file {} --reports-dir {merged} {REPORTS}", shell_word(&jobs.manifest));
    format!(
        "\nreport:\n  extends: .roleout\n{}  stage: report\n  when: always\n  script:\n    - {}\n  allow_failure:\n    \
         exit_codes: [6, 13]                    # stopped at a gate; failures within the tolerance of their waves\n  artifacts:\n    \
         when: always\n    expire_in: {}\n    access: developer\n    paths: [{merged}/]\n    reports:\n      junit: {merged}/junit.xml\n      \
         terraform: {merged}/terraform.json\n      dotenv: {merged}/deploy.env\n      annotations: {merged}/annotations.json\n",
        environment(jobs),
        quoted(&command),
        quoted(&jobs.expire_in),
    )
}

/// The arguments that every job which reads the manifest has.
fn shared(jobs: &Jobs, arguments: &[String]) -> String {
    let words = ["--file".to_owned(), shell_word(&jobs.manifest), "--fingerprint".to_owned(), jobs.fingerprint.clone()];
    let words: Vec<String> = words.into_iter().chain(arguments.iter().map(|word| shell_word(word))).collect();
    words.join(" ")
}

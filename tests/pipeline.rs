//! `roleout pipeline` by the binary: the jobs of a child pipeline as processes, each with a sandbox of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A manifest of a canary and two accounts in a directory of its own, with what is to be run there.
struct Project(PathBuf);

impl Project {
    fn new(name: &str, rest: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline").join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).expect("a directory");
        let account = |name: &str, id: &str| {
            format!("  - {{ name: {name}, id: \"{id}\", chain: [deployer], regions: [eu-west-1] }}\n")
        };
        let accounts: String = [("early", "222222222222"), ("a", "333333333333"), ("b", "444444444444")]
            .map(|(name, id)| account(name, id))
            .concat();
        let manifest = format!(
            "version: 1\nidentity: {{ token_env: ID_TOKEN, region: eu-west-1 }}\n\
             roles: {{ deployer: {{ arn: \"arn:aws:iam::${{account.id}}:role/deployer\" }} }}\naccounts:\n{accounts}\
             services:\n  - {{ name: api, cluster: web, images: {{ app: \"example.com/api:2\" }} }}\n  \
             - {{ name: web, cluster: web, select: {{ account: b }}, images: {{ front: \"example.com/web:2\" }} }}\n\
             rollout:\n  waves:\n    - {{ name: canary, select: {{ account: early }} }}\n    - {{ name: rest{rest} }}\n"
        );
        std::fs::write(directory.join("deploy.yaml"), manifest).expect("a file");
        Self(directory)
    }

    fn run(&self, line: &str) -> Ran {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("roleout"));
        command.env_clear().env("COLUMNS", "100").current_dir(&self.0).args(line.split(' '));
        Ran::of(command.output().expect("the binary runs"))
    }

    /// Runs the job of a wave, and leaves what the pipeline's own would.
    fn job(&self, wave: &str, number: usize, shard: &str, more: &str) -> Ran {
        let own = format!("reports/wave-{number}/shard-{}", &shard[..1]);
        std::fs::create_dir_all(self.0.join(&own)).expect("a directory");
        self.run(&format!(
            "deploy --sandbox --quiet --wave {wave} --from {wave} --shard {shard} --reports-dir {own} --journal {own}/journal.jsonl{more}"
        ))
    }

    fn preflight(&self, more: &str) -> Ran {
        std::fs::create_dir_all(self.0.join("reports/preflight")).expect("a directory");
        self.run(&format!("pipeline preflight --sandbox --journal reports/preflight/journal.jsonl{more}"))
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.0.join("merged/report.json")).expect("a report");
        serde_json::from_str(&text).expect("JSON")
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// What it said, without the command that comes next.
    fn said(&self) -> &str {
        self.err.split("next: ").next().unwrap_or_default()
    }

    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }
}

#[test]
fn the_jobs_of_a_pipeline_merge_into_one_run() {
    let project = Project::new("whole", ", max_failures: 1");
    let made = project.run("pipeline --shards 2 --out child.yml").ends(0);
    assert_eq!(
        (made.out.as_str(), made.err.as_str()),
        (
            "",
            "note: wave canary: 1 target in 1 job; tolerates 0 failures, and up to 1 target can fail before it halts\n\
             note: wave rest: 3 targets in 2 jobs; tolerates 1 failure, and up to 3 targets can fail before it halts\n\
             note: 6 jobs in all\n"
        )
    );
    let yaml = std::fs::read_to_string(project.0.join("child.yml")).expect("a pipeline");
    let fingerprint = yaml.split("--fingerprint ").nth(1).expect("a fingerprint")[..16].to_owned();

    let preflight = project.preflight(&format!(" --fingerprint {fingerprint}")).ends(0);
    assert!(preflight.out.ends_with("plan: 4 to deploy\n"), "{}", preflight.out);
    let known = format!(" --fingerprint {fingerprint}");
    project.job("canary", 1, "1/1", &known).ends(0);
    let gate = project.run("pipeline gate --wave canary reports").ends(0);
    assert_eq!(gate.err, "note: wave canary: 0 of 1 target failed, and 0 may\n");
    std::thread::scope(|scope| {
        scope.spawn(|| project.job("rest", 2, "1/2", &format!("{known} --sandbox-fault b/*/*=crash")).ends(11));
        scope.spawn(|| project.job("rest", 2, "2/2", &known).ends(0));
    });
    let gate = project.run("pipeline gate --wave rest reports").ends(11);
    // Both fail at about the same time.
    let first = |service: &str| {
        format!(
            "error: wave rest: 2 of 3 targets failed, and 1 may\n  help: no later wave starts; the first to fail was b/eu-west-1/{service}\n"
        )
    };
    assert!([first("api"), first("web")].contains(&gate.said().to_owned()), "{}", gate.said());
    let merged = project.run("pipeline merge reports --reports-dir merged --journal all.jsonl").ends(11);
    assert!(merged.err.contains("4 targets: 2 succeeded, 2 rolled back, in "), "{}", merged.err);
    let report = project.report();
    assert_eq!((&report["verdict"]["exit_code"], &report["verdict"]["halted"]["wave"]), (&11.into(), &"rest".into()));
    // And what is left as a journal is the journal of a run.
    let again = project.run("report all.jsonl --report json=again.json").ends(0);
    assert_eq!(again.err, "");
    let again = std::fs::read_to_string(project.0.join("again.json")).expect("a report");
    assert_eq!(serde_json::from_str::<Value>(&again).expect("JSON"), report);
}

#[test]
fn the_jobs_of_a_pipeline_run_the_builds_that_its_preflight_found() {
    let project = Project::new("pinned", "");
    let path = project.0.join("deploy.yaml");
    let manifest = std::fs::read_to_string(&path).expect("the manifest");
    std::fs::write(&path, manifest + "defaults: { pin: digest }\n").expect("a file");
    project.run("pipeline --out child.yml").ends(0);
    let yaml = std::fs::read_to_string(project.0.join("child.yml")).expect("a pipeline");
    assert_eq!(yaml.matches("--digests roleout-reports/preflight/digests.json").count(), 3, "{yaml}");
    assert_eq!(yaml.matches("dependencies: [preflight]").count(), 2, "{yaml}");
    assert_eq!(yaml.matches("exclude: [roleout-reports/preflight/**/*]").count(), 2, "{yaml}");
    project.preflight(" --digests reports/preflight/digests.json").ends(0);
    let file = project.0.join("reports/preflight/digests.json");
    let digests: Value = serde_json::from_slice(&std::fs::read(&file).expect("digests")).expect("JSON");
    let names: Vec<&String> = digests["digests"].as_object().expect("names").keys().collect();
    assert_eq!(names, ["example.com/api:2", "example.com/web:2"]);
    // By then the tag is another build: the sandbox of the job would say so.
    let other = format!("sha256:{}", "ab".repeat(32));
    let own = digests["digests"]["example.com/api:2"].as_str().expect("a digest");
    std::fs::write(&file, digests.to_string().replace(own, &other)).expect("a file");
    project.job("canary", 1, "1/1", " --digests reports/preflight/digests.json").ends(0);
    let report = std::fs::read_to_string(project.0.join("reports/wave-1/shard-1/journal.jsonl")).expect("a journal");
    assert!(report.contains(&format!("example.com/api:2@{other}")), "{report}");
    let missing = project.job("canary", 1, "1/1", " --digests gone.json").ends(2);
    assert!(missing.err.contains("--digests: gone.json: ") && missing.err.contains("`preflight`"), "{}", missing.err);
}

#[test]
fn a_gated_wave_whose_jobs_left_nothing_does_not_pass() {
    let project = Project::new("gated", ", gate: manual");
    project.preflight("").ends(0);
    project.job("canary", 1, "1/1", "").ends(0);
    let waits = project.run("pipeline merge reports --reports-dir merged").ends(6);
    assert!(waits.err.contains("rest"), "{}", waits.err);
    let lost = "error: wave rest: no job left a journal that has a/eu-west-1/api, b/eu-west-1/api, b/eu-west-1/web\n";
    let gate = project.run("pipeline gate --wave rest reports").ends(1);
    assert!(gate.err.starts_with(lost), "{}", gate.err);
    // What the manual job leaves.
    std::fs::create_dir_all(project.0.join("reports/wave-2")).expect("a directory");
    std::fs::write(project.0.join("reports/wave-2/started"), "rest\n").expect("a file");
    let merged = project.run("pipeline merge reports --reports-dir merged").ends(1);
    assert!(merged.err.contains(lost) && !merged.err.contains("gate"), "{}", merged.err);
    std::fs::remove_dir_all(project.0.join("reports")).expect("removed");
    project.preflight(" --from rest").ends(0);
    let merged = project.run("pipeline merge reports --reports-dir merged").ends(1);
    assert!(merged.err.contains(lost), "a gate that was passed from the start: {}", merged.err);
}

#[test]
fn a_selection_that_leaves_no_wave_is_refused() {
    let project = Project::new("no-wave", "");
    let words = "error: --wave and --from leave no wave: no selected target is in `rest` or in a later one\n";
    for command in ["pipeline", "pipeline preflight --sandbox --journal j.jsonl", "deploy --sandbox", "plan --sandbox"]
    {
        let refused = project.run(&format!("{command} --wave canary --from rest")).ends(2);
        assert!(refused.said().ends_with(words) && refused.out.is_empty(), "{command}: {}", refused.err);
    }
    project.run("deploy --sandbox --only early --from rest").ends(2);
}

#[test]
fn a_refused_preflight_is_what_the_run_came_to() {
    let project = Project::new("refused", "");
    let refused = project.preflight(" --sandbox-fault b/*/*=wrong-account").ends(4);
    assert!(refused.err.contains("b (444444444444)"), "{}", refused.err);
    let merged = project.run("pipeline merge reports --reports-dir merged").ends(4);
    assert!(merged.err.contains("b (444444444444)"), "{}", merged.err);
    let report = project.report();
    assert_eq!((&report["verdict"]["exit_code"], &report["totals"]["not_started"]), (&4.into(), &2.into()));
    let gate = project.run("pipeline gate --wave canary reports").ends(4);
    assert!(gate.err.contains("b (444444444444)"), "{}", gate.err);
}

#[test]
fn a_missing_journal_plan_or_wave_is_named() {
    let project = Project::new("nothing", "");
    let missing = project.run("pipeline gate --wave canary reports").ends(2);
    assert!(missing.err.starts_with("error: the journals: "), "{}", missing.err);
    std::fs::create_dir_all(project.0.join("reports/wave-1")).expect("a directory");
    let merged = project.run("pipeline merge reports --reports-dir merged").ends(1);
    let words = "error: reports/preflight/journal.jsonl: the preflight left no plan here: its job did not get to its end, and \
                 nothing was started after it\n";
    assert_eq!(merged.said(), words);
    assert_eq!(project.report()["verdict"]["exit_code"], 1);
    project.preflight("").ends(0);
    let lost = project.run("pipeline merge reports --reports-dir merged").ends(1);
    assert!(lost.err.contains("wave canary: no job left a journal that has early/eu-west-1/api"), "{}", lost.err);
    assert_eq!(project.report()["verdict"]["exit_code"], Value::Null);
    let unknown = project.run("pipeline gate --wave nope reports").ends(2);
    assert_eq!(unknown.said(), "error: there is no wave `nope` in the plan of the preflight\n");
}

#[test]
fn a_part_is_of_the_fleet_that_was_divided() {
    let project = Project::new("parts", "");
    let other =
        project.run("deploy --sandbox --dry-run --shard 1/2 --wave rest --fingerprint 0123456789abcdef").ends(5);
    assert!(
        other.err.starts_with("error: deploy.yaml: the manifest means another fleet than the pipeline was made of"),
        "{}",
        other.err
    );
    let empty = project.run("deploy --sandbox --dry-run --shard 2/2 --wave canary").ends(2);
    assert_eq!(empty.said(), "error: nothing is left for the job 2/2: there are fewer accounts than jobs\n");
    assert!(project.run("plan --sandbox --shard 3/2").ends(2).err.contains("`3/2` is not one of several jobs"));
    // The image is for a service that only the first job has.
    let image = " --image web/front=example.com/web:3";
    let first = project.run(&format!("plan --sandbox --quiet --wave rest --shard 1/2{image}")).ends(0);
    assert!(first.out.contains("example.com/web:3"), "{}", first.out);
    let second = project.run(&format!("plan --sandbox --quiet --wave rest --shard 2/2{image}")).ends(0);
    assert!(!second.out.contains("example.com/web:3") && second.out.ends_with("plan: 1 to deploy\n"), "{}", second.out);
    project.run(&format!("plan --sandbox --quiet --wave canary{image}")).ends(2);
}

#[test]
fn what_jobs_cannot_do_together_is_refused_or_explained() {
    let project = Project::new("together", ", on_failure: rollback, rollback_scope: run");
    let refused = project.run("pipeline").ends(2);
    assert_eq!(
        refused.said(),
        "error: the wave `rest` has `rollback_scope: run`: it rolls back earlier waves when it halts, and these are other \
         jobs\n  help: write `rollback_scope: wave` or `target` for it, or deploy in one job\n"
    );
    let project = Project::new("strict", ", strict: true, bake: 3h");
    let made = project.run("pipeline --shards 2").ends(0);
    assert!(
        made.out.contains("\"deploy rest\":\n  extends: .aws\n  stage: \"deploy rest\"\n  dependencies: []\n"),
        "{}",
        made.out
    );
    assert!(made.err.contains("warning: the wave rest is one job, since it is `strict`"), "{}", made.err);
    let late =
        "warning: wave rest: a job of it can take 4h with every timeout used up, and may take 2h: --job-timeout\n";
    assert!(made.err.contains(late), "{}", made.err);
    assert_eq!(project.run("pipeline --shards 201").ends(2).out, "");
    for flag in ["--expire-in=soon", "--job-timeout=40d", "--job-timeout=90s"] {
        assert!(project.run(&format!("pipeline {flag}")).ends(2).err.contains("error: invalid value"), "{flag}");
    }
    assert_eq!(project.run("pipeline --only nope").ends(2).out, "");
}

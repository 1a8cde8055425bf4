//! The binary as a person and a pipeline meet it: words, streams, exit codes and signals.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn roleout() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("roleout"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn run(arguments: &[&str]) -> Output {
    roleout().args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A manifest of one account in a directory of its own.
fn project(name: &str, rollout: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("deploy.yaml");
    let manifest = format!(
        "version: 1\nidentity: {{ token_env: ID_TOKEN, region: eu-west-1 }}\n\
         roles: {{ deployer: {{ arn: \"arn:aws:iam::111122223333:role/deployer\" }} }}\n\
         accounts: [ {{ name: prod, id: \"111122223333\", chain: [deployer], regions: [eu-west-1] }} ]\n\
         services: [ {{ name: api, cluster: web, images: {{ app: \"example.com/api:2\" }} }} ]\n{rollout}"
    );
    std::fs::write(&file, manifest).expect("a file");
    file
}

#[test]
fn help_lists_every_exit_code() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    for exit in roleout::base::exit::Exit::ALL {
        let line = format!("{:>5}  {}", exit.code(), exit.words());
        assert!(help.lines().any(|it| it == line), "{line}: {help}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    assert_eq!(run(&["deploy", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&["deploy", "--sandbox-fault", "*=crash"]).status.code(), Some(2));
}

#[test]
fn colours_are_in_the_log_of_a_gitlab_job_and_where_they_are_asked_for_but_never_in_data() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let plan = ["plan", "--sandbox", "-f", "deploy.yaml.example", "--only", "staging/*/reports"];
        let output =
            roleout().args(plan).args(arguments).envs(variables.iter().copied()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        [output.stdout, output.stderr].map(|bytes| bytes.contains(&0x1b))
    };
    let gitlab = ("GITLAB_CI", "true");
    assert_eq!(said(&[], &[]), [false, false]);
    assert_eq!(said(&[], &[gitlab]), [true, true]);
    assert_eq!(said(&[], &[gitlab, ("NO_COLOR", "1")]), [false, false]);
    assert_eq!(said(&["--color", "never"], &[gitlab]), [false, false]);
    assert_eq!(said(&["--color=always"], &[("NO_COLOR", "1")]), [true, true]);
    assert_eq!(said(&[], &[("ROLEOUT_COLOR", "always")]), [true, true]);
    assert_eq!(said(&[], &[("FORCE_COLOR", "1")]), [true, true]);
    for format in ["json", "markdown"] {
        assert!(!said(&["--format", format], &[gitlab, ("ROLEOUT_COLOR", "always")])[0], "{format}");
    }
    // A file gets no colour of its own accord, and the other stream is no reason.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plan.txt");
    let out = std::fs::File::create(&file).expect("a file");
    let plan = ["plan", "--sandbox", "-f", "deploy.yaml.example", "--only", "staging/*/reports"];
    let output = roleout().args(plan).env(gitlab.0, gitlab.1).stdout(out).output().expect("the binary runs");
    assert!(!std::fs::read(&file).expect("a file").contains(&0x1b) && output.stderr.contains(&0x1b));
}

#[test]
fn errors_follow_the_choice_of_colour_whatever_ended_the_command() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let manifest = directory.join("wrong.yaml");
    std::fs::write(&manifest, "version: 2\n").expect("a file");
    let manifest = manifest.to_str().expect("UTF-8");
    // A manifest, a command line, a file that does not exist.
    for arguments in
        [vec!["check", "-f", manifest], vec!["check", "--no-such-flag"], vec!["check", "-f", "no-such-file"]]
    {
        let is_coloured = |more: &[&str], variables: &[(&str, &str)]| {
            let output = roleout().args(&arguments).args(more).envs(variables.iter().copied()).output();
            output.expect("the binary runs").stderr.contains(&0x1b)
        };
        assert!(!is_coloured(&[], &[]), "{arguments:?}");
        assert!(is_coloured(&[], &[("GITLAB_CI", "true")]), "{arguments:?}");
        assert!(is_coloured(&["--color", "always"], &[("NO_COLOR", "1")]), "{arguments:?}");
        assert!(!is_coloured(&["--color=never"], &[("GITLAB_CI", "true")]), "{arguments:?}");
    }
}

#[test]
fn status_begins_at_the_wave_that_it_is_told() {
    let targets = |from: &[&str]| {
        let arguments =
            [&["status", "--sandbox", "-f", "deploy.yaml.example", "--format", "json", "--quiet"], from].concat();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let names = |key: &str| -> std::collections::BTreeSet<String> {
            let of = |target: &serde_json::Value| target[key].as_str().map(str::to_owned);
            status["targets"].as_array().into_iter().flatten().filter_map(of).collect()
        };
        names("wave")
    };
    assert_eq!(targets(&[]), ["canary", "fleet"].map(str::to_owned).into());
    assert_eq!(targets(&["--from", "fleet"]), ["fleet".to_owned()].into());
    let output = run(&["status", "--sandbox", "-f", "deploy.yaml.example", "--from", "flete"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("there is no wave `flete`; did you mean `fleet`?"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_second_set_of_roles_leaves_the_identity_provider_to_the_first() {
    for format in ["json", "terraform"] {
        let written = |more: &[&str]| {
            let arguments = ["iam", "-f", "deploy.yaml.example", "--format", format];
            let output = run(&[&arguments, more].concat());
            assert_eq!(output.status.code(), Some(0), "{format}: {}", text(&output.stderr));
            text(&output.stdout).to_owned()
        };
        let provider = if format == "json" { "ClientIDList" } else { "aws_iam_openid_connect_provider" };
        let (first, second) = (written(&[]), written(&["--permissions", "plan", "--no-provider"]));
        assert!(first.contains(provider) && !second.contains(provider), "{format}: {second}");
        assert!(second.contains("oidc-provider/"), "{format}: the first role still trusts it");
    }
}

#[test]
fn no_file_is_written_over_that_the_command_reads_or_writes() {
    let file = project("overlaps", "");
    let directory = file.parent().expect("a directory");
    let here = |name: &str| directory.join(name).display().to_string();
    let (manifest, journal) = (here("deploy.yaml"), here("run.jsonl"));
    let text = fs_err::read_to_string(&manifest).unwrap();
    let report = |path: &str| format!("json={path}");
    let same = format!("{}/./deploy.yaml", directory.display());
    let cases: Vec<Vec<String>> = vec![
        vec!["plan".into(), "--report".into(), report(&manifest)],
        vec!["plan".into(), "--out".into(), same.clone()],
        vec!["plan".into(), "--out".into(), here("p.json"), "--report".into(), report(&here("p.json"))],
        vec!["deploy".into(), "--report".into(), report(&same)],
        vec!["deploy".into(), "--journal".into(), manifest.clone()],
        vec!["deploy".into(), "--journal".into(), journal.clone(), "--report".into(), report(&journal)],
        vec!["rollback".into(), "--report".into(), report(&manifest)],
        vec!["watch".into(), "--report".into(), report(&manifest)],
    ];
    for case in &cases {
        let mut words: Vec<&str> = case.iter().map(String::as_str).collect();
        words.extend(["-f", &manifest, "--sandbox"]);
        let told = run(&words);
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{case:?}: {said}");
        assert!(said.contains("name another path; nothing was written"), "{case:?}: {said}");
        assert_eq!(fs_err::read_to_string(&manifest).unwrap(), text, "{case:?}");
    }
    let directory_of_all = here("all");
    fs_err::create_dir_all(&directory_of_all).unwrap();
    let named = format!("{directory_of_all}/journal.jsonl");
    let words = ["deploy", "-f", &manifest, "--sandbox", "--reports-dir", &directory_of_all, "--journal", &named];
    let told = run(&words);
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    let told = run(&["report", &named, "--report", &report(&named)]);
    assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(fs_err::read_to_string(&named).unwrap().contains("run_finished"));
}

#[test]
fn roles_of_which_none_is_selected_are_no_success() {
    for check in [&[][..], &["--out", "target/tmp/no-roles"]] {
        let arguments = ["iam", "-f", "deploy.yaml.example", "--account", "staging", "--role", "hub"];
        let told = run(&[&arguments[..], check].concat());
        assert_eq!(told.status.code(), Some(2));
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(said.contains("no role of the manifest is selected"), "{said}");
    }
    let arguments = ["iam", "check", "-f", "deploy.yaml.example", "--sandbox", "--account", "staging", "--role", "hub"];
    let told = run(&arguments);
    assert_eq!(told.status.code(), Some(2), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn every_role_gets_a_boundary_a_path_and_tags() {
    let marks = ["--permissions-boundary", "edge", "--role-path", "/ci/", "--tag", "team=platform,cost centre=4711"];
    let written = |format: &str, more: &[&str]| {
        let arguments = ["iam", "-f", "deploy.yaml.example", "--format", format];
        run(&[&arguments, more].concat())
    };
    let read = |format: &str, role: &[&str]| {
        let output = written(format, &[&marks, role].concat());
        assert_eq!(output.status.code(), Some(0), "{format}: {}", text(&output.stderr));
        let said = text(&output.stderr).replace("\n  ", " ");
        assert!(said.contains("write it into its `arn` in the manifest"), "{said}");
        text(&output.stdout).to_owned()
    };
    let terraform = read("terraform", &[]);
    let roles = terraform.matches("resource \"aws_iam_role\" ").count();
    for line in ["path                 = \"/ci/\"", ":policy/edge\"", "\"cost centre\" = \"4711\""] {
        assert_eq!(terraform.matches(line).count(), roles, "{line}: {terraform}");
    }
    assert!(terraform.contains(":role/ci/"), "in the trust policies as well: {terraform}");
    let parsed =
        |format: &str, role: &[&str]| -> serde_json::Value { serde_json::from_str(&read(format, role)).expect("JSON") };
    let stack = parsed("cloudformation", &["--role", "deployer"]);
    let role = &stack["Resources"]["Role"]["Properties"];
    let boundary = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/edge";
    assert_eq!((&role["Path"], &role["PermissionsBoundary"]["Fn::Sub"]), (&"/ci/".into(), &boundary.into()));
    assert_eq!(role["Tags"][1], serde_json::json!({ "Key": "team", "Value": "platform" }));
    let json = parsed("json", &["--role", "deployer"]);
    let role = &json["accounts"][0]["roles"][0];
    assert_eq!((&role["path"], &role["tags"]["team"]), (&"/ci/".into(), &"platform".into()));
    for (wrong, said) in [
        (["--permissions-boundary", "arn:aws:iam::999999999999:policy/edge"], "is in another account than"),
        (["--role-path", "ci"], "`ci` is not the path of a role"),
        (["--tag", "aws:x=y"], "`aws:x=y` is not a tag of IAM"),
    ] {
        let output = written("json", &wrong);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn doctor_says_what_is_missing_and_takes_a_policy_file() {
    let manifest = project("doctor", "");
    let path = manifest.to_str().expect("UTF-8");
    // Without a token nothing is asked of anybody, and the lines that get one are shown.
    let output = run(&["doctor", "-f", path, "--quiet"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("    ID_TOKEN:\n"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("deployer ✖ token-missing"), "{}", text(&output.stdout));
    let output = run(&["doctor", "-f", path, "--sandbox", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["accounts"][0]["reached"], true);
    // What is no policy is said before anything is walked.
    let output = run(&["doctor", "-f", path, "--sandbox", "--trust-policy", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--trust-policy: ") && text(&output.stderr).contains("is not JSON"));
    // What `aws iam get-role` prints is taken as it is.
    let policy = manifest.with_file_name("trust.json");
    let role = r#"{"Role":{"AssumeRolePolicyDocument":{"Statement":[{"Effect":"Allow","Principal":{"Federated":"x"},"Action":"*"}]}}}"#;
    std::fs::write(&policy, role).expect("a file");
    let fault = "prod/*/sts=deny:sts:AssumeRoleWithWebIdentity";
    let policy = policy.to_str().expect("UTF-8");
    let output = run(&["doctor", "-f", path, "--sandbox", "--sandbox-fault", fault, "--trust-policy", policy]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stdout).contains("✖ trust-principal"), "{}", text(&output.stdout));
}

#[test]
fn the_example_is_checked_offline() {
    let output = run(&["check", "-f", "deploy.yaml.example"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = "note: checked with `0` in place of the job's variables: CI_COMMIT_SHA, CI_JOB_ID, CI_PIPELINE_ID, CI_PROJECT_ID\n";
    assert!(text(&output.stdout).ends_with(said), "{}", text(&output.stdout));
    // In a job they are there, or every one that is missing is named at once.
    let output = roleout().args(["check", "-f", "deploy.yaml.example"]).env("CI", "true").output().expect("it runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("CI_COMMIT_SHA"), "{}", text(&output.stderr));
    let mut command = roleout();
    let variables = ["CI_PROJECT_ID", "CI_PIPELINE_ID", "CI_JOB_ID", "CI_COMMIT_SHA"];
    let output = command.args(["check", "-f", "deploy.yaml.example"]).envs(variables.map(|name| (name, "1"))).output();
    let output = output.expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("deploy.yaml.example: valid; 19 targets in 6 accounts, 2 waves"));
}

#[test]
fn an_empty_variable_is_none_and_that_of_a_flag_may_be_a_digit() {
    let status = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = roleout();
        command.args(["deploy", "-f", "deploy.yaml.example", "--only", "tools/*/*", "--quiet"]).args(arguments);
        let output = command.envs(variables.iter().copied()).output().expect("the binary runs");
        (output.status.code(), text(&output.stderr))
    };
    let empty =
        ["ROLEOUT_FILE", "ROLEOUT_WAVE", "ROLEOUT_FROM", "ROLEOUT_REPORTS_DIR", "ROLEOUT_ON_BUSY", "ROLEOUT_QUIET"];
    let empty: Vec<(&str, &str)> = empty.into_iter().map(|name| (name, "")).collect();
    let with = |more: &[(&'static str, &'static str)]| [&empty, more].concat();
    assert_eq!(status(&with(&[("ROLEOUT_DRY_RUN", "1"), ("ROLEOUT_SANDBOX", "yes")]), &[]).0, Some(0));
    // A flag that is off contradicts nothing.
    let journal = format!("{}/off.jsonl", env!("CARGO_TARGET_TMPDIR"));
    let off = [("ROLEOUT_DRY_RUN", "False"), ("ROLEOUT_SANDBOX", "true"), ("ROLEOUT_SKIP_BLOCKED", "0")];
    assert_eq!(status(&off, &["--journal", &journal]), (Some(0), "✔ done (exit code 0)\n".to_owned()));
    let (code, said) = status(&[("ROLEOUT_DRY_RUN", "perhaps")], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("invalid value 'perhaps' for '--dry-run'"), "{said}");
}

#[test]
fn the_calls_are_shown_on_stderr_where_they_are_asked_for() {
    let said = |arguments: &[&str], variables: &[(&str, &str)]| {
        let base = ["plan", "--sandbox", "-f", "deploy.yaml.example"];
        let output = roleout().args(base).args(arguments).envs(variables.iter().copied()).output().expect("it runs");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (calls, sdk) = ("roleout::calls: ECS DescribeServices account=", "aws_smithy_runtime::client");
    let quiet = said(&[], &[]).2;
    assert!(!quiet.contains("DEBUG"), "{quiet}");
    for (arguments, variables, with_sdk) in [
        (&["-v"][..], &[][..], false),
        (&["-vv"], &[], true),
        (&[], &[("ROLEOUT_VERBOSE", "true")], false),
        (&[], &[("ROLEOUT_VERBOSE", "2")], true),
        (&["--quiet"], &[("ROLEOUT_LOG", "roleout=debug")], false),
        (&[], &[("ROLEOUT_LOG", "trace")], true),
    ] {
        let (code, out, err) = said(arguments, variables);
        assert_eq!((code, out.contains("DEBUG")), (Some(0), false), "{arguments:?} {variables:?}: {err}");
        assert_eq!((err.contains(calls), err.contains(sdk)), (true, with_sdk), "{arguments:?} {variables:?}: {err}");
    }
    for (variables, wanted) in [
        (("ROLEOUT_VERBOSE", "loud"), "it is true, false, or a number such as 2"),
        (("ROLEOUT_LOG", "roleout=loud"), "ROLEOUT_LOG is \"roleout=loud\", and not a filter of tracing"),
    ] {
        let (code, out, err) = said(&[], &[variables]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(wanted), "{err}");
    }
    assert_eq!(said(&[], &[("ROLEOUT_VERBOSE", "off")]).2, quiet);
}

#[test]
fn a_missing_manifest_and_a_faulty_one_are_exit_3() {
    let output = run(&["check", "-f", "no-such-file.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("no-such-file.yaml"), "{}", text(&output.stderr));
    let file = project("faulty", "rollout: { timeout: never }\n");
    let output = run(&["check", "-f", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("deploy.yaml:6:"), "{}", text(&output.stderr));
}

#[test]
fn a_missing_token_shows_the_lines_to_add() {
    let file = project("token", "");
    let output = run(&["deploy", "-f", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let words = text(&output.stderr);
    assert!(words.starts_with("error: the variable ID_TOKEN holds no ID token\n"), "{words}");
    assert!(words.contains("          id_tokens:\n            ID_TOKEN:\n"), "{words}");
}

#[test]
fn a_dry_run_prints_the_plan_on_stdout_and_events_go_there_on_request() {
    let file = project("streams", "").display().to_string();
    let output = run(&["deploy", "--sandbox", "--dry-run", "-f", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("prod/eu-west-1/api"), "{}", text(&output.stdout));
    let output = run(&["deploy", "--sandbox", "--format", "jsonl", "--quiet", "-f", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let events: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events[0]["event"]["kind"], "run_started");
    assert_eq!(events.last().expect("events")["event"]["kind"], "run_finished");
}

#[test]
fn an_image_of_the_command_line_is_planned_and_a_slip_in_it_is_exit_2() {
    let file = project("image", "").display().to_string();
    let plan = |image: &str| run(&["plan", "--sandbox", "-f", &file, "--image", image]);
    let output = plan("api/app=example.com/api:hotfix");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("+ image: example.com/api:hotfix"), "{}", text(&output.stdout));
    for (image, said) in [
        ("app", "write CONTAINER=IMAGE or SERVICE/CONTAINER=IMAGE"),
        ("app=https://example.com/api", "cannot be an image"),
        ("ap=example.com/api:3", "no selected service has a container `ap`"),
        ("apo/app=example.com/api:3", "no selected target is of a service `apo`; did you mean `api`?"),
    ] {
        let output = plan(image);
        assert_eq!(output.status.code(), Some(2), "{image}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{image}: {}", text(&output.stderr));
    }
    let mut command = roleout();
    command
        .args(["status", "--sandbox", "-f", &file, "--format", "json"])
        .env("ROLEOUT_IMAGE", "app=example.com/api:9");
    let output = command.output().expect("the binary runs");
    assert!(text(&output.stdout).contains("-> example.com/api:9"), "{}", text(&output.stdout));
}

#[test]
fn a_crash_in_the_sandbox_is_exit_11() {
    let file = project("crash", "").display().to_string();
    let output = run(&["deploy", "--sandbox", "--sandbox-fault", "*=crash", "-f", &file]);
    assert_eq!(output.status.code(), Some(11), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("app exited with 1"), "{}", text(&output.stderr));
}

#[test]
fn the_sandbox_refuses_addresses_that_others_can_reach() {
    let output = run(&["sandbox", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is not a loopback address"), "{}", text(&output.stderr));
}

/// That it takes less than five seconds is held in `tests/deploy`, on a clock that no other process can slow down.
#[test]
fn signals_end_a_run_and_name_what_goes_on() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 143)] {
        let file = project(&format!("signal{signal}"), "").display().to_string();
        let mut child = roleout()
            .args(["deploy", "--sandbox", "--sandbox-fault", "*=hang", "-f", &file])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let started = lines.by_ref().map(|line| line.expect("UTF-8")).find(|line| line.contains("deploys api:"));
        assert!(started.is_some(), "{signal}: the rollout never started");
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(kill.success(), "{signal}");
        let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{signal}: {}", rest.join("\n"));
        let rest = rest.join("\n");
        assert!(rest.contains("detached") && rest.contains("aws ecs describe-services"), "{signal}: {rest}");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let file = project("signals", "rollout: { on_cancel: rollback }\n").display().to_string();
    let faults = ["--sandbox-fault", "*=hang", "--sandbox-fault", "*=lagging-lists:60"];
    let mut child = roleout()
        .args(["deploy", "--sandbox", "-f", &file])
        .args(faults)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let started = lines.by_ref().map(|line| line.expect("UTF-8")).find(|line| line.contains("deploys api:"));
    assert!(started.is_some(), "the rollout never started");
    // The first one is being acted on, and ECS does not list yet what it shall roll back: the second one waits for nothing.
    // One shell sends both, so that no other process comes between them.
    let both = format!("kill -INT {0} && kill -TERM {0}", child.id());
    assert!(Command::new("sh").args(["-c", &both]).status().expect("a shell runs").success());
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(143), "{}", rest.join("\n"));
    assert!(!rest.join("\n").contains("detached"), "no summary: {}", rest.join("\n"));
}

#[test]
fn a_terminal_that_is_closed_hangs_up_twice_and_nohup_is_heeded() {
    let file = project("hangup", "rollout: { on_cancel: rollback }\n").display().to_string();
    // ECS does not list yet what it shall roll back, so that the first of both is still being acted on.
    let faults = ["--sandbox-fault", "*=slow:3", "--sandbox-fault", "*=lagging-lists:60"];
    let hung_up = |nohup: bool| {
        let trap = if nohup { "trap '' HUP; " } else { "" };
        let mut child = Command::new("sh")
            .args(["-c", &format!("{trap}exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_roleout")])
            .args(["deploy", "--sandbox", "-f", &file])
            .args(faults)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let started = lines.by_ref().map(|line| line.expect("UTF-8")).find(|line| line.contains("deploys api:"));
        assert!(started.is_some(), "the rollout never started");
        for _ in 0..2 {
            let kill = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().expect("kill runs");
            assert!(kill.success());
        }
        let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
        (child.wait().expect("it ends").code(), rest.join("\n"))
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (code, said) = hung_up(false);
            assert_eq!(code, Some(143), "{said}");
            assert!(said.contains("! cancelled by SIGHUP (exit code 143)"), "{said}");
        });
        let (code, said) = hung_up(true);
        assert_eq!(code, Some(0), "{said}");
    });
}

#[test]
fn a_rollback_in_the_sandbox_is_planned_and_carried_out() {
    let file = project("rollback", "").display().to_string();
    let output = run(&["rollback", "--sandbox", "--dry-run", "-f", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("+ image: example.com/api:previous"), "{}", text(&output.stdout));
    let output = run(&["rollback", "--sandbox", "-f", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("1 target: 1 succeeded"), "{}", text(&output.stderr));
}

#[test]
fn a_manual_page_is_printed_or_written_for_each_command() {
    let page = run(&["man"]);
    assert!(page.status.success());
    assert!(text(&page.stdout).contains(".TH roleout 1"), "{}", text(&page.stdout));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("man");
    assert!(run(&["man", "--out", directory.to_str().unwrap()]).status.success());
    for command in ["roleout", "roleout-deploy", "roleout-rollback", "roleout-man"] {
        let page = fs_err::read_to_string(directory.join(format!("{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    let nowhere = run(&["man", "--out", "/dev/null/man"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("the manual pages cannot be written"), "{}", text(&nowhere.stderr));
}

#[test]
fn the_schema_and_completions_are_printed() {
    let schema: serde_json::Value = serde_json::from_slice(&run(&["schema"]).stdout).expect("JSON");
    assert_eq!(schema["type"], "object");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&run(&["completions", shell]).stdout);
        assert!(script.contains("ROLEOUT_COMPLETE"), "{shell}: {script}");
    }
}

/// What a shell is told that asks how a line goes on.
fn completed(line: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = roleout();
    command.env("ROLEOUT_COMPLETE", "fish").envs(variables.iter().copied()).arg("--").args(words);
    let output = command.output().expect("the binary runs");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{line}");
    text(&output.stdout).lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn names_of_the_manifest_are_completed_and_those_of_a_wrong_one_are_not() {
    let file = "-f deploy.yaml.example";
    let all = ["staging", "prod-nl", "prod-eu", "prod-us", "prod-apac", "tools"];
    assert_eq!(completed(&format!("roleout deploy {file} --only "), &[]), all);
    assert_eq!(completed(&format!("roleout plan {file} --account prod-e"), &[]), ["prod-eu"]);
    assert_eq!(completed("roleout status --only prod-n", &[("ROLEOUT_FILE", "deploy.yaml.example")]), ["prod-nl"]);
    let regions = ["prod-eu/eu-west-1", "prod-eu/eu-central-1"];
    assert_eq!(completed(&format!("roleout plan {file} --only prod-eu/"), &[]), regions);
    let services = completed(&format!("roleout plan {file} --only prod-nl/eu-west-1/"), &[]);
    assert_eq!(services, ["prod-nl/eu-west-1/web", "prod-nl/eu-west-1/api"]);
    assert_eq!(completed(&format!("roleout check {file} --service "), &[]), ["web", "api", "reports"]);
    assert_eq!(completed(&format!("roleout deploy {file} --from "), &[]), ["canary", "fleet"]);
    assert_eq!(completed(&format!("roleout exec {file} --account stag"), &[]), ["staging"]);
    for wrong in ["no-such.yaml", "Cargo.toml", "docs/page.png"] {
        assert_eq!(completed(&format!("roleout deploy -f {wrong} --only "), &[]), Vec::<String>::new(), "{wrong}");
    }
}

#[test]
fn targets_are_selected_by_the_names_of_accounts_and_services() {
    let checked = |arguments: &[&str]| {
        let output = roleout().args(["check", "-f", "deploy.yaml.example"]).args(arguments).output().expect("it runs");
        let said = text(&output.stdout) + &text(&output.stderr);
        (output.status.code(), said.lines().next().unwrap_or_default().to_owned())
    };
    let valid = |targets: &str| (Some(0), format!("deploy.yaml.example: valid; {targets}, 2 waves"));
    assert_eq!(checked(&["--account", "prod-eu"]), valid("5 targets in 1 account"));
    assert_eq!(checked(&["--service", "reports"]), valid("3 targets in 3 accounts"));
    assert_eq!(
        checked(&["--account", "prod-eu prod-us", "--service", "web", "--service", "api"]),
        valid("8 targets in 2 accounts")
    );
    let (code, said) = checked(&["--account", "prod-ue"]);
    assert!(
        code == Some(2) && said.contains("`prod-ue` matches no target; the nearest are `prod-eu`, `prod-us`"),
        "{said}"
    );
    let (code, said) = checked(&["--account", "prod-eu", "--only", "staging"]);
    assert!(code == Some(2) && said.contains("cannot be used with"), "{said}");
    let (code, said) = checked(&["--service", "prod-eu/web"]);
    assert!(code == Some(2) && said.contains("a name has no slash"), "{said}");
}

/// A `roleout sandbox` process, stopped when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = roleout()
            .args(["sandbox", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listens on")).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        let address = address.trim_end_matches(';').to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A manifest with a token of its own, and the server that takes it.
fn served(name: &str) -> (String, Server) {
    let file = project(name, "");
    let token = file.with_file_name("token");
    let manifest = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, manifest.replace("token_env: ID_TOKEN", "token_file: token")).expect("a file");
    let (file, token) = (file.display().to_string(), token.display().to_string());
    let server = Server::start(&["-f", &file, "--token-file", &token]);
    (file, server)
}

#[test]
fn a_deployment_over_http_with_a_token_file_changes_once_and_then_nothing() {
    let (file, server) = served("http");
    let deploy = || {
        let mut command = roleout();
        let output = command.args(["deploy", "-f", &file]).env("AWS_ENDPOINT_URL", &server.address).output();
        output.expect("the binary runs")
    };
    let first = deploy();
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("1 target: 1 succeeded"), "{}", text(&first.stderr));
    let second = deploy();
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("1 target: 1 unchanged"), "{}", text(&second.stderr));
}

#[test]
fn ambient_credentials_deploy_their_own_account_and_unknown_ones_are_refused() {
    let file = project("ambient", "");
    let manifest = std::fs::read_to_string(&file).expect("written");
    let manifest = manifest.replace("token_env: ID_TOKEN", "ambient: true").replace("chain: [deployer]", "chain: []");
    let roles = manifest.lines().filter(|line| !line.starts_with("roles:")).collect::<Vec<_>>().join("\n");
    std::fs::write(&file, roles).expect("a file");
    let file = file.display().to_string();
    let server = Server::start(&["-f", &file]);
    let deploy = |account: &str| {
        let mut command = roleout();
        command.args(["deploy", "-f", &file]).env("AWS_ENDPOINT_URL", &server.address);
        command.env("AWS_ACCESS_KEY_ID", account).env("AWS_SECRET_ACCESS_KEY", "test");
        command.output().expect("the binary runs")
    };
    let other = deploy("999999999999");
    assert_eq!(other.status.code(), Some(4), "{}", text(&other.stderr));
    assert!(
        text(&other.stderr).contains("prod (111122223333): the SDK's own credentials: "),
        "{}",
        text(&other.stderr)
    );
    let own = deploy("111122223333");
    assert_eq!(own.status.code(), Some(0), "{}", text(&own.stderr));
    assert!(text(&own.stderr).contains("1 target: 1 succeeded"), "{}", text(&own.stderr));
    // A manifest of a job's is usable on a laptop: its first role is then assumed, and refuses, since it trusts GitLab alone.
    let of_a_job = project("ambient-flag", "").display().to_string();
    let mut command = roleout();
    command.args(["plan", "-f", &of_a_job, "--ambient"]).env("AWS_ENDPOINT_URL", &server.address);
    let refused = command.env("AWS_ACCESS_KEY_ID", "111122223333").env("AWS_SECRET_ACCESS_KEY", "test").output();
    let refused = refused.expect("the binary runs");
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("hop 1 (deployer, "), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("AWS_ENDPOINT_URL sends calls to 127.0.0.1:"), "{}", text(&refused.stderr));
}

#[test]
fn a_service_is_imported_by_a_profile_and_plans_as_unchanged() {
    let file = project("profile", "");
    let server = Server::start(&["-f", file.to_str().expect("UTF-8")]);
    let here = file.parent().expect("a directory");
    let keys = |account: &str| format!("aws_access_key_id = {account}\naws_secret_access_key = test\n");
    let profiles = format!("[shop]\n{}[other]\n{}", keys("111122223333"), keys("999999999999"));
    std::fs::write(here.join("credentials"), profiles).expect("a file");
    let imported = here.join("imported.yaml");
    let job = |arguments: &[&str], profile: Option<&str>| {
        let mut command = roleout();
        command.env("AWS_ENDPOINT_URL", &server.address).env("AWS_SHARED_CREDENTIALS_FILE", here.join("credentials"));
        profile.map(|profile| command.env("AWS_PROFILE", profile));
        command.args(arguments).args(["--file", imported.to_str().expect("UTF-8")]).output().expect("the binary runs")
    };
    let output = job(&["init", "--force", "--from-service", "shop:eu-west-1/web/api"], None);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("and then AWS_PROFILE=shop roleout plan"), "{}", text(&output.stderr));
    let output = job(&["plan", "--detailed-exitcode"], Some("shop"));
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let both = ["init", "--force", "--from-service", "shop:eu-west-1/web/api other:eu-west-1/web/api"];
    let output = job(&both, None);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the credentials of more than one profile"), "{}", text(&output.stderr));
}

/// The events in a journal, line by line.
fn journal(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_journal_holds_what_happened_until_a_kill_and_the_next_run_goes_on_with_it() {
    let file = project("journal", "rollout: { waves: [ { name: all, bake: 30s } ] }\n");
    let path = file.with_file_name("journal.jsonl");
    let _ = std::fs::remove_file(&path);
    let arguments =
        ["deploy", "--sandbox", "-f", file.to_str().expect("UTF-8"), "--journal", path.to_str().expect("UTF-8")];
    let mut child: Child =
        roleout().args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut said = BufReader::new(child.stderr.take().expect("its stderr")).lines();
    while journal(&path).len() < 5 {
        said.next().expect("it goes on").expect("a line");
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let killed = journal(&path);
    let kinds = |events: &[serde_json::Value]| -> Vec<String> {
        events.iter().map(|event| event["event"]["kind"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(kinds(&killed)[0], "run_started");
    assert!(!kinds(&killed).contains(&"run_finished".to_owned()));
    // As if it had been killed within a line.
    let mut torn = std::fs::read(&path).expect("a file");
    torn.extend_from_slice(b"{\"version\":1");
    std::fs::write(&path, torn).expect("written");

    let manifest = std::fs::read_to_string(&file).expect("a file").replace("bake: 30s", "bake: 0s");
    std::fs::write(&file, manifest).expect("written");
    assert_eq!(roleout().args(arguments).output().expect("the binary runs").status.code(), Some(0));
    let text = std::fs::read_to_string(&path).expect("a file");
    let lines: Vec<&str> = text.lines().skip(killed.len() + 1).collect();
    let events: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kinds(&events).first().map(String::as_str), Some("run_started"));
    assert_eq!(kinds(&events).last().map(String::as_str), Some("run_finished"));
    assert_ne!(events[0]["run"], killed[0]["run"], "a line names its run");
}

#[test]
fn a_journal_that_cannot_be_written_stops_a_run_before_anything_else() {
    let arguments = ["deploy", "--sandbox", "-f", "deploy.yaml.example", "--journal", "/nowhere/journal"];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the journal cannot be written: "), "{}", text(&output.stderr));
}

#[test]
fn a_deploy_freeze_is_kept_unless_it_is_overridden() {
    let file = project("freeze", "");
    let file = file.to_str().expect("UTF-8");
    let freeze = |more: &[&str]| {
        let mut command = roleout();
        command.env("CI_DEPLOY_FREEZE", "true").args(["deploy", "-f", file]).args(more);
        command.output().expect("the binary runs")
    };
    let output = freeze(&[]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("deploy freeze: CI_DEPLOY_FREEZE is set"), "{}", text(&output.stderr));
    // Past the freeze, there is no ID token here.
    assert_eq!(freeze(&["--override-freeze"]).status.code(), Some(4));
    assert_eq!(freeze(&["--dry-run"]).status.code(), Some(4));
    assert_eq!(freeze(&["--sandbox"]).status.code(), Some(0));
}

#[test]
fn in_a_gitlab_job_the_log_is_folded_unless_it_is_told_otherwise() {
    let file = project("sections", "").display().to_string();
    let said = |more: &[&str], gitlab: &str| {
        let arguments = [&["deploy", "--sandbox", "-f", &file], more].concat();
        let output = roleout().args(arguments).env("GITLAB_CI", gitlab).env("CI", gitlab).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let folded = |said: &str| said.matches("\x1b[0Ksection_start:").count();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let log = said(&[], "true");
            assert_eq!((folded(&log), log.matches("section_end:").count()), (1, 1), "{log}");
            assert!(log.contains(":roleout_prod_eu-west-1_api[collapsed=true]\r\x1b[0K"), "{log}");
        });
        scope.spawn(|| assert_eq!(folded(&said(&["--sections", "never"], "true")), 0));
        scope.spawn(|| assert_eq!(folded(&said(&[], "")), 0));
        scope.spawn(|| assert_eq!(folded(&said(&["--sections", "always"], "")), 1));
        scope.spawn(|| assert_eq!(folded(&said(&["--quiet"], "true")), 0));
    });
}

#[test]
fn reports_are_asked_for_before_anything_starts_and_made_again_from_a_journal() {
    let file = project("reports", "");
    let directory = file.parent().expect("a directory");
    let path = |name: &str| directory.join(name).display().to_string();
    let _ = std::fs::remove_dir_all(directory.join("out"));
    let _ = std::fs::remove_file(directory.join("journal.jsonl"));
    let manifest = path("deploy.yaml");
    let fault = |arguments: &[&str]| {
        let output = run(&[&["deploy", "--sandbox", "-f", &manifest], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(fault(&["--report", "pdf=a.pdf"]).contains("`pdf` is not a kind of report; there are json, junit,"));
    assert!(fault(&["--report", "json=/dev/null"]).contains("/dev/null is not a file"));
    assert!(fault(&["--report", &format!("json={manifest}/a.json")]).contains("a report cannot be written: "));
    let twice = [format!("json={}", path("a")), format!("junit={}", path("a"))];
    assert!(fault(&["--report", &twice[0], "--report", &twice[1]]).contains("a is named twice"));
    let of_a_plan = fault(&["--dry-run", "--report", &format!("junit={}", path("a.xml"))]);
    assert!(of_a_plan.contains("there is no junit of a plan; there are json, terraform, markdown"), "{of_a_plan}");
    let saved = run(&["deploy", &path("no-such-plan.json"), "--dry-run", "--reports-dir", &path("out")]);
    assert!(
        text(&saved.stderr).contains("warning: a dry run of a saved plan writes no reports"),
        "{}",
        text(&saved.stderr)
    );
    let dry = run(&["deploy", "--sandbox", "-f", &manifest, "--dry-run", "--reports-dir", &path("dry")]);
    assert_eq!(dry.status.code(), Some(0));
    let mut files: Vec<_> =
        std::fs::read_dir(directory.join("dry")).expect("files").map(|it| it.expect("one").file_name()).collect();
    files.sort();
    assert_eq!(files, ["report.json", "report.md", "terraform.json"]);

    let job = [("CI_PROJECT_PATH", "team/shop"), ("CI_COMMIT_SHA", "5f2c9d7b"), ("CI_JOB_ID", "7")];
    let mut deploy = roleout();
    deploy.args(["deploy", "--sandbox", "-f", &manifest, "--journal", &path("journal.jsonl")]).envs(job);
    deploy
        .env("ROLEOUT_REPORTS_DIR", directory.join("out"))
        .env("ROLEOUT_REPORT", format!("junit={}", path("out/b.xml")));
    assert_eq!(deploy.output().expect("it runs").status.code(), Some(0));
    let read =
        |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let names =
        ["junit.xml", "report.json", "report.md", "report.html", "deploy.env", "annotations.json", "terraform.json"];
    for name in names.map(|name| format!("out/{name}")) {
        assert!(!read(&name).is_empty(), "{name}");
    }
    assert_eq!(read("out/b.xml"), read("out/junit.xml"));
    assert!(!directory.join("out/journal.jsonl").exists(), "it is where it was named");
    assert!(read("out/log/prod/eu-west-1/web.api.log").contains(" succeeded in "));

    let again = run(&["report", &path("journal.jsonl")]);
    assert_eq!((again.status.code(), text(&again.stdout)), (Some(0), read("out/report.json")));
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(report["run"]["job"]["commit"], "5f2c9d7b");
    // As a run that was killed leaves it.
    let whole = read("journal.jsonl");
    let lines: Vec<&str> = whole.lines().take(4).collect();
    std::fs::write(directory.join("cut.jsonl"), format!("{}\n{{\"version", lines.join("\n"))).expect("written");
    let cut = run(&["report", &path("cut.jsonl")]);
    assert_eq!(cut.status.code(), Some(0), "{}", text(&cut.stderr));
    assert!(text(&cut.stderr).contains("the run broke off; what was under way may go on in ECS"));
    let report: serde_json::Value = serde_json::from_slice(&cut.stdout).expect("JSON");
    assert_eq!((&report["verdict"]["exit_code"], &report["targets"][0]["outcome"]), (&().into(), &"under_way".into()));
    assert_eq!(run(&["report", &manifest]).status.code(), Some(2));

    let frozen = roleout()
        .args(["deploy", "-f", &manifest, "--reports-dir", &path("out")])
        .env("CI_DEPLOY_FREEZE", "1")
        .output()
        .expect("it runs");
    assert_eq!(frozen.status.code(), Some(5), "{}", text(&frozen.stderr));
    assert!(read("out/junit.xml").contains("the project is in a deploy freeze"));
    // Beside the reports unless it is named, and of this run alone.
    let beside = read("out/journal.jsonl");
    assert_eq!((beside.lines().count(), beside.contains("run_refused")), (1, true), "{beside}");
    assert!(read("out/deploy.env").starts_with("DEPLOY_RESULT=refused\nDEPLOY_EXIT_CODE=5\n"));
}

#[test]
fn a_journal_with_the_old_words_for_a_rollback_makes_the_same_report() {
    let old = "tests/journals/with_the_old_words_for_a_rollback.jsonl";
    let words = [
        ("undo_started", "rollback_started"),
        ("target_returned", "rollback_finished"),
        ("undo_impossible", "rollback_impossible"),
    ];
    let mut journal = std::fs::read_to_string(old).expect("a journal");
    for (old, new) in words.map(|(old, new)| (format!(r#""kind":"{old}""#), format!(r#""kind":"{new}""#))) {
        assert!(journal.contains(&old), "{old}");
        journal = journal.replace(&old, &new);
    }
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-words.jsonl");
    std::fs::write(&new, journal).expect("written");
    let [old, new] = [Path::new(old), &new].map(|journal| {
        let output = roleout().arg("report").arg(journal).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "nothing of it is unknown");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    });
    assert_eq!(old, new);
    let outcomes: Vec<_> =
        old["targets"].as_array().expect("targets").iter().map(|target| &target["outcome"]).collect();
    assert_eq!(outcomes, ["succeeded", "rolled_back", "rolled_back"]);
    assert_eq!(old["verdict"]["exit_code"], 11);
}

#[test]
fn a_journal_that_has_only_the_name_in_ecs_makes_the_same_report() {
    let journal = std::fs::read_to_string("tests/journals/with_the_old_words_for_a_rollback.jsonl").expect("a journal");
    let service = r#""service":"api""#;
    assert!(journal.contains(service) && !journal.contains("ecs_service"), "{journal}");
    let old = journal.replace(service, r#""service":"api-v1""#);
    let new = journal.replace(service, r#""service":"api","ecs_service":"api-v1""#);
    let [old, new] = [("old", old), ("new", new)].map(|(name, journal)| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ecs-service-{name}.jsonl"));
        std::fs::write(&path, journal).expect("written");
        let output = roleout().arg("report").arg(path).output().expect("the binary runs");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    });
    assert_eq!(old, new);
    let target = &old["targets"][0];
    assert_eq!((&target["service"], &target["ecs_service"]), (&"api".into(), &"api-v1".into()));
    assert!(target["console"].as_str().expect("an address").contains("/services/api-v1/"), "{target}");
}

#[test]
fn a_cancelled_job_has_its_reports() {
    let file = project("cancelled-reports", "");
    let out = file.with_file_name("out");
    let _ = std::fs::remove_dir_all(&out);
    let mut child = roleout()
        .args(["deploy", "--sandbox", "-f", &file.display().to_string(), "--sandbox-fault", "*=hang", "--reports-dir"])
        .arg(&out)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let started = lines.by_ref().map(|line| line.expect("UTF-8")).find(|line| line.contains("deploys api:"));
    assert!(started.is_some(), "the rollout never started");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs").success());
    assert_eq!((lines.count() > 0, child.wait().expect("it ends").code()), (true, Some(143)));
    let variables = std::fs::read_to_string(out.join("deploy.env")).expect("written");
    assert!(variables.starts_with("DEPLOY_RESULT=cancelled\nDEPLOY_EXIT_CODE=143\n"), "{variables}");
    assert!(std::fs::read_to_string(out.join("junit.xml")).expect("written").contains("detached"));
}

/// Runs `plan` with variables, in a directory that has a profile of them.
fn planned_with(file: &Path, profile: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let config = file.with_file_name("config");
    std::fs::write(&config, profile).expect("a file");
    let mut command = roleout();
    command.args(["plan", "-f"]).arg(file).args(arguments).env("AWS_CONFIG_FILE", config);
    // No JWT: the run ends before anything is sent.
    command.env("ID_TOKEN", "none").envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

#[test]
fn settings_that_the_sdk_panics_on_or_drops_are_refused_by_name() {
    let file = project("settings", "");
    let refused = |name: &str, profile: &str, variables: &[(&str, &str)]| {
        let output = planned_with(&file, profile, variables, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variables:?} {profile}: {said}");
        assert!(said.contains(name) && !said.contains("panicked"), "{variables:?} {profile}: {said}");
    };
    for (name, values) in [
        ("AWS_RETRY_MODE", &["fast", "LEGACY2"][..]),
        ("AWS_MAX_ATTEMPTS", &["0", "-1", "abc", " 3"]),
        ("AWS_USE_FIPS_ENDPOINT", &["yes"]),
        ("AWS_USE_DUALSTACK_ENDPOINT", &["1"]),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", &["on"]),
        (
            "AWS_ENDPOINT_URL",
            &["localhost:4566", "\"http://localhost:4566\"", "http://localhost:4566/\n", "http://h.example"],
        ),
        ("AWS_ENDPOINT_URL_STS", &["sts", "http://sts.example"]),
        ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", &["logs", "http://logs.example"]),
    ] {
        values.iter().for_each(|value| refused(name, "", &[(name, value)]));
    }
    for (key, line) in [
        ("retry_mode of the profile", "retry_mode = fast"),
        ("max_attempts of the profile", "max_attempts = 0"),
        ("endpoint_url of the profile", "endpoint_url = localhost:4566"),
        ("endpoint_url of the profile", "endpoint_url = http://sts.example"),
        ("endpoint_url of the profile", "services = s\n[services s]\nsts =\n  endpoint_url = http://sts.example"),
    ] {
        refused(key, &format!("[default]\n{line}\n"), &[]);
    }
    let output = planned_with(&file, "", &[("AWS_ENDPOINT_URL", "localhost:4566")], &[]);
    let right = "AWS_ENDPOINT_URL is not a URL: it needs a scheme, as in http://localhost:4566";
    assert!(text(&output.stderr).contains(right), "{}", text(&output.stderr));
}

#[test]
fn settings_that_are_empty_or_old_are_no_settings() {
    let file = project("empty-settings", "");
    for (name, value) in [
        ("AWS_RETRY_MODE", ""),
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_MAX_ATTEMPTS", ""),
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_ENDPOINT_URL_STS", ""),
        ("AWS_ENDPOINT_URL_ECS", ""),
        ("AWS_USE_FIPS_ENDPOINT", ""),
        ("AWS_PROFILE", ""),
    ] {
        let output = planned_with(&file, "[default]\nendpoint_url =\n", &[(name, value)], &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{name}={value}: {said}");
        assert!(!said.contains("panicked") && !said.contains(name), "{name}={value}: {said}");
    }
    let role = "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = default\n";
    let output = planned_with(&file, role, &[("AWS_ENDPOINT_URL_STS", "")], &["--ambient"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("AWS_ENDPOINT_URL_STS is empty"), "{}", text(&output.stderr));
}

#[test]
fn every_endpoint_that_is_not_awss_is_said_and_plain_http_is_a_choice() {
    let file = project("endpoints", "");
    let services = "[default]\nservices = s\n[services s]\niam =\n  endpoint_url = https://u:secret@iam.example/x\n";
    let variables = [("AWS_ENDPOINT_URL_STS", "http://sts.example:81"), ("ROLEOUT_ALLOW_HTTP", "true")];
    let manifest = file.display().to_string();
    for arguments in [
        &["plan", "-f", &manifest][..],
        &["doctor", "-f", &manifest, "--offline"],
        &["exec", "-f", &manifest, "--account", "prod", "--", "true"],
        &["credentials", "-f", &manifest, "--account", "prod"],
    ] {
        let config = file.with_file_name("config");
        std::fs::write(&config, services).expect("a file");
        let mut command = roleout();
        command.args(arguments).env("AWS_CONFIG_FILE", config).env("ID_TOKEN", "none").envs(variables);
        let said = text(&command.output().expect("the binary runs").stderr);
        assert!(said.contains("AWS_ENDPOINT_URL_STS sends calls to sts.example:81"), "{arguments:?}: {said}");
        assert!(
            said.contains("endpoint_url of the profile `default` sends calls to iam.example"),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("secret"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_region_of_the_environment_is_a_region() {
    let file = project("region", "");
    let manifest = std::fs::read_to_string(&file).expect("written");
    let manifest = manifest.replace("ID_TOKEN, region: eu-west-1 }", "ID_TOKEN }");
    std::fs::write(&file, manifest).expect("a file");
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let output = planned_with(&file, "", &[(name, "a@127.0.0.1:9443/")], &[]);
        assert_eq!(output.status.code(), Some(3), "{name}: {}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains(&format!("{name} is `a@127.0.0.1:9443/`")),
            "{name}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn other_processes_of_the_same_user_cannot_read_its_memory() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;

    // What is not dumpable belongs to root, and root's own processes do so anyway.
    let user = std::fs::metadata("/proc/self").expect("this process").uid();
    let user = if user == 0 { 12_345 } else { user };
    let mut command = roleout();
    command.args(["sandbox", "--listen", "127.0.0.1:0", "-f", "deploy.yaml.example"]).stderr(Stdio::piped());
    if user == 12_345 {
        command.uid(user);
    }
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let listens = lines.any(|line| line.contains("listens on"));
    let owner = std::fs::metadata(format!("/proc/{}/environ", child.id())).expect("it runs").uid();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(listens && owner != user, "{owner}");
}

#[test]
fn a_secret_in_the_place_of_a_variables_name_is_not_repeated() {
    let file = project("names", "").display().to_string();
    let secret = concat!("glpat", "-abcdefghijklmnop");
    for arguments in [
        &["plan", "--sandbox", "--mr-note", "--mr-note-token-env", secret][..],
        &["plan", "--sandbox", "--out", "x.json", "--sign-env", secret],
        &["deploy", "no-such-plan.json", "--sign-env", secret],
    ] {
        let output = roleout().args(arguments).args(["-f", &file]).output().expect("it runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains("takes the name of a variable, and this is none") && !said.contains(secret),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn no_image_and_no_manifest_shows_the_credentials_that_the_command_line_names() {
    let file = project("credentials", "");
    let secret = "held-by-the-job-alone";
    let plan = |arguments: &[&str]| {
        let mut command = roleout();
        command.args(["plan", "--sandbox", "-f"]).arg(&file).args(arguments);
        let output = command.env("NOTE_TOKEN", secret).env("PLAN_KEY", secret).output().expect("it runs");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains(secret), "{said}");
        (output.status.code(), said)
    };
    let image = format!("app=example.com/{secret}:1");
    let note = ["--mr-note", "--mr-note-token-env", "NOTE_TOKEN"];
    let (code, said) = plan(&[&["--image", image.as_str()][..], &note].concat());
    assert!(code == Some(2) && said.contains("--image: the image of `app` holds a credential"), "{said}");
    let manifest = std::fs::read_to_string(&file).expect("written");
    for (name, flags) in [("NOTE_TOKEN", &note[..]), ("PLAN_KEY", &["--out", "/nowhere/x", "--sign-env", "PLAN_KEY"])] {
        std::fs::write(&file, manifest.replace("api:2", &format!("api:${{{name}}}"))).expect("a file");
        let (code, said) = plan(flags);
        let weak = said.contains("the key is weak");
        assert!(code == Some(3) && said.contains("holds a credential") || weak, "{name}: {said}");
    }
}

#[test]
fn files_that_are_utf_16_are_said_to_be() {
    let file = project("wide", "");
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let policy = file.with_file_name("trust.json");
    std::fs::write(&policy, wide("{\"Statement\": []}")).expect("a file");
    let mut command = roleout();
    command.args(["doctor", "--sandbox", "-f"]).arg(&file).arg("--trust-policy").arg(&policy);
    let said = text(&command.output().expect("it runs").stderr);
    assert!(said.contains("is UTF-16 text; save it as UTF-8"), "{said}");
    let manifest = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, manifest.replace("token_env: ID_TOKEN", "token_file: token")).expect("a file");
    std::fs::write(file.with_file_name("token"), wide("eyJ.eyJ.x")).expect("a file");
    let said = text(&roleout().args(["plan", "-f"]).arg(&file).output().expect("it runs").stderr);
    assert!(said.contains("token is UTF-16 text; save it as UTF-8"), "{said}");
}

#[test]
fn no_output_goes_through_a_link() {
    let file = project("links", "");
    let directory = file.parent().expect("a directory");
    let path = |name: &str| directory.join(name).display().to_string();
    let _ = std::fs::remove_dir_all(directory.join("man"));
    std::fs::create_dir_all(directory.join("man")).expect("a directory");
    std::fs::write(directory.join("other"), "mine").expect("a file");
    for link in ["journal", "man/roleout.1", "token"] {
        let _ = std::fs::remove_file(directory.join(link));
        std::os::unix::fs::symlink(directory.join("other"), directory.join(link)).expect("a link");
    }
    let (manifest, journal) = (path("deploy.yaml"), path("journal"));
    let output = run(&["deploy", "--sandbox", "-f", &manifest, "--journal", &journal]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("journal is a link"), "{}", text(&output.stderr));
    assert!(run(&["man", "--out", &path("man")]).status.success());
    drop(Server::start(&["-f", &manifest, "--token-file", &path("token")]));
    assert_eq!(std::fs::read_to_string(directory.join("other")).expect("a file"), "mine");
    assert!(!directory.join("man/roleout.1").is_symlink() && !directory.join("token").is_symlink());
}

#[test]
fn a_saved_plan_is_not_planned_anew_by_flags_that_it_cannot_honour() {
    for flag in ["--allow-older", "--force-new-deployment", "--ambient"] {
        let output = run(&["deploy", "plan.json", flag]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(
            text(&output.stderr).contains(&format!("{flag} has no effect here")),
            "{flag}: {}",
            text(&output.stderr)
        );
    }
    assert_eq!(run(&["deploy", "plan.json", "--on-busy", "wait"]).status.code(), Some(2));
    for flag in [&["--only", "*"][..], &["--wave", "x"], &["--image", "app=x/y:1"], &["--sandbox"]] {
        let output = run(&[&["deploy", "plan.json"], flag].concat());
        assert_eq!(output.status.code(), Some(2), "{flag:?}");
        assert!(text(&output.stderr).contains("cannot be used with"), "{flag:?}: {}", text(&output.stderr));
    }
    // Their variables are those of all jobs of a pipeline: the plan that is not there is all that is wrong.
    let mut command = roleout();
    command.args(["deploy", "no-such-plan.json"]).env("ROLEOUT_ALLOW_OLDER", "1").env("ROLEOUT_ON_BUSY", "wait");
    let said = text(&command.output().expect("it runs").stderr);
    assert!(said.contains("the plan: "), "{said}");
}

/// Runs a command line in a process with limits that a shell sets.
fn limited(limits: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_roleout")]).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(variables.iter().copied());
    command.output().expect("it runs")
}

#[test]
fn a_plan_that_does_not_fit_the_disk_is_exit_2_and_leaves_what_was_there() {
    let file = project("full", "");
    let (manifest, plan) = (file.display().to_string(), file.with_file_name("plan.json"));
    let reports = file.with_file_name("out");
    let _ = std::fs::remove_dir_all(&reports);
    std::fs::write(&plan, "mine").expect("a file");
    // Every write to a file fails, as on a disk that is full.
    let full = "trap '' XFSZ; ulimit -f 0";
    let output = limited(full, &["plan", "--sandbox", "-f", &manifest, "--out", &plan.display().to_string()], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("the plan cannot be saved: "), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&plan).expect("a file"), "mine");
    let left: Vec<_> = std::fs::read_dir(file.parent().expect("a directory")).expect("files").collect();
    assert_eq!(left.len(), 2, "no half file is left: {left:?}");
    // A run that succeeded has, whatever can be written of it.
    let directory = reports.display().to_string();
    let output = limited(full, &["deploy", "--sandbox", "-f", &manifest, "--reports-dir", &directory], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: the junit report was not written: "), "{}", text(&output.stderr));
    assert!(!reports.join("junit.xml").exists());
}

#[test]
fn a_run_that_has_used_up_its_descriptors_has_its_reports() {
    let file = project("descriptors", "");
    let out = file.with_file_name("out");
    let _ = std::fs::remove_dir_all(&out);
    let mut manifest = "version: 1\nidentity: { token_env: ID_TOKEN, region: eu-west-1 }\n\
                        roles: { deployer: { arn: \"arn:aws:iam::${account.id}:role/deployer\" } }\naccounts:\n"
        .to_owned();
    for number in 0..20 {
        manifest.push_str(&format!(
            "  - {{ name: a{number}, id: \"{number:012}\", chain: [deployer], regions: [eu-west-1] }}\n"
        ));
    }
    manifest.push_str("services: [ { name: api, cluster: web, images: { app: \"example.com/api:2\" } } ]\n");
    std::fs::write(&file, manifest).expect("a file");
    let (file, token) = (file.display().to_string(), file.with_file_name("token").display().to_string());
    let server = Server::start(&["-f", &file, "--token-file", &token]);
    let token = std::fs::read_to_string(&token).expect("a token");
    let arguments = ["deploy", "-f", &file, "--reports-dir", &out.display().to_string()];
    let output =
        limited("ulimit -n 32", &arguments, &[("AWS_ENDPOINT_URL", &server.address), ("ID_TOKEN", token.as_str())]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("not written") && !said.contains("not complete"), "{said}");
    for name in ["junit.xml", "report.json", "report.md", "report.html", "deploy.env", "annotations.json"] {
        assert!(std::fs::metadata(out.join(name)).is_ok_and(|file| file.len() > 0), "{name}: {said}");
    }
    assert_eq!(std::fs::read_dir(out.join("log")).expect("logs").count(), 20);
}

#[test]
fn a_manifest_may_come_by_a_pipe() {
    let manifest = std::fs::read(project("pipe", "")).expect("a manifest");
    for arguments in [&["check", "-f", "/dev/stdin"][..], &["plan", "--sandbox", "-f", "/dev/stdin"]] {
        let mut command = roleout();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        child.stdin.take().expect("a pipe").write_all(&manifest).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
}

/// A manifest in which everything that a deployment alone uses is of variables that are not set.
fn open_project(name: &str) -> PathBuf {
    let file = project(name, "");
    let manifest = std::fs::read_to_string(&file).expect("written");
    let manifest =
        manifest.replace("regions: [eu-west-1] }", "regions: [eu-west-1], vars: { tag: \"${API_TAG}\" } }").replace(
            "images: { app: \"example.com/api:2\" }",
            "images: { app: \"example.com/api:${CI_COMMIT_SHA}\", side: \"example.com/side:${vars.tag}\" }, \
             environment: { app: { VERSION: \"${CI_COMMIT_TAG}\" } }, desired_count: \"${COUNT}\", \
             secrets: { app: { KEY: \"arn:aws:ssm:eu-west-1:111122223333:parameter/${STAGE:?which}\" } }, \
             before: [ { run_task: migrate, container: app, command: [\"${COMMAND}\"] } ]",
        );
    std::fs::write(&file, manifest).expect("a file");
    file
}

#[test]
fn what_deploys_nothing_needs_no_variable_of_what_is_deployed() {
    let file = open_project("open").display().to_string();
    for command in ["rollback", "status", "watch", "doctor", "continue"] {
        let output = run(&[command, "--sandbox", "-f", &file]);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
    }
    let status = run(&["status", "--sandbox", "-f", &file]);
    let said = text(&status.stderr);
    // The commit of GitLab's has a value in the sandbox.
    assert!(
        said.contains("`API_TAG`, `CI_COMMIT_TAG`, `COMMAND`, `COUNT`, `STAGE` are not set: what the manifest"),
        "{said}"
    );
    assert!(said.contains("such as `example.com/side:${API_TAG}`"), "{said}");
    // What is known differs, and what is not is taken as it runs.
    let shown = text(&status.stdout);
    assert!(shown.contains("app: image example.com/api:previous -> ") && !shown.contains("side: image"), "{shown}");
    assert!(!shown.contains("environment VERSION") && !shown.contains("secret KEY"), "{shown}");
    // These get as far as the ID token.
    for arguments in [
        &["exec", "-f", &file, "--account", "prod", "--", "true"][..],
        &["credentials", "-f", &file, "--account", "prod"],
        &["rollback", "-f", &file],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("ID_TOKEN"), "{}", text(&output.stderr));
    }
    assert_eq!(run(&["pipeline", "-f", &file]).status.code(), Some(0));
    for command in ["plan", "deploy"] {
        let output = run(&[command, "-f", &file]);
        assert_eq!(output.status.code(), Some(3), "{command}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("the variable `CI_COMMIT_SHA` is not set"), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(&format!("next: roleout check -f {file}")), "{}", text(&output.stderr));
    }
}

#[test]
fn a_variable_that_every_command_uses_must_be_set_for_every_command() {
    for (place, name) in [
        ("role/deployer", "role/${NAME}"),
        ("regions: [eu-west-1]", "regions: [\"${NAME}\"]"),
        ("cluster: web", "cluster: \"${NAME}\""),
        ("name: api", "name: \"${NAME}\""),
        ("id: \"111122223333\"", "id: \"${NAME}\""),
    ] {
        let file = project("used", "");
        let manifest = std::fs::read_to_string(&file).expect("written");
        assert!(manifest.contains(place), "{place}");
        std::fs::write(&file, manifest.replace(place, name)).expect("a file");
        let file = file.display().to_string();
        for command in ["status", "rollback", "doctor"] {
            let output = run(&[command, "-f", &file]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{name}: {said}");
            assert!(said.contains("the variable `NAME` is not set"), "{name}: {said}");
        }
    }
}

#[test]
fn ambient_credentials_are_a_flag_of_every_command_that_reaches_aws() {
    let file = project("ambient-everywhere", "");
    let manifest = std::fs::read_to_string(&file).expect("written");
    let allow = "region: eu-west-1, issuer: \"https://gitlab.com\", allow: { project: shop/api, branches: [main] } }";
    std::fs::write(&file, manifest.replace("region: eu-west-1 }", allow)).expect("a file");
    let file = file.display().to_string();
    let server = Server::start(&["-f", &file]);
    for arguments in [
        &["status"][..],
        &["plan"],
        &["deploy"],
        &["rollback"],
        &["watch"],
        &["continue"],
        &["doctor"],
        &["credentials", "--account", "prod", "--print-keys"],
        &["iam", "check"],
        &["exec", "--account", "prod"],
    ] {
        let mut command = roleout();
        command.args(arguments).args(["-f", &file, "--ambient"]).env("AWS_ENDPOINT_URL", &server.address);
        command.env("AWS_ACCESS_KEY_ID", "111122223333").env("AWS_SECRET_ACCESS_KEY", "test");
        if arguments[0] == "exec" {
            command.args(["--", "true"]);
        }
        let output = command.output().expect("the binary runs");
        // The first role trusts GitLab alone, and refuses these credentials.
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {said}");
        assert!(said.contains("AssumeRole") && !said.contains("holds no ID token"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_line_that_the_sandbox_prints_works_when_it_is_pasted() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pasted line");
    std::fs::create_dir_all(&directory).expect("a directory");
    let stub = "#!/bin/sh\necho \"$@\"\n";
    std::fs::write(directory.join("aws"), stub).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.join("aws"), mode).expect("its mode");
    let _ = std::fs::remove_file(directory.join("roleout"));
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("roleout"), directory.join("roleout")).expect("a link");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let token = directory.join("to ken").display().to_string();
    let mut child = roleout()
        .args(["sandbox", "--listen", "127.0.0.1:0", "-f", "deploy.yaml.example", "--token-file", &token])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let hint = lines.find(|line| line.contains("other programs")).expect("its hint");
    std::thread::spawn(move || lines.for_each(drop));
    let server = Server { child, address: String::new() };
    let line = hint.split_once(" by: ").expect("a line to paste").1;
    let pasted = Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .env("PATH", path)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a shell");
    drop(server);
    assert_eq!(pasted.status.code(), Some(0), "{line}\n{}", text(&pasted.stderr));
    assert!(text(&pasted.stdout).contains("sts get-caller-identity"), "{}", text(&pasted.stdout));
}

/// Runs the binary on a terminal of its own, and types a line when it asks.
fn typed(arguments: &str, typed: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let binary = assert_cmd::cargo::cargo_bin!("roleout").display().to_string();
    let mut command = Command::new("script");
    command.args(["-qec", &format!("'{binary}' {arguments}"), "/dev/null"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "dumb");
    command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("`script` of util-linux");
    let (mut keys, mut screen) = (child.stdin.take(), child.stdout.take().expect("piped"));
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = std::io::Read::read(&mut screen, &mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        if text(&seen).contains("[y/N]")
            && let Some(mut keys) = keys.take()
        {
            keys.write_all(typed.as_bytes()).expect("a terminal");
            std::mem::forget(keys);
        }
    }
    (child.wait().expect("it ends").code(), text(&seen))
}

#[test]
fn a_person_at_a_terminal_sees_the_plan_and_is_asked() {
    std::thread::scope(|scope| {
        scope.spawn(nobody_is_asked_in_a_job_or_with_yes);
        a_person_is_asked();
    });
}

fn a_person_is_asked() {
    let (file, server) = served("asked");
    let endpoint = ("AWS_ENDPOINT_URL", server.address.as_str());
    let deploy = format!("deploy -f '{file}'");
    std::thread::scope(|scope| {
        for (answer, code) in [("n\n", 5), ("\n", 5), ("yes please\n", 5), ("\u{4}", 5), ("\u{3}", 130)] {
            let deploy = &deploy;
            scope.spawn(move || {
                let (ended, said) = typed(deploy, answer, &[endpoint]);
                assert_eq!(ended, Some(code), "{answer:?}: {said}");
                assert!(said.contains("+ image: example.com/api:2"), "{said}");
                assert!(said.contains("Deploy 1 target in 1 account? [y/N]"), "{said}");
                assert!(said.contains("nothing was changed") || said.contains("before anything was changed"), "{said}");
            });
        }
    });
    let (ended, said) = typed(&deploy, "y\n", &[endpoint]);
    assert_eq!(ended, Some(0), "{said}");
    assert!(said.contains("1 target: 1 succeeded"), "{said}");
    // Where there is nothing to do there is nothing to ask.
    assert!(!typed(&deploy, "", &[endpoint]).1.contains("[y/N]"));
    let (ended, said) = typed(&format!("rollback --all -f '{file}'"), "n\n", &[endpoint]);
    assert_eq!(ended, Some(5), "{said}");
    assert!(said.contains("Roll back 1 target in 1 account? [y/N]"), "{said}");
}

fn nobody_is_asked_in_a_job_or_with_yes() {
    let (file, server) = served("not-asked");
    let endpoint = ("AWS_ENDPOINT_URL", server.address.as_str());
    let (ended, said) = typed(&format!("deploy -f '{file}' --yes"), "", &[endpoint]);
    assert!(!said.contains("[y/N]") && ended == Some(0), "{said}");
    assert!(said.contains("1 target: 1 succeeded"), "{said}");
    let (ended, said) = typed(&format!("rollback --all -f '{file}'"), "", &[endpoint, ("CI", "true")]);
    assert!(!said.contains("[y/N]") && ended == Some(0), "{said}");
    assert!(said.contains("1 target: 1 succeeded"), "{said}");
}

#[test]
fn help_has_headings_and_examples_and_hides_what_only_jobs_use() {
    let shown = |command: &str| text(&run(&[command, "--help"]).stdout);
    let deploy = shown("deploy");
    for heading in ["Select:", "Safety:", "Output:", "Identity:", "Sandbox:", "Examples:"] {
        assert!(deploy.lines().any(|line| line == heading), "{heading} {deploy}");
    }
    for command in ["check", "exec", "status", "doctor", "deploy"] {
        assert!(!shown(command).contains("--shard") && !shown(command).contains("--fingerprint"), "{command}");
    }
    // They work all the same.
    assert_eq!(run(&["check", "-f", "deploy.yaml.example", "--shard", "1/1"]).status.code(), Some(0));
}

#[test]
fn every_example_of_the_help_is_a_command_line() {
    let mut all = roleout::cli::command();
    all.build();
    let mut told = 0;
    for command in all.get_subcommands().filter(|it| !["help", "schema", "completions", "man"].contains(&it.get_name()))
    {
        let foot = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = foot.lines().filter_map(|line| line.strip_prefix("  roleout ")).collect();
        assert_eq!(examples.len(), 3, "{}: {foot}", command.get_name());
        for example in examples {
            let words = format!("roleout {example}");
            let words: Vec<String> = words.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
            match roleout::cli::command().try_get_matches_from(words) {
                Err(error) if error.use_stderr() => panic!("{example}: {error}"),
                _ => told += 1,
            }
        }
    }
    assert_eq!(told, 48);
}

#[test]
fn near_misses_name_what_was_meant() {
    for (arguments, words) in [
        (&["validate"][..], "there is no command `validate`: `roleout check`"),
        (&["diff"], "`roleout plan` shows"),
        (&["destroy"], "makes, scales and deletes none"),
        (&["plan", "prod.yaml"], "`prod.yaml` is a manifest: use -f prod.yaml"),
        (&["deploy", "deploy.yaml.yml"], "`deploy.yaml.yml` is a manifest: use -f deploy.yaml.yml"),
        (&["check", "-f", "deploy.yaml.example", "--only", "web"], "did you mean `*/*/web`?"),
        (&["check", "-f", "deploy.yaml.example", "--only", "staging/web"], "did you mean `staging/*/web`?"),
        (&["check", "-f", "deploy.yaml.example", "--only", "prod"], "did you mean `prod-*`?"),
        (&["deploy", "--sandbox", "-f", "deploy.yaml.example", "--sandbox-fault", "stagin=crash"], "matches no target"),
        (
            &["deploy", "--sandbox", "-f", "deploy.yaml.example", "--sandbox-fault", "staging=no-provider"],
            "STS answers in the account of a chain's first role",
        ),
    ] {
        let output = run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let typo = run(&["deploy", "--env", "prod"]);
    assert!(!text(&typo.stderr).contains("as a value"), "{}", text(&typo.stderr));
}

#[test]
fn a_check_is_read_by_programs_and_by_gitlab() {
    let file = project("quality", "");
    let check = |format: &str| {
        let output = run(&["check", "-f", &file.display().to_string(), "--format", format]);
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), value)
    };
    let (code, value) = check("json");
    assert_eq!((code, &value["valid"], &value["targets"]), (Some(0), &true.into(), &1.into()), "{value}");
    assert_eq!(value["waves"][0]["accounts"][0], "prod", "{value}");
    assert_eq!(check("codequality"), (Some(0), serde_json::json!([])));
    let manifest = std::fs::read_to_string(&file).expect("written").replace("eu-west-1] }", "eu-wst-1] }");
    std::fs::write(&file, &manifest).expect("a file");
    let (code, value) = check("codequality");
    let warning = &value[0];
    assert_eq!((code, &warning["severity"]), (Some(0), &"minor".into()), "{value}");
    assert!(warning["description"].as_str().is_some_and(|it| it.contains("did you mean `eu-west-1`?")), "{value}");
    std::fs::write(&file, manifest.replace("chain: [deployer]", "chain: [deploy]")).expect("a file");
    let (code, value) = check("json");
    assert_eq!((code, &value["valid"], &value["errors"][0]["line"]), (Some(3), &false.into(), &4.into()), "{value}");
    assert_eq!(value["errors"][0]["help"], "did you mean `deployer`?");
    let (code, value) = check("codequality");
    assert_eq!((code, &value[0]["location"]["lines"]["begin"]), (Some(3), &4.into()), "{value}");
    assert_eq!(value[0]["fingerprint"].as_str().map(str::len), Some(32), "{value}");
}

//! What a person reads when a manifest is wrong.
//!
//! `tests/manifest/faults/` has a case a fault: `NAME.yaml` is a manifest, and `NAME.txt` the exact text that a person reads of
//! it. To add one, write the manifest, run `ROLEOUT_BLESS=1 cargo test --test manifest_faults`, and review the text. Files that
//! a manifest names are beside that folder, and [`variables`] is the environment. Here is what such a case cannot say.

use std::collections::BTreeMap;
use std::path::Path;

use roleout::manifest::load::{load, load_str};

/// A manifest without a fault, in which the tests here change something.
const MANIFEST: &str = include_str!("manifest/faults/no-fault.yaml");

/// The environment of these tests.
fn variables(name: &str) -> Option<String> {
    let value = match name {
        "SHA" => "0123abc",
        "EMPTY" => "",
        "GITLAB_OIDC_TOKEN" => "the-token-itself",
        "BRANCH" => "feature/x",
        "TWO_LINES" => "a\nb: ${region}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn base() -> &'static Path {
    Path::new("tests/manifest")
}

/// Loads a text and returns what a person reads.
#[must_use]
fn faults(text: &str) -> String {
    match load_str("deploy.yaml", base(), text, &variables) {
        Ok(fleet) => format!("no fault; warnings: {:?}", fleet.warnings),
        Err(error) => error.render(false, 100),
    }
}

/// Loads the manifest above with one piece of it replaced.
#[must_use]
fn edited(from: &str, to: &str) -> String {
    assert!(MANIFEST.contains(from), "the manifest has no `{from}`");
    faults(&MANIFEST.replacen(from, to, 1))
}

/// Returns the texts of a folder's files with this extension, by their names.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let paths = std::fs::read_dir(folder).expect(folder).map(|entry| entry.expect(folder).path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    let name = |path: &Path| path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
    wanted.map(|path| (name(&path), std::fs::read_to_string(&path).expect("a text"))).collect()
}

#[test]
fn every_manifest_has_the_faults_that_are_written_beside_it() {
    let folder = "tests/manifest/faults";
    let (cases, mut expected) = (files(folder, "yaml"), files(folder, "txt"));
    assert!(cases.len() > 150, "there are {} cases", cases.len());
    let mut broken = Vec::new();
    for (name, manifest) in cases {
        let read = format!("{}\n", faults(&manifest).trim_end());
        if std::env::var_os("ROLEOUT_BLESS").is_some() {
            std::fs::write(format!("{folder}/{name}.txt"), &read).expect("a file");
        } else if expected.get(&name) != Some(&read) {
            let expected = expected.get(&name).map_or("there is no text of it yet\n", String::as_str);
            broken.push(format!("{folder}/{name}.yaml should read\n{expected}and reads\n{read}"));
        }
        expected.remove(&name);
    }
    assert!(broken.is_empty(), "ROLEOUT_BLESS=1 writes the texts anew\n\n{}", broken.join("\n"));
    assert_eq!(expected.into_keys().collect::<Vec<_>>(), [""; 0], "these texts have no manifest");
}

#[test]
fn a_cluster_with_too_long_a_name() {
    let name = "a".repeat(256);
    assert!(edited("cluster: web", &format!("cluster: {name}")).contains("at most 255 of them"));
}

#[test]
fn a_manifest_that_is_not_there() {
    let error = load(Path::new("tests/manifest/none.yaml"), &variables).expect_err("there is no such file");
    insta::assert_snapshot!(error.render(false, 100), @r"
      × tests/manifest/none.yaml: the file does not exist
      help: name the manifest with --file, or write one with `roleout init`

    tests/manifest/none.yaml: 1 error
    ");
}

#[test]
fn a_fault_is_one_line_without_a_frame() {
    let text = include_str!("manifest/faults/five-faults-at-once.yaml");
    let error = load_str("deploy.yaml", base(), text, &variables).expect_err("five faults");
    insta::assert_snapshot!(error, @r#"
    deploy.yaml:8:9: `222222222222` is a number here, not an account id (put it in quotes, "222222222222": an id is text, and numbers lose their leading zeros)
    deploy.yaml:9:13: unknown role `hubb` (did you mean `hub`?)
    deploy.yaml:20:25: the variable `SHAA` is not set (set `SHAA` for the job, or give a default: `${SHAA:-...}`)
    deploy.yaml:23:23: unknown key `slect` in a wave (did you mean `select`?)
    deploy.yaml:25:21: `max_parallel` is 0: nothing would ever start (write 1 or more; for a person's go-ahead before a wave, use `gate: manual`)
    "#);
}

#[test]
fn a_narrow_terminal() {
    let error = load_str("deploy.yaml", base(), &MANIFEST.replace("[hub,", "[hubb,"), &variables).expect_err("a fault");
    insta::assert_snapshot!(error.render(false, 50), @r#"
      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: "222222222222"
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

      × unknown role `hubb`
        ╭─[deploy.yaml:14:13]
     13 │     id: "333333333333"
     14 │     chain: [hubb, deployer]
        ·             ────
     15 │     regions: [eu-west-1, us-east-1]
        ╰────
      help: did you mean `hub`?

    deploy.yaml: 2 errors
    "#);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark() {
    let windows = format!("\u{feff}{}", MANIFEST.replace('\n', "\r\n"));
    insta::assert_snapshot!(faults(&windows), @"no fault; warnings: []");
    insta::assert_snapshot!(faults(&windows.replacen("[hub,", "[hubb,", 1)), @r#"
      × unknown role `hubb`
        ╭─[deploy.yaml:9:13]
      8 │     id: "222222222222"
      9 │     chain: [hubb, deployer]
        ·             ────
     10 │     regions: [eu-west-1]
        ╰────
      help: did you mean `hub`?

    deploy.yaml: 1 error
    "#);
}

#[test]
fn two_places_far_from_each_other_are_shown_without_what_is_between_them() {
    let accounts: String = (0..600)
        .map(|number| {
            let id = if number == 500 { 400 } else { number };
            format!(
                "  - {{ name: a{number}, id: \"444444444{id:03}\", chain: [hub, deployer], regions: [eu-west-1] }}\n"
            )
        })
        .collect();
    insta::assert_snapshot!(faults(&MANIFEST.replacen("services:\n", &format!("{accounts}services:\n"), 1)), @r#"
      × accounts `a400` and `a500` have the id 444444444400, so service `api` is there twice: `api` in
      │ web, eu-west-1
         ╭─[deploy.yaml:417:23]
     416 │   - { name: a399, id: "444444444399", chain: [hub, deployer], regions: [eu-west-1] }
     417 │   - { name: a400, id: "444444444400", chain: [hub, deployer], regions: [eu-west-1] }
         ·                       ───────┬──────
         ·                              ╰── and this one
     418 │   - { name: a401, id: "444444444401", chain: [hub, deployer], regions: [eu-west-1] }
         ╰────
         ╭─[deploy.yaml:517:23]
     516 │   - { name: a499, id: "444444444499", chain: [hub, deployer], regions: [eu-west-1] }
     517 │   - { name: a500, id: "444444444400", chain: [hub, deployer], regions: [eu-west-1] }
         ·                       ───────┬──────
         ·                              ╰── this id
     518 │   - { name: a501, id: "444444444501", chain: [hub, deployer], regions: [eu-west-1] }
         ╰────
      help: correct an id; or, where both are one account, make them one, or give them other clusters or
            services

    deploy.yaml: 1 error
    "#);
}

#[test]
fn a_manifest_that_is_too_large() {
    let large = format!("{MANIFEST}# {}\n", "x".repeat(1 << 20));
    let error = load_str("deploy.yaml", base(), &large, &variables).expect_err("a fault").to_string();
    insta::assert_snapshot!(error, @"deploy.yaml:1:1: the manifest has 1049127 bytes; the limit is 1048576 (split it: `include` joins several files)");
}

#[test]
fn more_faults_than_anyone_reads() {
    let text = MANIFEST.replacen("[eu-west-1]", &format!("[{}]", vec!["x"; 70].join(", ")), 1);
    let error = load_str("deploy.yaml", base(), &text, &variables).expect_err("faults");
    assert_eq!(error.faults.len(), 70);
    let rendered = error.render(false, 100);
    assert_eq!(rendered.matches('×').count(), 50);
    assert!(rendered.ends_with("and 20 more\ndeploy.yaml: 70 errors\n"), "{rendered}");
}

#[test]
fn colour_changes_no_word() {
    let error = load_str("deploy.yaml", base(), &MANIFEST.replace("[hub,", "[hubb,"), &variables).expect_err("a fault");
    let colored = error.render(true, 100);
    assert!(colored.contains("\u{1b}["));
    let mut plain = String::new();
    let mut escape = false;
    for char in colored.chars() {
        match char {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            char => plain.push(char),
        }
    }
    assert_eq!(plain, error.render(false, 100));
}

#[test]
fn what_aws_leaves_out_of_a_task_definition_is_a_warning() {
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: noted.json");
    let fleet = load_str("deploy.yaml", Path::new("tests/manifest"), &text, &variables).expect("only warnings");
    insta::assert_snapshot!(fleet.warnings.join("\n"), @r#"
    tests/manifest/noted.json:7:21: `enviroment` of container `app` is not known to AWS's model, and ECS leaves it out (did you mean `environment`?)
    tests/manifest/noted.json:8:23: `environment[0]` of container `app` has no value, and ECS leaves it out (write a "value", or take the variable out)
    "#);
    let roleout::fleet::Base::File(definition) = &fleet.targets[0].desired.task_definition else { panic!("a file") };
    let definition = definition.value();
    let container = &definition["containerDefinitions"][0];
    assert!(definition.get("$schema").is_none() && container.get("_why").is_none(), "{definition}");
    assert!(container.get("enviroment").is_some(), "what is unknown is still sent: {definition}");
}

#[test]
fn credentials_never_pass_through_the_manifest() {
    for name in
        ["CI_JOB_TOKEN", "ROLEOUT_GITLAB_TOKEN", "CI_JOB_JWT_V2", "AWS_SECRET_ACCESS_KEY", "CI_REGISTRY_PASSWORD"]
    {
        for form in ["${NAME}", "${NAME:-x}", "${UNSET:-${NAME}}", "${UNSET:?${NAME}}", "${vars.x:-${NAME}}"] {
            let text = edited("api:1", &format!("api:{}", form.replace("NAME", name)));
            assert!(text.contains(&format!("`${{{name}}}` holds a credential")), "{name}, {form}: {text}");
        }
    }
    // Another variable for the token does not free the usual one.
    let text = edited("roles:", "identity: { token_env: OTHER }\nroles:");
    assert!(text.starts_with("no fault"), "{text}");
    let text = edited("roles:", "identity: { token_env: OTHER, session_name: \"${GITLAB_OIDC_TOKEN}\" }\nroles:");
    assert!(text.contains("holds a credential") && !text.contains("the-token-itself"), "{text}");
    let text = edited("rollout:", "notify: [{ url_env: HOOK }]\nrollout:");
    assert!(text.starts_with("no fault"), "{text}");
    let hook = MANIFEST.replace("rollout:", "notify: [{ url_env: HOOK }]\nrollout:").replace("api:1", "api:${HOOK:-x}");
    assert!(faults(&hook).contains("`${HOOK}` holds a credential"));
}

#[test]
fn a_role_is_a_name() {
    for key in ["../../config", "/home/me/.docker/config", "a b", "a\\u001b[0Kb"] {
        let text =
            edited("  hub: {", &format!("  \"{key}\": {{ arn: \"arn:aws:iam::111111111111:role/x\" }}\n  hub: {{"));
        assert!(text.contains("is not a name"), "{key}: {text}");
    }
}

#[test]
fn no_fault_commands_a_terminal() {
    let hostile =
        ["\u{1b}[2J", "\u{9b}31m", "\u{202e}", "\u{61c}", "\u{200b}", "\u{feff}", "a\r\u{1b}[0Ksection_start:1:e\r"];
    for text in hostile {
        let escaped: String =
            text.chars().flat_map(|char| format!("\\u{:04x}", u32::from(char)).chars().collect::<Vec<_>>()).collect();
        for manifest in [
            MANIFEST.replace(
                "  hub: {",
                &format!("  \"x{escaped}\": {{ arn: \"arn:aws:iam::111111111111:role/x\" }}\n  hub: {{"),
            ),
            MANIFEST.replace("name: canary", &format!("name: \"x{escaped}\"")),
            MANIFEST.replace("api:1", &format!("${{X:?x{escaped}}}")),
            MANIFEST.replace("cluster: web", &format!("cluster: web # {text}\n    \"x{escaped}\": 1")),
        ] {
            let error = load_str(&format!("x{text}.yaml"), base(), &manifest, &variables).expect_err("a fault");
            for shown in [error.render(false, 100), error.to_string(), error.summary()] {
                let bad =
                    |char: char| char != '\n' && char.is_control() || "\u{202e}\u{61c}\u{200b}\u{feff}".contains(char);
                assert!(!shown.contains(bad), "{manifest:?}: {text:?}: {shown:?}");
            }
        }
    }
}

#[test]
fn what_is_no_task_definition_is_not_quoted() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-task-definition");
    std::fs::create_dir_all(&directory).expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).expect("a file");
    write("secret", b"hunter2-hunter2\n");
    write("wide.json", b"\xff\xfe{\0}\0");
    let definition =
        r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "api:1", "memory": 64 }] }"#;
    write("marked.json", format!("\u{feff}{definition}").as_bytes());
    let told = |path: &str| {
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {path}"));
        match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(_) => String::new(),
            Err(error) => error.render(false, 100),
        }
    };
    let text = told("secret");
    assert!(text.contains("not a task definition") && !text.contains("hunter2"), "{text}");
    assert!(told("/dev/zero").contains("not a regular file"), "{}", told("/dev/zero"));
    assert!(told("wide.json").contains("UTF-16"), "{}", told("wide.json"));
    assert_eq!(told("marked.json"), "");
}

#[test]
fn no_value_of_a_task_definition_is_in_a_frame() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hidden-values");
    std::fs::create_dir_all(&directory).expect("a directory");
    let good = r#"{ "family": "api", "containerDefinitions": [{ "name": "app", "image": "api:1", "memory": 64,
      "environment": [
        { "name": "PASSWORD", "value": "hunter2" }
      ],
      "command": ["--key", "hunter2"], "dockerLabels": { "user": "hunter2" } }] }"#;
    for (from, to, wanted) in [
        ("\"hunter2\" }\n", "\"hunter2\", }\n", "trailing comma"),
        ("\"value\": \"hunter2\"", "\"value\": hunter2\"", "expected value"),
        ("\"memory\": 64", "\"memory\": \"64\"", "`memory` of container `app` must be a number"),
        (
            "\"value\": \"hunter2\"",
            "\"value\": [\"hunter2\"]",
            "`environment[0].value` of container `app` must be text",
        ),
        ("\"value\": \"hunter2\"", "\"value\": \"hunter2 ${region.x}\"", "unknown name `${region.x}`"),
        (
            "\"command\": [\"--key\", \"hunter2\"]",
            "\"command\": \"--key hunter2\"",
            "`command` of container `app` must be a list",
        ),
        ("\"family\": \"api\"", "\"user\": \"hunter2\"", "the task definition has no `family`"),
        ("\"environment\": [", "\"environment\": [ null,", ""),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(directory.join("td.json"), good.replace(from, to)).expect("a file");
        let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
        let told = match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(fleet) => fleet.warnings.join("\n"),
            Err(error) => format!("{}{error}", error.render(false, 100)),
        };
        assert!(told.contains(wanted), "{wanted}: {told}");
        assert!(!told.contains("hunter2") && told.contains("td.json:"), "{from}: {told}");
    }
}

#[test]
fn what_is_taken_for_a_task_definition_is_told_as_what_it_is() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lookalikes");
    std::fs::create_dir_all(&directory).expect("a directory");
    let containers = r#"[{ "name": "app", "image": "api:1", "memory": 64 }]"#;
    let whole = |list: &str| format!(r#"{{ "family": "api", "containerDefinitions": {list} }}"#);
    for (name, file, wanted, help) in [
        ("td.json", containers.to_owned(), "is a list, and not a task definition", "\"containerDefinitions\": [...]"),
        (
            "td.json",
            format!("// hunter2\n{}", whole(containers)),
            "JSON has no comments",
            "members that begin with `_`",
        ),
        ("td.json", whole(&containers.replace("\"api:1\"", "/* hunter2 */ \"api:1\"")), "JSON has no comments", "`_`"),
        ("td.json", whole(&format!("{containers:?}")), "`containerDefinitions` is text, and must be a list", "quotes"),
        (
            "td.json",
            whole(containers).replace("container", "Container"),
            "no `ContainerDefinitions`",
            "\"containerDefinitions\"",
        ),
        ("td.json", whole(containers).replace("family", "Family"), "AWS knows no `Family`", "write \"family\""),
        ("td.jsonnet", "local x = 'hunter2'; {}".to_owned(), "is not a task definition", "render it first"),
        ("td.jsonnet", "{ family: 'hunter2' }".to_owned(), "not valid JSON", "render it first"),
        ("td.yml", "family: hunter2".to_owned(), "is not a task definition", "write it as JSON"),
    ] {
        std::fs::write(directory.join(name), &file).expect("a file");
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {name}"));
        let error = load_str("deploy.yaml", &directory, &text, &variables).expect_err("a fault");
        let told = format!("{error}\n{}", error.render(false, 100));
        assert!(error.to_string().contains(wanted) && error.to_string().contains(help), "{file}: {error}");
        assert!(!told.contains("hunter2"), "{name}: {told}");
    }
    let twice = whole(containers).replace("\"memory\": 64", "\"memory\": 64, \"memory\": 128");
    std::fs::write(directory.join("td.json"), twice).expect("a file");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
    let fleet = load_str("deploy.yaml", &directory, &text, &variables).expect("a warning only");
    assert!(fleet.warnings.join("\n").contains("`memory` is there twice in one object, and the last one counts"));
}

#[test]
fn what_a_shared_file_has_wrong_in_each_account_is_one_fault() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-file");
    std::fs::create_dir_all(&directory).expect("a directory");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: td.json");
    for (member, wanted) in [
        (
            "\"taskRoleArn\": \"arn:aws:iam::999999999999:role/x\"",
            "the role arn:aws:iam::999999999999:role/x is of account 999999999999: it cannot run tasks in account",
        ),
        ("\"ipcMode\": \"${account.id}\"", "`ipcMode` cannot be `"),
    ] {
        let file = format!(
            "{{ \"family\": \"api\", {member}, \"containerDefinitions\": [{{ \"name\": \"app\", \"image\": \"api:1\", \"memory\": 64 }}] }}"
        );
        std::fs::write(directory.join("td.json"), file).expect("a file");
        let error = load_str("deploy.yaml", &directory, &text, &variables).expect_err("a fault");
        assert_eq!(error.faults.len(), 1, "{member}: {error}");
        let told = error.to_string();
        assert!(told.contains(wanted) && told.contains(", and 1 more like it"), "{member}: {told}");
        assert!(told.contains("td.json:1:"), "{member}: {told}");
    }
}

#[test]
fn a_task_definition_of_a_task_is_of_its_region() {
    let task = "cluster: web\n    before: [ { run_task: m, task_definition: \"arn:aws:ecs:us-east-1:1:task-definition/m:1\" } ]";
    assert!(edited("cluster: web", task).contains("is of the region us-east-1"), "{}", edited("cluster: web", task));
}

#[test]
fn a_session_tag_has_no_newline_and_no_tab() {
    let tagged =
        |text: &str| edited("role/deployer\"\n", &format!("role/deployer\"\n    tags: {{ message: \"{text}\" }}\n"));
    for text in ["${TWO_LINES}", "a\\nb", "a\\tb", "a\\rb", "a\\u0085b"] {
        assert!(tagged(text).contains("the value of the session tag `message` is not allowed"), "{text}");
    }
    assert!(tagged("a b").starts_with("no fault"));
}

#[test]
fn partitions_do_not_mix() {
    let hub = |arn: &str| edited("arn:aws:iam::111111111111:role/hub", arn);
    let text = MANIFEST.replace("aws:iam::1", "aws-cn:iam::1").replace("aws:iam::$", "aws-cn:iam::$");
    assert!(faults(&text).contains("and the region eu-west-1 of account `staging` in `aws`"), "{}", faults(&text));
    assert!(hub("arn:aws-cn:iam::111111111111:role/hub").contains("no role can be assumed across partitions"));
    let unknown = hub("arn:aws-china:iam::111111111111:role/hub");
    assert!(unknown.contains("names the partition `aws-china`"), "{unknown}");
    assert!(hub("arn:aws:iam::111111111111:role/a b").contains("does not name a role"));
}

#[test]
fn files_outside_of_the_repository_are_not_read() {
    let outside = std::env::temp_dir().join(format!("roleout-outside-{}.json", std::process::id()));
    std::fs::write(&outside, "{ \"hunter2\": 1 }").expect("a file");
    let task_definition = format!("cluster: web\n    task_definition: {}", outside.display());
    let text = edited("cluster: web", &task_definition);
    std::fs::remove_file(&outside).expect("it is there");
    assert!(text.contains("outside of the manifest's directory") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_cluster_of_another_place_says_nothing_where_it_is_overridden() {
    let others = "cluster: arn:aws:ecs:us-east-1:333333333333:cluster/web\n    overrides: [ { select: { region: eu-west-1 }, cluster: web } ]";
    assert!(edited("cluster: web", others).starts_with("no fault"), "{}", edited("cluster: web", others));
}

#[test]
fn the_region_of_sts_is_of_the_roles_partition() {
    let gov = MANIFEST
        .replace("arn:aws:iam", "arn:aws-us-gov:iam")
        .replace("regions: [eu-west-1]", "regions: [us-gov-west-1]")
        .replace("regions: [eu-west-1, us-east-1]", "regions: [us-gov-west-1, us-gov-east-1]");
    assert!(faults(&gov).starts_with("no fault"), "{}", faults(&gov));
    let text = faults(&gov.replace("roles:\n", "identity: { token_env: TOKEN, region: eu-west-1 }\nroles:\n"));
    let said = "the first role of account `staging` is in the partition `aws-us-gov`, and eu-west-1 of STS in";
    assert!(text.contains(said) && text.contains("deploy.yaml:2:39"), "{text}");
}

#[test]
fn a_value_of_an_empty_variable_names_the_variable() {
    let text = edited("iam::111111111111", "iam::${EMPTY}");
    assert!(text.contains("`EMPTY` is empty in this job") && !text.contains("copy the ARN"), "{text}");
    let text = edited("cluster: web", "cluster: \"${EMPTY}\"");
    assert!(text.contains("`EMPTY` is empty in this job"), "{text}");
    // A variable that is filled, or that has a default, is not what is wrong.
    let text = edited("iam::111111111111", "iam::${EMPTY:-1}");
    assert!(text.contains("copy the ARN"), "{text}");
    let text = edited("iam::111111111111", "iam::${SHA}");
    assert!(text.contains("copy the ARN"), "{text}");
}

#[test]
fn an_id_that_lost_its_zeros_and_a_reference_without_quotes() {
    let text = edited("\"222222222222\"", "\"54238437032\"");
    assert!(text.contains("it has 11 digits: zeros at its start were lost"), "{text}");
    let inline =
        "  - { name: staging, id: ${ID}, chain: [hub, deployer], regions: [eu-west-1], labels: { env: staging } }\n";
    let text = faults(&MANIFEST.replace(
        "  - name: staging\n    id: \"222222222222\"\n    chain: [hub, deployer]\n    regions: [eu-west-1]\n    labels: { env: staging }\n",
        inline,
    ));
    assert!(text.contains("put it in quotes, \"${NAME}\""), "{text}");
}

#[test]
fn a_name_with_a_bare_dollar_is_warned_of_where_the_job_has_the_variable() {
    let variable =
        |text: &str| edited("images: {", &format!("environment: {{ app: {{ A: \"{text}\" }} }}\n    images: {{"));
    for text in ["$SHA", "x-$SHA-y", "${BRANCH}$SHA"] {
        let said = variable(text);
        assert!(
            said.contains("`$SHA` is not replaced: only `${SHA}` is") && said.contains("deploy.yaml:20:"),
            "{text}: {said}"
        );
    }
    for text in ["$UNKNOWN", "$$SHA", "$HOME", "100$", "$5", "$sha"] {
        assert_eq!(variable(text), "no fault; warnings: []", "{text}");
    }
}

#[test]
fn anchors_have_a_place_of_their_own() {
    let text = MANIFEST
        .replace("labels: { env: staging }", "labels: *labels")
        .replace("version: 1\n", "version: 1\nx-labels: &labels { env: staging }\nx-unused: \"${NOT_SET} ${\"\n");
    assert_eq!(faults(&text), "no fault; warnings: []");
    // Nowhere but at the top.
    assert!(edited("cluster: web", "cluster: web\n    x-more: 1").contains("unknown key `x-more`"));
}

#[test]
fn what_people_write_in_the_place_of_a_task_definition_is_named() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slips");
    std::fs::create_dir_all(&directory).expect("a directory");
    let containers = r#"[{ "name": "app", "image": "api:1", "memory": 64 }]"#;
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let good = format!(r#"{{ "family": "api", "containerDefinitions": {containers} }}"#);
    for (name, bytes, message, help) in [
        (
            "comment.json",
            format!("{{ // the family\n{}", &good[1..]).into_bytes(),
            "JSON has no comments",
            "take it out",
        ),
        (
            "block.json",
            format!("{{ \"a\": /* x */ 1, {}", &good[1..]).into_bytes(),
            "JSON has no comments",
            "take it out",
        ),
        ("td.jsonnet", b"local x = 1; {}".to_vec(), "not a task definition", "jsonnet FILE > td.json"),
        ("object.jsonnet", b"{ family: 'api' }".to_vec(), "not valid JSON", "jsonnet FILE > td.json"),
        ("td.yml", b"family: api\n".to_vec(), "not a task definition", "yq -o json FILE > td.json"),
        ("list.json", containers.as_bytes().to_vec(), "the file is a list", "\"containerDefinitions\": [...]"),
        (
            "text.json",
            format!(r#"{{ "family": "api", "containerDefinitions": {} }}"#, serde_json::json!(containers)).into_bytes(),
            "`containerDefinitions` is text",
            "write the list itself",
        ),
        (
            "capitals.json",
            format!(r#"{{ "Family": "api", "ContainerDefinitions": {containers} }}"#).into_bytes(),
            "AWS knows no `ContainerDefinitions`",
            "write \"containerDefinitions\"",
        ),
        ("wide.json", wide(&good), "UTF-16", "looked for"),
    ] {
        std::fs::write(directory.join(name), bytes).expect("a file");
        let text = MANIFEST.replace("cluster: web", &format!("cluster: web\n    task_definition: {name}"));
        let told = match load_str("deploy.yaml", &directory, &text, &variables) {
            Ok(_) => panic!("{name} is taken"),
            Err(error) => error.render(false, 100),
        };
        assert!(told.contains(message) && told.contains(help), "{name}: {told}");
    }
    // A list may be of anything, and none of it is shown.
    std::fs::write(directory.join("list.json"), "[\"hunter2\"]").expect("a file");
    let text = MANIFEST.replace("cluster: web", "cluster: web\n    task_definition: list.json");
    let told = load_str("deploy.yaml", &directory, &text, &variables).expect_err("no task definition");
    assert!(!told.render(false, 100).contains("hunter2"), "{told}");
    // The manifest itself.
    std::fs::write(directory.join("deploy.yaml"), wide(MANIFEST)).expect("a file");
    let told = load(&directory.join("deploy.yaml"), &variables).expect_err("no text").render(false, 100);
    assert!(told.contains("the file is UTF-16 text; save it as UTF-8"), "{told}");
}

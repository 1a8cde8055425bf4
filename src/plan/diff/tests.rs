//! What a diff says and what it keeps quiet about.

use serde_json::json;

use super::*;

const OWN: Placeholders<'static> =
    Placeholders { account_id: "111111111111", account_name: "prod", region: "eu-west-1" };

fn hashed() -> Values {
    Values::Hashed { salt: "salt".into() }
}

fn lines(live: &Value, wanted: &Value, values: &Values) -> String {
    let mut differences = Differences::default();
    differences.definition(live, wanted);
    let lines = differences.shown(values, &OWN, PlaceholderScope::Literal);
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let line = |line: &Line| format!("{} | {}: {} -> {}", line.place, line.path, word(&line.before), word(&line.after));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn live() -> Value {
    json!({
        "family": "api", "cpu": "256", "revision": 7, "networkMode": "awsvpc",
        "taskRoleArn": "arn:aws:iam::111111111111:role/app",
        "containerDefinitions": [
            {
                "name": "app", "image": "r/api:1", "essential": true, "cpu": 0,
                "command": ["npm", "run", "start"],
                "environment": [{"name": "GONE", "value": "hunter2"}, {"name": "LEVEL", "value": "hunter2"}],
                "secrets": [{"name": "DB", "valueFrom": "arn:one"}],
                "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
                "mountPoints": [], "systemControls": [],
                "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter2", "splunk-url": "https://a"}},
            },
            {"name": "old", "image": "r/old:1", "essential": true, "cpu": 0, "portMappings": [], "user": "0"},
        ],
        "volumes": [], "requiresCompatibilities": ["FARGATE"],
    })
}

fn wanted() -> Value {
    json!({
        "family": "api", "cpu": "0.5 vCPU", "networkMode": "awsvpc", "taskRoleArn": "app",
        "containerDefinitions": [
            {
                "name": "app", "image": "r/api:2", "essential": false,
                "command": ["npm", "start"],
                "environment": [{"name": "NEW", "value": "hunter3"}, {"name": "LEVEL", "value": "hunter3"}],
                "secrets": [{"name": "DB", "valueFrom": "arn:two"}, {"name": "FRESH", "valueFrom": "arn:fresh"}],
                "portMappings": [{"containerPort": 443}, {"containerPort": 80}],
                "healthCheck": {"command": ["CMD", "true"], "retries": 5},
                "dependsOn": [{"containerName": "log", "condition": "START"}],
                "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter3", "splunk-url": "https://b"}},
            },
            {"name": "log", "image": "r/log:1", "essential": true, "portMappings": [{"containerPort": 1, "protocol": "tcp"}]},
        ],
        "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/"}}, {"name": "tmp"}],
        "requiresCompatibilities": ["EC2", "FARGATE"],
    })
}

#[test]
fn every_kind_of_difference_has_its_line() {
    insta::assert_snapshot!(lines(&live(), &wanted(), &hashed()), @r#"
    task | cpu: "256" -> "512"
    task | requiresCompatibilities[]: none -> EC2
    task | volumes[data].efsVolumeConfiguration.fileSystemId: none -> fs-1
    task | volumes[tmp]: none -> {"name":"tmp"}
    container app | image: r/api:1 -> r/api:2
    container app | command[1]: run -> none
    container app | dependsOn: none -> [{"condition":"START","containerName":"log"}]
    container app | environment.GONE: (value f45681c9) -> none
    container app | environment.LEVEL: (value ca8baa7e) -> (value b938f485)
    container app | environment.NEW: none -> (value bf73f61c)
    container app | essential: true -> false
    container app | healthCheck.command: none -> ["CMD","true"]
    container app | healthCheck.retries: none -> 5
    container app | logConfiguration.options.splunk-token: (value 1b33dade) -> (value 551622c5)
    container app | logConfiguration.options.splunk-url: https://a -> https://b
    container app | portMappings[443]: none -> {"containerPort":443}
    container app | secrets.DB: arn:one -> arn:two
    container app | secrets.FRESH: none -> arn:fresh
    container log | image: none -> r/log:1
    container log | name: none -> log
    container log | portMappings[1]: none -> {"containerPort":1}
    container old | image: r/old:1 -> none
    container old | name: old -> none
    container old | user: "0" -> none
    "#);
}

#[test]
fn values_of_variables_are_shown_when_asked_for() {
    let shown = lines(&live(), &wanted(), &Values::Shown);
    assert!(shown.contains("container app | environment.LEVEL: hunter2 -> hunter3"), "{shown}");
    assert!(!lines(&live(), &wanted(), &hashed()).contains("hunter"));
    let mut differences = Differences::default();
    differences.definition(&live(), &wanted());
    assert!(!format!("{differences:?}").contains("hunter"));
}

#[test]
fn a_hash_depends_on_the_salt_the_place_the_path_and_the_value() {
    let hash =
        |salt: &str, place: &str, path: &str, text: &str| Values::Hashed { salt: salt.into() }.show(place, path, text);
    let one = hash("a", "container app", "environment.PIN", "x");
    assert_eq!(one, hash("a", "container app", "environment.PIN", "x"));
    for other in [
        hash("b", "container app", "environment.PIN", "x"),
        hash("a", "container log", "environment.PIN", "x"),
        hash("a", "container app", "environment.PI", "Nx"),
        hash("a", "container app", "environment.PIN", "y"),
    ] {
        assert_ne!(one, other);
    }
    assert_eq!(one.len(), "(value 01234567)".len());
}

#[test]
fn guesses_in_other_variables_are_not_compared_with_a_value() {
    let variables = |list: Value| json!({"containerDefinitions": [{"name": "a", "environment": list}]});
    let live = variables(json!([{"name": "PIN", "value": "0042"}]));
    let guesses: Vec<Value> =
        (0..100).map(|guess| json!({"name": format!("G{guess}"), "value": format!("{guess:04}")})).collect();
    let mut differences = Differences::default();
    differences.definition(&live, &variables(json!(guesses)));
    let shown = differences.shown(&hashed(), &OWN, PlaceholderScope::Literal);
    let pin = shown.iter().find_map(|line| line.before.clone()).expect("the live value");
    assert!(shown.iter().all(|line| line.after.as_ref() != Some(&pin)), "a guess has the hash of the value");
}

#[test]
fn a_hash_is_the_same_where_only_the_own_differs() {
    let own = |account_id| Placeholders { account_id, account_name: &account_id[..3], region: "eu-west-1" };
    let shown = |account: &'static str, level| {
        let queue = format!("https://sqs.eu-west-1.amazonaws.com/{account}/q-{}", &account[..3]);
        let definition =
            |environment: Value| json!({"containerDefinitions": [{"name": "a", "environment": environment}]});
        let mut differences = Differences::default();
        differences.definition(&definition(json!([])), &definition(json!([{"name": "Q", "value": queue}])));
        differences.shown(&hashed(), &own(account), level)
    };
    assert_eq!(shown("111111111111", PlaceholderScope::Name), shown("222222222222", PlaceholderScope::Name));
    assert_ne!(shown("111111111111", PlaceholderScope::Place), shown("222222222222", PlaceholderScope::Place));
}

#[test]
fn settings_and_counts_are_lines_of_the_service() {
    let mut differences = Differences::default();
    differences.desired_count(2, 4);
    let live = json!({"maximumPercent": 200, "minimumHealthyPercent": 100, "deploymentCircuitBreaker": {"enable": false, "rollback": false}});
    let declared = json!({"maximumPercent": 150, "minimumHealthyPercent": 100, "strategy": "ROLLING",
        "deploymentCircuitBreaker": {"enable": true, "rollback": false}, "bakeTimeInMinutes": 5});
    differences.settings(&declared, &live);
    let shown = differences.shown(&hashed(), &OWN, PlaceholderScope::Literal);
    let shown: Vec<_> = shown.iter().map(|l| (l.path.as_str(), l.before.as_deref(), l.after.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("desiredCount", Some("2"), Some("4")),
            ("deploymentConfiguration.maximumPercent", Some("200"), Some("150")),
            ("deploymentConfiguration.deploymentCircuitBreaker.enable", Some("false"), Some("true")),
            ("deploymentConfiguration.bakeTimeInMinutes", None, Some("5")),
        ]
    );
}

#[test]
fn repeated_names_and_lists_with_an_order_are_not_lost() {
    let variables = |first: &str, second: &str| {
        json!({"containerDefinitions": [{"name": "a", "environment": [
            {"name": "A", "value": first}, {"name": "A", "value": second}]}]})
    };
    assert_eq!(
        lines(&variables("1", "2"), &variables("1", "3"), &Values::Shown),
        "container a | environment.A#2: \"2\" -> \"3\""
    );
    let hosts = |names: Value| json!({"containerDefinitions": [{"name": "a", "dnsServers": names}]});
    let moved = lines(&hosts(json!(["x", "y"])), &hosts(json!(["y", "x"])), &Values::Shown);
    assert_eq!(moved, "container a | dnsServers[0]: none -> y\ncontainer a | dnsServers[1]: y -> none");
}

#[test]
fn a_text_that_looks_like_something_else_is_quoted() {
    for (value, shown) in [
        (json!("r/api:1"), "r/api:1"),
        (json!("80"), "\"80\""),
        (json!(80), "80"),
        (json!(""), "\"\""),
        (json!("a\nb"), r#""a\nb""#),
        (json!("(value 01234567)"), "\"(value 01234567)\""),
        (json!(["a", 1]), r#"["a",1]"#),
    ] {
        assert_eq!(text(&value), shown);
    }
}

#[test]
fn secrets_in_commands_labels_options_and_health_checks_are_taken_out_and_their_change_shows() {
    let definition = |secret: &str| {
        json!({"containerDefinitions": [{
            "name": "app",
            "command": ["serve", "--password", secret, format!("postgres://u:{secret}@h/d")],
            "entryPoint": ["/bin/run", "--token", secret],
            "healthCheck": {"command": ["CMD-SHELL", format!("curl -H 'Authorization: Bearer {secret}' localhost")]},
            "dockerLabels": {"com.datadoghq.ad.password": secret, "url": format!("https://u:{secret}@h"), "team": "a"},
            "logConfiguration": {"logDriver": "awsfirelens", "options": {
                "HTTP_Passwd": secret, "http_pass": secret, "Cloud_Auth": secret, "Header": format!("Authorization {secret}"),
                "Host": "logs.example.com",
            }},
        }]})
    };
    let (live, wanted) = (definition("CANARYlive9"), definition("CANARYwanted9"));
    let shown = lines(&live, &wanted, &hashed());
    assert!(!shown.contains("CANARY"), "{shown}");
    assert!(shown.contains("command: serve --password [redacted] postgres://u:[redacted]@h/d (value "), "{shown}");
    for path in [
        "command",
        "entryPoint",
        "healthCheck.command",
        "dockerLabels.com.datadoghq.ad.password",
        "dockerLabels.url",
        "logConfiguration.options.HTTP_Passwd",
        "logConfiguration.options.http_pass",
        "logConfiguration.options.Cloud_Auth",
        "logConfiguration.options.Header",
    ] {
        let line =
            shown.lines().find(|line| line.contains(&format!(" | {path}: "))).unwrap_or_else(|| panic!("{path}"));
        let (before, after) = line.split_once(": ").and_then(|(_, line)| line.split_once(" -> ")).expect("two sides");
        assert_ne!(before, after, "{line}");
    }
    // Also where there is nothing on one side, and as it is where values are asked for.
    let empty = json!({"containerDefinitions": [{"name": "app"}]});
    assert!(!lines(&empty, &wanted, &hashed()).contains("CANARY"), "{}", lines(&empty, &wanted, &hashed()));
    assert!(!lines(&live, &empty, &hashed()).contains("CANARY"));
    assert!(!lines(&live, &json!({"containerDefinitions": []}), &hashed()).contains("CANARY"));
    assert!(lines(&live, &wanted, &Values::Shown).contains("CANARYwanted9"));
}

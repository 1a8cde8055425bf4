use serde_json::{Value, json};

use crate::sandbox::validation::{accept, accept_form};

/// Returns the error of a request as `Code: text`, or what AWS reads of it.
fn answer(service: &str, operation: &str, mut input: Value) -> Result<Value, String> {
    let accepted = accept(service, operation, &mut input);
    accepted.map(|()| input).map_err(|error| format!("{}: {}", error.code, error.message))
}

#[test]
fn unknown_members_and_nulls_are_left_out_at_every_depth() {
    let input = json!({
        "cluster": "web", "service": "api", "tomorrow": 1, "taskDefinition": null,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1", null], "tomorrow": {} }, "more": null },
        "deploymentConfiguration": { "lifecycleHooks": [
            null,
            { "hookTargetArn": "arn", "hookDetails": { "any": [null, { "thing": null }] }, "tomorrow": true },
        ] },
    });
    let kept = json!({
        "cluster": "web", "service": "api",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "deploymentConfiguration": { "lifecycleHooks": [
            { "hookTargetArn": "arn", "hookDetails": { "any": [null, { "thing": null }] } },
        ] },
    });
    assert_eq!(answer("ecs", "UpdateService", input), Ok(kept));
    let definition = json!({
        "family": "api", "containerDefinitions": [{ "name": "app", "enviroment": [], "dockerLabels": { "a": null, "b": "c" } }],
        "taskDefinitionArn": "arn", "volumes": [null],
    });
    let kept = json!({
        "family": "api", "containerDefinitions": [{ "name": "app", "dockerLabels": { "b": "c" } }], "volumes": [],
    });
    assert_eq!(answer("ecs", "RegisterTaskDefinition", definition), Ok(kept));
    assert_eq!(answer("ecs", "NoSuchThing", json!({ "a": null })), Ok(json!({ "a": null })));
}

#[test]
fn a_wrong_type_is_a_serialization_exception() {
    for (operation, input, wanted) in [
        ("UpdateService", json!([]), "Start of list found where not expected"),
        ("UpdateService", json!("api"), "Expected map or null"),
        ("UpdateService", json!({ "service": 1 }), "NUMBER_VALUE cannot be converted to String"),
        ("UpdateService", json!({ "service": ["api"] }), "Start of list found where not expected"),
        ("UpdateService", json!({ "desiredCount": "2" }), "STRING_VALUE cannot be converted to Integer"),
        ("UpdateService", json!({ "desiredCount": 1.5 }), "DECIMAL_VALUE cannot be converted to Integer"),
        ("UpdateService", json!({ "forceNewDeployment": "true" }), "STRING_VALUE cannot be converted to Boolean"),
        ("UpdateService", json!({ "loadBalancers": {} }), "Start of structure or map found where not expected."),
        ("UpdateService", json!({ "loadBalancers": "lb" }), "Expected list or null"),
        ("DescribeServices", json!({ "services": [true] }), "TRUE_VALUE cannot be converted to String"),
        (
            "UpdateService",
            json!({ "deploymentConfiguration": { "canaryConfiguration": { "canaryPercent": "5" } } }),
            "STRING_VALUE cannot be converted to Double",
        ),
        ("RegisterTaskDefinition", json!({ "cpu": 256 }), "NUMBER_VALUE cannot be converted to String"),
    ] {
        let said = answer("ecs", operation, input.clone()).expect_err("refused");
        assert_eq!(said, format!("SerializationException: {wanted}"), "{operation} {input}");
    }
}

#[test]
fn constraints_are_refused_in_the_words_of_the_service() {
    let long = "a".repeat(101);
    for (service, operation, input, wanted) in [
        (
            "ecs",
            "UpdateService",
            json!({ "service": "api", "propagateTags": "TASK" }),
            "InvalidParameterException: TASK is not a valid value for propagateTags. The value must be one of \
             [TASK_DEFINITION,SERVICE,NONE]"
                .to_owned(),
        ),
        (
            "ecs",
            "UpdateService",
            json!({ "service": "api", "availabilityZoneRebalancing": "" }),
            "InvalidParameterException:  is not a valid value for availabilityZoneRebalancing. The value must be one of \
             [ENABLED,DISABLED]"
                .to_owned(),
        ),
        (
            "ecs",
            "UpdateService",
            json!({ "service": "api", "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true } } }),
            "InvalidParameterException: rollback can not be blank.".to_owned(),
        ),
        (
            "ecs",
            "UpdateService",
            json!({ "service": "api", "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1001 }] }),
            "InvalidParameterException: 1 validation error detected: Value '1001' at \
             'capacityProviderStrategy.1.member.weight' failed to satisfy constraint: Member must have value less than or \
             equal to 1000"
                .to_owned(),
        ),
        (
            "ecs",
            "TagResource",
            json!({ "resourceArn": "arn", "tags": [{ "key": "a|b" }] }),
            "InvalidParameterException: Some tags contain invalid characters. Valid characters: UTF-8 letters, spaces, \
             numbers and _ . / = + - : @."
                .to_owned(),
        ),
        (
            "ecs",
            "RegisterTaskDefinition",
            json!({ "family": "api", "pidMode": "" }),
            "ClientException:  is not a valid value for pidMode. The value must be one of [host,task]".to_owned(),
        ),
        (
            "ecr",
            "DescribeImages",
            json!({ "repositoryName": "Shop" }),
            "InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy \
             regular expression pattern: [a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*'"
                .to_owned(),
        ),
        (
            "ssm",
            "DescribeParameters",
            json!({ "ParameterFilters": [{ "Key": "Names", "Values": [] }], "MaxResults": 51 }),
            "ValidationException: 3 validation errors detected: Value 'Names' at 'parameterFilters.1.member.key' failed to \
             satisfy constraint: Member must satisfy regular expression pattern: \
             ^(tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType)$; Value '[]' at 'parameterFilters.1.member.values' failed to \
             satisfy constraint: Member must have length greater than or equal to 1; Value '51' at 'maxResults' failed to \
             satisfy constraint: Member must have value less than or equal to 50"
                .to_owned(),
        ),
        (
            "codedeploy",
            "GetDeployment",
            json!({}),
            "DeploymentIdRequiredException: deploymentId must be specified".to_owned(),
        ),
        (
            "codedeploy",
            "CreateDeployment",
            json!({ "applicationName": long }),
            format!(
                "ValidationException: 1 validation error detected: Value '{long}' at 'applicationName' failed to satisfy \
                 constraint: Member must have length less than or equal to 100"
            ),
        ),
        (
            "logs",
            "GetLogEvents",
            json!({ "logGroupName": "shop", "logStreamName": "a:b" }),
            "InvalidParameterException: 1 validation error detected: Value 'a:b' at 'logStreamName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [^:*]*"
                .to_owned(),
        ),
    ] {
        assert_eq!(answer(service, operation, input.clone()), Err(wanted), "{operation} {input}");
    }
}

#[test]
fn a_missing_parameter_of_ecs_is_left_to_the_operation() {
    assert_eq!(answer("ecs", "UpdateService", json!({})), Ok(json!({})));
}

#[test]
fn parameters_of_a_form_are_checked_by_the_same_table() {
    let said = |operation: &str, parameters: &[(&str, &str)]| {
        let form = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        accept_form("sts", operation, &form).map_err(|error| format!("{}: {}", error.code, error.message))
    };
    let role = ("RoleArn", "arn:aws:iam::111111111111:role/hub");
    let name = ("RoleSessionName", "gl-1");
    let tag = [("Tags.member.1.Key", "project"), ("Tags.member.1.Value", "shop")];
    assert_eq!(said("AssumeRole", &[&[role, name, ("Unknown", "1")], &tag[..]].concat()), Ok(()));
    assert_eq!(
        said("AssumeRole", &[role, name, ("Tags.member.1.Key", "a|b"), ("DurationSeconds", "899")]),
        Err("ValidationError: 3 validation errors detected: Value '899' at 'durationSeconds' failed to satisfy constraint: \
             Member must have value greater than or equal to 900; Value 'a|b' at 'tags.1.member.key' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+; Value at \
             'tags.1.member.value' failed to satisfy constraint: Member must not be null"
            .to_owned())
    );
    assert_eq!(
        said("AssumeRole", &[role]),
        Err("ValidationError: 1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member \
             must not be null"
            .to_owned())
    );
    assert_eq!(
        said("AssumeRole", &[role, name, ("DurationSeconds", "1h")]),
        Err("MalformedInput: 1h is not a number".to_owned())
    );
}

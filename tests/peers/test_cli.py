"""The aws CLI against `roleout sandbox`: a chain by profiles, a deployment, and the CLI's own waiter."""

import json
import subprocess
import time

import pytest

import peers
from peers import EXTERNAL_ID, HUB, IDS, role

CONFIG = f"""
[profile hub]
web_identity_token_file = {{token}}
role_arn = {HUB}
role_session_name = gl-1-2-3

[profile prod]
source_profile = hub
role_arn = {role("prod")}
role_session_name = gl-1-2-3
external_id = {EXTERNAL_ID}
region = eu-central-1

[profile stranger]
source_profile = hub
role_arn = {role("prod")}
external_id = wrong
region = eu-central-1
"""


@pytest.fixture
def aws(sandbox, tmp_path):
    """Runs the aws CLI by a profile, and gives what it printed, as JSON."""
    (tmp_path / "config").write_text(CONFIG.format(token=sandbox.home / "token"))
    environment = peers.clean_environment(tmp_path) | {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": sandbox.url,
        "AWS_PAGER": "",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments, profile="prod", code=0):
        done = subprocess.run(
            [str(peers.AWS), *arguments, "--profile", profile, "--region", "eu-central-1", "--output", "json"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 and done.stdout else done.stderr

    return run


def test_the_chain_is_walked_by_profiles(aws):
    assert aws("sts", "get-caller-identity")["Account"] == IDS["prod"]
    assert "AccessDenied" in aws("sts", "get-caller-identity", profile="stranger", code=255)


def test_a_deployment_is_waited_for(aws, tmp_path):
    live = aws("ecs", "describe-services", "--cluster", "web", "--services", "api")["services"][0]["taskDefinition"]
    definition = aws("ecs", "describe-task-definition", "--task-definition", live)["taskDefinition"]
    container = definition["containerDefinitions"][0] | {"image": "registry.example.com/api:2"}
    names = ["family", "networkMode", "requiresCompatibilities", "cpu", "memory", "executionRoleArn"]
    wanted = {name: definition[name] for name in names} | {"containerDefinitions": [container]}
    (tmp_path / "api.json").write_text(json.dumps(wanted))
    arn = aws("ecs", "register-task-definition", "--cli-input-json", "file://api.json")["taskDefinition"][
        "taskDefinitionArn"
    ]
    service = ["--cluster", "web", "--service", "api"]
    updated = aws("ecs", "update-service", *service, "--task-definition", arn)["service"]
    assert updated["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    aws("ecs", "wait", "services-stable", "--cluster", "web", "--services", "api")
    deployments = aws("ecs", "describe-services", "--cluster", "web", "--services", "api")["services"][0]["deployments"]
    assert [(one["taskDefinition"], one["rolloutState"]) for one in deployments] == [(arn, "COMPLETED")]
    records = aws("ecs", "list-service-deployments", *service)["serviceDeployments"]
    assert records[0]["status"] == "SUCCESSFUL"


def test_a_crashing_image_ends_in_a_rollback(aws, tmp_path):
    """The CLI's waiter calls this stable; the service deployment says what happened."""
    before = aws("ecs", "describe-services", "--cluster", "web", "--services", "worker")["services"][0]
    definition = aws("ecs", "describe-task-definition", "--task-definition", before["taskDefinition"])["taskDefinition"]
    (tmp_path / "crash.json").write_text(
        json.dumps(
            {
                "family": definition["family"],
                "containerDefinitions": [
                    {"name": "app", "image": "registry.example.com/api:3-crash", "memory": 128},
                ],
            }
        )
    )
    arn = aws("ecs", "register-task-definition", "--cli-input-json", "file://crash.json")["taskDefinition"][
        "taskDefinitionArn"
    ]
    service = ["--cluster", "web", "--service", "worker"]
    breaker = "deploymentCircuitBreaker={enable=true,rollback=true}"
    aws("ecs", "update-service", *service, "--task-definition", arn, "--deployment-configuration", breaker)
    deadline = time.monotonic() + 60
    while True:
        records = aws("ecs", "list-service-deployments", *service)["serviceDeployments"]
        if records and records[0]["status"] == "ROLLBACK_SUCCESSFUL":
            break
        assert time.monotonic() < deadline, records
    after = aws("ecs", "describe-services", "--cluster", "web", "--services", "worker")["services"][0]
    assert after["taskDefinition"] == before["taskDefinition"]


def test_eleven_services_are_too_many(aws):
    names = [f"s{number}" for number in range(11)]
    error = aws("ecs", "describe-services", "--cluster", "web", "--services", *names, code=255)
    assert "InvalidParameterException" in error


def test_a_saved_plan_is_refused_for_what_the_cli_changed(aws, project, sandbox):
    """Planned, changed behind its back, carried out in another job without the manifest: refused for that target alone."""
    project.token = (sandbox.home / "token").read_text()
    project.image = "registry.example.com/api:planned"
    only = ["--only", "{staging,prod}/*/api"]
    planned = project.roleout("plan", "--out", "plan.json", *only)
    assert planned.code == 0, planned
    (project.directory / "deploy.yaml").unlink()

    live = aws("ecs", "describe-services", "--cluster", "web", "--services", "api")["services"][0]
    aws("ecs", "update-service", "--cluster", "web", "--service", "api", "--force-new-deployment")
    aws("ecs", "wait", "services-stable", "--cluster", "web", "--services", "api")
    moved = aws("ecs", "describe-services", "--cluster", "web", "--services", "api")["services"][0]
    assert moved["taskDefinition"] == live["taskDefinition"]
    assert moved["deployments"][0]["id"] != live["deployments"][0]["id"]

    refused = project.run("deploy", "plan.json")
    assert refused.code == 5, refused
    assert "prod/eu-central-1/api" in refused.stderr, refused
    assert "staging/" not in refused.stderr and "prod/eu-west-1" not in refused.stderr, refused
    after = aws("ecs", "describe-services", "--cluster", "web", "--services", "api")["services"][0]
    assert after["deployments"] == moved["deployments"], "nothing was changed"

    went_on = project.run("deploy", "plan.json", "--skip-stale", "--format", "jsonl")
    assert went_on.code == 0, went_on
    assert went_on.outcomes() == {"staging/eu-west-1/api": "succeeded", "prod/eu-west-1/api": "succeeded"}

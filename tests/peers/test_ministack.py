"""roleout as a client of ministack, which checks signatures, trust policies, external ids and permissions.

Not checked by ministack, so not here: a token's signature and expiry, and rollouts, which it completes at once.
"""

import json

import pytest

import peers
from peers import EXTERNAL_ID, HUB, IDS, ISSUER, role, targets

ACTIONS = [
    "ecs:DescribeServices",
    "ecs:UpdateService",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTaskDefinitions",
    "ecs:RegisterTaskDefinition",
    "ecs:TagResource",
    "ecs:ListServiceDeployments",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:StopServiceDeployment",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "iam:PassRole",
]


def client(peer, service, account, region="eu-west-1"):
    """A client of an account's root: to ministack the account's id is its access key."""
    return peers.client(peer, service, region, key=account)


def allow(actions, resource="*"):
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}
    )


def trust(action, principal, condition):
    statement = {"Effect": "Allow", "Action": action, "Principal": principal, "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def permit(peer, name, actions):
    """Gives an account's deployer role these permissions and no others."""
    iam = client(peer, "iam", IDS[name])
    iam.put_role_policy(RoleName="ecs-deployer", PolicyName="deploy", PolicyDocument=allow(actions))


@pytest.fixture
def aws(ministack):
    """The hub, three accounts behind it, and in each of their regions the services `api` and `worker`."""
    hub = client(ministack, "iam", IDS["hub"])
    provider = hub.create_open_id_connect_provider(
        Url=f"https://{ISSUER}", ClientIDList=[peers.AUDIENCE], ThumbprintList=["0" * 40]
    )
    conditions = {
        "StringEquals": {f"{ISSUER}:aud": peers.AUDIENCE},
        "StringLike": {f"{ISSUER}:sub": "project_path:team/shop:ref_type:branch:ref:*"},
    }
    federated = {"Federated": provider["OpenIDConnectProviderArn"]}
    hub.create_role(
        RoleName="gitlab-hub",
        AssumeRolePolicyDocument=trust("sts:AssumeRoleWithWebIdentity", federated, conditions),
    )
    hub.put_role_policy(
        RoleName="gitlab-hub",
        PolicyName="chain",
        PolicyDocument=allow(["sts:AssumeRole"], "arn:aws:iam::*:role/ecs-deployer"),
    )
    for name in peers.REGIONS:
        iam = client(ministack, "iam", IDS[name])
        iam.create_role(
            RoleName="ecs-deployer",
            AssumeRolePolicyDocument=trust(
                "sts:AssumeRole", {"AWS": HUB}, {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
            ),
        )
        permit(ministack, name, ACTIONS)
        tasks = trust("sts:AssumeRole", {"Service": "ecs-tasks.amazonaws.com"}, {})
        iam.create_role(RoleName="ecs-exec", AssumeRolePolicyDocument=tasks)
    for _, account, region in targets():
        ecs = client(ministack, "ecs", account, region)
        ecs.create_cluster(clusterName="web")
        for service in ["api", "worker"]:
            ecs.register_task_definition(
                family=service,
                networkMode="bridge",
                containerDefinitions=[
                    {
                        "name": "app",
                        "image": "registry.example.com/api:0",
                        "memory": 128,
                        "environment": [{"name": "KEPT", "value": "yes"}],
                    }
                ],
            )
            ecs.create_service(cluster="web", serviceName=service, taskDefinition=service, desiredCount=2)
    return ministack


def state(peer):
    """All that a deployment could change, in every account and region."""
    found = {}
    for name, account, region in targets():
        ecs = client(peer, "ecs", account, region)
        services = ecs.describe_services(cluster="web", services=["api", "worker"])["services"]
        found[name, region] = {
            "revisions": sorted(ecs.list_task_definitions()["taskDefinitionArns"]),
            "services": {
                service["serviceName"]: {
                    "taskDefinition": service["taskDefinition"],
                    "deployments": [deployment["id"] for deployment in service["deployments"]],
                    "desiredCount": service["desiredCount"],
                    "deploymentConfiguration": service["deploymentConfiguration"],
                }
                for service in services
            },
        }
    return found


def test_every_service_is_on_the_new_revision_and_a_second_run_changes_nothing(aws, project):
    before = state(aws)
    first = project.deploy()
    assert first.code == 0, first
    assert first.events[0]["kind"] == "run_started" and first.events[-1]["kind"] == "run_finished"
    names = [f"{name}/{region}/{service}" for name, _, region in targets() for service in ("api", "worker")]
    assert first.outcomes() == dict.fromkeys(names, "succeeded"), first

    for name, account, region in targets():
        ecs = client(aws, "ecs", account, region)
        for service in ecs.describe_services(cluster="web", services=["api", "worker"])["services"]:
            family = service["serviceName"]
            arn = f"arn:aws:ecs:{region}:{account}:task-definition/{family}:2"
            assert service["taskDefinition"] == arn
            assert [deployment["taskDefinition"] for deployment in service["deployments"]] == [arn]
            assert service["desiredCount"] == before[name, region]["services"][family]["desiredCount"]
        containers = ecs.describe_task_definition(taskDefinition="api:2")["taskDefinition"]["containerDefinitions"]
        app = containers[0]
        assert app["image"] == project.image
        assert {"name": "LOG_LEVEL", "value": name} in app["environment"]
        assert {"name": "MODE", "value": "server"} in app["environment"]
        assert [secret["name"] for secret in app["secrets"]] == ["DB_URL"]
        worker = ecs.describe_task_definition(taskDefinition="worker:2")["taskDefinition"]["containerDefinitions"][0]
        assert worker["image"] == project.image
        assert worker["environment"] == [{"name": "KEPT", "value": "yes"}]

    after = state(aws)
    second = project.deploy()
    assert second.code == 0, second
    assert state(aws) == after
    assert second.outcomes() == {}, second


def test_what_ministack_fills_in_is_no_difference(aws, project):
    """The file's definition, registered by another client, needs no new revision."""
    for name, account, region in targets():
        ecs = client(aws, "ecs", account, region)
        ecs.register_task_definition(**project.registered(name, region))
        ecs.update_service(cluster="web", service="api", taskDefinition="api:2")
    before = state(aws)
    run = project.deploy("--only", "*/*/api")
    assert run.code == 0, run
    assert [change["action"] for change in run.plan().values()] == [{"kind": "unchanged"}] * len(targets()), run
    assert state(aws) == before


def test_a_dry_run_reads_and_changes_nothing(aws, project):
    before = state(aws)
    run = project.roleout("deploy", "--dry-run")
    assert run.code == 0, run
    assert project.image in run.stdout
    assert state(aws) == before


def refused(aws, project, arn):
    """Deploys, and expects that the run stopped before it changed anything, and named the role."""
    before = state(aws)
    run = project.deploy()
    assert run.code == 4, run
    assert arn in run.stderr, run
    assert state(aws) == before
    return run


def test_a_token_for_another_audience_is_refused(aws, project):
    project.token = peers.id_token(audience="https://elsewhere.example.com")
    refused(aws, project, HUB)


def test_a_token_of_another_project_is_refused(aws, project):
    project.token = peers.id_token(subject="project_path:team/other:ref_type:branch:ref:main")
    refused(aws, project, HUB)


def test_a_wrong_external_id_is_refused(aws, project):
    project.external_id = "wrong"
    run = refused(aws, project, role("staging"))
    assert "ExternalId" in run.stderr, run


def test_one_account_whose_trust_is_wrong_stops_the_whole_run(aws, project):
    nobody = trust("sts:AssumeRole", {"AWS": "arn:aws:iam::111111111111:role/another"}, {})
    client(aws, "iam", IDS["audit"]).update_assume_role_policy(RoleName="ecs-deployer", PolicyDocument=nobody)
    run = refused(aws, project, role("audit"))
    assert role("staging") not in run.stderr, run


def test_a_role_that_may_not_read_is_refused(aws, project):
    permit(aws, "prod", [action for action in ACTIONS if action != "ecs:DescribeServices"])
    run = refused(aws, project, "prod")
    assert "ecs:DescribeServices" in run.stderr, run


def test_a_role_that_may_not_update_fails_its_targets_alone(aws, project):
    project.rollout = {"waves": [{"name": "all", "max_failures": "100%"}]}
    permit(aws, "prod", [action for action in ACTIONS if action != "ecs:UpdateService"])
    before = state(aws)
    run = project.deploy()
    assert run.code in (10, 13), run
    assert "ecs:UpdateService" in run.stderr + run.stdout, run
    for name, _, region in targets():
        expected = "failed" if name == "prod" else "succeeded"
        for service in ["api", "worker"]:
            assert run.outcomes()[f"{name}/{region}/{service}"] == expected, run
            moved = state(aws)[name, region]["services"][service] != before[name, region]["services"][service]
            assert moved == (name != "prod")


def test_what_is_imported_plans_as_unchanged(aws, project):
    """The services as another client made them, through the roles, their external id and a role that may only read."""
    for name in peers.REGIONS:
        permit(aws, name, ["ecs:DescribeServices", "ecs:DescribeTaskDefinition"])
    for name, account, region in targets():
        ecs = client(aws, "ecs", account, region)
        ecs.register_task_definition(**project.registered(name, region))
        ecs.update_service(cluster="web", service="api", taskDefinition="api")
    before = state(aws)
    sources = [
        argument
        for name, _, region in targets()
        for service in ("api", "worker")
        for argument in ("--from-service", f"{HUB},{role(name)}:{region}/web/{service}")
    ]
    imported = project.run("init", *sources, "--external-id", EXTERNAL_ID)
    assert imported.code == 0, imported
    plan = project.run("plan", "--format", "json", "--detailed-exitcode")
    assert plan.code == 0, plan
    totals = json.loads(plan.stdout)["totals"]
    assert (totals["targets"], totals["unchanged"]) == (8, 8), plan
    assert state(aws) == before

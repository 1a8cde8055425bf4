"""What `roleout iam` writes, as others read it: ministack, which enforces it, and parsers and linters of each form.

ministack enforces actions, and resources outside of ECS: it authorises every call of ECS on its cluster, or on nothing,
whatever AWS does, and knows none of ECS's condition keys. So statements of ECS are put there for every resource; the trust
policies and all other statements are put there as they are. It does not ask for iam:PassRole or ecs:TagResource, and has no
service deployments, alarms or CodeDeploy. The sandbox's tests hold all of those.
"""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import hcl2
import pytest

import peers
from peers import AUDIENCE, IDS, ISSUER, targets
from test_ministack import client, state

EXAMPLE = peers.ROOT / "deploy.yaml.example"
LIMIT = 6144


def trusted(project):
    """Lets in the jobs of the tests' own GitLab project, and gives `worker` a definition of its own."""
    manifest = project.manifest()
    manifest["identity"] |= {
        "issuer": f"https://{ISSUER}",
        "allow": {"project": "team/shop", "branches": ["main"], "tags": ["v*"], "audience": AUDIENCE},
    }
    manifest["roles"]["deployer"]["tags"] = {"pipeline": "7"}
    project.manifest = lambda: manifest


def documents(project, *arguments):
    run = project.roleout("iam", *arguments)
    assert run.code == 0, run
    return json.loads(run.stdout)


def as_ministack_asks(document):
    """The same with every resource of ECS: the one thing in which ministack is not like AWS."""
    document = json.loads(json.dumps(document))
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if all(action.startswith("ecs:") for action in actions):
            statement["Resource"] = "*"
            statement.pop("Condition", None)
    return document


def put(peer, account, form):
    """Makes an account's provider, roles and policies, as `aws iam` would from the files."""
    iam = client(peer, "iam", account["id"])
    if account["oidc_provider"]:
        iam.create_open_id_connect_provider(ThumbprintList=["0" * 40], **account["oidc_provider"])
    for role in account["roles"]:
        iam.create_role(
            RoleName=role["name"],
            Path=role["path"],
            MaxSessionDuration=role["max_session_duration"],
            AssumeRolePolicyDocument=json.dumps(role["trust_policy"]),
        )
        for policy in role["policies"]:
            document = json.dumps(form(policy["document"]))
            made = iam.create_policy(PolicyName=policy["name"], PolicyDocument=document)
            iam.attach_role_policy(RoleName=role["name"], PolicyArn=made["Policy"]["Arn"])


def take(found, action):
    """The same without one action in every account but the hub."""
    less = json.loads(json.dumps(found))
    for account in less["accounts"]:
        for role in account["roles"]:
            for policy in role["policies"]:
                for statement in policy["document"]["Statement"]:
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    statement["Action"] = [one for one in actions if one != action]
                kept = [statement for statement in policy["document"]["Statement"] if statement["Action"]]
                policy["document"]["Statement"] = kept
    return less


@pytest.fixture
def services(ministack):
    """The services of the manifest, and no role yet."""
    for _, account, region in targets():
        ecs = client(ministack, "ecs", account, region)
        ecs.create_cluster(clusterName="web")
        for service in ["api", "worker"]:
            containers = [{"name": "app", "image": "registry.example.com/api:0", "memory": 128}]
            ecs.register_task_definition(family=service, networkMode="bridge", containerDefinitions=containers)
            ecs.create_service(cluster="web", serviceName=service, taskDefinition=service, desiredCount=2)
    # What is looked for beforehand.
    for name in peers.REGIONS:
        tasks = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [tasks]})
        client(ministack, "iam", IDS[name]).create_role(RoleName="ecs-exec", AssumeRolePolicyDocument=trust)
    return ministack


def apply(peer, found, form=as_ministack_asks):
    for account in found["accounts"]:
        put(peer, account, form)


def test_a_fleet_is_deployed_by_just_these_policies(services, project):
    trusted(project)
    apply(services, documents(project))
    run = project.deploy("--no-verify")
    assert run.code == 0, run
    assert set(run.outcomes().values()) == {"succeeded"}, run
    assert len(run.outcomes()) == 8
    assert "AccessDenied" not in run.stdout + run.stderr, run


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("ecs:UpdateService", 10),
        ("ecs:RegisterTaskDefinition", 10),
        ("ecs:DescribeServices", 4),
        ("ecs:DescribeTaskDefinition", 4),
        ("sts:AssumeRole", 4),
    ],
)
def test_without_one_action_nothing_is_deployed(services, project, action, code):
    trusted(project)
    apply(services, take(documents(project), action))
    before = state(services)
    run = project.deploy("--no-verify")
    assert run.code == code, run
    assert action in run.stdout + run.stderr, run
    after = state(services)
    for place, live in before.items():
        assert after[place]["services"] == live["services"], run


def test_a_reading_role_plans_and_deploys_nothing(services, project):
    trusted(project)
    apply(services, documents(project, "--permissions", "plan"))
    before = state(services)
    plan = project.roleout("plan", "--no-verify", "--detailed-exitcode")
    assert plan.code == 20, plan
    status = project.roleout("status")
    assert status.code == 0, status
    run = project.deploy("--no-verify")
    assert run.code == 10, run
    assert state(services) == before


def test_what_was_put_there_compares_as_the_same(services, project):
    trusted(project)
    apply(services, documents(project, "--with-check"), form=lambda document: document)
    run = project.roleout("iam", "check")
    # ministack authorises GetOpenIDConnectProvider on no resource, so that alone it refuses.
    assert run.code == 4, run
    assert "? not compared: iam:GetOpenIDConnectProvider is not allowed" in run.stdout, run
    assert run.stdout.endswith("iam: 0 missing, 0 not needed, 1 not compared\n"), run
    iam = client(services, "iam", IDS["prod"])
    iam.put_role_policy(
        RoleName="ecs-deployer",
        PolicyName="more",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        ),
    )
    run = project.roleout("iam", "check")
    assert run.code == 20, run
    assert "+ allowed and not needed: s3:* on *" in run.stdout, run


def written(directory, form, *arguments):
    """The files that `roleout iam` writes for the example."""
    command = [peers.BINARY, "iam", "-f", EXAMPLE, "--format", form, "--out", directory, *arguments]
    environment = peers.clean_environment(directory)
    subprocess.run([str(part) for part in command], env=environment, check=True, capture_output=True)
    return sorted(path for path in Path(directory).rglob("*") if path.is_file())


def test_terraform_is_read_by_an_hcl_parser_as_the_same_documents(tmp_path):
    files = written(tmp_path / "tf", "terraform")
    resources = {}
    for path in files:
        for block in hcl2.loads(path.read_text()).get("resource", []):
            for kind, named in block.items():
                for name in named:
                    resources.setdefault(kind.strip('"'), []).append(name.strip('"'))
    assert len(resources["aws_iam_role"]) == 7
    assert len(resources["aws_iam_policy"]) == len(resources["aws_iam_role_policy_attachment"]) == 7
    assert len(resources["aws_iam_openid_connect_provider"]) == 1
    assert all(len(set(names)) == len(names) for names in resources.values())


@pytest.mark.parametrize("permissions", ["deploy", "plan"])
def test_cloudformation_passes_its_linter(tmp_path, permissions):
    files = written(tmp_path / "cfn", "cloudformation", "--permissions", permissions)
    assert [path.name for path in files] == ["deployer.json", "hub.json"]
    linter = Path(sys.prefix) / "bin/cfn-lint"
    done = subprocess.run([str(linter), "--", *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_document_is_within_iams_limits_and_names_real_actions(tmp_path):
    known = {}

    def operations(service):
        if service not in known:
            names = {"elasticloadbalancing": "elbv2"}
            model = boto3.session.Session()._session.get_service_model(names.get(service, service))
            known[service] = set(model.operation_names)
        return known[service]

    for path in written(tmp_path / "json", "json"):
        document = json.loads(path.read_text())
        if path.name == "oidc-provider.json":
            continue
        if path.name.endswith(".role.json"):
            # What `aws iam create-role --cli-input-json` takes.
            members = boto3.session.Session()._session.get_service_model("iam").operation_model("CreateRole").input_shape.members
            assert set(document) <= set(members), document
            continue
        assert len("".join(json.dumps(document).split())) <= (2048 if path.name.endswith("trust.json") else LIMIT)
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids) and all(sid.isalnum() for sid in sids)
        for statement in document["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                service, operation = action.split(":")
                # Permissions that are no operations.
                if action not in ("iam:PassRole", "sts:TagSession"):
                    assert operation in operations(service), action

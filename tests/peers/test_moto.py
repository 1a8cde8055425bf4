"""roleout as a client of moto, a second opinion on the wire; moto carries no rollout out.

After UpdateService moto's PRIMARY deployment stays on the old revision, and it answers HTTP 500 with HTML to what it
does not implement. A tool that claims success here would claim it of a rollout that ECS dropped, too.
"""

import http.server
import json
import threading
import urllib.error
import urllib.request

import pytest

import peers
from peers import role, targets

NOT_DONE = (10, 14)


def client(peer, service, arn, region):
    """A client with a role's session: moto tells accounts apart only so, and the role need not exist."""
    session = peers.client(peer, "sts").assume_role(RoleArn=arn, RoleSessionName="seed")["Credentials"]
    keys = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    return peers.client(peer, service, region, *keys)


def ecs(peer, name, region):
    return client(peer, "ecs", role(name), region)


def name_everything(peer, name, region):
    """Makes all that the definition of `api` names exist in an account and region."""
    iam = client(peer, "iam", role(name), region)
    statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    if "ecs-exec" not in [one["RoleName"] for one in iam.list_roles()["Roles"]]:
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_role(RoleName="ecs-exec", AssumeRolePolicyDocument=trust)
    client(peer, "logs", role(name), region).create_log_group(logGroupName="api")
    client(peer, "ssm", role(name), region).put_parameter(Name=peers.SECRET, Value="x", Type="SecureString")


@pytest.fixture
def aws(moto):
    for name, _, region in targets():
        name_everything(moto, name, region)
        account = ecs(moto, name, region)
        account.create_cluster(clusterName="web")
        for service in ["api", "worker"]:
            account.register_task_definition(
                family=service,
                networkMode="bridge",
                containerDefinitions=[{"name": "app", "image": "registry.example.com/api:0", "memory": 128}],
            )
            account.create_service(cluster="web", serviceName=service, taskDefinition=service, desiredCount=2)
    return moto


def revisions(peer):
    """The revisions of every account and region, which must have the same."""
    found = []
    for name, _, region in targets():
        arns = ecs(peer, name, region).list_task_definitions()["taskDefinitionArns"]
        found.append({arn.split("/")[-1] for arn in arns})
    assert all(one == found[0] for one in found), found
    return found[0]


def primaries(peer):
    found = {}
    for name, _, region in targets():
        services = ecs(peer, name, region).describe_services(cluster="web", services=["api", "worker"])["services"]
        for service in services:
            found[f"{name}/{region}/{service['serviceName']}"] = service["deployments"][0]["taskDefinition"]
    return found


def test_no_success_is_claimed_while_the_old_revision_is_primary(aws, project):
    """moto's service looks stable: one deployment, COMPLETED, all tasks running. Only it is not ours."""
    project.timeout = "6s"
    run = project.deploy(limit=60)
    assert run.code in NOT_DONE, run
    outcomes = run.outcomes()
    assert sorted(outcomes) == sorted(primaries(aws))
    assert set(outcomes.values()) & {"succeeded", "unchanged"} == set(), run
    assert all(arn.endswith(":1") for arn in primaries(aws).values())


def test_the_health_of_targets_is_told_as_moto_has_it(aws, project):
    ec2, elb = (client(aws, name, role("staging"), "eu-west-1") for name in ("ec2", "elbv2"))
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elb.create_target_group(Name="web", Protocol="HTTP", Port=8080, VpcId=vpc)
    group = made["TargetGroups"][0]["TargetGroupArn"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    ec2.stop_instances(InstanceIds=[instance])
    balancer = {"targetGroupArn": group, "containerName": "app", "containerPort": 8080}
    account = ecs(aws, "staging", "eu-west-1")
    account.delete_service(cluster="web", service="api", force=True)
    account.create_service(
        cluster="web", serviceName="api", taskDefinition="api", desiredCount=2, loadBalancers=[balancer]
    )
    project.timeout = "6s"
    run = project.deploy("--only", "staging/eu-west-1/api", limit=60)
    assert run.code in NOT_DONE, run
    assert "target group web: 1 unused (Target.InvalidState: Target is in the stopped state)" in run.stderr, run


@pytest.mark.parametrize("moto", [0], indirect=True)
def test_a_deployment_of_somebody_else_is_not_interrupted(aws, project):
    run = project.deploy()
    assert run.code == 5, run
    assert "in progress" in run.stderr, run
    assert revisions(aws) == {"api:1", "worker:1"}


def test_what_a_definition_names_is_found(aws, project):
    """The role and its trust, an image, a log group, a secret and a parameter, each as moto has it."""
    ecr = client(aws, "ecr", role("staging"), "eu-west-1")
    ecr.create_repository(repositoryName="team/api")
    layers = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
    ecr.put_image(repositoryName="team/api", imageManifest=json.dumps(layers), imageTag="1")
    secret = client(aws, "secretsmanager", role("staging"), "eu-west-1").create_secret(Name="key", SecretString="x")
    project.image = f"{peers.IDS['staging']}.dkr.ecr.eu-west-1.amazonaws.com/team/api:1"
    manifest = project.manifest()
    manifest["services"][0]["secrets"]["app"]["KEY"] = secret["ARN"] + ":part::"
    project.manifest = lambda: manifest
    run = project.roleout("plan", "--only", "staging")
    assert run.code == 0, run
    assert "note: not checked" not in run.stdout and "plan: 2 to deploy" in run.stdout, run
    project.image = project.image.replace(":1", ":2")
    manifest["services"][0]["images"]["app"] = project.image
    manifest["services"][0]["secrets"]["app"]["KEY"] = secret["ARN"].replace("key", "none")
    run = project.roleout("plan", "--only", "staging/*/api")
    assert run.code == 5, run
    assert f"the image {project.image} does not exist in ECR" in run.stderr, run
    assert f"the secret {secret['ARN'].replace('key', 'none')} does not exist" in run.stderr, run


def test_what_is_missing_stops_the_run(aws, project):
    client(aws, "logs", role("prod"), "eu-central-1").delete_log_group(logGroupName="api")
    iam = client(aws, "iam", role("audit"), "us-east-1")
    iam.delete_role(RoleName="ecs-exec")
    run = project.deploy()
    assert run.code == 5, run
    assert "prod/eu-central-1/api: the log group api does not exist in eu-central-1" in run.stderr, run
    missing = f"the role arn:aws:iam::{peers.IDS['audit']}:role/ecs-exec does not exist"
    assert f"audit/us-east-1/api: {missing}" in run.stderr, run
    assert revisions(aws) == {"api:1", "worker:1"}


class Front:
    """Stands before moto and writes down each operation and how it was answered.

    It adds to every service the ARN of a service deployment, as ECS does, so that one is asked for: moto then answers
    HTTP 500 with HTML, since it does not implement that.
    """

    def __init__(self, peer):
        self.answers = []
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, kind, answer = front.forward(peer.url, self.headers, body)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def forward(self, url, headers, body):
        operation = headers.get("x-amz-target", "STS").split(".")[-1]
        kept = {name: headers[name] for name in headers if name.lower() not in ("host", "content-length")}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, kept), timeout=30) as given:
                status, kind, answer = given.status, given.headers["content-type"], given.read()
        except urllib.error.HTTPError as error:
            status, kind, answer = error.code, error.headers["content-type"], error.read()
        self.answers.append((operation, status, kind))
        if operation == "DescribeServices" and status == 200:
            services = json.loads(answer)
            for service in services["services"]:
                arn = service["serviceArn"].replace(":service/", ":service-deployment/")
                service["currentServiceDeployment"] = f"{arn}/{'a' * 21}"
            answer = json.dumps(services).encode()
        return status, kind, answer

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_what_moto_does_not_implement_is_asked_for_more_and_more_seldom(aws, project):
    project.timeout = "6s"
    with Front(aws) as project.peer:
        run = project.deploy(limit=60)
    assert run.code in NOT_DONE, run
    assert "panicked" not in run.stderr, run
    assert "<html" not in (run.stdout + run.stderr).lower(), run
    asked = [answer[1:] for answer in project.peer.answers if answer[0] == "DescribeServiceDeployments"]
    # An answer may be lost, and the next one come: after 2.4 s, then after 4.8 s, and so on. It is not asked at each look.
    assert set(asked) == {(500, "text/html; charset=utf-8")}, project.peer.answers
    assert len(targets()) <= len(asked) <= 3 * len(targets()), project.peer.answers
    looks = [answer for answer in project.peer.answers if answer[0] == "DescribeServices"]
    # One for the plan, one before the write for each service that does not come to it with the other, then, for six seconds,
    # one each quarter of a second at the most, since moto's tasks run at once, and the last one at the deadline.
    assert len(looks) <= (1 + 2 + 24 + 1) * len(targets()), looks


def test_each_revision_is_registered_once(aws, project):
    project.timeout = "3s"
    assert project.deploy(limit=60).code in NOT_DONE
    project.deploy(limit=60)
    assert revisions(aws) == {"api:1", "api:2", "worker:1", "worker:2"}


def test_a_second_run_does_not_take_what_was_asked_for_as_done(aws, project):
    """moto's service names the new revision while its PRIMARY deployment, COMPLETED, runs the old one."""
    project.timeout = "3s"
    assert project.deploy(limit=60).code in NOT_DONE
    assert all(arn.endswith(":1") for arn in primaries(aws).values())
    assert project.deploy(limit=60).code != 0


def test_what_moto_fills_in_is_no_difference(aws, project):
    """The file's definition, registered by another client, needs no new revision."""
    for name, _, region in targets():
        ec2 = client(aws, "ec2", role(name), region)
        subnets = [ec2.describe_subnets()["Subnets"][0]["SubnetId"]]
        groups = [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]]
        account = ecs(aws, name, region)
        account.register_task_definition(**project.registered(name, region))
        account.create_service(
            cluster="web",
            serviceName="same",
            taskDefinition="api:2",
            desiredCount=1,
            networkConfiguration={"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups}},
        )
    manifest = project.manifest()
    manifest["services"] = [manifest["services"][0] | {"service": "same"}]
    project.manifest = lambda: manifest
    run = project.deploy()
    assert [change["action"] for change in run.plan().values()] == [{"kind": "unchanged"}] * len(targets()), run
    assert run.code == 0, run


def test_forty_accounts_do_not_mix(moto, project):
    """Every account has its own image in its live revision, and the plan must say each account's own."""
    names = {f"a{number:02}": f"{500000000000 + number}" for number in range(40)}
    for name, account in names.items():
        live = client(moto, "ecs", f"arn:aws:iam::{account}:role/ecs-deployer", "eu-west-1")
        live.create_cluster(clusterName="web")
        live.register_task_definition(
            family="worker", containerDefinitions=[{"name": "app", "image": f"r/old:{account}", "memory": 64}]
        )
        live.create_service(cluster="web", serviceName="worker", taskDefinition="worker", desiredCount=1)
    project.timeout = "2s"
    manifest = project.manifest()
    manifest["accounts"] = [
        {"name": name, "id": account, "chain": ["hub", "deployer"], "regions": ["eu-west-1"]}
        for name, account in names.items()
    ]
    manifest["services"] = manifest["services"][1:]
    project.manifest = lambda: manifest
    run = project.deploy()
    assert run.code in NOT_DONE, run
    for name, account in names.items():
        change = run.plan()[f"{name}/eu-west-1/worker"]
        assert change["account_id"] == account
        assert change["summary"] == [f"app: image r/old:{account} -> {project.image}"]
        live = client(moto, "ecs", f"arn:aws:iam::{account}:role/ecs-deployer", "eu-west-1")
        definition = live.describe_task_definition(taskDefinition="worker:2")["taskDefinition"]
        assert definition["taskDefinitionArn"].split(":")[4] == account
        assert definition["containerDefinitions"][0]["image"] == project.image

"""boto3 against `roleout sandbox`: does what other tools expect of AWS hold there, too?

Every answer to these clients passes the checker of shapes, errors included.
"""

import time

import pytest
from botocore.exceptions import ClientError

import peers
from peers import EXTERNAL_ID, HUB, IDS, role
from request_model import OPERATIONS

DEFINITION = {
    "family": "shop",
    "containerDefinitions": [{"name": "app", "image": "registry.example.com/shop:1", "memory": 128}],
}
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


class Account:
    """Clients of one account of the sandbox, with a session at the end of the manifest's chain."""

    def __init__(self, sandbox, checker, name):
        self.sandbox, self.checker = sandbox, checker
        sts = checker.attach(peers.anonymous(sandbox, "sts"))
        hub = sts.assume_role_with_web_identity(
            RoleArn=HUB, RoleSessionName="gl-1-2-3", WebIdentityToken=(sandbox.home / "token").read_text()
        )["Credentials"]
        self.hub = self.client("sts", hub)
        self.session = self.hub.assume_role(
            RoleArn=role(name),
            RoleSessionName="gl-1-2-3",
            ExternalId=EXTERNAL_ID,
            Tags=[{"Key": "project", "Value": "shop"}],
            TransitiveTagKeys=["project"],
            SourceIdentity="gitlab",
        )["Credentials"]
        self.sts = self.client("sts", self.session)
        self.ecs = self.client("ecs", self.session)

    def client(self, service, session, **options):
        keys = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
        return self.checker.attach(peers.client(self.sandbox, service, "eu-west-1", *keys, **options))

    def service(self, name):
        return self.ecs.describe_services(cluster="shop", services=[name])["services"][0]

    def deployment(self, name, image, **settings):
        """Registers a revision with the image, deploys it, and gives the PRIMARY and the service deployment."""
        container = DEFINITION["containerDefinitions"][0] | {"image": image}
        revision = self.ecs.register_task_definition(**DEFINITION | {"containerDefinitions": [container]})
        arn = revision["taskDefinition"]["taskDefinitionArn"]
        answer = self.ecs.update_service(cluster="shop", service=name, taskDefinition=arn, **settings)["service"]
        primary = answer["deployments"][0]
        assert (primary["status"], primary["taskDefinition"]) == ("PRIMARY", arn)
        return primary, until(lambda: self.newest(name, primary["createdAt"]))

    def newest(self, name, since):
        found = self.ecs.list_service_deployments(cluster="shop", service=name, createdAt={"after": since.timestamp() - 1})
        return found["serviceDeployments"][0]["serviceDeploymentArn"] if found["serviceDeployments"] else None

    def ended(self, arn):
        """Waits for a service deployment's end, and gives it."""
        final = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}

        def look():
            described = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
            return described if described["status"] in final else None

        return until(look)


def until(look, seconds=60):
    """Looks until there is something to see."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "nothing to see"
        time.sleep(0.1)
    return seen


@pytest.fixture(scope="module")
def account(sandbox, checker):
    """An account with a cluster of its own, beside the manifest's, and in it the service `shop` on its first revision."""
    account = Account(sandbox, checker, "staging")
    account.ecs.create_cluster(clusterName="shop", tags=[{"key": "team", "value": "shop"}])
    account.ecs.register_task_definition(**DEFINITION, tags=[{"key": "team", "value": "shop"}])
    created = account.ecs.create_service(
        cluster="shop", serviceName="shop", taskDefinition="shop", desiredCount=2, deploymentConfiguration=BREAKER
    )["service"]
    account.ended(until(lambda: account.newest("shop", created["createdAt"])))
    return account


def refused(code, call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] == code, error.value
    return error.value.response["Error"]["Message"]


def test_the_chain_ends_in_the_account(account):
    caller = account.sts.get_caller_identity()
    assert caller["Account"] == IDS["staging"]
    assert caller["Arn"] == f"arn:aws:sts::{IDS['staging']}:assumed-role/ecs-deployer/gl-1-2-3"


def test_the_chain_is_refused_without_the_external_id_or_the_audience(account, sandbox, checker):
    names = {"RoleArn": role("staging"), "RoleSessionName": "gl-1-2-3"}
    refused("AccessDenied", account.hub.assume_role, **names)
    refused("AccessDenied", account.hub.assume_role, **names, ExternalId="wrong")
    message = refused("ValidationError", account.hub.assume_role, **names, ExternalId=EXTERNAL_ID, DurationSeconds=7200)
    assert "role chaining" in message
    sts = checker.attach(peers.anonymous(sandbox, "sts"))
    exchange = {"RoleArn": HUB, "RoleSessionName": "gl-1-2-3"}
    refused("InvalidIdentityToken", sts.assume_role_with_web_identity, **exchange, WebIdentityToken="not.a.token")
    refused("InvalidIdentityToken", sts.assume_role_with_web_identity, **exchange, WebIdentityToken=peers.id_token())


def test_a_wrong_secret_and_an_unknown_key_are_refused(account):
    wrong = account.client("ecs", account.session | {"SecretAccessKey": "wrong"})
    refused("InvalidSignatureException", wrong.list_clusters)
    unknown = account.client("ecs", account.session | {"AccessKeyId": "ASIAUNKNOWN0000000"})
    refused("UnrecognizedClientException", unknown.list_clusters)


def test_a_rollout_runs_and_completes(account):
    before = account.service("shop")["taskDefinition"]
    primary, arn = account.deployment("shop", "registry.example.com/shop:2")
    assert primary["rolloutState"] == "IN_PROGRESS"
    during = account.service("shop")["deployments"]
    assert [deployment["status"] for deployment in during] == ["PRIMARY", "ACTIVE"]
    assert during[1]["taskDefinition"] == before
    ended = account.ended(arn)
    assert ended["status"] == "SUCCESSFUL"
    assert ended["finishedAt"] >= ended["startedAt"] >= ended["createdAt"]
    deployments = until(lambda: (found := account.service("shop")["deployments"])[1:] == [] and found)
    assert (deployments[0]["id"], deployments[0]["rolloutState"]) == (primary["id"], "COMPLETED")
    assert deployments[0]["runningCount"] == 2


def test_a_crashing_image_is_rolled_back_by_the_circuit_breaker(account):
    """The rollback brings the old deployment back under its old id, and that one completes: no success of ours."""
    before = account.service("shop")["deployments"][0]
    primary, arn = account.deployment("shop", "registry.example.com/shop:3-crash", deploymentConfiguration=BREAKER)
    ended = account.ended(arn)
    assert ended["status"] == "ROLLBACK_SUCCESSFUL"
    assert ended["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert ended["deploymentCircuitBreaker"]["threshold"] == 3
    assert "circuit breaker" in ended["statusReason"]
    now = until(lambda: (found := account.service("shop")["deployments"])[1:] == [] and found[0])
    assert (now["id"], now["taskDefinition"]) == (before["id"], before["taskDefinition"])
    assert now["id"] != primary["id"] and now["rolloutState"] == "COMPLETED"
    stopped = account.ecs.list_tasks(cluster="shop", startedBy=primary["id"], desiredStatus="STOPPED")["taskArns"]
    tasks = account.ecs.describe_tasks(cluster="shop", tasks=stopped[:5])["tasks"]
    assert {task["stopCode"] for task in tasks} == {"EssentialContainerExited"}
    assert {task["containers"][0]["exitCode"] for task in tasks} == {1}


def test_a_crashing_image_without_the_breaker_does_not_end(account):
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    primary, arn = account.deployment("shop", "registry.example.com/shop:4-crash", deploymentConfiguration=off)
    until(lambda: account.service("shop")["deployments"][0]["failedTasks"] >= 3)
    described = account.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert described["status"] == "IN_PROGRESS"
    assert account.ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    assert account.ended(arn)["status"] == "ROLLBACK_SUCCESSFUL"
    refused("ConflictException", account.ecs.stop_service_deployment, serviceDeploymentArn=arn)
    account.ecs.update_service(cluster="shop", service="shop", deploymentConfiguration=BREAKER)


def test_update_service_merges_its_settings(account):
    account.ecs.update_service(cluster="shop", service="shop", deploymentConfiguration={"maximumPercent": 150})
    configuration = account.service("shop")["deploymentConfiguration"]
    assert configuration["maximumPercent"] == 150
    assert configuration["minimumHealthyPercent"] == 100
    assert configuration["deploymentCircuitBreaker"]["enable"] is True


def test_at_most_ten_services_are_described_at_once(account):
    names = [f"s{number}" for number in range(11)]
    refused("InvalidParameterException", account.ecs.describe_services, cluster="shop", services=names)
    answer = account.ecs.describe_services(cluster="shop", services=names[:10])
    assert {failure["reason"] for failure in answer["failures"]} == {"MISSING"} and len(answer["failures"]) == 10


def test_what_does_not_exist_is_refused_in_aws_words(account):
    ecs = account.ecs
    refused("ClusterNotFoundException", ecs.describe_services, cluster="none", services=["shop"])
    refused("ServiceNotFoundException", ecs.update_service, cluster="shop", service="none", desiredCount=1)
    refused("ClientException", ecs.update_service, cluster="shop", service="shop", taskDefinition="none")
    refused("ClientException", ecs.describe_task_definition, taskDefinition="none")
    refused("ClientException", ecs.register_task_definition, family="shop", containerDefinitions=[])
    refused("InvalidParameterException", ecs.create_service, cluster="shop", serviceName="shop", taskDefinition="shop")
    missing = f"arn:aws:ecs:eu-west-1:{IDS['staging']}:service-deployment/shop/shop/none"
    refused("ServiceDeploymentNotFoundException", ecs.stop_service_deployment, serviceDeploymentArn=missing)


def test_what_ecs_fills_in_is_filled_in(account):
    registered = account.ecs.register_task_definition(
        family="filled",
        networkMode="awsvpc",
        cpu="1 vCPU",
        memory="2GB",
        containerDefinitions=[
            {
                "name": "app",
                "image": "r/app:1",
                "portMappings": [{"containerPort": 80}],
                "healthCheck": {"command": ["CMD", "true"]},
            }
        ],
    )["taskDefinition"]
    assert (registered["cpu"], registered["memory"]) == ("1024", "2048")
    container = registered["containerDefinitions"][0]
    assert container["essential"] is True and container["cpu"] == 0
    assert container["portMappings"] == [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]
    assert container["healthCheck"] == {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}
    assert container["environment"] == container["mountPoints"] == container["volumesFrom"] == []


def test_accounts_and_regions_are_apart(account, sandbox, checker):
    other = Account(sandbox, checker, "prod")
    assert not any("/shop" in arn for arn in other.ecs.list_clusters()["clusterArns"])
    refused("ClusterNotFoundException", other.ecs.describe_services, cluster="shop", services=["shop"])


def test_roleout_itself_deploys_to_it_over_http(sandbox, project):
    """Real requests, really signed, with a token whose signature is verified; nobody else uses this account."""
    project.token = (sandbox.home / "token").read_text()
    targets = ["audit/us-east-1/api", "audit/us-east-1/worker"]
    first = project.deploy("--only", "audit")
    assert first.code == 0, first
    assert first.outcomes() == dict.fromkeys(targets, "succeeded"), first
    second = project.deploy("--only", "audit")
    assert second.code == 0 and second.outcomes() == {}, second
    project.image = "registry.example.com/api:2-crash"
    third = project.deploy("--only", "audit", limit=60)
    assert third.code == 11, third
    assert set(third.outcomes().values()) == {"rolled_back"}, third


def test_what_the_manifest_names_exists_and_nothing_else_does(account):
    iam, ecr, logs = (account.client(name, account.session) for name in ("iam", "ecr", "logs"))
    secrets, ssm = (account.client(name, account.session) for name in ("secretsmanager", "ssm"))
    found = iam.get_role(RoleName="ecs-exec")["Role"]
    assert found["Arn"] == f"arn:aws:iam::{IDS['staging']}:role/ecs-exec"
    assert found["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    refused("NoSuchEntity", iam.get_role, RoleName="none")
    image = {"registryId": IDS["hub"], "repositoryName": "team/worker"}
    details = ecr.describe_images(**image, imageIds=[{"imageTag": "1"}])["imageDetails"]
    assert details[0]["imageTags"] == ["1"] and details[0]["imageDigest"].startswith("sha256:")
    refused("ImageNotFoundException", ecr.describe_images, **image, imageIds=[{"imageTag": "2"}])
    got = ecr.batch_get_image(**image, imageIds=[{"imageTag": "1"}, {"imageTag": "2"}])
    assert [one["imageId"]["imageDigest"] for one in got["images"]] == [details[0]["imageDigest"]]
    assert [failure["failureCode"] for failure in got["failures"]] == ["ImageNotFound"]
    replicas = ecr.describe_image_replication_status(**image, imageId={"imageTag": "1"})
    assert replicas["replicationStatuses"] == []
    no_layer = "sha256:" + "0" * 64
    refused("LayersNotFoundException", ecr.get_download_url_for_layer, **image, layerDigest=no_layer)
    refused("RepositoryNotFoundException", ecr.describe_images, repositoryName="team/worker")
    assert ecr.describe_pull_through_cache_rules(registryId=IDS["hub"])["pullThroughCacheRules"] == []
    groups = logs.describe_log_groups(logGroupNamePrefix="ap")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["api"]
    assert logs.describe_log_groups(logGroupNamePrefix="none")["logGroups"] == []
    assert secrets.describe_secret(SecretId=peers.KEY)["Name"] == "key"
    refused("ResourceNotFoundException", secrets.describe_secret, SecretId="none")
    named = [{"Key": "Name", "Option": "Equals", "Values": ["none", "db"]}]
    assert [parameter["Name"] for parameter in ssm.describe_parameters(ParameterFilters=named)["Parameters"]] == ["db"]
    assert ssm.get_parameters(Names=["none"])["InvalidParameters"] == ["none"]
    # Only what is signed as S3 wants it gets that far.
    keys = (account.session[key] for key in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    s3 = peers.client(account.sandbox, "s3", "eu-west-1", *keys)
    refused("NoSuchBucket", s3.get_object, Bucket="none", Key="env:/a//../b c+é")
    refused("NotImplemented", s3.list_objects_v2, Bucket="none")


def test_a_container_writes_to_its_stream(account):
    logs = account.client("logs", account.session)
    options = {"awslogs-group": "api", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "shop"}
    container = DEFINITION["containerDefinitions"][0] | {
        "image": "registry.example.com/shop:1-crash",
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    account.ecs.register_task_definition(family="logged", containerDefinitions=[container])
    arn = account.ecs.run_task(cluster="shop", taskDefinition="logged")["tasks"][0]["taskArn"]

    def stopped():
        task = account.ecs.describe_tasks(cluster="shop", tasks=[arn])["tasks"][0]
        return task["lastStatus"] == "STOPPED"

    until(stopped)
    stream = {"logGroupName": "api", "logStreamName": f"shop/app/{arn.rsplit('/', 1)[1]}"}
    events = logs.get_log_events(**stream, limit=2)["events"]
    assert len(events) == 2 and "exiting with code 1" in events[-1]["message"]
    assert len(logs.get_log_events(**stream, startFromHead=True)["events"]) == 5
    refused("ResourceNotFoundException", logs.get_log_events, logGroupName="none", logStreamName="none")
    refused("ResourceNotFoundException", logs.get_log_events, logGroupName="api", logStreamName="none")


def test_a_target_group_has_the_tasks_of_its_service(account):
    elb = account.client("elbv2", account.session)
    group = "arn:aws:elasticloadbalancing:eu-west-1:{}:targetgroup/{}/0123456789abcdef".format(IDS["staging"], "web")
    balancer = {"targetGroupArn": group, "containerName": "app", "containerPort": 8080}
    _, arn = account.deployment("shop", "registry.example.com/shop:7", loadBalancers=[balancer])
    account.ended(arn)
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    assert {target["TargetHealth"]["State"] for target in targets} <= {"healthy", "draining"} and targets
    refused("TargetGroupNotFound", elb.describe_target_health, TargetGroupArn=group.replace("web", "none"))


def test_a_deployment_waits_at_a_pause_hook_until_it_is_continued(account):
    hook = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}
    settings = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [hook]}
    _, arn = account.deployment("shop", "registry.example.com/shop:4", deploymentConfiguration=settings)

    def waiting():
        described = account.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
        found = [it for it in described.get("lifecycleHookDetails", []) if it["status"] == "AWAITING_ACTION"]
        return (described, found[0]) if found else None

    described, detail = until(waiting)
    assert described["lifecycleStage"] == "POST_SCALE_UP"
    answer = account.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=detail["hookId"])
    assert answer["serviceDeploymentArn"] == arn
    assert account.ended(arn)["status"] == "SUCCESSFUL"
    _, arn = account.deployment("shop", "registry.example.com/shop:1", deploymentConfiguration={"strategy": "ROLLING"})
    account.ended(arn)


def test_every_operation_answers_in_aws_shapes(account, checker):
    """All that the sandbox implements is called with success, and no answer has a fault of form."""
    ecs = account.ecs
    cluster = ecs.describe_clusters(clusters=["shop"], include=["TAGS", "STATISTICS", "SETTINGS"])["clusters"][0]
    ecs.list_clusters()
    ecs.tag_resource(resourceArn=cluster["clusterArn"], tags=[{"key": "tier", "value": "one"}])
    ecs.list_tags_for_resource(resourceArn=cluster["clusterArn"])
    ecs.untag_resource(resourceArn=cluster["clusterArn"], tagKeys=["tier"])
    ecs.describe_task_definition(taskDefinition="shop:1", include=["TAGS"])
    ecs.list_task_definitions(familyPrefix="shop", sort="DESC", maxResults=1)
    ecs.list_task_definition_families()
    spare = ecs.register_task_definition(**DEFINITION | {"family": "spare"})["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(cluster="shop", serviceName="spare", taskDefinition=spare, desiredCount=1)
    ecs.list_services(cluster="shop", maxResults=1)
    described = ecs.describe_services(cluster="shop", services=["shop", "spare"], include=["TAGS"])["services"]
    for service in described:
        arns = [revision["arn"] for revision in service.get("currentServiceRevisions", [])]
        if arns:
            ecs.describe_service_revisions(serviceRevisionArns=arns)
    _, arn = account.deployment("shop", "registry.example.com/shop:5")
    ecs.describe_service_deployments(serviceDeploymentArns=[arn, f"{arn}x"])
    ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    account.ended(arn)
    task = ecs.run_task(cluster="shop", taskDefinition="shop:1", count=1, startedBy="gl-1")["tasks"][0]["taskArn"]
    ecs.list_tasks(cluster="shop", startedBy="gl-1")
    ecs.describe_tasks(cluster="shop", tasks=[task, "0" * 32], include=["TAGS"])
    ecs.stop_task(cluster="shop", task=task, reason="enough")
    ecs.update_service(cluster="shop", service="spare", desiredCount=0)
    ecs.delete_service(cluster="shop", service="spare", force=True)
    ecs.describe_services(cluster="shop", services=["spare"])
    ecs.deregister_task_definition(taskDefinition=spare)
    account.sts.get_caller_identity()
    iam = account.client("iam", account.session)
    assert iam.list_role_policies(RoleName="ecs-deployer")["PolicyNames"] == []
    assert iam.list_attached_role_policies(RoleName="ecs-deployer")["AttachedPolicies"] == []
    # A seeded role has no policy that could be read, and the provider is another account's.
    provider = f"arn:aws:iam::{IDS['staging']}:oidc-provider/none"
    refused("NoSuchEntity", iam.get_role_policy, RoleName="ecs-deployer", PolicyName="none")
    refused("NoSuchEntity", iam.get_policy, PolicyArn=f"arn:aws:iam::{IDS['staging']}:policy/none")
    refused("NoSuchEntity", iam.get_policy_version, PolicyArn=f"arn:aws:iam::{IDS['staging']}:policy/none", VersionId="v1")
    refused("NoSuchEntity", iam.get_open_id_connect_provider, OpenIDConnectProviderArn=provider)
    # No image here has a configuration of its own.
    nothing_to_read = {"GetDownloadUrlForLayer", "GetRolePolicy", "GetPolicy", "GetPolicyVersion", "GetOpenIDConnectProvider"}

    services = ("ecs", "sts", "iam", "ecr", "logs", "secretsmanager", "ssm", "elbv2")
    wanted = set()
    for service in services:
        served = implemented(account, service)
        assert served == set(OPERATIONS[service]), f"{service}: the sandbox's table has other operations than it serves"
        wanted |= served
    assert len(wanted) > 20, wanted
    wanted -= nothing_to_read
    assert wanted <= checker.succeeded, f"never called with success: {wanted - checker.succeeded}"
    assert checker.problems == []


def implemented(account, service):
    """The operations of the service that the sandbox does not call unknown."""
    # Some operations of CloudWatch Logs would put a name before the host's.
    client = account.client(service, account.session, parameter_validation=False, inject_host_prefix=False)
    found = set()
    for name in client.meta.service_model.operation_names:
        try:
            client._make_api_call(name, {})
        except ClientError as error:
            if error.response["Error"]["Code"] in ("UnknownOperationException", "InvalidAction"):
                continue
        found.add(name)
    return found

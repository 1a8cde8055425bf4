"""Values that targets look up, in moto's SSM, CloudFormation and S3: another project's answers, read by unchanged code.

moto's GetParameters knows no versions.
"""

import json

import pytest

import peers
from peers import REGIONS, role, targets
from test_moto import aws, client  # noqa: F401 (a fixture)

TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "jobs"}}},
    "Outputs": {
        "TopicName": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}},
        "Bucket": {"Value": "bucket-1", "Export": {"Name": "team:bucket"}},
    },
}
VARIABLES = {
    "HOST": "${ssm:/${account.name}/host}",
    "SUBNETS": "${ssm:/subnets}",
    "TOPIC": "${cfn:jobs.TopicName}",
    "BUCKET": "${cfn-export:team:bucket}",
}


@pytest.fixture
def values(aws):  # noqa: F811
    for name, _, region in targets():
        ssm = client(aws, "ssm", role(name), region)
        for value in ["old.example.com", f"{name}.example.com"]:
            ssm.put_parameter(Name=f"/{name}/host", Value=value, Type="String", Overwrite=True)
        ssm.put_parameter(Name="/subnets", Value="subnet-1,subnet-2", Type="StringList")
        for number in range(12):
            ssm.put_parameter(Name=f"/many/{number}", Value=f"v{number}", Type="String")
        stacks = client(aws, "cloudformation", role(name), region)
        stacks.create_stack(StackName="jobs", TemplateBody=json.dumps(TEMPLATE))
    return aws


# A workspace of Terraform's, and signs that a URL has no place for.
KEY = "env:/${account.name}/net work+é/terraform.tfstate"
S3 = {"net": {"s3": {"bucket": "${vars.bucket}", "key": KEY, "region": "eu-west-1"}}}
STATE = {
    "version": 4,
    "outputs": {"vpc": {"value": "vpc-1"}, "password": {"value": "hunter2", "sensitive": True}},
    "resources": [],
}


def plan(project, variables, states=None, bucket="states"):
    manifest = project.manifest()
    if states:
        manifest["tfstate"] = states
    for account in manifest["accounts"]:
        account.setdefault("vars", {})["bucket"] = f"{bucket}-{account['name']}"
    for service in manifest["services"]:
        service["environment"] = {"app": dict(variables)}
    project.manifest = lambda: manifest
    return project.roleout("plan", "--format", "json", "--no-verify")


def notes(run):
    return "\n".join(note for group in json.loads(run.stdout)["groups"] for note in group["notes"])


def test_values_are_read_in_each_account_and_region(values, project):
    many = {f"MANY{number}": f"${{ssm:/many/{number}}}" for number in range(12)}
    run = plan(project, VARIABLES | many)
    assert run.code == 0, run.stderr
    told = notes(run)
    for wanted in ["is subnet-1,subnet-2 (SSM parameter", "prod/host} is prod.example.com (SSM parameter, version 2)", "/many/11} is v11"]:
        assert wanted in told, told
    assert "${cfn:jobs.TopicName} is jobs (output of the stack jobs)" in told, told
    assert "${cfn-export:team:bucket} is bucket-1 (export of the stack jobs)" in told, told


@pytest.mark.parametrize("bucket", ["states", "acme.states"])
def test_a_state_in_s3_is_read_by_its_account(values, project, bucket):
    for name in REGIONS:
        s3 = client(values, "s3", role(name), "eu-west-1")
        s3.create_bucket(Bucket=f"{bucket}-{name}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        key = KEY.replace("${account.name}", name)
        s3.put_object(Bucket=f"{bucket}-{name}", Key=key, Body=json.dumps(STATE).encode())
    run = plan(project, {"VPC": "${tfstate:output.vpc}"}, S3, bucket)
    assert run.code == 0, run.stderr
    assert f"is vpc-1 (Terraform state s3://{bucket}-${{account.name}}/{KEY})" in notes(run), notes(run)
    run = plan(project, {"PASSWORD": "${tfstate:output.password}"}, S3, bucket)
    assert run.code == 5 and "output password is sensitive" in run.stderr, run
    assert "hunter2" not in run.stdout + run.stderr, run
    wrong = {"net": {"s3": S3["net"]["s3"] | {"key": "gone"}}}
    run = plan(project, {"VPC": "${tfstate:output.vpc}"}, wrong, bucket)
    assert run.code == 5 and "GetObject: NoSuchKey" in run.stderr, run
    run = plan(project, {"VPC": "${tfstate:output.vpc}"}, S3, "gone")
    assert run.code == 5 and "GetObject: NoSuchBucket" in run.stderr, run


def test_what_is_missing_or_secret_blocks_its_target(values, project):
    for name, _, region in targets():
        ssm = client(values, "ssm", role(name), region)
        ssm.put_parameter(Name="/secret", Value="hunter2", Type="SecureString")
    run = plan(project, {"A": "${ssm:/gone}", "B": "${ssm:/secret}", "C": "${cfn:gone.X}", "D": "${cfn-export:gone}"})
    assert run.code == 5, run
    for wanted in ["/gone does not exist", "/secret is a SecureString", "stack gone does not exist", "no stack exports gone"]:
        assert wanted in run.stderr, run
    assert "hunter2" not in run.stdout + run.stderr, run

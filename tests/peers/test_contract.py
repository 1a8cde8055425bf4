"""One list of calls to the sandbox, to ministack and to moto, and what AWS answers to each.

What a server answers instead is in `contract_deviations.txt`, a line `SERVER | CALL | ANSWER | REASON` each: one that is
not there fails, and so does one that no longer occurs.
"""

import json
import pathlib

import jmespath
import pytest
from botocore.exceptions import ClientError

import peers
from peers import IDS, role
from test_sandbox import Account

DEVIATIONS = pathlib.Path(__file__).with_name("contract_deviations.txt")
CLUSTER = {"cluster": "contract"}
CONTAINER = {"name": "app", "image": "registry.example.com/app:1", "memory": 128}
BRIDGE = {"family": "contract", "containerDefinitions": [CONTAINER]}
FARGATE = {"family": "fargate", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
SIZE = {"cpu": "256", "memory": "512"}
SERVICE = {**CLUSTER, "serviceName": "shop", "taskDefinition": "contract", "desiredCount": 2}
UPDATE = {**CLUSTER, "service": "shop"}


def container(**more):
    return {**BRIDGE, "containerDefinitions": [CONTAINER | more]}


# What is called, with what, and AWS's answer: the code of an error, or values of the answer.
CALLS = [
    ("cluster", "create_cluster", {"clusterName": "contract"}, {"cluster.status": "ACTIVE"}),
    ("cluster that is missing", "describe_clusters", {"clusters": ["none"]}, {"failures[].reason": ["MISSING"]}),
    ("register", "register_task_definition", BRIDGE, {"taskDefinition.revision": 1}),
    (
        "register fills in",
        "register_task_definition",
        container(portMappings=[{"containerPort": 80}]),
        {
            "taskDefinition.containerDefinitions[0].cpu": 0,
            "taskDefinition.containerDefinitions[0].essential": True,
            "taskDefinition.containerDefinitions[0].portMappings": [
                {"containerPort": 80, "hostPort": 0, "protocol": "tcp"}
            ],
            "taskDefinition.containerDefinitions[0].environment": [],
            "taskDefinition.placementConstraints": [],
        },
    ),
    ("register: text for a number", "register_task_definition", container(memory="128"), "SerializationException"),
    ("register: number for a text", "register_task_definition", container(image=1), "SerializationException"),
    ("register: text for a list", "register_task_definition", container(command="run"), "SerializationException"),
    (
        "register: unknown member",
        "register_task_definition",
        container(enviroment=[]),
        {"contains(keys(taskDefinition.containerDefinitions[0]), 'enviroment')": False},
    ),
    (
        "register: null",
        "register_task_definition",
        {**container(hostname=None), "volumes": None},
        {"contains(keys(taskDefinition.containerDefinitions[0]), 'hostname')": False, "taskDefinition.volumes": []},
    ),
    (
        "register: no container",
        "register_task_definition",
        {"family": "empty", "containerDefinitions": []},
        "ClientException",
    ),
    ("register: no image", "register_task_definition", container(image=""), "ClientException"),
    ("register: no memory", "register_task_definition", container(memory=None), "ClientException"),
    ("register: a family", "register_task_definition", {**BRIDGE, "family": "a/b"}, "ClientException"),
    ("register: an enum", "register_task_definition", {**BRIDGE, "networkMode": "wifi"}, "ClientException"),
    ("register: a blank enum", "register_task_definition", {**BRIDGE, "pidMode": ""}, "ClientException"),
    (
        "register: one name twice",
        "register_task_definition",
        {"family": "twice", "containerDefinitions": [CONTAINER, CONTAINER]},
        "ClientException",
    ),
    (
        "register: Fargate without a size",
        "register_task_definition",
        {**FARGATE, "containerDefinitions": [CONTAINER]},
        "ClientException",
    ),
    (
        "register: Fargate of no such size",
        "register_task_definition",
        {**FARGATE, "cpu": "300", "memory": "512", "containerDefinitions": [CONTAINER]},
        "ClientException",
    ),
    (
        "register: Fargate",
        "register_task_definition",
        {**FARGATE, **SIZE, "containerDefinitions": [CONTAINER | {"portMappings": [{"containerPort": 80}]}]},
        {
            "taskDefinition.compatibilities": ["EC2", "FARGATE"],
            "taskDefinition.containerDefinitions[0].portMappings[0].hostPort": 80,
        },
    ),
    ("definition that is missing", "describe_task_definition", {"taskDefinition": "none"}, "ClientException"),
    (
        "definition by its family",
        "describe_task_definition",
        {"taskDefinition": "contract:1"},
        {"taskDefinition.revision": 1},
    ),
    (
        "definitions, the newest first",
        "list_task_definitions",
        {"familyPrefix": "fargate", "sort": "DESC", "maxResults": 1},
        {"length(taskDefinitionArns)": 1},
    ),
    ("create: no definition", "create_service", {**CLUSTER, "serviceName": "bare"}, "InvalidParameterException"),
    (
        "create: unknown definition",
        "create_service",
        {**SERVICE, "serviceName": "ghost", "taskDefinition": "none:9"},
        "ClientException",
    ),
    (
        "create: unknown cluster",
        "create_service",
        {**SERVICE, "serviceName": "lost", "cluster": "lost"},
        "ClusterNotFoundException",
    ),
    (
        "create: no network for awsvpc",
        "create_service",
        {**SERVICE, "serviceName": "net", "taskDefinition": "fargate"},
        "InvalidParameterException",
    ),
    (
        "create",
        "create_service",
        SERVICE,
        {
            "service.status": "ACTIVE",
            "service.desiredCount": 2,
            "service.deployments[].status": ["PRIMARY"],
            "service.deploymentController.type": "ECS",
            "service.schedulingStrategy": "REPLICA",
        },
    ),
    ("create again", "create_service", SERVICE, "InvalidParameterException"),
    (
        "eleven services",
        "describe_services",
        {**CLUSTER, "services": [f"s{n}" for n in range(11)]},
        "InvalidParameterException",
    ),
    (
        "service that is missing",
        "describe_services",
        {**CLUSTER, "services": ["none"]},
        {"failures[].reason": ["MISSING"]},
    ),
    (
        "services of no cluster",
        "describe_services",
        {"cluster": "none", "services": ["shop"]},
        "ClusterNotFoundException",
    ),
    ("services: text for a list", "describe_services", {**CLUSTER, "services": "shop"}, "SerializationException"),
    ("update: no service", "update_service", {**CLUSTER, "service": "none"}, "ServiceNotFoundException"),
    ("update: no cluster", "update_service", {**UPDATE, "cluster": "none"}, "ClusterNotFoundException"),
    ("update: unknown definition", "update_service", {**UPDATE, "taskDefinition": "contract:99"}, "ClientException"),
    ("update: text for a number", "update_service", {**UPDATE, "desiredCount": "3"}, "SerializationException"),
    ("update: text for a boolean", "update_service", {**UPDATE, "forceNewDeployment": "yes"}, "SerializationException"),
    ("update: an enum", "update_service", {**UPDATE, "propagateTags": "TASK"}, "InvalidParameterException"),
    (
        "update: half a breaker",
        "update_service",
        {**UPDATE, "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True}}},
        "InvalidParameterException",
    ),
    (
        "update: unknown member and null",
        "update_service",
        {**UPDATE, "desiredCount": 3, "tomorrow": {"a": 1}, "taskDefinition": None},
        {"service.desiredCount": 3},
    ),
    (
        "update",
        "update_service",
        {**UPDATE, "taskDefinition": "contract:1"},
        {
            "ends_with(service.taskDefinition, ':task-definition/contract:1')": True,
            "service.deployments[0].status": "PRIMARY",
        },
    ),
    ("too many on a page", "list_services", {**CLUSTER, "maxResults": 101}, "InvalidParameterException"),
    ("run: no definition", "run_task", {**CLUSTER, "taskDefinition": "none"}, "ClientException"),
    ("run: no cluster", "run_task", {"cluster": "none", "taskDefinition": "contract"}, "ClusterNotFoundException"),
    ("run eleven", "run_task", {**CLUSTER, "taskDefinition": "contract", "count": 11}, "InvalidParameterException"),
    ("task that is missing", "describe_tasks", {**CLUSTER, "tasks": ["0" * 32]}, {"failures[].reason": ["MISSING"]}),
    ("stop: no task", "stop_task", {**CLUSTER, "task": "0" * 32}, "InvalidParameterException"),
    ("delete: it has tasks", "delete_service", UPDATE, "InvalidParameterException"),
    ("delete", "delete_service", {**UPDATE, "force": True}, {"service.desiredCount": 0}),
    (
        "deregister",
        "deregister_task_definition",
        {"taskDefinition": "contract:1"},
        {"taskDefinition.status": "INACTIVE"},
    ),
    (
        "create: inactive definition",
        "create_service",
        {**SERVICE, "serviceName": "old", "taskDefinition": "contract:1"},
        "ClientException",
    ),
]


def keys(peer, name):
    """The access key of an account, its secret and its token, as each server has it."""
    if name == "ministack":
        return IDS["prod"], "test", None
    session = peers.client(peer, "sts").assume_role(RoleArn=role("prod"), RoleSessionName="contract")["Credentials"]
    return session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]


@pytest.fixture(params=["sandbox", "ministack", "moto"])
def server(request):
    """The name of a server, and a client of it that checks no parameters."""
    peer = request.getfixturevalue(request.param)
    if request.param == "sandbox":
        session = Account(peer, request.getfixturevalue("checker"), "prod").session
        access = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    else:
        access = keys(peer, request.param)
    return request.param, peers.client(peer, "ecs", "eu-west-1", *access, parameter_validation=False)


def answer(client, operation, parameters, wanted):
    """What the server answers, in the form of what is wanted."""
    body = json.dumps(parameters).encode()

    def put(params, **_):
        # boto3 would convert what is of a wrong type, and does not write what its model does not have.
        params["body"] = body

    client.meta.events.register("before-call.ecs", put)
    try:
        output = getattr(client, operation)()
    except ClientError as error:
        return error.response["Error"]["Code"]
    finally:
        client.meta.events.unregister("before-call.ecs", put)
    if isinstance(wanted, str):
        return "accepted"
    return {path: jmespath.search(path, output) for path in wanted}


def test_every_answer_is_awss_but_for_what_is_known(server):
    name, client = server
    found = set()
    for call, operation, parameters, wanted in CALLS:
        said = answer(client, operation, parameters, wanted)
        if said != wanted:
            if isinstance(said, dict):
                said = json.dumps({path: value for path, value in said.items() if value != wanted[path]}, default=str)
            found.add(f"{name} | {call} | {said}")
    lines = [line for line in DEVIATIONS.read_text().splitlines() if line and not line.startswith("#")]
    known = {line.rsplit(" | ", 1)[0] for line in lines if line.startswith(f"{name} | ")}
    assert found == known


def test_calls_have_names_of_their_own():
    names = [call for call, *_ in CALLS]
    assert len(names) == len(set(names))

"""The checker of shapes itself: it must see what is wrong, or its silence means nothing."""

import json

import pytest

import shapes

ECS, STS = shapes.model("ecs"), shapes.model("sts")
JSON_HEADERS = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "r"}
GOOD = {"services": [{"serviceName": "api", "desiredCount": 2, "createdAt": 1.5}], "failures": []}


def ecs(value, status=200, headers=JSON_HEADERS):
    operation = ECS.operation_model("DescribeServices")
    return shapes.answer_problems(operation, status, headers, json.dumps(value).encode())


def sts(xml, status=200):
    operation = STS.operation_model("GetCallerIdentity")
    return shapes.answer_problems(operation, status, {"content-type": "text/xml"}, xml.encode())


def identity(members):
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<GetCallerIdentityResult>{members}</GetCallerIdentityResult>"
        "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )


def test_a_good_answer_has_no_problem():
    assert ecs(GOOD) == []
    assert ecs({"__type": "ClusterNotFoundException", "message": "Cluster not found."}, 400) == []
    assert sts(identity("<Account>1</Account><Arn>a</Arn><UserId>u</UserId>")) == []


@pytest.mark.parametrize(
    "service",
    [
        {"serviceNam": "api"},
        {"serviceName": 1},
        {"serviceName": None},
        {"desiredCount": "2"},
        {"desiredCount": True},
        {"desiredCount": 2.5},
        {"createdAt": "2026-01-01T00:00:00Z"},
        {"launchType": "LAMBDA"},
        {"deployments": {}},
        {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True}}},
    ],
    ids=str,
)
def test_a_fault_anywhere_in_an_answer_is_seen(service):
    assert len(ecs({"services": [service]})) == 1


def test_errors_and_headers_are_held_to_the_model():
    assert len(ecs({"__type": "NoSuchServiceException", "message": "m"}, 400)) == 1
    assert len(ecs({"__type": "ClusterNotFoundException"}, 400)) == 1
    assert len(ecs(GOOD, headers=JSON_HEADERS | {"content-type": "application/json"})) == 1
    assert len(ecs(GOOD, headers={"content-type": "application/x-amz-json-1.1"})) == 1


def test_a_fault_in_xml_is_seen():
    assert len(sts(identity("<Account>1</Account><Account>1</Account>"))) == 1
    assert len(sts(identity("<Acount>1</Acount>"))) == 1
    assert len(sts(identity("<Account><Id>1</Id></Account>"))) == 1
    assert len(sts(identity("").replace("2011-06-15", "2010"))) == 1

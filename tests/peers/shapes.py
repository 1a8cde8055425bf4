"""Checks raw answers against botocore's model of the service: what is there, of which type, and what is missing.

Clients forgive: boto3 drops members it does not know and reads a number from a string. This does not.
"""

import json
import re
import xml.etree.ElementTree as ElementTree

import botocore.loaders
import botocore.model

# Errors that any service may answer and no model lists (AWS's "Common Errors").
COMMON = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "Throttling",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
}


def model(service):
    loader = botocore.loaders.Loader()
    return botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)


def json_problems(shape, value, path):
    """What is wrong with a JSON value of this shape, a line each."""
    if shape is None or getattr(shape, "is_document_type", False):
        return []
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no structure"]
        problems = [f"{path}.{name}: unknown member of {shape.name}" for name in value.keys() - shape.members.keys()]
        problems += [f"{path}.{name}: missing" for name in shape.required_members if name not in value]
        for name in value.keys() & shape.members.keys():
            problems += json_problems(shape.members[name], value[name], f"{path}.{name}")
        return problems
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [
            problem
            for number, item in enumerate(value)
            for problem in json_problems(shape.member, item, f"{path}[{number}]")
        ]
    if kind == "map":
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no map"]
        return [problem for key in value for problem in json_problems(shape.value, value[key], f"{path}.{key}")]
    if kind == "string":
        return text_problems(shape, value, path)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {
        "boolean": isinstance(value, bool),
        "integer": numeric and isinstance(value, int),
        "long": numeric and isinstance(value, int),
        "float": numeric,
        "double": numeric,
        "timestamp": numeric,
    }
    return [] if fits[kind] else [f"{path}: {value!r} is no {kind}"]


def text_problems(shape, value, path):
    if not isinstance(value, str):
        return [f"{path}: {value!r} is no string"]
    if shape.enum and value not in shape.enum:
        return [f"{path}: {value!r} is not one of {shape.name}"]
    return []


def xml_problems(shape, element, path, space):
    """What is wrong with an XML element of this shape, in awsQuery's form and the service's namespace."""
    kind = shape.type_name
    if kind == "structure":
        names = [child.tag.removeprefix(space) for child in element]
        problems = [f"{path}.{name}: unknown member of {shape.name}" for name in set(names) - shape.members.keys()]
        problems += [f"{path}.{name}: given twice" for name in set(names) if names.count(name) > 1]
        problems += [f"{path}.{name}: missing" for name in shape.required_members if name not in names]
        for name, child in zip(names, element):
            if name in shape.members:
                problems += xml_problems(shape.members[name], child, f"{path}.{name}", space)
        return problems
    if kind == "list":
        problems = [f"{path}.{child.tag}: a list has `member`" for child in element if child.tag != f"{space}member"]
        for number, child in enumerate(element):
            problems += xml_problems(shape.member, child, f"{path}[{number}]", space)
        return problems
    text = element.text or ""
    if len(element):
        return [f"{path}: has members"]
    if kind == "string":
        return text_problems(shape, text, path)
    pattern = {
        "integer": r"-?\d+",
        "boolean": r"true|false",
        "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    }[kind]
    return [] if re.fullmatch(pattern, text) else [f"{path}: {text!r} is no {kind}"]


def answer_problems(operation, status, headers, body):
    """What is wrong with an answer to an operation in awsJson or awsQuery."""
    if operation.service_model.metadata["protocol"] == "json":
        return json_answer_problems(operation, status, headers, body)
    return xml_answer_problems(operation, status, headers, body)


def error_problems(operation, code, path):
    known = COMMON | {shape.error_code for shape in operation.error_shapes}
    return [] if code in known else [f"{path}: {code} is no error of it"]


def json_answer_problems(operation, status, headers, body):
    path = operation.name
    problems = []
    if headers.get("content-type") != "application/x-amz-json-1.1":
        problems.append(f"{path}: content type {headers.get('content-type')}")
    if not headers.get("x-amzn-requestid"):
        problems.append(f"{path}: no x-amzn-RequestId")
    value = json.loads(body)
    if status == 200:
        return problems + json_problems(operation.output_shape, value, path)
    if status not in (400, 500):
        problems.append(f"{path}: HTTP {status}")
    if not isinstance(value.get("message", value.get("Message")), str):
        problems.append(f"{path}: an error without a message: {value}")
    return problems + error_problems(operation, value.get("__type", "").split("#")[-1], path)


def xml_answer_problems(operation, status, headers, body):
    path = operation.name
    space = "{%s}" % operation.service_model.metadata["xmlNamespace"]
    problems = []
    if headers.get("content-type") != "text/xml":
        problems.append(f"{path}: content type {headers.get('content-type')}")
    root = ElementTree.fromstring(body)
    if status == 200:
        if root.tag != f"{space}{operation.name}Response":
            return problems + [f"{path}: root element {root.tag}"]
        if not root.findtext(f"{space}ResponseMetadata/{space}RequestId"):
            problems.append(f"{path}: no RequestId")
        result = root.find(f"{space}{operation.output_shape.serialization['resultWrapper']}")
        if result is None:
            return problems + [f"{path}: no result"]
        return problems + xml_problems(operation.output_shape, result, path, space)
    if root.tag != f"{space}ErrorResponse":
        return problems + [f"{path}: root element {root.tag}"]
    for part in ["Error/Type", "Error/Code", "Error/Message", "RequestId"]:
        if not root.findtext("/".join(space + name for name in part.split("/"))):
            problems.append(f"{path}: an error without {part}")
    code = root.findtext(f"{space}Error/{space}Code") or ""
    return problems + error_problems(operation, code, path)


class Checker:
    """Sees every raw answer to the clients it is attached to, and keeps what is wrong and what was seen."""

    def __init__(self):
        self.problems = []
        self.succeeded = set()

    def attach(self, client):
        client.meta.events.register("before-parse", self.check)
        return client

    def check(self, operation_model, response_dict, **_):
        status = response_dict["status_code"]
        headers = {name.lower(): value for name, value in response_dict["headers"].items()}
        self.problems += answer_problems(operation_model, status, headers, response_dict["body"])
        if status == 200:
            self.succeeded.add(operation_model.name)

"""Writes src/sandbox/model.json: what botocore's models say of the requests that the sandbox serves, as one table.

`python tests/peers/request_model.py` renews the file; `test_request_model.py` asserts that it is up to date.

The table has a line for each shape: `type`, and `members`, `required`, `of`, `enum`, `min`, `max`, `pattern` where there are any.
A member names its shape, or its type alone where the shape says nothing else.
"""

import json
import pathlib

import botocore.session

TABLE = pathlib.Path(__file__).parents[2] / "src" / "sandbox" / "model.json"

# The services and operations of the sandbox.
OPERATIONS = {
    "cloudwatch": ["DescribeAlarms"],
    "codedeploy": [
        "BatchGetDeployments",
        "CreateDeployment",
        "GetDeployment",
        "GetDeploymentGroup",
        "ListDeployments",
        "StopDeployment",
    ],
    "ecr": [
        "BatchGetImage",
        "DescribeImageReplicationStatus",
        "DescribeImages",
        "DescribePullThroughCacheRules",
        "GetDownloadUrlForLayer",
    ],
    "ecs": [
        "ContinueServiceDeployment",
        "CreateCluster",
        "CreateService",
        "DeleteService",
        "DeregisterTaskDefinition",
        "DescribeClusters",
        "DescribeServiceDeployments",
        "DescribeServiceRevisions",
        "DescribeServices",
        "DescribeTaskDefinition",
        "DescribeTasks",
        "ListClusters",
        "ListServiceDeployments",
        "ListServices",
        "ListTagsForResource",
        "ListTaskDefinitionFamilies",
        "ListTaskDefinitions",
        "ListTasks",
        "RegisterTaskDefinition",
        "RunTask",
        "StopServiceDeployment",
        "StopTask",
        "TagResource",
        "UntagResource",
        "UpdateService",
    ],
    "elbv2": ["DescribeTargetHealth"],
    "iam": [
        "GetOpenIDConnectProvider",
        "GetPolicy",
        "GetPolicyVersion",
        "GetRole",
        "GetRolePolicy",
        "ListAttachedRolePolicies",
        "ListOpenIDConnectProviders",
        "ListRolePolicies",
    ],
    "logs": ["DescribeLogGroups", "GetLogEvents"],
    "organizations": [
        "DescribeOrganization",
        "ListAccountsForParent",
        "ListOrganizationalUnitsForParent",
        "ListRoots",
        "ListTagsForResource",
    ],
    "secretsmanager": ["DescribeSecret"],
    "ssm": ["DescribeParameters", "GetParameters"],
    "sts": ["AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"],
}


class Shapes:
    """The shapes of one service, each once."""

    def __init__(self):
        self.lines = {}

    def name(self, shape):
        """Returns what a member says of its shape, and keeps the shape."""
        entry = {"type": "document" if getattr(shape, "is_document_type", False) else shape.type_name}
        if getattr(shape, "enum", None):
            entry["enum"] = list(shape.enum)
        entry.update({key: shape.metadata[key] for key in ("min", "max", "pattern") if key in shape.metadata})
        if entry["type"] in ("list", "map", "structure"):
            if shape.name in self.lines:
                return shape.name
            self.lines[shape.name] = entry
            if entry["type"] == "structure":
                entry["members"] = {name: self.name(member) for name, member in shape.members.items()}
                if shape.required_members:
                    entry["required"] = list(shape.required_members)
            else:
                entry["of"] = self.name(shape.member if entry["type"] == "list" else shape.value)
        elif len(entry) == 1:
            return entry["type"]
        self.lines[shape.name] = entry
        return shape.name


def service(name):
    """Returns the operations of a service and the lines of its shapes."""
    model = botocore.session.get_session().get_service_model(name)
    shapes = Shapes()
    inputs = {operation: model.operation_model(operation).input_shape for operation in OPERATIONS[name]}
    operations = {operation: shapes.name(shape) if shape else "" for operation, shape in inputs.items()}
    return operations, shapes.lines


def text():
    """Returns the file's text."""

    def compact(value):
        return json.dumps(value, separators=(",", ":"))

    blocks = []
    for name in OPERATIONS:
        operations, shapes = service(name)
        lines = ",\n".join(f"{compact(shape)}:{compact(shapes[shape])}" for shape in sorted(shapes))
        blocks.append(f'{compact(name)}:{{"operations":{compact(operations)},"shapes":{{\n{lines}\n}}}}')
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text())

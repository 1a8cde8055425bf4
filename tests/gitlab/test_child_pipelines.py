"""`roleout pipeline`: its jobs against one process, as GitLab's jobs run by gitlab-ci-local, against the sandbox over HTTP.

The first test runs the whole of it, a parent whose job makes the child pipeline and a trigger that includes its artifact. The
runner stops a pipeline where a stage fails, so that a job of a later stage with `when: always` is not run, as GitLab runs
it: the tests run it then by its name. It goes past a manual job whose `allow_failure` is false, where GitLab waits: the test of
the gate runs the jobs before it by their names. Jobs do not have GitLab's `retry`; a job is run again by its name.
"""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from pipeline import BINARY, Project, sandbox

MANIFEST = """\
version: 1
identity: { token_env: GITLAB_OIDC_TOKEN, region: eu-west-1 }
roles:
  hub:      { arn: "arn:aws:iam::111111111111:role/gitlab-hub" }
  deployer: { arn: "arn:aws:iam::${account.id}:role/ecs-deployer", external_id: shop }
accounts:
  - { name: staging, id: "222222222222", chain: [hub, deployer], regions: [eu-west-1], labels: { ring: early } }
  - { name: prod-a, id: "333333333331", chain: [hub, deployer], regions: [eu-west-1, us-east-1], labels: { ring: main } }
  - { name: prod-b, id: "333333333332", chain: [hub, deployer], regions: [eu-west-1], labels: { ring: main } }
  - { name: prod-c, id: "333333333333", chain: [hub, deployer], regions: [eu-west-1], labels: { ring: main } }
  - { name: tools, id: "444444444444", chain: [hub, deployer], regions: [eu-west-1] }
services:
  - { name: api, cluster: web, images: { app: "registry.example.com/api:${CI_COMMIT_SHA}" } }
rollout:
  waves:
    - { name: canary, select: { ring: early } }
    - { name: rest, select: { ring: main }, max_failures: 1 }
    - { name: last }
"""
PARENT = """\
stages: [make, deploy]
make:
  stage: make
  script: [roleout pipeline --shards 3 --out child.yml]
  artifacts: { paths: [child.yml] }
deploy:
  stage: deploy
  trigger:
    include: [{ artifact: child.yml, job: make }]
    strategy: depend
"""


class Fleet:
    """A project with a child pipeline, and one AWS for its jobs and another for one process."""

    def __init__(self, directory, manifest=MANIFEST, faults=()):
        self.directory, self.manifest, self.faults = directory, manifest, faults
        self.project = Project(directory, text=PARENT, manifest=manifest)

    def aws(self, name):
        home = self.directory / name
        home.mkdir()
        return sandbox(home, faults=self.faults, manifest=self.manifest)

    def alone(self):
        """The exit code and the report of one process that deploys all of it."""
        with self.aws("aws-of-one") as aws:
            report = self.directory / "one.json"
            environment = self.project.environment() | {"AWS_ENDPOINT_URL": aws.url, "GITLAB_OIDC_TOKEN": aws.token}
            environment["CI_COMMIT_SHA"] = self.project.git("rev-parse", "HEAD")
            command = [BINARY, "deploy", "--quiet", "--report", f"json={report}"]
            done = subprocess.run(command, cwd=self.project.directory, env=environment, capture_output=True, text=True, check=False)
            return done.returncode, json.loads(report.read_text())

    def jobs(self, aws, *names):
        """Runs the jobs of the child pipeline, or some of them by their names. Returns how each ended, and what was said."""
        if not (self.project.directory / "child.yml").exists():
            made = self.project.run("make", aws=aws)
            assert made.jobs == {"make": [("PASS", 0)]}, made
        variables = ["--variable", f"GITLAB_OIDC_TOKEN={aws.token}", "--variable", f"AWS_ENDPOINT_URL={aws.url}"]
        done = self.project.runner("--file", "child.yml", *variables, *names)
        output = done.stdout + done.stderr
        ended = re.findall(r"^(?!pipeline |parsing )(\S.*?) +finished in [\d.]+ \w+(?: +(WARN|FAIL) +(\d+))?", output, re.M)
        return {name: (word or "PASS", int(code or 0)) for name, word, code in ended}, output

    def child(self):
        """The child pipeline."""
        return yaml.safe_load((self.project.directory / "child.yml").read_text())

    def merged(self):
        """The report of all jobs as one run."""
        return json.loads(self.project.artifact("report", "roleout-reports/merged/report.json").read_text())


def essence(report):
    """What must be the same, whoever deployed it."""
    targets = {
        it["target"]: (it["wave"], it["outcome"], it["action"], it["from"], it["to"], it["runs"], bool(it["cause"]), it["changes"])
        for it in report["targets"]
    }
    waves = [(it["name"], it["passed"], it["changing"], it["totals"]) for it in report["waves"]]
    verdict = report["verdict"]
    halted = verdict["halted"] and (verdict["halted"]["wave"], verdict["halted"]["max_failures"])
    reasons = sorted(it["summary"].split(" by the failure of ")[0] for it in report["reasons"])
    return verdict["exit_code"], verdict["gate"], halted, report["totals"], waves, reasons, targets


def test_a_parent_makes_the_child_pipeline_and_runs_it(tmp_path):
    fleet = Fleet(tmp_path)
    with fleet.aws("aws") as aws:
        # The variables of its command line are for the parent alone.
        home = fleet.project.home / ".gitlab-ci-local"
        home.mkdir()
        variables = {"GITLAB_OIDC_TOKEN": aws.token, "AWS_ENDPOINT_URL": aws.url}
        (home / "variables.yml").write_text(json.dumps({"global": variables}))
        ran = fleet.project.run(aws=aws)
        assert " PASS  deploy" in ran.output and "FAIL" not in ran.output and "WARN  r" not in ran.output, ran
        assert "json schema validated" in ran.output, ran
        commit = fleet.project.git("rev-parse", "HEAD")
        tags = {it["live"]["images"]["app"]["tag"] for it in fleet.project.status(aws).values()}
        assert tags == {commit}
    for name in ("canary", "rest: [1/3]", "rest: [2/3]", "rest: [3/3]", "last"):
        assert f"deploy {name}" in ran.output, name
    assert essence(fleet.merged()) == essence(fleet.alone()[1])
    for kind in ("junit.xml", "terraform.json", "deploy.env", "annotations.json", "report.md"):
        assert fleet.project.artifact("report", f"roleout-reports/merged/{kind}").stat().st_size, kind


def test_a_failure_within_the_budget_is_tolerated_in_both(tmp_path):
    fleet = Fleet(tmp_path, faults=["prod-b/*/*=crash"])
    code, one = fleet.alone()
    assert code == 13
    with fleet.aws("aws") as aws:
        jobs, output = fleet.jobs(aws)
    assert jobs.get("deploy rest: [2/3]") == ("WARN", 13), output
    assert jobs.get("report") == ("WARN", 13), output
    assert essence(fleet.merged()) == essence(one)


def test_failures_that_only_together_exceed_the_budget_stop_both(tmp_path):
    fleet = Fleet(tmp_path, faults=["prod-b/*/*=crash", "prod-c/*/*=crash"])
    code, one = fleet.alone()
    assert code == 11 and one["totals"] == {"succeeded": 3, "not_started": 1, "rolled_back": 2}
    with fleet.aws("aws") as aws:
        jobs, output = fleet.jobs(aws)
        # Each of them had one failure, which the wave tolerates.
        assert jobs.get("deploy rest: [2/3]") == ("WARN", 13) and jobs.get("deploy rest: [3/3]") == ("WARN", 13), output
        assert jobs.get("gate after rest") == ("FAIL", 11), output
        assert "wave rest: 2 of 4 targets failed, and 1 may" in output
        assert "deploy last" not in output
        jobs, output = fleet.jobs(aws, "report")
        assert jobs == {"report": ("FAIL", 11)}, output
    assert essence(fleet.merged()) == essence(one)


def test_a_gate_waits_for_somebody(tmp_path):
    fleet = Fleet(tmp_path, manifest=MANIFEST.replace("name: last }", "name: last, gate: manual }"))
    code, one = fleet.alone()
    assert code == 6
    with fleet.aws("aws") as aws:
        before = ["preflight", "deploy canary", "gate after canary", *(f"deploy rest: [{n}/3]" for n in (1, 2, 3)), "gate after rest"]
        for name in before:
            jobs, output = fleet.jobs(aws, name)
            assert "FAIL" not in output and "WARN" not in output, output
        start = fleet.child()["start last"]
        assert (start["when"], start["allow_failure"], start["stage"]) == ("manual", False, "start last")
        assert fleet.child()["stages"][-3:] == ["start last", "deploy last", "report"]
        jobs, output = fleet.jobs(aws, "report")
        assert jobs == {"report": ("WARN", 6)}, output
        assert essence(fleet.merged()) == essence(one)
        jobs, output = fleet.jobs(aws, "start last")
        assert "FAIL" not in output and "WARN" not in output, output
        # From now on nothing waits: a job that leaves nothing is lost.
        jobs, output = fleet.jobs(aws, "report")
        assert jobs == {"report": ("FAIL", 1)} and "wave last: no job left a journal that has tools/eu-west-1/api" in output, output
        jobs, output = fleet.jobs(aws, "deploy last")
        assert "FAIL" not in output and "WARN" not in output, output
        jobs, output = fleet.jobs(aws, "report")
        assert "FAIL" not in output and "WARN" not in output, output
        assert fleet.merged()["totals"] == {"succeeded": 6}


def test_a_job_that_is_lost_is_named_and_run_again(tmp_path):
    fleet = Fleet(tmp_path)
    with fleet.aws("aws") as aws:
        jobs, output = fleet.jobs(aws)
        assert fleet.merged()["verdict"]["exit_code"] == 0, output
        lost = next((fleet.project.state / "artifacts").glob("deploy*/roleout-reports/wave-2/shard-2"))
        shutil.rmtree(lost)
        jobs, output = fleet.jobs(aws, "gate after rest")
        assert jobs == {"gate after rest": ("FAIL", 1)}, output
        assert "wave rest: no job left a journal that has prod-b/eu-west-1/api" in output, output
        jobs, output = fleet.jobs(aws, "report")
        assert jobs == {"report": ("FAIL", 1)}, output

        jobs, output = fleet.jobs(aws, "deploy rest: [2/3]")
        assert "1 target: 1 unchanged" in output, output
        jobs, output = fleet.jobs(aws, "gate after rest")
        assert "FAIL" not in output, output
        jobs, output = fleet.jobs(aws, "report")
        assert "FAIL" not in output, output
    report = fleet.merged()
    assert (report["verdict"]["exit_code"], report["totals"]) == (0, {"succeeded": 5, "unchanged": 1})


def test_a_preflight_that_fails_starts_nothing(tmp_path):
    fleet = Fleet(tmp_path, faults=["prod-c/*/*=deny:ecs:DescribeServices"])
    code, one = fleet.alone()
    with fleet.aws("aws") as aws:
        jobs, output = fleet.jobs(aws)
        assert jobs == {"preflight": ("FAIL", code)}, output
        assert "deploy canary" not in output
        jobs, output = fleet.jobs(aws, "report")
        assert jobs == {"report": ("FAIL", code)}, output
    merged = fleet.merged()
    assert merged["verdict"]["exit_code"] == one["verdict"]["exit_code"] == code
    assert merged["totals"] == one["totals"]


def test_another_manifest_is_refused(tmp_path):
    fleet = Fleet(tmp_path)
    with fleet.aws("aws") as aws:
        fleet.jobs(aws, "preflight")
        (fleet.project.directory / "deploy.yaml").write_text(MANIFEST.replace("max_failures: 1", "max_failures: 2"))
        jobs, output = fleet.jobs(aws, "deploy canary")
    assert jobs == {"deploy canary": ("FAIL", 5)}, output
    assert "the manifest means another fleet than the pipeline was made of: its fingerprint is" in output


@pytest.mark.parametrize("shards", [1, 200])
def test_the_schema_takes_every_pipeline(tmp_path, shards):
    fleet = Fleet(tmp_path)
    flags = ["--shards", str(shards), "--job-image", "registry.example.com/roleout:1", "--job-tag", "aws", "--environment", "prod"]
    environment = fleet.project.environment() | {"CI_COMMIT_SHA": "0" * 40}
    made = subprocess.run(
        [BINARY, "pipeline", *flags, "--only", "*/eu-west-1", "--on-busy", "wait", "--skip-blocked", "--out", "child.yml"],
        cwd=fleet.project.directory, env=environment, capture_output=True, text=True, check=False,
    )
    assert made.returncode == 0, made.stderr
    listed = fleet.project.runner("--file", "child.yml", "--list")
    assert listed.returncode == 0 and "json schema validated" in listed.stderr, listed.stderr

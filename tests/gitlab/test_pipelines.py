"""The components and the examples as GitLab's jobs: run for real, by gitlab-ci-local without Docker.

It validates every pipeline against GitLab's own JSON schema, and carries out rules, needs, artifacts, exit codes,
`allow_failure` and `after_script`. What only GitLab does, and nothing here shows: `retry`, `resource_group`, `timeout`,
`interruptible`, protected environments, the ID token's own claims (the sandbox's token stands in), `spec:inputs:regex`,
and what GitLab makes of reports.
"""

import json
import os

import pytest
import yaml

from pipeline import MANIFEST, ROOT, TARGETS, Project, fence, sandbox

NOTE = "<!-- roleout:plan -->\n"


@pytest.fixture
def component(tmp_path):
    return Project(tmp_path, "component")


def images(project, aws):
    """The tags of what each target runs."""
    return {target: it["live"]["images"]["app"]["tag"] for target, it in project.status(aws).items()}


def test_a_merge_request_shows_the_plan_and_the_default_branch_deploys_it(component, aws, reading, gitlab):
    planned = component.run(aws=reading, gitlab=gitlab, source="merge_request_event", ROLEOUT_GITLAB_TOKEN="glpat-secret")
    assert planned.jobs == {"roleout-plan": [("PASS", 0)]}, planned
    assert len(gitlab.notes) == 1 and gitlab.notes[0]["body"].startswith(NOTE + "### roleout plan: 3 to deploy\n"), planned
    assert not gitlab.deployments

    again = component.run(aws=reading, gitlab=gitlab, source="merge_request_event", ROLEOUT_GITLAB_TOKEN="glpat-secret")
    assert "the note on merge request !12 has this plan already" in again.output, again
    assert [request.method for request in gitlab.requests] == ["GET", "GET", "POST", "GET", "GET"]

    deployed = component.run(aws=aws, gitlab=gitlab)
    assert deployed.jobs == {"build": [("PASS", 0)], "roleout-deploy": [("PASS", 0)]}, deployed
    commit = component.git("rev-parse", "HEAD")
    assert images(component, aws) == dict.fromkeys(TARGETS, commit)
    for account in ("staging", "prod"):
        assert gitlab.history(f"aws/{account}") == [["running", "success"]], deployed
    assert {it["sha"] for it in gitlab.deployments.values()} == {commit}
    assert {it["ref"] for it in gitlab.deployments.values()} == {"main"}
    for secret in ("glpat-secret", "job-secret", aws.token, reading.token):
        assert secret not in planned.output + deployed.output
    for path in ("junit.xml", "terraform.json", "deploy.env", "annotations.json", "report.json"):
        assert component.artifact("roleout-deploy", f"roleout-reports/{path}").stat().st_size, path
    for job, expanded in component.expanded().items():
        if job.startswith("roleout-"):
            assert expanded["artifacts"]["access"] == "developer", job
    counts = json.loads(component.artifact("roleout-plan", "roleout-reports/terraform.json").read_text())
    assert counts.keys() >= {"create", "update", "delete"}


def test_the_button_takes_a_deployment_back(component, aws, gitlab):
    before = images(component, aws)
    component.run(aws=aws, gitlab=gitlab)
    assert images(component, aws) != before
    pressed = component.run("roleout-rollback", aws=aws, gitlab=gitlab)
    assert pressed.jobs == {"roleout-rollback": [("PASS", 0)]}, pressed
    assert images(component, aws) == before
    assert len(gitlab.deployments) == 2, "a rollback is no deployment of the job's commit"


@pytest.mark.parametrize("aws", [["staging/*=supersede"]], indirect=True)
def test_a_failing_target_fails_the_job(component, aws, gitlab):
    ran = component.run(aws=aws, gitlab=gitlab)
    assert ran.jobs["roleout-deploy"] == [("FAIL", 10)], ran
    assert gitlab.history("aws/staging") == [["running", "failed"]]
    assert gitlab.history("aws/prod") == [], "nothing was started there"
    assert "<failure" in component.artifact("roleout-deploy", "roleout-reports/junit.xml").read_text()


@pytest.mark.parametrize("aws", [["prod/us-east-1/*=crash"]], indirect=True)
def test_a_tolerated_failure_lets_the_pipeline_go_on(component, aws, gitlab):
    gitlab.refuses["aws/staging"] = 403
    ran = component.run(aws=aws, gitlab=gitlab)
    assert ran.jobs["roleout-deploy"] == [("WARN", 13)], ran
    assert gitlab.history("aws/prod") == [["running", "failed"]]
    assert "gitlab: no deployment is recorded in environment aws/staging: GitLab answered HTTP 403" in ran.output


def test_a_job_that_cannot_begin_changes_nothing_and_is_one_for_retry(component, aws, gitlab):
    before = images(component, aws)
    ran = component.run(aws=aws, gitlab=gitlab, ACCESS="read")
    assert ran.jobs["roleout-deploy"] == [("FAIL", 4)], ran
    assert component.expanded()["roleout-deploy"]["retry"] == {"max": 1, "exit_codes": [4]}
    assert images(component, aws) == before and not gitlab.deployments


def test_the_plain_example_plans_and_deploys(tmp_path, aws, reading, gitlab):
    project = Project(tmp_path, "plain")
    planned = project.run(aws=reading, gitlab=gitlab, source="merge_request_event")
    assert planned.jobs == {"plan": [("PASS", 0)]} and not gitlab.requests, planned
    deployed = project.run(aws=aws, gitlab=gitlab)
    assert deployed.jobs == {"build": [("PASS", 0)], "deploy": [("PASS", 0)]}, deployed
    assert images(project, aws) == dict.fromkeys(TARGETS, project.git("rev-parse", "HEAD"))


def test_a_merge_request_is_planned_though_its_image_was_never_pushed(tmp_path):
    # The sandbox has the image of the commit that it was started with, and this project has another.
    image = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/api"
    manifest = MANIFEST.replace("registry.example.com/api", image)
    assert image in manifest
    home = tmp_path / "aws"
    home.mkdir()
    project = Project(tmp_path, "component", manifest=manifest)
    with sandbox(home, access="read", manifest=manifest) as aws:
        planned = project.run("roleout-plan", aws=aws, source="merge_request_event")
        assert planned.jobs == {"roleout-plan": [("PASS", 0)]}, planned
        refused = project.roleout("plan", aws=aws, ACCESS="read")
        assert refused.returncode == 5 and "does not exist in ECR" in refused.stderr, refused


def test_a_second_job_goes_on_past_a_gate(tmp_path, aws, gitlab):
    text = fence("\nstages: [deploy, rest]\n")
    manifest = MANIFEST.replace("{ name: rest,", "{ name: rest, gate: manual,")
    assert "gate: manual" in manifest
    project = Project(tmp_path, text=text, manifest=manifest)
    assert {name: job["when"] for name, job in project.listed().items()} == {"deploy": "on_success", "deploy-rest": "manual"}
    begun = project.run(aws=aws, gitlab=gitlab)
    assert begun.jobs == {"deploy": [("WARN", 6)]}, begun
    commit = project.git("rev-parse", "HEAD")
    assert [target for target, tag in images(project, aws).items() if tag == commit] == ["staging/eu-west-1/api"]
    pressed = project.run("deploy-rest", aws=aws, gitlab=gitlab)
    assert pressed.jobs == {"deploy-rest": [("PASS", 0)]}, pressed
    assert images(project, aws) == dict.fromkeys(TARGETS, commit)


def test_the_hardened_example_carries_out_the_plan_that_was_read(tmp_path, aws, reading, gitlab):
    project = Project(tmp_path, "hardened")

    # Any branch: nothing but the roles that may only read.
    token = {"ROLEOUT_GITLAB_TOKEN": "glpat-secret"}
    ran = project.run(aws=reading, gitlab=gitlab, source="merge_request_event", **token)
    assert ran.jobs == {"check": [("PASS", 0)], "review": [("PASS", 0)]}, ran
    assert gitlab.notes[0]["body"].startswith(NOTE)
    refused = project.run("build", "check", "plan", aws=reading, gitlab=gitlab)
    assert refused.jobs["plan"] == [("FAIL", 4)], "the roles that deploy are not there"

    before = images(project, aws)
    planned = project.run(aws=aws, gitlab=gitlab)
    begun = {name: [("PASS", 0)] for name in ("build", "check", "plan")}
    assert planned.jobs == begun, "the deploy job waits for its button"
    assert images(project, aws) == before
    plan = json.loads(project.artifact("plan", "plan.json").read_text())
    assert plan["kind"] == "roleout-plan"
    # The manifest of a later commit is not what was read.
    (project.directory / "deploy.yaml").unlink()
    pressed = project.run("deploy", aws=aws, gitlab=gitlab)
    assert pressed.jobs == {"deploy": [("PASS", 0)]}, pressed
    (project.directory / "deploy.yaml").write_text(MANIFEST)
    assert images(project, aws) == dict.fromkeys(TARGETS, project.git("rev-parse", "HEAD"))
    assert gitlab.history("aws/prod") == [["running", "success"]]


def test_a_deploy_freeze_leaves_the_deployment_out(tmp_path):
    project = Project(tmp_path, "hardened")
    assert project.listed().keys() == {"build", "check", "plan", "deploy"}
    assert project.listed()["deploy"]["when"] == "manual"
    assert project.listed(CI_DEPLOY_FREEZE="0 22 * * 5").keys() == {"build", "check"}


def test_the_pipelines_of_other_pages_are_what_gitlab_takes(tmp_path):
    least = tmp_path / "least"
    least.mkdir()
    least = Project(least, text=fence("\ndeploy:\n", "docs/tour.md"))
    assert least.listed().keys() == {"deploy"}
    assert not least.listed(CI_COMMIT_BRANCH=None), "a merge request deploys nothing"
    parent = yaml.safe_load(fence("\nstages: [build, deploy]\n", "docs/pipeline.md"))
    approved = yaml.safe_load(fence("\napprove:\n", "docs/pipeline.md"))
    parent["deploy"] |= approved.pop("deploy")
    parent = Project(tmp_path, text=yaml.safe_dump(parent | approved))
    assert parent.listed().keys() == {"pipeline", "approve", "deploy"}


def test_inputs_change_what_they_say(tmp_path):
    text = """
include:
  - component: $CI_SERVER_FQDN/platform/roleout/deploy@0.1.0
    inputs:
      image: registry.example.com/roleout:1
      job: release
      stage: test
      file: fleet/prod.yaml
      prepare: set -a; . ./versions.env
      arguments: --only 'prod-*' --skip-blocked
      rule: $CI_COMMIT_TAG
      when: manual
      aud: sts.amazonaws.com
      environment: live
      tier: other
      resource_group: live
      timeout: 30m
      expire_in: 1 day
"""
    project = Project(tmp_path, text=text)
    assert project.listed() == {}, "no tag, no job"
    job = project.listed(CI_COMMIT_TAG="v1")["release"]
    assert (job["stage"], job["when"]) == ("test", "manual")
    expanded = project.expanded()["release"]
    assert expanded["script"] == [
        "set -a; . ./versions.env",
        "roleout deploy --file \"fleet/prod.yaml\" --reports-dir roleout-reports --only 'prod-*' --skip-blocked"
    ]
    assert expanded["id_tokens"] == {"GITLAB_OIDC_TOKEN": {"aud": "sts.amazonaws.com"}}
    assert expanded["environment"] == {"name": "live", "deployment_tier": "other"}
    assert (expanded["resource_group"], expanded["timeout"]) == ("live", "30m")
    assert expanded["artifacts"]["expire_in"] == "1 day"


def test_the_schema_is_held_against_every_pipeline(tmp_path):
    project = Project(tmp_path, text="deploy: { script: [roleout deploy], retry: { max: 9 } }\n")
    done = project.runner("--list")
    assert "Invalid .gitlab-ci.yml configuration!" in done.stdout + done.stderr


def rows(name):
    """The table of a component's inputs, out of its template."""
    spec, _ = yaml.safe_load_all((ROOT / f"templates/{name}/template.yml").read_text())
    lines = [f"### `{name}`", "", "| input | default | what it is |", "|---|---|---|"]
    for name, it in spec["spec"]["inputs"].items():
        default = f"`{it['default']}`" if it.get("default") else "none" if "default" in it else "required"
        choice = f". One of {', '.join(f'`{word}`' for word in it['options'])}" if "options" in it else ""
        lines.append(f"| `{name}` | {default} | {it['description']}{choice} |")
    return "\n".join(lines)


def test_the_inputs_are_documented():
    page = ROOT / "docs/gitlab.md"
    before, begin, rest = page.read_text().partition("(ROLEOUT_BLESS=1) -->\n")
    found, end, after = rest.partition("<!-- /inputs -->")
    tables = "\n" + "\n\n".join(rows(name) for name in ("deploy", "plan", "rollback")) + "\n\n"
    if os.environ.get("ROLEOUT_BLESS"):
        page.write_text(before + begin + tables + end + after)
        return
    assert found == tables, "renew it with ROLEOUT_BLESS=1"

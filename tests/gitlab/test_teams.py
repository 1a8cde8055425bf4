"""Many teams and many services: what docs/platform.md and docs/monorepo.md show, the buttons that ask, and the pipeline of
this project itself.
"""

import os
import re
import shlex
import subprocess

import yaml

from pipeline import BINARY, MANIFEST, ROOT, Project, fence, sandbox

EMPTY = '{ "family": "FAMILY", "containerDefinitions": [{ "name": "app", "image": "x", "memory": 64 }] }'


def folders():
    """The folders of docs/monorepo.md, with a second service."""
    page = "docs/monorepo.md"
    api = fence(" services/api/service.yaml\n", page)
    page_versions = (ROOT / page).read_text().partition("```sh versions.env\n")[2].partition("```")[0]
    return {
        "services/api/service.yaml": api,
        "services/api/task.json": EMPTY.replace("FAMILY", "api"),
        "services/web/service.yaml": api.replace("api", "web").replace("API", "WEB"),
        "services/web/task.json": EMPTY.replace("FAMILY", "web"),
        "versions.env": page_versions,
    }


def tags(status):
    return {target: it["live"]["images"]["app"]["tag"] for target, it in status.items()}


def test_one_repository_deploys_the_services_that_a_commit_touches(tmp_path, gitlab):
    manifest, files = fence(" deploy.yaml\n", "docs/monorepo.md"), folders()
    old = {"API_TAG": "1.4.1", "WEB_TAG": "1.9.9"}
    home = tmp_path / "aws"
    home.mkdir()
    project = Project(tmp_path, "monorepo", manifest=manifest, files=files)
    with sandbox(home, manifest=manifest, files=files, variables=old) as aws:
        before = tags(project.status(aws, **old))
        assert before.keys() == {f"{account}/eu-west-1/{name}" for account in ("staging", "prod") for name in ("api", "web")}
        ran = project.run("deploy-api", aws=aws, gitlab=gitlab)
        assert ran.jobs == {"deploy-api": [("PASS", 0)]}, ran
        after = tags(project.status(aws, **old))
        assert {target for target in after if after[target] != before[target]} == {"staging/eu-west-1/api", "prod/eu-west-1/api"}
        assert after["prod/eu-west-1/api"] == "1.4.2"
        again = project.run("deploy-api", aws=aws, gitlab=gitlab)
        assert again.jobs == {"deploy-api": [("PASS", 0)]} and "nothing to do" in again.output, again


def test_what_runs_in_staging_is_promoted(tmp_path):
    """The service of the page, and its two commands."""
    manifest, files = fence(" deploy.yaml\n", "docs/monorepo.md"), folders()
    files["services/api/service.yaml"] = fence("\nservices:\n  - name: api\n", "docs/monorepo.md")
    variables = {"API_TAG": "1.5.0", "WEB_TAG": "2.0.0"}
    home = tmp_path / "aws"
    home.mkdir()
    project = Project(tmp_path, "monorepo", manifest=manifest, files=files)
    with sandbox(home, manifest=manifest, files=files, variables=variables) as aws:
        page = (ROOT / "docs/monorepo.md").read_text()
        commands = re.findall(r"^roleout (deploy --only '\w+')$", page, re.M)
        assert len(commands) == 2
        staging, prod = (shlex.split(command) for command in commands)
        done = project.roleout(*staging, aws=aws, **variables)
        assert done.returncode == 0, done.stderr
        before = tags(project.status(aws, **variables))
        assert (before["staging/eu-west-1/api"], before["prod/eu-west-1/api"]) == ("1.5.0", "previous")
        # A later commit has another tag by then.
        later = variables | {"API_TAG": "1.6.0"}
        planned = project.roleout("plan", *prod[1:], "--out", "plan.json", aws=aws, **later)
        assert planned.returncode == 0 and "app: as it runs in staging/eu-west-1/api" in planned.stdout, planned.stdout + planned.stderr
        done = project.roleout("deploy", "plan.json", aws=aws, **later)
        assert done.returncode == 0, done.stderr
        assert tags(project.status(aws, **variables))["prod/eu-west-1/api"] == "1.5.0"
    assert (ROOT / "examples/gitlab/monorepo.gitlab-ci.yml").read_text().endswith(fence("\ninclude:\n", "docs/monorepo.md"))


def test_a_team_deploys_to_the_accounts_of_the_platform(tmp_path, gitlab):
    page = "docs/platform.md"
    manifest, accounts = fence(" deploy.yaml\n", page), fence(" accounts.yaml\n", page)
    platform = tmp_path / "platform"
    platform.mkdir()
    (platform / "accounts.yaml").write_text(accounts)
    wrapper = yaml.safe_load(fence("\nspec:\n", page).partition("---\n")[2])
    inputs = wrapper["include"][0]["inputs"]
    assert inputs["prepare"] == "cp /platform/accounts.yaml accounts.yaml"
    inputs["prepare"] = inputs["prepare"].replace("/platform/", f"{platform}/")
    wrapper["roleout-deploy"]["variables"]["TEAM"] = "cart"
    project = Project(tmp_path, text=yaml.safe_dump(wrapper), manifest=manifest)
    home = tmp_path / "aws"
    home.mkdir()
    with sandbox(home, manifest=manifest, files={"accounts.yaml": accounts}, variables={"TEAM": "cart"}) as aws:
        ran = project.run(aws=aws, gitlab=gitlab)
        assert ran.jobs == {"roleout-deploy": [("PASS", 0)]}, ran
        for target in ("staging/eu-west-1/cart", "prod/eu-west-1/cart"):
            assert target in ran.output, ran


def test_roles_are_written_for_a_team(tmp_path):
    page = "docs/platform.md"
    (tmp_path / "deploy.yaml").write_text(fence(" deploy.yaml\n", page))
    (tmp_path / "accounts.yaml").write_text(fence(" accounts.yaml\n", page))
    text = (ROOT / page).read_text()
    command = re.search(r"^TEAM=cart roleout (iam .*)$", text, re.M)[1].split()
    variables = {"PATH": os.environ["PATH"], "TEAM": "cart"}
    done = subprocess.run([BINARY, *command], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = "".join(path.read_text() for path in (tmp_path / "iam/cart").iterdir())
    for wanted in ("gitlab-cart", "ecs-cart", "project_path:shop/cart:", "project_path:shop/checkout:", "policy/boundary", "/deploy/"):
        assert wanted in written, wanted


def test_buttons_ask_and_do_what_they_are_told(tmp_path, aws, gitlab):
    manifest = MANIFEST.replace("{ name: rest,", "{ name: rest, gate: manual,")
    text = (ROOT / "examples/gitlab/buttons.gitlab-ci.yml").read_text()
    asked = yaml.safe_load(text)[".asks"]["inputs"]
    for value, fits in [("prod/*/api staging", True), ("*", True), ("'; id #", False), ("$(id)", False), ("", False)]:
        assert bool(re.search(asked["only"]["regex"], value)) == fits, value
    for value, fits in [("INC-4711: too many errors", True), ("'", False)]:
        assert bool(re.search(asked["reason"]["regex"], value)) == fits, value
    # As GitLab does: each value is put into the script.
    filled = text.replace("${{ job.inputs.only }}", "staging/*/*").replace("${{ job.inputs.reason }}", "INC-4711")
    project = Project(tmp_path, text=filled, manifest=manifest)
    assert project.listed().keys() == {"roleout-deploy", "roleout-rest", "roleout-rollback", "roleout-continue"}
    before = tags(project.status(aws))
    begun = project.run("roleout-deploy", aws=aws, gitlab=gitlab)
    assert begun.jobs == {"roleout-deploy": [("WARN", 6)]}, begun
    pressed = project.run("roleout-rollback", aws=aws, gitlab=gitlab)
    assert pressed.jobs == {"roleout-rollback": [("PASS", 0)]}, pressed
    assert "reason: INC-4711" in pressed.output and tags(project.status(aws)) == before, pressed


def test_the_tiers_of_accounts_leave_production_to_the_job(tmp_path, aws, gitlab):
    gitlab.tiers["aws/prod"] = "production"  # as GitLab guesses
    project = Project(tmp_path, "component", manifest=MANIFEST.replace("labels: { ring: early }", "labels: { ring: early, env: staging }"))
    ran = project.run(aws=aws, gitlab=gitlab)
    assert ran.jobs["roleout-deploy"] == [("PASS", 0)], ran
    assert gitlab.tiers["aws/staging"] == "staging", gitlab.tiers
    puts = [request.body for request in gitlab.requests if request.method == "PUT" and "/environments/" in request.path]
    assert puts == [{"tier": "other"}], puts
    for job in ("roleout-deploy", "roleout-plan"):
        expanded = project.expanded()
        assert job not in expanded or expanded[job]["artifacts"]["expose_as"] == "roleout report", job


def test_the_projects_own_pipeline(tmp_path):
    text = (ROOT / ".gitlab-ci.yml").read_text()
    project = Project(tmp_path, text=text)
    assert project.listed().keys() == {"test", "dependencies"}, "on the default branch"
    released = project.listed(CI_COMMIT_TAG="1.2.3", CI_COMMIT_BRANCH=None)
    jobs = {name.partition(" ")[0].partition(":")[0] for name in released}
    assert jobs == {"test", "dependencies", "version", "static", "debian", "container", "sign", "upload", "release"}, released.keys()
    assert project.listed(CI_COMMIT_TAG="v1", CI_COMMIT_BRANCH=None).keys() == {"test", "dependencies"}, "no version, no release"
    pipeline = yaml.safe_load(text)
    assert ".ci/run" in pipeline["test"]["script"]
    assert pipeline["sign"]["id_tokens"] == {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}
    # What is uploaded is what the release links.
    links = {link["url"].rpartition("/")[2] for link in pipeline["release"]["release"]["assets"]["links"]}
    targets = pipeline["static"]["parallel"]["matrix"][0]["TARGET"]
    assert links == {f"roleout-{target.partition('-')[0]}-linux" for target in targets} | {"SHA256SUMS", "SHA256SUMS.sigstore.json", "roleout.cdx.json"}
    for path in ("packaging/static", "packaging/deb", "packaging/Dockerfile", ".ci/run"):
        assert (ROOT / path).is_file() and path in text, path

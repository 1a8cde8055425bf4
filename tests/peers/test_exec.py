"""`roleout exec` and `roleout credentials` with the aws CLI and boto3 as children, against `roleout sandbox`."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

import peers
from peers import AWS, BINARY, IDS, REGIONS

IDENTITY = [str(AWS), "sts", "get-caller-identity", "--output", "json"]

# Calls AWS until the time is up, with one client as a long job would, and tells which keys it had.
LONG = """
import sys, time, boto3
sts, keys = boto3.client("sts"), []
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    assert sts.get_caller_identity()["Account"] == sys.argv[2]
    key = sts._request_signer._credentials.get_frozen_credentials().access_key
    if key not in keys:
        keys.append(key)
    time.sleep(0.5)
print(len(keys), len(boto3.client("ecs").list_clusters()["clusterArns"]))
"""

ONCE = """
import boto3
credentials = boto3.Session().get_credentials()
print(boto3.client("sts").get_caller_identity()["Account"], boto3.Session().region_name, credentials.method)
"""


class Job:
    """Runs the binary where a laptop's own identities lie about, which no child may take."""

    def __init__(self, sandbox, home):
        (home / ".aws").mkdir(exist_ok=True)
        laptop = "[default]\naws_access_key_id = AKIALAPTOP\naws_secret_access_key = laptop\n"
        (home / ".aws/credentials").write_text(laptop)
        (home / ".aws/config").write_text("[default]\nregion = ap-south-1\n")
        self.sandbox, self.home = sandbox, home
        self.environment = peers.clean_environment(home) | {
            "AWS_ENDPOINT_URL": sandbox.url,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
            "GITLAB_OIDC_TOKEN": (sandbox.home / "token").read_text(),
        }

    def run(self, verb, *arguments, code=0, **variables):
        command = [str(BINARY), verb, "-f", str(self.sandbox.home / "deploy.yaml"), *map(str, arguments)]
        environment = self.environment | variables
        done = subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        for secret in (self.environment["GITLAB_OIDC_TOKEN"].rsplit(".")[-1], "ASIA", "IQoJ"):
            assert secret not in done.stderr
            assert verb == "credentials" or secret not in done.stdout
        return done

    def exec(self, *arguments, **options):
        return self.run("exec", *arguments, **options)


@pytest.fixture
def job(sandbox, tmp_path):
    return Job(sandbox, tmp_path)


@pytest.fixture
def short(tmp_path_factory):
    """A sandbox whose sessions end after 15 seconds."""
    home = tmp_path_factory.mktemp("short")
    peers.Project(home, None).write()
    port = peers.free_port()
    command = [BINARY, "sandbox", "-f", "deploy.yaml", "--listen", f"127.0.0.1:{port}", "--token-file", "token"]
    command += ["--sandbox-fault", "*=short-sessions:15"]
    with peers.server(command, port, peers.clean_environment(home), home) as peer:
        yield peer


@pytest.mark.parametrize("name", REGIONS)
def test_the_cli_is_in_the_account(job, name):
    caller = json.loads(job.exec("--account", name, "--", *IDENTITY).stdout)
    assert caller["Account"] == IDS[name]
    assert caller["Arn"] == f"arn:aws:sts::{IDS[name]}:assumed-role/ecs-deployer/gl-1-2-3"


@pytest.mark.parametrize("name", REGIONS)
def test_boto3_is_in_the_account_and_region(job, name):
    said = job.exec("--account", name, "--", sys.executable, "-c", ONCE).stdout.split()
    assert said == [IDS[name], REGIONS[name][0], "container-role"]
    said = job.exec("--account", name, "--region", "sa-east-1", "--", sys.executable, "-c", ONCE).stdout.split()
    assert said[1] == "sa-east-1"


def test_a_long_child_has_renewed_sessions(short, tmp_path):
    """Sessions of 15 s, a child of 18: without renewal its last calls would fail."""
    said = Job(short, tmp_path).exec("--account", "prod", "--", sys.executable, "-c", LONG, 18, IDS["prod"]).stdout
    keys, clusters = map(int, said.split())
    assert keys >= 2 and clusters == 1


def test_keys_in_the_environment_are_not_renewed(short, tmp_path):
    job = Job(short, tmp_path)
    done = job.exec("--account", "prod", "--env", "--", sys.executable, "-c", ONCE)
    assert done.stdout.split()[::2] == [IDS["prod"], "env"]
    assert "the keys end at 20" in done.stderr and "are not renewed" in done.stderr
    done = job.exec("--account", "prod", "--env", "--", sys.executable, "-c", LONG, 18, IDS["prod"], code=1)
    assert "ExpiredToken" in done.stderr


def test_a_wrong_authorization_token_is_refused(job):
    script = "AWS_CONTAINER_AUTHORIZATION_TOKEN=wrong exec " + " ".join(IDENTITY)
    done = job.exec("--account", "prod", "--", "sh", "-c", script, code=255)
    assert "401" in done.stderr, done.stderr


@pytest.mark.parametrize("parallel", [[], ["--parallel", "3"]])
def test_every_account_at_once_or_in_turn(job, parallel):
    done = job.exec("--all", *parallel, "--", *IDENTITY, "--query", "Account")
    said = [line.replace(" ", "") for line in done.stdout.splitlines()]
    expected = [f'{name}|"{IDS[name]}"' for name in REGIONS]
    assert (sorted(said) == sorted(expected)) if parallel else said == expected
    assert "3 accounts: 3 with exit code 0" in done.stderr


def test_a_role_without_the_permission_fails_for_its_account_alone(job):
    script = '[ "$ROLEOUT_ACCOUNT_NAME" = prod ] && export AWS_CONTAINER_AUTHORIZATION_TOKEN=wrong; exec ' + " ".join(IDENTITY)
    done = job.exec("--all", "--parallel", "3", "--", "sh", "-c", script, code=255)
    assert "prod" in done.stderr and "3 accounts: 2 with exit code 0" in done.stderr


def test_a_profile_gets_its_keys_by_credential_process(job):
    lines = []
    for name in REGIONS:
        process = f"{BINARY} credentials -f {job.sandbox.home / 'deploy.yaml'} --account {name}"
        lines.append(f"[profile {name}]\ncredential_process = {process}\nregion = {REGIONS[name][0]}\n")
    (job.home / "profiles").write_text("\n".join(lines))
    environment = job.environment | {"AWS_CONFIG_FILE": str(job.home / "profiles")}
    for name in REGIONS:
        command = [*IDENTITY, "--profile", name]
        done = subprocess.run(command, env=environment, cwd=job.home, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["Account"] == IDS[name]
        script = f"import boto3; print(boto3.Session(profile_name={name!r}).client('sts').get_caller_identity()['Account'])"
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == IDS[name], done.stderr
    job.run("credentials", "--account", "prod", code=2, CI="true")


def at_terminal(command, environment, answer=None):
    """Runs a command at a terminal of its own, types when it says `ready`, and gives its exit code and what was seen."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, environment)
    seen, typed = b"", False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            seen += os.read(terminal, 4096)
        except OSError:
            break
        if answer and not typed and b"ready" in seen:
            os.write(terminal, answer)
            typed = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode()


def test_keys_are_not_shown_at_a_terminal(job):
    manifest = str(job.sandbox.home / "deploy.yaml")
    command = [str(BINARY), "credentials", "-f", manifest, "--account", "prod"]
    code, seen = at_terminal(command, job.environment)
    assert code == 2 and "keys are not printed to a terminal" in seen and "ASIA" not in seen
    code, seen = at_terminal([*command, "--print-keys"], job.environment)
    assert code == 0 and "ASIA" in seen


def test_the_command_has_the_terminal_and_one_interrupt(job):
    manifest = str(job.sandbox.home / "deploy.yaml")
    script = "test -t 0 && test -t 1 && test -t 2 || exit 1; trap 'n=$((n+1)); echo got $n' INT; echo ready; sleep 1; sleep 1; exit $((n+40))"
    command = [str(BINARY), "exec", "-f", manifest, "--account", "prod", "--", "/bin/sh", "-c", script]
    code, seen = at_terminal(command, job.environment, answer=b"\x03")
    assert code == 41, seen
    assert seen.count("got") == 1, seen

"""What the peer tests share: servers on loopback, GitLab's ID token, the manifest, and runs of the binary."""

import base64
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore import UNSIGNED
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ROLEOUT_BIN", ROOT / "target/debug/roleout"))
MINISTACK = Path(os.environ.get("MINISTACK_BIN", ROOT / "target/peers/ministack/bin/ministack"))
MOTO = Path(sys.prefix) / "bin/moto_server"
AWS = Path(sys.prefix) / "bin/aws"
REGISTRY = Path(os.environ.get("REGISTRY_BIN", ROOT / "target/peers/registry/usr/bin/docker-registry"))

ISSUER = "gitlab.example.com"
AUDIENCE = "https://gitlab.example.com"
SUBJECT = "project_path:team/shop:ref_type:branch:ref:main"
REGIONS = {"staging": ["eu-west-1"], "prod": ["eu-west-1", "eu-central-1"], "audit": ["us-east-1"]}
IDS = {"hub": "111111111111", "staging": "222222222222", "prod": "333333333333", "audit": "444444444444"}
HUB = f"arn:aws:iam::{IDS['hub']}:role/gitlab-hub"
EXTERNAL_ID = "shop-7f3a"
ECR_IMAGE = f"{IDS['hub']}.dkr.ecr.eu-west-1.amazonaws.com/team/worker:1"
KEY = "arn:aws:secretsmanager:eu-west-1:222222222222:secret:key-AbCdEf"
# A name: a parameter of another account can be read by no task.
SECRET = "db"


def clean_environment(home):
    """An environment without credentials, profiles, proxies or settings of whoever runs the tests."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@dataclass
class Peer:
    """A server that runs: where it listens, and the directory it runs in, which has its log."""

    url: str
    home: Path

    @property
    def log(self):
        return (self.home / "server.log").read_text()


@contextlib.contextmanager
def server(command, port, environment, home):
    """Runs a server on a loopback port until the block ends."""
    peer = Peer(f"http://127.0.0.1:{port}", home)
    with open(home / "server.log", "wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, cwd=home, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not listen on {port}:\n{peer.log}")
                time.sleep(0.02)
            yield peer
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def post(url, body=b""):
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=10) as answer:
        return answer.read()


def id_token(audience=AUDIENCE, subject=SUBJECT):
    """A token as GitLab mints it. Its signature is noise: neither ministack nor moto verifies it."""
    now = int(time.time())
    header = {"alg": "RS256", "typ": "JWT", "kid": "test"}
    claims = {
        "iss": f"https://{ISSUER}",
        "aud": audience,
        "sub": subject,
        "iat": now,
        "nbf": now - 5,
        "exp": now + 3600,
        "jti": secrets.token_hex(8),
        "project_path": "team/shop",
    }

    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return ".".join([part(json.dumps(header).encode()), part(json.dumps(claims).encode()), part(os.urandom(256))])


def client(peer, service, region="eu-west-1", key="test", secret="test", token=None, **options):
    """A boto3 client that does not try again."""
    return boto3.client(
        service,
        endpoint_url=peer.url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def anonymous(peer, service):
    """A client that signs nothing: for the exchange of an ID token."""
    return client(peer, service, signature_version=UNSIGNED)


def targets():
    """Every account and region with services in it."""
    return [(name, IDS[name], region) for name, regions in REGIONS.items() for region in regions]


def role(name):
    return f"arn:aws:iam::{IDS[name]}:role/ecs-deployer"


@dataclass
class Run:
    """How one run of the binary ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self):
        return [json.loads(line)["event"] for line in self.stdout.splitlines()]

    def plan(self):
        """What the plan said of each target, by its name."""
        return {change["target"]: change for change in self.events[0]["plan"]["changes"]}

    def outcomes(self):
        """How each target that was touched ended, by its name."""
        kinds = ("rollout_finished", "rollout_skipped")
        return {event["target"]: event["outcome"] for event in self.events if event["kind"] in kinds}

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Project:
    """A directory with a manifest and a task definition: what a pipeline's checkout would hold."""

    def __init__(self, directory, peer):
        self.directory = directory
        self.peer = peer
        self.token = id_token()
        self.external_id = EXTERNAL_ID
        self.image = "registry.example.com/api:1"
        self.timeout = "20s"
        self.rollout = {}
        self.variables = {}

    def registered(self, name, region):
        """The definition of `api` as the manifest makes it for an account and region, to register by another client."""
        text = json.dumps(self.definition()).replace("${account.id}", IDS[name]).replace("${region}", region)
        definition = json.loads(text)
        app = definition["containerDefinitions"][0]
        app["image"] = self.image
        app["environment"] = [{"name": "LOG_LEVEL", "value": name}, {"name": "MODE", "value": "server"}]
        app["secrets"] = [{"name": "DB_URL", "valueFrom": SECRET}]
        return definition

    def definition(self):
        """The file of the service `api`: as people write it, so with nothing in it that ECS fills in."""
        return {
            "family": "api",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": ".25 vCPU",
            "memory": "0.5 GB",
            "executionRoleArn": "arn:aws:iam::${account.id}:role/ecs-exec",
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": "registry.example.com/api:0",
                    "memory": 256,
                    "portMappings": [{"containerPort": 8080}],
                    "environment": [{"name": "MODE", "value": "server"}],
                    "healthCheck": {"command": ["CMD-SHELL", "curl -f localhost:8080"]},
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": "api",
                            "awslogs-region": "${region}",
                            "awslogs-stream-prefix": "api",
                        },
                    },
                },
                {"name": "log", "image": "registry.example.com/log:1", "essential": False, "memory": 64},
            ],
        }

    def manifest(self):
        accounts = [
            {"name": name, "id": IDS[name], "chain": ["hub", "deployer"], "regions": regions, "vars": {"level": name}}
            for name, regions in REGIONS.items()
        ]
        api = {
            "name": "api",
            "cluster": "web",
            "task_definition": "api.json",
            "images": {"app": self.image},
            "environment": {"app": {"LOG_LEVEL": "${vars.level}"}},
            "secrets": {"app": {"DB_URL": SECRET}},
        }
        worker = {"name": "worker", "cluster": "web", "images": {"app": self.image}}
        return {
            "version": 1,
            "identity": {"token_env": "GITLAB_OIDC_TOKEN", "region": "eu-west-1", "session_name": "gl-1-2-3"},
            "roles": {
                "hub": {"arn": HUB},
                "deployer": {
                    "arn": "arn:aws:iam::${account.id}:role/ecs-deployer",
                    "external_id": self.external_id,
                },
            },
            "accounts": accounts,
            "services": [api, worker],
            "rollout": {"timeout": self.timeout, **self.rollout},
        }

    def write(self):
        (self.directory / "api.json").write_text(json.dumps(self.definition(), indent=2))
        # JSON is YAML.
        (self.directory / "deploy.yaml").write_text(json.dumps(self.manifest(), indent=2))

    def roleout(self, *arguments, limit=120):
        """Runs the binary on the manifest."""
        self.write()
        return self.run(*arguments, "-f", "deploy.yaml", limit=limit)

    def run(self, *arguments, limit=120):
        """Runs the binary with nothing in its environment but the token and the endpoint."""
        environment = clean_environment(self.directory)
        environment |= {"AWS_ENDPOINT_URL": self.peer.url, "GITLAB_OIDC_TOKEN": self.token, "CI": "true"}
        environment |= self.variables
        done = subprocess.run(
            [str(BINARY), *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
        )
        run = Run(done.returncode, done.stdout, done.stderr)
        assert self.token.rsplit(".", 1)[1] not in run.stdout + run.stderr, "the ID token was printed"
        return run

    def deploy(self, *arguments, limit=120):
        return self.roleout("deploy", "--format", "jsonl", *arguments, limit=limit)

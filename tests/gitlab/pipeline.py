"""A project of GitLab's whose pipeline runs on this machine: gitlab-ci-local, `roleout sandbox` as AWS, a GitLab API."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ROLEOUT_BIN", ROOT / "target/debug/roleout"))
RUNNER = ROOT / "tests/gitlab/node_modules/gitlab-ci-local/dist/index.js"
REMOTE = "gitlab.example.com"


def fence(start, page="docs/gitlab.md"):
    """The example of a page that begins so."""
    _, _, rest = (ROOT / page).read_text().partition(f"```yaml{start}")
    assert rest, start
    return start.partition("\n")[2] + rest.partition("```")[0]


# The manifest of the quick start, whose bake would make every test wait.
MANIFEST = fence(" deploy.yaml\n").replace(", bake: 5m", "")
TARGETS = ["staging/eu-west-1/api", "prod/eu-west-1/api", "prod/us-east-1/api"]


@dataclass
class Sandbox:
    """`roleout sandbox`: where it listens, and a token of its issuer."""

    url: str
    token: str


@contextlib.contextmanager
def sandbox(home, access="deploy", faults=(), manifest=MANIFEST, files=None, variables=None):
    """Serves an AWS in which the manifest's targets and one of its sets of roles exist, until the block ends."""
    for path, content in ({"deploy.yaml": manifest} | (files or {})).items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(content)
    command = [BINARY, "sandbox", "-f", "deploy.yaml", "--listen", "127.0.0.1:0", "--token-file", "token"]
    for fault in faults:
        command += ["--sandbox-fault", fault]
    environment = {"PATH": os.environ["PATH"], "ACCESS": access, "CI_COMMIT_SHA": "0" * 40} | (variables or {})
    process = subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.search(r"http://[0-9.:]+", line):
                break
        else:
            raise RuntimeError("the sandbox does not start")
        # Somebody has to read what it goes on to say.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Sandbox(found[0], (home / "token").read_text())
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Request:
    method: str
    path: str
    token: tuple
    body: dict


@dataclass
class GitLab:
    """The Deployments API and the notes of one merge request, as far as this program uses them."""

    deployments: dict = field(default_factory=dict)
    tiers: dict = field(default_factory=dict)  # of each environment
    notes: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    refuses: dict = field(default_factory=dict)  # a status by environment
    url: str = ""

    def answer(self, request):
        self.requests.append(request)
        user = {"id": 7, "username": "project_1_bot"}
        if request.path == "/api/v4/user":
            return (200, user) if request.token[0] == "private-token" else (401, {"message": "401 Unauthorized"})
        path, _, _ = request.path.removeprefix("/api/v4/projects/").partition("?")
        parts = path.split("/")[1:]  # without the project's id
        if parts[0] == "deployments":
            if request.token[0] != "job-token":
                return 401, {"message": "401 Unauthorized"}
            if request.method == "POST":
                environment = request.body["environment"]
                if environment in self.refuses:
                    return self.refuses[environment], {"message": f"{self.refuses[environment]} No"}
                number = len(self.deployments) + 1
                self.deployments[number] = request.body | {"history": [request.body["status"]]}
                return 201, {"id": number}
            deployment = self.deployments[int(parts[1])]
            deployment["status"] = request.body["status"]
            deployment["history"].append(request.body["status"])
            return 200, {"id": int(parts[1])}
        if parts[0] == "environments":
            if request.token[0] != "job-token":
                return 401, {"message": "401 Unauthorized"}
            if request.method == "GET":
                name = urllib.parse.unquote_plus(request.path.partition("?name=")[2])
                known = list(self.tiers)
                return 200, [{"id": known.index(name), "tier": self.tiers[name]}] if name in known else []
            name = request.body.get("name") or list(self.tiers)[int(parts[1])]
            self.tiers[name] = request.body["tier"]
            return 201, {"id": 1}
        if parts[0] == "merge_requests" and parts[2] == "notes":
            if request.token[0] != "private-token":  # a job's token may only read them
                return 401, {"message": "401 Unauthorized"}
            if request.method == "GET":
                return 200, self.notes
            if request.method == "POST":
                self.notes.append({"id": len(self.notes) + 1, "system": False, "author": user} | request.body)
                return 201, self.notes[-1]
            note = next(note for note in self.notes if note["id"] == int(parts[3]))
            note |= request.body
            return 200, note
        return 404, {"message": "404 Not Found"}

    def history(self, environment):
        """The statuses that an environment's deployments had, one after the other."""
        return [it["history"] for it in self.deployments.values() if it["environment"] == environment]


@contextlib.contextmanager
def gitlab():
    """Serves a GitLab until the block ends."""
    server = GitLab()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            length = int(self.headers.get("content-length") or 0)
            names = [name for name in ("job-token", "private-token") if name in self.headers]
            token = (names[0], self.headers[names[0]]) if names else (None, None)
            body = json.loads(self.rfile.read(length) or "null")
            status, answer = server.answer(Request(self.command, self.path, token, body))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = handle_one

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{http.server_port}/api/v4"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


@dataclass
class Ran:
    """How a pipeline went: what was printed, and how each run of each job ended."""

    output: str
    jobs: dict

    def __str__(self):
        return f"{self.jobs}\n{self.output}"


class Project:
    """A checkout with a pipeline, of a project that has the components in another one."""

    def __init__(self, directory, example=None, text=None, manifest=MANIFEST, files=None):
        self.directory = directory / "checkout"
        self.home = directory / "home"
        self.bin = directory / "bin"
        for made in (self.directory, self.home, self.bin):
            made.mkdir()
        (self.bin / "roleout").symlink_to(BINARY)
        # What the examples build an image with; `docker login` reads a password.
        (self.bin / "docker").write_text("#!/bin/sh\n[ \"$1\" != login ] || cat > /dev/null\necho docker \"$@\"\n")
        (self.bin / "docker").chmod(0o755)
        for path, content in ({"deploy.yaml": manifest} | (files or {})).items():
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / path).write_text(content)
        pipeline = text or (ROOT / f"examples/gitlab/{example}.gitlab-ci.yml").read_text()
        # Services are containers, and there are none here.
        (self.directory / ".gitlab-ci.yml").write_text(re.sub(r"^  services: .*\n", "", pipeline, flags=re.M))
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", f"git@{REMOTE}:team/shop.git")
        self.commit()
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")
        self.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        # Where the runner looks for the components of another project before it asks its server.
        cache = self.state / f"includes/{REMOTE}/platform/roleout/0.1.0"
        cache.mkdir(parents=True)
        shutil.copytree(ROOT / "templates", cache / "templates")
        # The runner loses the artifacts of a job that has an after_script (4.70.0), so the deploy job runs without its own.
        template = cache / "templates/deploy/template.yml"
        template.write_text(re.sub(r"^  after_script:\n(?:    .*\n)+", "", template.read_text(), flags=re.M))

    @property
    def state(self):
        return self.directory / ".gitlab-ci-local"

    def git(self, *arguments):
        command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *arguments]
        done = subprocess.run(command, cwd=self.directory, env=self.environment(), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self):
        (self.directory / ".gitignore").write_text(".gitlab-ci-local/\n")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")

    def environment(self):
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}

    def runner(self, *arguments):
        """Runs gitlab-ci-local: without Docker, and each job in a checkout of its own, with its `needs`' artifacts."""
        command = ["node", RUNNER, "--force-shell-executor", "--shell-isolation", "--no-color"]
        command += ["--ignore-predefined-vars", "CI_API_V4_URL,CI_PIPELINE_SOURCE,CI_JOB_TOKEN", *arguments]
        return subprocess.run(
            command, cwd=self.directory, env=self.environment(), capture_output=True, text=True, timeout=120
        )

    def run(self, *jobs, aws, gitlab=None, source="push", **variables):
        """Runs a pipeline, or some of its jobs with what they need, as GitLab would with these variables."""
        variables |= {"GITLAB_OIDC_TOKEN": aws.token, "AWS_ENDPOINT_URL": aws.url, "CI_JOB_TOKEN": "job-secret"}
        if gitlab:
            variables["CI_API_V4_URL"] = gitlab.url
        arguments = list(jobs)
        if source == "merge_request_event":
            variables |= {"CI_PIPELINE_SOURCE": source, "CI_MERGE_REQUEST_IID": "12"}
            arguments += ["--unset-variable", "CI_COMMIT_BRANCH"]
        for name, value in variables.items():
            arguments += ["--variable", f"{name}={value}"]
        done = self.runner(*arguments)
        output = done.stdout + done.stderr
        jobs = {}
        for name, word, code in re.findall(r"^(?!pipeline )(\S+) +finished in [\d.]+ \w+(?: +(WARN|FAIL) +(\d+))?", output, re.M):
            jobs.setdefault(name, []).append((word or "PASS", int(code or 0)))
        return Ran(output, jobs)

    def listed(self, **variables):
        """The jobs that a pipeline has, with what starts them."""
        arguments = ["--list-json"]
        for name, value in variables.items():
            arguments += ["--variable", f"{name}={value}"] if value is not None else ["--unset-variable", name]
        done = self.runner(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "json schema validated" in done.stderr, done.stderr
        return {job["name"]: job for job in json.loads(done.stdout) if job["when"] != "never"}

    def roleout(self, *arguments, aws, **variables):
        """Runs the command outside of any job, against AWS itself."""
        environment = self.environment() | {"AWS_ENDPOINT_URL": aws.url, "GITLAB_OIDC_TOKEN": aws.token}
        environment |= {"CI_COMMIT_SHA": self.git("rev-parse", "HEAD")} | variables
        return subprocess.run([BINARY, *arguments], cwd=self.directory, env=environment, capture_output=True, text=True)

    def status(self, aws, **variables):
        """What `roleout status` says of each target: what it runs."""
        done = self.roleout("status", "--quiet", "--format", "json", aws=aws, **variables)
        assert done.returncode == 0, done.stderr
        return {target["target"]: target for target in json.loads(done.stdout)["targets"]}

    def expanded(self):
        """The pipeline with its components put in."""
        done = self.runner("--preview")
        assert done.returncode == 0, done.stdout + done.stderr
        return yaml.safe_load(done.stdout)

    def artifact(self, job, path):
        """A file that a job left as an artifact."""
        return self.state / "artifacts" / job / path

"""Tags as digests: by a real registry (Docker's own, of Debian's package docker-registry), and by moto's ECR."""

import base64
import hashlib
import json
import urllib.request

import pytest

import peers
from test_moto import aws, client  # noqa: F401

USER, PASSWORD = "robot", "secret-of-the-registry"
# bcrypt, which is all that the registry takes.
HASHED = "$2y$05$abcdefghijklmnopqrstuuIwTm9henchirBqUfvuoNrWExGiIP5SK"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Docker's registry on loopback, which lets nobody in without a password."""

    def __init__(self, peer, port):
        self.peer, self.host = peer, f"127.0.0.1:{port}"
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self.headers = {"Authorization": f"Basic {pair}"}
        self.auth = json.dumps({"auths": {self.host: {"auth": pair}}})

    def send(self, method, url, data, kind):
        url = url if url.startswith("http") else f"http://{self.host}/v2/shop/{url}"
        headers = self.headers | {"Content-Type": kind}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers

    def blob(self, name, data):
        place = self.send("POST", f"{name}/blobs/uploads/", b"", "application/octet-stream")["Location"]
        joint = "&" if "?" in place else "?"
        self.send("PUT", f"{place}{joint}digest={digest(data)}", data, "application/octet-stream")
        return {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(data), "size": len(data)}

    def push(self, name, tag, *architectures):
        """Pushes an image of one architecture, or an index of several. Returns its digest."""
        descriptors = []
        for architecture in architectures:
            platform = {"os": "linux", "architecture": architecture}
            configuration = self.blob(name, json.dumps(platform | {"rootfs": {"type": "layers", "diff_ids": []}}).encode())
            image = {"schemaVersion": 2, "mediaType": IMAGE, "config": configuration, "layers": []}
            data = json.dumps(image).encode()
            reference = tag if len(architectures) == 1 else digest(data)
            self.send("PUT", f"{name}/manifests/{reference}", data, IMAGE)
            descriptors.append({"mediaType": IMAGE, "digest": digest(data), "size": len(data), "platform": platform})
        if len(architectures) == 1:
            return descriptors[0]["digest"]
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}).encode()
        self.send("PUT", f"{name}/manifests/{tag}", data, INDEX)
        return digest(data)


@pytest.fixture
def registry(tmp_path_factory):
    home = tmp_path_factory.mktemp("registry")
    port = peers.free_port()
    (home / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    configuration = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(home / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "registry", "path": str(home / "htpasswd")}},
    }
    (home / "config.yml").write_text(json.dumps(configuration))
    command = [peers.REGISTRY, "serve", home / "config.yml"]
    with peers.server(command, port, peers.clean_environment(home), home) as peer:
        yield Registry(peer, port)


@pytest.fixture
def pinned(aws, project):  # noqa: F811
    """A project whose images are pinned, in an AWS that has all but them."""
    definition, manifest = project.definition(), project.manifest

    def use(image):
        project.image = image
        for container in definition["containerDefinitions"]:
            container["image"] = image
        project.definition = lambda: definition
        project.manifest = lambda: manifest() | {"defaults": {"pin": "digest"}}
        return project

    return use


def test_a_real_registry_is_asked_with_the_jobs_password(registry, pinned):
    project = pinned(f"{registry.host}/shop/api:1")
    project.variables = {"DOCKER_AUTH_CONFIG": registry.auth}
    for architectures in [("amd64",), ("amd64", "arm64")]:
        wanted = registry.push("api", "1", *architectures)
        run = project.roleout("plan", "--no-verify")
        assert run.code == 0 and f"{registry.host}/shop/api:1@{wanted}" in run.stdout, run
        assert PASSWORD not in run.stdout + run.stderr


def test_a_real_registrys_refusals_are_told_and_nothing_is_deployed(registry, pinned):
    project = pinned(f"{registry.host}/shop/api:1")
    run = project.roleout("plan", "--no-verify")
    assert run.code == 5 and f"{registry.host} does not let the job read shop/api (HTTP 401)" in run.stderr, run
    project.variables = {"DOCKER_AUTH_CONFIG": registry.auth}
    run = project.roleout("plan", "--no-verify")
    assert run.code == 5 and "does not exist in its registry" in run.stderr, run
    registry.push("api", "1", "arm64")
    run = project.roleout("plan", "--no-verify")
    assert run.code == 5 and "has only linux/arm64, and the task needs linux/amd64" in run.stderr, run


def test_motos_registries_are_compared_account_by_account(aws, pinned):  # noqa: F811
    project = pinned("${account.id}.dkr.ecr.${region}.amazonaws.com/shop/api:1")

    def push(name, region, content):
        ecr = client(aws, "ecr", peers.role(name), region)
        if not ecr.describe_repositories()["repositories"]:
            ecr.create_repository(repositoryName="shop/api")
        # moto's digest is of the layers.
        layers = [{"digest": content, "size": 1}]
        manifest = {"schemaVersion": 2, "mediaType": IMAGE, "config": {"digest": content}, "layers": layers}
        image = ecr.put_image(
            repositoryName="shop/api", imageManifest=json.dumps(manifest), imageManifestMediaType=IMAGE, imageTag="1"
        )
        return image["image"]["imageId"]["imageDigest"]

    run = project.roleout("plan", "--no-verify")
    assert run.code == 5 and "does not exist in ECR: there is no repository shop/api" in run.stderr, run
    digests = {push(name, region, digest(b"one")) for name, _, region in peers.targets()}
    run = project.roleout("plan", "--no-verify")
    assert len(digests) == 1 and run.code == 0 and f"/shop/api:1@{digests.pop()}" in run.stdout, run
    push("audit", "us-east-1", digest(b"two"))
    run = project.roleout("plan", "--no-verify")
    assert run.code == 5 and "is not the same everywhere" in run.stderr, run

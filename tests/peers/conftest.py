"""The servers that the tests talk to. Nothing is skipped: what is missing is an error."""

import contextlib
import functools

import pytest

import peers
import shapes


def pytest_configure(config):
    for path in [peers.BINARY, peers.MINISTACK, peers.MOTO, peers.AWS, peers.REGISTRY]:
        if not path.is_file():
            raise pytest.UsageError(f"{path} is missing: run .ci/run, which builds and installs what these tests need")


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory):
    """ministack with everything checked that it can check: signatures, trust, policies, expiry."""
    home = tmp_path_factory.mktemp("ministack")
    port = peers.free_port()
    environment = peers.clean_environment(home) | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DOCKER_HOST": f"unix://{home}/none",  # tasks are pretended even where a Docker daemon runs
    }
    with peers.server([peers.MINISTACK], port, environment, home) as peer:
        yield peer


@pytest.fixture
def ministack(ministack_server):
    """ministack without any state."""
    peers.post(f"{ministack_server.url}/_ministack/reset")
    return ministack_server


@pytest.fixture(scope="session")
def moto_servers(tmp_path_factory):
    """Starts moto once for each number of running tasks that a test asks for: the number is a setting of the server."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def started(running):
            home = tmp_path_factory.mktemp("moto")
            port = peers.free_port()
            environment = peers.clean_environment(home) | {"MOTO_ECS_SERVICE_RUNNING": str(running)}
            command = [peers.MOTO, "-H", "127.0.0.1", "-p", port]
            return stack.enter_context(peers.server(command, port, environment, home))

        yield started


@pytest.fixture
def moto(moto_servers, request):
    """moto without any state. Its services have as many running tasks as the test says; with two, the default, they are stable."""
    peer = moto_servers(getattr(request, "param", 2))
    peers.post(f"{peer.url}/moto-api/reset")
    return peer


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    """`roleout sandbox`, seeded from the manifest, with an ID token of its own issuer in `token`."""
    home = tmp_path_factory.mktemp("sandbox")
    project = peers.Project(home, None)
    manifest = project.manifest()
    manifest["services"][1] |= {"images": {"app": peers.ECR_IMAGE}, "secrets": {"app": {"KEY": peers.KEY}}}
    project.manifest = lambda: manifest
    project.write()
    port = peers.free_port()
    command = [peers.BINARY, "sandbox", "-f", "deploy.yaml", "--listen", f"127.0.0.1:{port}", "--token-file", "token"]
    with peers.server(command, port, peers.clean_environment(home), home) as peer:
        yield peer


@pytest.fixture(scope="session")
def checker():
    """Holds every answer to the clients it is attached to against AWS's model."""
    return shapes.Checker()


@pytest.fixture
def project(tmp_path, request):
    """A checkout whose manifest deploys to the peer that the test uses."""
    peer = next(name for name in ("ministack", "moto", "sandbox") if name in request.fixturenames)
    return peers.Project(tmp_path, request.getfixturevalue(peer))

"""What the pipelines of the tests run on. Nothing is skipped: what is missing is an error."""

import shutil

import pytest

import pipeline


def pytest_configure(config):
    for path in [pipeline.BINARY, pipeline.RUNNER]:
        if not path.is_file():
            raise pytest.UsageError(f"{path} is missing: run .ci/run, which builds and installs what these tests need")
    for program in ["node", "rsync", "git"]:
        if not shutil.which(program):
            raise pytest.UsageError(f"{program} is not installed: gitlab-ci-local needs it")


@pytest.fixture
def aws(tmp_path, request):
    """The sandbox, with the faults that the test asks for."""
    home = tmp_path / "aws"
    home.mkdir()
    with pipeline.sandbox(home, faults=getattr(request, "param", ())) as served:
        yield served


@pytest.fixture
def reading(tmp_path):
    """The sandbox with the roles that may only read, and no others."""
    home = tmp_path / "reading"
    home.mkdir()
    with pipeline.sandbox(home, access="read") as served:
        yield served


@pytest.fixture
def gitlab():
    with pipeline.gitlab() as served:
        yield served

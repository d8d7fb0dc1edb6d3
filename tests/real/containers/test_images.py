"""The runner in images of users: brought into a container that does not have it."""

from __future__ import annotations

import secrets

import pytest

from ...parts.attempt_machine import one_step
from ...parts.real_parts import docker

BODY = """
import sys, os
print("hello from", sys.executable)
self.found = os.path.exists("/marker-of-the-user")
self.variable = os.environ.get("LD_LIBRARY_PATH")
"""


@pytest.fixture(scope="module")
def user_image(base_image, tmp_path_factory) -> str:
    """An image that knows nothing of us."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN touch /marker-of-the-user\n")
    image = f"a-users-image:{secrets.token_hex(4)}"
    docker("build", "--tag", image, str(folder))
    yield image
    docker("image", "rm", "--force", image)


@pytest.fixture
def volume():
    """A volume, as an emptyDir is one for the containers of a pod."""
    name = f"runner-{secrets.token_hex(4)}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", "--force", name)


def test_an_init_container_brings_the_runner(make_container_run, runner_image, user_image, volume):
    """Twice: an init container may be started again over what it left."""
    run = make_container_run(one_step(BODY))
    for _ in range(2):
        docker(
            "run",
            "--rm",
            "--user=0",
            "--volume",
            f"{volume}:/runner",
            runner_image,
            "runner",
            "install",
            "/runner",
        )
    run.image = user_image
    run.done("start", options=("--user=1234", "--volume", f"{volume}:/opt/airflow-conda-flow:ro"))
    assert run.value("start", "found")
    assert run.value("start", "variable") is None


def test_only_a_runner_can_be_installed(tmp_path, capfd):
    from airflow_conda_flow.runner.command import main

    assert main(["install", str(tmp_path)]) == 3
    assert capfd.readouterr().err.startswith("Only the runner of a runner image can be installed elsewhere.")

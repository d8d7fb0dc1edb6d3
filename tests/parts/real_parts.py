"""Docker and Kubernetes for tests: the real ones of this machine, or a skip that says what is missing.

``.ci/run`` sets ``CONDA_FLOW_TEST_REAL_PARTS=1``: then what is missing fails, and nothing is skipped.
Containers and pods run on the host's network, so the S3 servers of ``s3_servers.py`` are at 127.0.0.1.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("CONDA_FLOW_TEST_REAL_PARTS") == "1"
BASES = ("debian-local:bookworm", "python:3.11-slim")


def missing(what: str) -> None:
    """End the test: as a failure where all parts must be there, else as a skip."""
    if REQUIRED:
        pytest.fail(f"CONDA_FLOW_TEST_REAL_PARTS=1, but {what}.", pytrace=False)
    pytest.skip(f"{what}; see tests/parts/real_parts.py")


def docker(*words: str, check: bool = True, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a docker command to its end."""
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stdout}{done.stderr}")
    return done


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.fixture(scope="package")
def _docker() -> None:
    if not _answers("docker", "info"):
        missing("no Docker daemon answers `docker info`")


@pytest.fixture(scope="package")
def base_image(_docker) -> str:
    """The image that the runner image, and images of users, are based on."""
    wanted = os.environ.get("CONDA_FLOW_TEST_BASE_IMAGE")
    for base in [wanted] if wanted else BASES:
        if _answers("docker", "image", "inspect", base):
            return base
    return missing(f"no base image is here: {wanted or ' or '.join(BASES)}")


@pytest.fixture(scope="package")
def runner_image(base_image) -> str:
    """The runner image of these sources; built once, by the first process that asks."""
    image = f"airflow-conda-flow-runner:test-{_source_digest(base_image)}"
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)  # a fresh clone has none
    with (cache / "image.mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if not _answers("docker", "image", "inspect", image):
            command = [sys.executable, ROOT / "docker" / "build.py", "--base", base_image, "--image", image]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
            assert done.returncode == 0, done.stdout + done.stderr
    return image


@pytest.fixture(scope="package")
def kubeconfig(_docker) -> str:
    """The path of a kubeconfig whose cluster answers, and whose images are those of this Docker."""
    path = os.environ.get("KUBECONFIG")
    if not path:
        missing("KUBECONFIG is not set")
    if not _answers("kubectl", "get", "nodes"):
        missing(f"the cluster of KUBECONFIG={path} does not answer `kubectl get nodes`")
    return str(path)


def _source_digest(base: str) -> str:
    digest = hashlib.sha256(docker("image", "inspect", "--format", "{{.Id}}", base).stdout.encode())
    files = [ROOT / "pyproject.toml", *(ROOT / "docker").iterdir()]
    for path in sorted([*files, *(ROOT / "airflow_conda_flow").rglob("*.py")]):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]

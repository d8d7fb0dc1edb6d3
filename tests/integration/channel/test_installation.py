"""The plain installation: what ``python flow.py run`` needs, and no Airflow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

ROOT = Path(__file__).parents[3]
UV = Path(sys.executable).parent / "uv"
FLOW = """
from airflow_conda_flow import kubernetes
class AFlow(FlowSpec):
    @conda(libraries={"six": "1.16.0"})
    @step
    def start(self):
        import six
        self.six = six.__version__
        self.next(self.end)
    @step
    def end(self):
        print("six", self.six)

dag = AFlow.dag(schedule=None)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """The interpreter of a virtual environment with nothing but this package and what it depends on."""
    folder = tmp_path_factory.mktemp("plain") / "venv"
    for command in (
        [UV, "venv", "--quiet", "--python", sys.executable, folder],
        [UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", ROOT],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=280)
    return folder / "bin" / "python"


def test_it_brings_no_airflow(plain):
    """Nor providers, nor the Kubernetes client."""
    done = subprocess.run(
        [UV, "pip", "list", "--python", plain, "--format", "freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert {"airflow-conda-flow", "boto3", "py-rattler", "uv"} <= names
    assert not [name for name in names if name.startswith("apache-airflow") or name == "kubernetes"]
    assert len(names) <= 20, names


def test_a_flow_runs(plain, channel, tmp_path):
    """In its conda environments; its ``dag()`` does nothing."""
    machine = Machine(tmp_path / "home", channel.url)
    flow = machine.flow(FLOW)
    done = subprocess.run(
        [plain, flow, "--environment=conda", "run"],
        capture_output=True,
        text=True,
        env=machine.environ,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "six 1.16.0" in done.stderr + done.stdout


def test_pods_name_the_extra(plain, channel, moto_s3, tmp_path):
    """One line, before anything is made."""
    root = moto_s3.make_root()
    environ = {"CONDA_FLOW_DATASTORE": "s3", "CONDA_FLOW_DATASTORE_ROOT": root, **moto_s3.environment}
    machine = Machine(tmp_path / "home", channel.url, **environ)
    done = subprocess.run(
        [plain, machine.flow(FLOW), "run", "--with", "kubernetes"],
        capture_output=True,
        text=True,
        env=machine.environ,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    line = "need kubernetes, which is not installed: pip install 'airflow-conda-flow[kubernetes]'"
    assert done.stderr.splitlines()[-1] == f"Steps with @kubernetes {line}", done.stderr
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    assert not moto_s3.make_client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents")

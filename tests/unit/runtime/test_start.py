"""The cost of a step process before the step begins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_conda_flow

from ...parts.attempt_machine import one_step

ROOT = Path(airflow_conda_flow.__file__).parents[1]
HEAVY = {
    "argparse",
    "ast",
    "asyncio",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "logging",
    "multiprocessing",
    "pathlib",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
}
CODE = """
import json, sys
sys.path.append(sys.argv[1])
from airflow_conda_flow.runtime import lifeline, main, protocol, task
print(json.dumps(sorted(sys.modules)))
"""


def test_little_is_imported():
    """A step process loads no module that is slow to import, and nothing from outside the library."""
    command = [sys.executable, "-I", "-S", "-c", CODE, str(ROOT)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("airflow_conda_flow.")}
    assert {name.split(".")[1] for name in ours} == {"bindings", "errors", "flow", "runtime"}


def test_the_path_of_a_step(make_run):
    """The flow's folder comes first, this package last, and the runtime's own folder not at all."""
    run = make_run(one_step("import sys; self.path = sys.path"))
    path = run.value(run.done("start"), "path")
    assert path[0] == str(run.folder)
    assert path[-1] == str(ROOT)
    assert not [entry for entry in path if entry.endswith("/runtime")]


def test_a_step_may_close_its_streams(make_run):
    """That is no failure."""
    run = make_run(one_step("import sys; print('a'); sys.stdout.close(); sys.stderr.close(); self.x = 1"))
    assert run.value(run.done("start"), "x") == 1
    assert run.printed() == ["a"]


@pytest.mark.parametrize("spawned", [False, True])
def test_two_checkouts_are_not_mixed(tmp_path, spawned):
    """A run from one checkout, in an interpreter that has another one installed, uses the first alone."""
    package = Path(airflow_conda_flow.__file__).parent
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        shutil.copytree(package, root / "airflow_conda_flow", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "airflow_conda_flow" / "flow" / "flowspec.py").write_text(
        "raise ImportError('the other checkout')"
    )
    flow = one / "flow.py"
    flow.write_text(
        """
import multiprocessing
from airflow_conda_flow import FlowSpec, current, step

def where():
    import airflow_conda_flow.flow.flowspec
    return airflow_conda_flow.flow.flowspec.__file__

class AFlow(FlowSpec):
    @step
    def start(self):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print("FOUND", pool.apply(where) if SPAWNED else where())
        self.next(self.end)
    @step
    def end(self):
        pass

if __name__ == "__main__":
    AFlow()
""".replace("SPAWNED", str(spawned))
    )
    environ = {**os.environ, "PYTHONPATH": str(other), "HOME": str(tmp_path / "home")}
    ended = subprocess.run(
        [sys.executable, str(flow), "run"], env=environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"FOUND {one}/airflow_conda_flow/flow/flowspec.py" in ended.stdout

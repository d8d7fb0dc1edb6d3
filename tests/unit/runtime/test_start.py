"""What a step process costs before the step begins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    assert {name.split(".")[1] for name in ours} == {"errors", "flow", "runtime"}


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

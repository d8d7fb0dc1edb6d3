"""Every shape of a graph, run as a program and by ``airflow dags test``: the same tasks, the same artifacts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..airflow.conftest import AirflowMachine, database
from ..flow_machine import Machine
from .shapes import FLOWS, SHAPES, flow_name, shape_name

__all__ = ["database"]

pytestmark = pytest.mark.xdist_group("graphs")
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=shape_name)


@pytest.fixture(scope="module")
def airflow_runs(tmp_path_factory, database):
    """How the run of every shape ended in Airflow, and the machine that they ran on."""
    machine = AirflowMachine(tmp_path_factory.mktemp("graphs") / "home", "unused", database)
    machine.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(FLOWS)
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "run_dags.py", json.dumps(SHAPES)],
        capture_output=True,
        text=True,
        env=machine.environ,
        cwd=machine.home,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    return machine, {shape_name((each["dag"], each["conf"])): each for each in outcomes}


@pytest.mark.timeout(600)
@EACH_SHAPE
def test_local_and_airflow_agree(shape, airflow_runs, tmp_path):
    """The same tasks run, and each leaves the same artifacts, by hash; what did not run was skipped."""
    airflow_machine, outcomes = airflow_runs
    name, parameters = shape
    outcome = outcomes[shape_name(shape)]
    assert outcome["ended"] == "done"

    machine = Machine(tmp_path / "home")
    options = [word for key, value in parameters.items() for word in (f"--{key}", str(value))]
    done = machine.run(FLOWS / f"{name}.py", "run", *options)
    assert done.returncode == 0, done.stdout
    local = machine.manifests(flow_name(name))
    number = [shape_name(each) for each in SHAPES if each[0] == name].index(shape_name(shape))
    in_airflow = manifests_of_run(airflow_machine, flow_name(name), number)

    assert {key: hashes(each) for key, each in in_airflow.items()} == {
        key: hashes(each) for key, each in local.items()
    }
    steps = {key.partition("/")[0] for key in local}
    for task, state in outcome["states"].items():
        step = task.partition("[")[0]
        if step in steps and "[" not in task:
            assert state == "success", task
        elif step not in steps and step != "prepare" and not step.endswith("_splits"):
            assert state == "skipped", task


def manifests_of_run(machine, flow, number):
    """The task manifests of one of a flow's runs, the oldest first."""
    runs = sorted(
        (machine.datastore / "flows" / flow).iterdir(), key=lambda run: (run / "run.json").stat().st_mtime
    )
    return {
        f"{path.parent.parent.name}/{path.parent.name}": json.loads(path.read_text())
        for path in runs[number].glob("*/*/*.json")
    }


def hashes(manifest):
    """What a task left behind."""
    return {name: ref["sha256"] for name, ref in manifest["artifacts"].items()}


def test_a_switch_skips_the_arms_that_it_does_not_choose(airflow_runs):
    """Outside a foreach the tasks of an arm are skipped; inside, those splits that chose otherwise."""
    _, outcomes = airflow_runs
    states = outcomes["switch-short"]["states"]
    assert [states[task] for task in ("long", "long_again", "short", "merge")] == [
        "skipped",
        "skipped",
        "success",
        "success",
    ]
    states = outcomes["switch_in_foreach"]["states"]
    assert [states[f"low[{index}]"] for index in range(6)] == ["success"] * 2 + ["skipped"] * 4
    assert [states[f"meet[{index}]"] for index in range(6)] == ["success"] * 6
    assert {states[f"never_again[{index}]"] for index in range(6)} == {"skipped"}


def test_nodes_of_num_parallel_run_at_once(tmp_path):
    """All nodes of a ``num_parallel`` wait for each other, with fewer workers than nodes."""
    machine = Machine(tmp_path / "home")
    folder = tmp_path / "nodes"
    folder.mkdir()
    done = machine.run(FLOWS / "parallel_nodes.py", "run", "--folder", str(folder), "--max-workers", "2")
    assert done.returncode == 0, done.stdout


def test_a_loop_is_one_task_with_the_lines_of_all_rounds(tmp_path):
    """A step that leads back to itself is one task; its log and its artifacts are those of all rounds."""
    machine = Machine(tmp_path / "home")
    done = machine.run(FLOWS / "loop.py", "run")
    assert [line.split("] ")[1] for line in done.stdout.splitlines() if "round" in line] == [
        "round 1",
        "round 2",
        "round 3",
    ]
    (log,) = machine.datastore.glob("flows/Loop/*/again/0/0.stdout")
    assert [line.partition(" ")[2] for line in log.read_text().splitlines()] == [
        "round 1",
        "round 2",
        "round 3",
    ]
    assert machine.manifests("Loop")["again/0"]["transition"]["chosen"] == "end"

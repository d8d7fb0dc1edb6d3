"""Every shape of a graph, run as a program and by ``airflow dags test``: the same tasks, the same artifacts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine
from ...parts.graphs.gang import GANG, GANG_STATUSES, gang_statuses, run_gang
from ...parts.graphs.shape_runs import copy_dags, hashes_of_dag_run, run_dags
from ...parts.graphs.shapes import FLOWS, SHAPES, shape_name

EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=shape_name)


@pytest.fixture(scope="module")
def airflow_machine(tmp_path_factory, database):
    """A machine with Airflow whose DAGs are the shapes."""
    machine = AirflowMachine(tmp_path_factory.mktemp("graphs") / "home", "unused", database)
    copy_dags([*SHAPES, (GANG, {})], machine.dags)
    return machine


@pytest.fixture(scope="module")
def airflow_runs(airflow_machine):
    """How the run of every shape ended in Airflow."""
    return run_dags(airflow_machine, SHAPES)


@pytest.mark.timeout(600)
@EACH_SHAPE
def test_local_and_airflow_agree(shape, airflow_machine, airflow_runs, local_shapes):
    """The same tasks run, and each leaves the same artifacts, by hash; what did not run was skipped."""
    local = local_shapes[shape_name(shape)]
    assert hashes_of_dag_run(LocalStorage(airflow_machine.datastore), shape, SHAPES) == local
    steps = {key.partition("/")[0] for key in local}
    states = airflow_runs[shape_name(shape)]["states"]
    assert steps <= {task.partition("[")[0] for task in states}
    for task, state in states.items():
        step = task.partition("[")[0]
        if step in steps and "[" not in task:
            assert state == "success", task
        elif step not in steps and step != "prepare" and not step.endswith("_splits"):
            assert state == "skipped", task


IN_BLOCKS = [
    ("deep_foreach", {}),
    ("switch_in_foreach", {}),
    ("foreach_in_switch_in_foreach", {}),
    ("loop_in_foreach", {}),
]


@pytest.mark.timeout(600)
def test_blocks_of_splits_leave_what_single_splits_leave(tmp_path, database, local_shapes):
    """However few tasks Airflow maps: switches, loops and foreaches in a block, and joins over blocks."""
    most = 2
    machine = AirflowMachine(tmp_path / "home", "unused", database, CONDA_FLOW_FOREACH_TASKS=str(most))
    copy_dags(IN_BLOCKS, machine.dags)
    runs = run_dags(machine, IN_BLOCKS)
    for shape in IN_BLOCKS:
        left = hashes_of_dag_run(LocalStorage(machine.datastore), shape, IN_BLOCKS)
        assert left == local_shapes[shape_name(shape)], shape
        mapped = {task for task in runs[shape_name(shape)]["states"] if "[" in task}
        assert not [task for task in mapped if int(task.split("[")[1][:-1]) >= most]


def test_a_switch_skips_the_arms_that_it_does_not_choose(airflow_runs):
    """Outside a foreach the tasks of an arm are skipped; inside, those splits that chose otherwise."""
    states = airflow_runs["switch-short"]["states"]
    assert [states[task] for task in ("long", "long_again", "short", "merge")] == [
        "skipped",
        "skipped",
        "success",
        "success",
    ]
    states = airflow_runs["switch_in_foreach"]["states"]
    assert [states[f"low[{index}]"] for index in range(4)] == ["success"] * 2 + ["skipped"] * 2
    assert [states[f"meet[{index}]"] for index in range(4)] == ["success"] * 4
    assert {states[f"never_again[{index}]"] for index in range(4)} == {"skipped"}


@pytest.mark.parametrize("way", ["command", "dag"])
def test_nodes_of_num_parallel(way, tmp_path, airflow_machine):
    """They run at once, with fewer workers than nodes; where one fails the others are ended, and all run again."""
    machine = Machine(tmp_path / "home") if way == "command" else airflow_machine
    printed = run_gang(machine, way)
    assert gang_statuses(LocalStorage(machine.datastore)) == [GANG_STATUSES], printed
    assert printed.count("on purpose") < 4, printed  # of one node alone


METADATA = """
from airflow_conda_flow import Flow, namespace
namespace(None)
told = Flow("Loop").latest_run["again"].task.metadata_dict
print(told["rounds"], [told[f"round-{number}-seconds"] for number in (1, 2, 3)])
"""


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
    manifest = machine.manifests("Loop")["again/0"]
    assert manifest["transition"]["chosen"] == "end"
    rounds = [manifest["seconds"][f"round {number}"] for number in (1, 2, 3)]
    # Each of the four is rounded to a millisecond.
    assert 0 < sum(rounds) <= manifest["seconds"]["step"] + 0.002
    told = subprocess.run(
        [sys.executable, "-c", METADATA], env=machine.environ, capture_output=True, text=True, check=True
    ).stdout
    assert told == f"3 {[str(each) for each in rounds]}\n"
    assert not [name for name in machine.manifests("Loop")["start/0"]["seconds"] if "round" in name]

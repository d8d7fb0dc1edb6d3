"""Every shape, run as a program or by ``airflow dags test``: how each run ended, and what it left."""

from __future__ import annotations

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage

from ..flow_machine import Machine
from .shapes import FLOWS, SHAPES, Shape, flow_name, shape_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_conda_flow.datastore.storage import Storage

    from ..airflow_machine import AirflowMachine

LONGEST = 840.0  # seconds: what runs here shares two processors with everything else that runs
Hashes = dict[str, dict[str, str]]
"""The sha256 of every artifact by its name, of every task by ``step/task id``."""


@dataclass(frozen=True)
class ShapeRun:
    """One run of a shape.

    Attributes:
        exit_code: of the command.
        output: what it printed on both streams.
        hashes: what its tasks left; every attempt must have been done.
    """

    exit_code: int
    output: str
    hashes: Hashes


def run_shapes(
    machine: Machine, storage: Storage, *words: str, at_once: int, shapes: Sequence[Shape] = SHAPES
) -> dict[str, ShapeRun]:
    """Run shapes as a program, and wait for all of them.

    Args:
        machine: where they are started.
        storage: the datastore's that its settings name.
        words: options of the command ``run``.
        at_once: how many runs there are at a time.
        shapes: of ``SHAPES``.
    """

    def run(shape: Shape) -> ShapeRun:
        name, parameters = shape
        id_file = machine.home / f"{shape_name(shape)}.run-id"
        options = [word for key, value in parameters.items() for word in (f"--{key}", str(value))]
        done = machine.run(
            FLOWS / f"{name}.py", "run", "--run-id-file", str(id_file), *options, *words, seconds=LONGEST
        )
        run_id = id_file.read_text() if id_file.exists() else None
        return ShapeRun(
            done.returncode,
            done.stdout + done.stderr,
            hashes_of_run(storage, flow_name(name), run_id) if run_id else {},
        )

    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(map(shape_name, shapes), pool.map(run, shapes), strict=True))


def run_dags(machine: AirflowMachine, shapes: Sequence[Shape]) -> dict[str, dict[str, Any]]:
    """Run shapes by ``airflow dags test``, one after the other in one process; what ``run_dags.py`` prints, by name."""
    program = Path(__file__).with_name("run_dags.py").read_text()
    done = machine.program(program, json.dumps(shapes), seconds=LONGEST)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    for each in outcomes:
        assert each["ended"] == "done", f"{each}\n{done.stdout[-9000:]}"
    return {shape_name((each["dag"], each["conf"])): each for each in outcomes}


def run_in_containers(
    machine: AirflowMachine, storage: Storage, compute: str, shapes: Sequence[Shape], dag_shape: Shape
) -> tuple[dict[str, ShapeRun], dict[str, str]]:
    """Run flows as programs and one as a DAG at the same time, every task of them elsewhere.

    Args:
        machine: where they are started.
        storage: the datastore's that its settings name.
        compute: ``kubernetes`` or ``batch``.
        shapes: what runs as a program.
        dag_shape: what ``airflow dags test`` runs.

    Returns:
        the runs of the shapes, and the states of the tasks of the DAG.
    """
    copy_dags([dag_shape], machine.dags, decorators=[compute])
    with ThreadPoolExecutor(1) as pool:
        dag = pool.submit(run_dags, machine, [dag_shape])
        runs = run_shapes(machine, storage, "--with", compute, at_once=4, shapes=shapes)
        return runs, dag.result()[shape_name(dag_shape)]["states"]


def hashes_of_dag_run(storage: Storage, shape: Shape, shapes: Sequence[Shape]) -> Hashes:
    """The artifacts that a shape's tasks left, which ``run_dags`` ran.

    Args:
        storage: where.
        shape: which.
        shapes: all that were run, in order.
    """
    flow = flow_name(shape[0])
    manifests = [
        json.loads(storage.read_bytes(f"flows/{flow}/{run.rstrip('/')}/run.json"))
        for run in storage.list_names(f"flows/{flow}/")
    ]
    created = {each["run_id"]: each["created"] for each in manifests if each["origin"] == "airflow"}
    number = [each for each in shapes if each[0] == shape[0]].index(shape)
    return hashes_of_run(storage, flow, sorted(created, key=created.__getitem__)[number])


def hashes_of_run(storage: Storage, flow: str, run_id: str, *, is_retried: bool = False) -> Hashes:
    """Artifacts that the tasks of a run left behind; every attempt must have been done, unless tasks were retried."""
    found = {}
    for key in storage.list_keys(f"flows/{flow}/{run_id}/"):
        parts = key.split("/")
        if len(parts) == 6 and key.endswith(".json"):
            manifest = json.loads(storage.read_bytes(key))
            if is_retried and manifest["status"] != "done":
                continue
            assert manifest["status"] == "done", key
            found[f"{parts[3]}/{parts[4]}"] = {
                name: ref["sha256"] for name, ref in manifest["artifacts"].items()
            }
    return found


@pytest.fixture(scope="package")
def local_shapes(tmp_path_factory) -> dict[str, Hashes]:
    """The artifacts of every shape from local processes; they run once for all workers."""
    shared = tmp_path_factory.getbasetemp().parent / "local-shapes"
    shared.mkdir(exist_ok=True)
    with (shared / "mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        kept = shared / "hashes.json"
        if not kept.exists():
            machine = Machine(shared / "home")
            runs = run_shapes(machine, LocalStorage(machine.datastore), at_once=2)
            for name, run in runs.items():
                assert run.exit_code == 0, f"{name}: {run.output}"
            kept.write_text(json.dumps({name: run.hashes for name, run in runs.items()}))
        return json.loads(kept.read_text())


def copy_dags(shapes: Sequence[Shape], folder: Path, **keywords: Any) -> None:
    """Put flow files into a DAG folder; keywords go to their ``dag()``."""
    more = "".join(f"{name}={value!r}, " for name, value in keywords.items())
    for name, _ in shapes:
        text = (FLOWS / f"{name}.py").read_text()
        (folder / f"{name}.py").write_text(text.replace(".dag(", f".dag({more}"))

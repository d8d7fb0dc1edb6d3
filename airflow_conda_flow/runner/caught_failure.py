"""A failure that ``@catch`` turns into a finished task: its artifacts, and the way that the graph says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore.manifests import DONE, write_task_manifest
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.flow.caught_exception import CaughtException
from airflow_conda_flow.flow.graph import FlowGraph
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.flow.lineage import parents
from airflow_conda_flow.runner.manifest_reader import ManifestReader
from airflow_conda_flow.runtime import pickling

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore

Manifest = dict[str, Any]


def outcome(
    datastore: Datastore,
    run: Mapping[str, Any],
    step: str,
    artifacts: Mapping[str, Any],
    exception: Mapping[str, Any],
) -> Manifest:
    """Status, artifacts and transition of a task whose failure is caught.

    Args:
        datastore: takes the artifact that holds the failure.
        run: the run's manifest.
        step: the step that failed.
        artifacts: what it leaves to the steps that follow, references by name.
        exception: why it failed.
    """
    kept = dict(artifacts)
    var = _catch(run, step)["var"]
    if var is not None:
        kept[var] = _store(datastore, _as_value(exception), run["pickle_protocols"][step])
    return {"status": DONE, "artifacts": kept, "transition": _transition(run, step)}


def lines(run: Mapping[str, Any], step: str, exception: Mapping[str, Any]) -> Iterator[str]:
    """What is printed of a failure that is caught; nothing with ``print_exception=False``."""
    if _catch(run, step)["print_exception"]:
        yield f"@catch caught an exception from step {step}"
        for line in exception["traceback"].splitlines():
            yield f">  {line}"


def is_caught(run: Mapping[str, Any], step: str) -> bool:
    """Whether a failure of that step lets the run go on."""
    return "catch" in run.get("decorators", {}).get(step, {})


def commit_from_outside(
    datastore: Datastore,
    run: Mapping[str, Any],
    step: str,
    indices: tuple[int, ...],
    attempt: int,
    exception: Mapping[str, Any],
) -> Manifest:
    """Commit a caught failure for an attempt whose runner is gone, with its pod or job.

    Args:
        datastore: where the run is.
        run: the run's manifest.
        step: the step that failed.
        indices: the task's index path.
        attempt: the attempt that was the last one.
        exception: type, message and traceback of what is known.

    Returns:
        the task manifest.

    Raises:
        LookupError: a task before it has not finished, so that this one cannot have started.
    """
    graph = FlowGraph.from_dict(run["graph"])
    reader = ManifestReader(datastore.storage, run["flow"], run["run_id"])
    sources = parents(graph, step, indices, reader)
    inherited = run["parameters"]
    if sources and not graph.steps[step].is_join:
        before = reader(*sources[0])
        if before is None:
            raise LookupError(f"{sources[0][0]} has not finished.")
        inherited = before["artifacts"]
    environment = run["environments"].get(step)
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    manifest = {
        "version": 1,
        "flow": run["flow"],
        "run_id": run["run_id"],
        "step": step,
        "task_id": task_id(indices),
        "attempt": attempt,
        "split_name": None,
        "started": now,
        "finished": now,
        **outcome(datastore, run, step, inherited, exception),
        "exception": dict(exception),
        "environment": environment["id"] if environment else None,
        "python": environment["python"] if environment else None,
    }
    write_task_manifest(datastore.storage, manifest)
    return manifest


def _catch(run: Mapping[str, Any], step: str) -> dict[str, Any]:
    attributes: dict[str, Any] = run["decorators"][step]["catch"]
    return attributes


def _as_value(exception: Mapping[str, Any]) -> CaughtException:
    full_type = exception.get("full_type") or f"{CondaFlowError.__module__}.{exception.get('type')}"
    return CaughtException(exception.get("message") or "", full_type, exception.get("traceback") or "")


def _store(datastore: Datastore, value: CaughtException, protocol: int) -> dict[str, Any]:
    scratch = datastore.artifacts.scratch_dir()
    path = scratch / "caught"
    try:
        ref = pickling.dump_to_file(value, str(path), protocol)
        datastore.artifacts.publish(path, ref["sha256"])
    finally:
        path.unlink(missing_ok=True)
        scratch.rmdir()
    return ref


def _transition(run: Mapping[str, Any], step: str) -> dict[str, Any] | None:
    """What ``self.next`` would have said: the graph alone knows it, as the step is no foreach or switch."""
    following = FlowGraph.from_dict(run["graph"]).steps[step].out_steps
    if not following:
        return None
    return {
        "next": list(following),
        "foreach": None,
        "num_splits": None,
        "split_names": None,
        "condition": None,
        "chosen": None,
    }

"""The ``task`` message: everything that a step process needs, gathered from manifests."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.flow.graph import FlowGraph
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.flow.lineage import parents
from airflow_conda_flow.flow.timeout_decorator import timeout_seconds
from airflow_conda_flow.runner.manifest_reader import Manifest, ManifestReader
from airflow_conda_flow.runtime import protocol

_ROUND = "round-"


def task_message(
    graph: FlowGraph,
    run: Manifest,
    step: str,
    indices: tuple[int, ...],
    attempt: int,
    manifest_of: ManifestReader,
    code_dir: Path,
    scratch: Path,
    tempdir: Path,
    *,
    is_last: bool = True,
    main_ip: str = "",
    is_copy: bool = False,
) -> dict[str, Any]:
    """The first message to a step process.

    Args:
        graph: the flow's graph.
        run: the run's manifest.
        step: the task's step.
        indices: the task's index path.
        attempt: from 0.
        manifest_of: gives the manifests of the tasks before it.
        code_dir: where the flow file is.
        scratch: where the step process writes artifacts, for the runner to publish.
        tempdir: a directory for the step's own files.
        is_last: whether the task fails for good if this attempt does.
        main_ip: where node 0 runs, in a step of a ``num_parallel``.
        is_copy: whether ``code_dir`` is a code package, in which bytecode may be kept.

    Raises:
        TaskFailed: a task that this one reads from has not finished.
    """
    node = graph.steps[step]
    decorators = run.get("decorators", {}).get(step, {})
    try:
        sources = parents(graph, step, indices, manifest_of)
        manifest_of.read_all(sources)
        inputs = [_finished(run, key, manifest_of) for key in sources]
        stack = _foreach_stack(graph, step, indices, manifest_of)
        ended = [_foreach_stack(graph, *key, manifest_of)[len(stack) :] for key in sources]
    except LookupError as error:
        raise TaskFailed(f"Task {step}/{task_id(indices)} cannot start: {error}") from error
    return protocol.task(
        flow=run["flow"],
        flow_file=run["code"]["flow_file"],
        code_dir=str(code_dir),
        step=step,
        node={
            name: value
            for name, value in node.to_dict().items()
            if name in {"kind", "out_steps", "foreach", "condition", "num_parallel", "line"}
        },
        namespace={**run.get("constants", {}), **run["parameters"]}
        if node.is_join or not inputs
        else inputs[0]["artifacts"],
        inputs=[
            {**{name: each[name] for name in ("step", "task_id", "artifacts")}, "frames": frames}
            for each, frames in zip(inputs, ended, strict=True)
        ]
        if node.is_join
        else None,
        foreach_stack=stack,
        pickle_protocol=run["pickle_protocols"][step],
        scratch=str(scratch),
        timeout=timeout_seconds(decorators),
        cards=decorators.get("card", []),
        catch_var=decorators.get("catch", {}).get("var"),
        is_caught=is_last and "catch" in decorators,
        **_user_decorators(run, step),
        **({"is_copy": True} if is_copy else {}),
        current={
            **run.get("current", {}),
            **(_parallel(stack, main_ip) if graph.is_in_gang(step) else {}),
            "flow_name": run["flow"],
            "run_id": run["run_id"],
            "step_name": step,
            "task_id": task_id(indices),
            "retry_count": attempt - run.get("first_attempt", 0),
            "origin_run_id": run.get("origin_run_id"),
            "pathspec": f"{run['flow']}/{run['run_id']}/{step}/{task_id(indices)}",
            "namespace": run.get("namespace", f"user:{run['username']}"),
            "username": run["username"],
            "tags": run["tags"],
            "parameter_names": sorted(run["parameters"]),
            "tempdir": str(tempdir),
        },
    )


def _user_decorators(run: Manifest, step: str) -> dict[str, Any]:
    records = run.get("user_decorators", {}).get(step)
    return {"user_decorators": records} if records else {}


def leads_back(step: str, last: Mapping[str, Any]) -> bool:
    """Whether the last message of a step process says that the step comes next again."""
    transition = last.get("transition")
    return transition is not None and transition["next"] == [step]


def next_round(message: dict[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    """The first message to the next process of a step that leads back to itself.

    The task stays the same; its artifacts are those that the round before ended with. They must be
    published by now.

    Args:
        message: the first message of the round before.
        last: the ``done`` message of the round before.
    """
    before = Path(message["scratch"])
    number = int(before.name.removeprefix(_ROUND)) + 1 if before.name.startswith(_ROUND) else 1
    root = before.parent if number > 1 else before
    if number > 1:
        shutil.rmtree(before)
    scratch = root / f"{_ROUND}{number}"
    scratch.mkdir()
    return {**message, "namespace": last["artifacts"], "inputs": None, "scratch": str(scratch)}


def _parallel(stack: list[dict[str, Any]], main_ip: str) -> dict[str, Any]:
    """What ``current.parallel`` is made of, in a step of a ``num_parallel``."""
    frame = stack[-1]
    return {
        "is_parallel": True,
        "parallel": {
            "main_ip": main_ip,
            "num_nodes": frame["num_splits"],
            "node_index": frame["index"],
            "control_task_id": task_id((*(each["index"] for each in stack[:-1]), 0)),
        },
    }


def _finished(run: Manifest, key: tuple[str, tuple[int, ...]], manifest_of: ManifestReader) -> Manifest:
    manifest = manifest_of(*key)
    if manifest is None:
        raise LookupError(
            f"task {run['flow']}/{manifest_of.run_id}/{key[0]}/{task_id(key[1])} has not finished."
        )
    return manifest


def _foreach_stack(
    graph: FlowGraph, step: str, indices: tuple[int, ...], manifest_of: ManifestReader
) -> list[dict[str, Any]]:
    foreaches = [name for name in graph.steps[step].split_parents if graph.steps[name].kind == "foreach"]
    stack = []
    for depth, name in enumerate(foreaches):
        manifest = manifest_of(name, indices[:depth])
        if manifest is None:
            raise LookupError(f"the foreach in step {name!r} has not finished.")
        transition, index = manifest["transition"], indices[depth]
        frame = {
            "index": index,
            "num_splits": transition["num_splits"],
            "splits": transition["splits"],
            "name": transition["split_names"][index],
        }
        if "blocks" in transition:
            block, frame["position"] = divmod(index, transition["block_length"])
            frame["splits"] = transition["blocks"][block]
        stack.append(frame)
    return stack

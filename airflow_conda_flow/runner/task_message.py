"""Builds the ``task`` message, which gives a step process everything that it needs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.flow.decorators.timeout import timeout_seconds
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.runtime import protocol

if TYPE_CHECKING:
    from airflow_conda_flow.records.graph import StepNode
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import (
        DoneMessage,
        Frame,
        InputDescription,
        LastMessage,
        NodeSummary,
        S3Access,
        TaskMessage,
    )
    from airflow_conda_flow.runner.code_sources import CodeSources
    from airflow_conda_flow.runner.task_inputs import TaskInputs
    from airflow_conda_flow.runner.task_request import TaskRequest

_ROUND = "round-"  # scratch directories of all rounds but the first, below the attempt's own


def task_message(
    request: TaskRequest,
    run: RunRecord,
    inputs: TaskInputs,
    *,
    sources: CodeSources,
    stored_dir: Path,
    scratch: Path,
    tempdir: Path,
    s3: S3Access,
    main_ip: str = "",
) -> TaskMessage:
    """First message to a step process.

    Args:
        request: the attempt.
        run: the run's record.
        inputs: the task's inputs.
        sources: files and directories that the flow's modules take for their own.
        stored_dir: directory of the extracted code package, which their text comes from.
        scratch: directory in which the step process writes artifacts, for the runner to publish.
        tempdir: directory for the step's own files (``current.tempdir``).
        s3: socket and directories by which the step's S3 client reaches the runner.
        main_ip: address of node 0, in a step of a ``num_parallel``.
    """
    step, node = request.step, run.graph.steps[request.step]
    decorators = run.decorators_of(step)
    message: TaskMessage = {
        "type": "task",
        "version": protocol.VERSION,
        "flow": run.flow,
        "flow_file": run.code["flow_file"],
        "code_dir": str(sources.root),
        "stored_dir": str(stored_dir),
        "step": step,
        "node": _summary(node),
        "namespace": inputs.namespace,
        "inputs": _inputs(inputs) if node.is_join else None,
        "foreach_stack": inputs.stack,
        "pickle_protocol": run.pickle_protocol(step),
        "scratch": str(scratch),
        "timeout": timeout_seconds(decorators),
        "cards": decorators.get("card", []),
        "catch_var": decorators.get("catch", {}).get("var"),
        "is_caught": request.is_last and "catch" in decorators,
        "current": _current(request, run, inputs, tempdir, main_ip),
        "s3": s3,
    }
    if user_decorators := run.user_decorators_of(step):
        message["user_decorators"] = user_decorators
    if run.mutated_with is not None:
        message["mutated_with"] = run.mutated_with
    if sources.modules:
        message["modules"] = {name: str(path) for name, path in sources.modules.items()}
    if run.call is not None:
        message["call"] = run.call
    message["overlay"] = str(scratch / "overlay")  # of all rounds of the task
    return message


def leads_back(step: str, last: LastMessage | None) -> DoneMessage | None:
    """The step process's last message if the step chose itself as the next step, else None."""
    if last is None or last["type"] == "failed" or last["transition"] is None:
        return None
    return last if last["transition"]["next"] == [step] else None


def next_round(message: TaskMessage, last: DoneMessage) -> TaskMessage:
    """First message to the next process of a step that leads back to itself.

    The task stays the same; it begins with the artifacts that the previous round ended with, which must be
    published already. Removes the previous round's scratch directory, unless it is the attempt's own.

    Args:
        message: the ``task`` message of the previous round.
        last: the ``done`` message of the previous round.
    """
    before = Path(message["scratch"])
    number = int(before.name.removeprefix(_ROUND)) + 1 if before.name.startswith(_ROUND) else 1
    # The first round wrote into the attempt's own scratch directory, which also holds logs and the socket.
    root = before.parent if number > 1 else before
    if number > 1:
        shutil.rmtree(before)
    scratch = root / f"{_ROUND}{number}"
    scratch.mkdir()
    return {**message, "namespace": last["artifacts"], "inputs": None, "scratch": str(scratch)}


def _summary(node: StepNode) -> NodeSummary:
    return {
        "kind": node.kind,
        "out_steps": node.out_steps,
        "foreach": node.foreach,
        "condition": node.condition,
        "num_parallel": node.num_parallel,
        "line": node.line,
    }


def _inputs(inputs: TaskInputs) -> list[InputDescription]:
    return [
        {"step": each.step, "task_id": each.task_id, "artifacts": each.artifacts, "frames": frames}
        for each, frames in zip(inputs.tasks, inputs.ended, strict=True)
    ]


def _current(
    request: TaskRequest, run: RunRecord, inputs: TaskInputs, tempdir: Path, main_ip: str
) -> dict[str, Any]:
    return {
        **run.current,
        **(_parallel(request.step, inputs.stack, main_ip) if run.graph.is_in_gang(request.step) else {}),
        "flow_name": run.flow,
        "run_id": run.run_id,
        "step_name": request.step,
        "task_id": request.task.task_id,
        # Users count from 0, also if a former run with the same id used up numbers.
        "retry_count": request.attempt - run.first_attempt,
        "origin_run_id": run.origin_run_id,
        "pathspec": request.task.pathspec,
        "namespace": run.namespace,
        "username": run.username,
        "tags": run.tags,
        "parameter_names": sorted(run.parameters),
        "tempdir": str(tempdir),
    }


def _parallel(step: str, stack: list[Frame], main_ip: str) -> dict[str, Any]:
    """Values of ``current.parallel`` in a step of a ``num_parallel``."""
    frame = stack[-1]
    return {
        "is_parallel": True,
        "parallel": {
            "main_ip": main_ip,
            "num_nodes": frame["num_splits"],
            "node_index": frame["index"],
            "control_task_id": task_id(step, (*(each["index"] for each in stack[:-1]), 0)),
        },
    }

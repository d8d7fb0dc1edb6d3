"""``dump``: print the artifacts of a task or of all tasks of a step."""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.cli.parser import READERS, chosen_settings
from airflow_conda_flow.cli.past_runs import open_catalogue, tasks_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import ArtifactError, SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runtime import pickling

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef

COMMON: tuple[str, ...] = (*READERS, "--cache-dir")


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the tasks, and filters for their artifacts."""
    del definition
    parser.add_argument("pathspec", metavar="RUN_ID/STEP[/TASK_ID]")
    parser.add_argument(
        "--private", action=argparse.BooleanOptionalAction, default=False, help="names that start with _ too"
    )
    parser.add_argument(
        "--max-value-size",
        type=int,
        default=1000,  # Metaflow's default
        metavar="BYTES",
        help="show only values that are smaller; 0 shows only names (default 1000)",
    )
    parser.add_argument("--include", metavar="NAMES", help="only these artifacts, separated by commas")
    parser.add_argument("--file", metavar="FILE", help="pickle {task: {name: value}} into this file")


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the artifacts, or write them to a file.

    Raises:
        ArtifactError: a value for the file cannot be read by this interpreter.
        SettingError: the file cannot be written.
    """
    catalogue = open_catalogue(chosen_settings(arguments))
    written: dict[str, dict[str, Any]] = {}
    for task in tasks_of(catalogue, definition.name, arguments.pathspec):
        _, run_id, step, task_id = task.task.parts
        sys.stderr.write(f"Dumping output of run_id={run_id} step={step} task_id={task_id}\n")
        refs = dict(_chosen(task, arguments))
        if arguments.file:
            written[f"{run_id}/{step}/{task_id}"] = {
                name: _value(catalogue, name, ref) for name, ref in refs.items()
            }
        else:
            for name, ref in refs.items():
                print(_line(catalogue, name, ref, arguments.max_value_size))
    if arguments.file:
        _write(arguments.file, written)
        sys.stderr.write(f"Artifacts written to {arguments.file}\n")
    return 0


def _chosen(task: TaskRecord, arguments: argparse.Namespace) -> Iterator[tuple[str, ArtifactRef]]:
    included = None if arguments.include is None else {each.strip() for each in arguments.include.split(",")}
    for name, ref in sorted(task.artifacts.items()):
        if (included is None or name in included) and (arguments.private or not name.startswith("_")):
            yield name, ref


def _line(catalogue: RunCatalogue, name: str, ref: ArtifactRef, max_size: int) -> str:
    head = f"{name} [size: {ref['size']} type: <class '{ref['type'].removeprefix('builtins.')}'>]"
    if max_size <= 0:
        return head
    if ref["size"] > max_size:
        return f"{head} = < artifact too large >"
    try:
        return f"{head} = {_value(catalogue, name, ref)}"
    except ArtifactError as error:
        return f"{head} = < {error} >"


def _value(catalogue: RunCatalogue, name: str, ref: ArtifactRef) -> Any:
    try:
        return pickling.load_from_file(catalogue.artifact(ref["sha256"], ref["size"]))
    except (MemoryError, OSError):
        raise
    except Exception as cause:  # unpickling runs code of any class, so it may raise anything
        reason = str(cause).rstrip(".")
        raise ArtifactError(f"{name}, a {ref['type']}, cannot be read here: {reason}.") from cause


def _write(path: str, values: dict[str, dict[str, Any]]) -> None:
    try:
        Path(path).write_bytes(pickle.dumps(values))
    except OSError as error:
        raise SettingError(f"--file {path} cannot be written: {error.strerror}.") from error

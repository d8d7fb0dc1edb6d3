"""The past run, or the tasks, that a word of the command line names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.errors import InvalidPathspec, ObjectNotFound
from airflow_conda_flow.flow.config_input import GivenConfigs
from airflow_conda_flow.flow.decorators import nearest
from airflow_conda_flow.flow.definition import FlowDefinition, read_flow
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.run_record import RunRecord, TaggedRun
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runtime import pickling
from airflow_conda_flow.settings import Settings

_TASK_PARTS = 3
_BATCH = 16


def open_catalogue(settings: Settings) -> RunCatalogue:
    """The runs in the datastore of the settings."""
    return RunCatalogue(open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir))


def run_of(catalogue: RunCatalogue, flow: str, word: str) -> TaggedRun:
    """The run that a word names: its id, its pathspec, or the id of Airflow's DAG run.

    Raises:
        ObjectNotFound: there is none, or several DAG runs of that id.
    """
    word = word.removeprefix(f"{flow}/")
    run = catalogue.run(flow, word)
    if run is not None:
        return run
    known = catalogue.run_ids(flow)
    found = _of_dag_run(word, known)
    if len(found) == 1 and (run := catalogue.run(flow, found[0])) is not None:
        return run
    if found:
        raise ObjectNotFound(f"{word!r} could be each of the runs {', '.join(found)}. Write one of these.")
    raise ObjectNotFound(
        f"There is no run {word!r} of {flow} in {catalogue.describe()}.{nearest(word, known)} "
        + (f"The latest is {known[0]}." if known else f"There is no run of {flow} at all.")
    )


def tasks_of(
    catalogue: RunCatalogue, flow: str, pathspec: str, attempt: int | None = None
) -> list[TaskRecord]:
    """The records of the tasks that ``RUN/STEP`` or ``RUN/STEP/TASK`` names.

    Raises:
        InvalidPathspec: it is of another form.
        ObjectNotFound: there is no such run, step, task or attempt.
    """
    parts = pathspec.removeprefix(f"{flow}/").split("/")
    if len(parts) not in {2, _TASK_PARTS} or not all(parts):
        raise InvalidPathspec(f"{pathspec!r} names no tasks. Write RUN_ID/STEP or RUN_ID/STEP/TASK_ID.")
    run = run_of(catalogue, flow, parts[0])
    run_id, step, first = run.run_id, parts[1], run.first_attempt
    known = catalogue.task_ids(flow, run_id, step)
    if not known:
        steps = catalogue.steps(flow, run_id)
        raise ObjectNotFound(
            f"No task of step {step!r} of the run {run_id} has ended.{nearest(step, steps)} "
            f"Steps with tasks: {', '.join(steps) or 'none'}."
        )
    task_ids = parts[2:] or known
    if attempt is None:
        found = [each for each in catalogue.tasks(flow, run_id, step, task_ids, first) if each is not None]
    else:
        found = [
            each
            for task_id in task_ids
            for each in catalogue.attempts(flow, run_id, step, task_id, first)
            if each.attempt == attempt
        ]
    if not found:
        which = "" if attempt is None else f"attempt {attempt} of "
        raise ObjectNotFound(
            f"There is no {which}task {'/'.join([run_id, step, *parts[2:]])}. "
            f"Step {step!r} has the tasks {_some(known)}."
        )
    return found


def with_configs_of(origin: RunRecord, definition: FlowDefinition, catalogue: RunCatalogue) -> FlowDefinition:
    """The flow as it is with the configs of the run that is resumed."""
    refs = {name: origin.parameters[name] for name in definition.configs if name in origin.parameters}
    if not refs:
        return definition
    stored = {
        name: pickling.load_from_file(catalogue.artifact(ref["sha256"], ref["size"]))
        for name, ref in refs.items()
    }
    found = read_flow(definition.flow_class, GivenConfigs(stored=stored))
    found.branch, found.production = definition.branch, definition.production
    return found


def latest_run(catalogue: RunCatalogue, flow: str, otherwise: str) -> TaggedRun:
    """The latest run of whoever asks, for ``resume`` and ``spin``.

    Args:
        catalogue: where to look.
        flow: the flow's name.
        otherwise: how a run of somebody else is named, for the message.

    Raises:
        ObjectNotFound: there is none.
    """
    wanted = f"user:{username()}"
    run_ids = catalogue.run_ids(flow)
    for start in range(0, len(run_ids), _BATCH):
        for run in catalogue.runs(flow, run_ids[start : start + _BATCH]):
            if run is not None and wanted in run.system_tags:
                return run
    raise ObjectNotFound(
        f"There is no run of {flow} by {wanted} in {catalogue.describe()} to go on from. "
        f"Name one of somebody else with {otherwise}, or start with 'run'."
    )


def _of_dag_run(word: str, run_ids: Sequence[str]) -> list[str]:
    """The runs whose id was made of the id of a DAG run: what is safe in a path, and a digest."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", word)[:120]
    return [run_id for run_id in run_ids if re.fullmatch(re.escape(readable) + "-[0-9a-f]{8}", run_id)]


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

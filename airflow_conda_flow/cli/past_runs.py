"""Past runs and tasks, by their names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_conda_flow.client.dag_runs import run_id_of
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.errors import InvalidPathspec, ObjectNotFound
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.run_record import TaggedRun
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.settings.loading import Settings

_TASK_PARTS = 3  # run, step and task
_LONGEST = 255  # characters, of the name of a file; Airflow's ids have 250 at most
_SHOWN = 20  # characters of a word that is too long; enough to find it in the command
_BATCH = 16
"""Number of runs that ``latest_run`` reads at a time: as many as the catalogue reads in parallel."""


def open_catalogue(settings: Settings) -> RunCatalogue:
    """Catalogue of the runs in the datastore that the settings name."""
    return RunCatalogue(open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir))


def run_of(catalogue: RunCatalogue, flow: str, word: str, option: str = "Run") -> TaggedRun:
    """Run with the given id or pathspec, or of the Airflow DAG run with the given id.

    Args:
        catalogue: the runs.
        flow: name of the flow.
        word: names the run.
        option: option or argument that gave the word, for the error message.

    Raises:
        InvalidPathspec: the word is empty, or longer than the id of any run.
        ObjectNotFound: there is no such run, or several DAG runs have that id.
    """
    word = word.removeprefix(f"{flow}/")
    if not word.strip():
        raise InvalidPathspec("The id of the run is empty. Write one, or leave it out for your latest run.")
    if len(word) > _LONGEST:
        latest = next(iter(catalogue.run_ids(flow)), "1795547131171801")
        raise InvalidPathspec(
            f"{option}: {word[:_SHOWN]!r}... has {len(word)} characters, more than the id of any run. "
            f"Write one, such as {latest}."
        )
    run = catalogue.run(flow, word)
    if run is not None:
        return run
    known = catalogue.run_ids(flow)
    found = run_id_of(flow, word, known)
    if found is not None and (run := catalogue.run(flow, found)) is not None:
        return run
    if word in known:
        raise ObjectNotFound(
            f"The run {word} of {flow} has lost its record, {layout.run_manifest(flow, word)} in "
            f"{catalogue.describe()}. Put it back, or start the run again."
        )
    raise ObjectNotFound(
        f"There is no run {word!r} of {flow} in {catalogue.describe()}.{nearest(word, known)} "
        + (f"The latest is {known[0]}." if known else f"There is no run of {flow} at all.")
    )


def tasks_of(
    catalogue: RunCatalogue, flow: str, pathspec: str, attempt: int | None = None
) -> list[TaskRecord]:
    """Records of the tasks that ``RUN/STEP`` or ``RUN/STEP/TASK`` names, with or without ``FLOW/`` in front.

    Args:
        catalogue: the runs.
        flow: name of the flow.
        pathspec: names the tasks.
        attempt: attempt to read; if None, the one that counts.

    Raises:
        InvalidPathspec: the pathspec has another form.
        ObjectNotFound: there is no such run, step, task or attempt.
    """
    parts = pathspec.removeprefix(f"{flow}/").split("/")
    if len(parts) not in {2, _TASK_PARTS} or not all(parts):
        raise InvalidPathspec(f"{pathspec!r} names no tasks. Write RUN_ID/STEP or RUN_ID/STEP/TASK_ID.")
    run = run_of(catalogue, flow, parts[0])
    for part in parts[1:]:
        if len(part) > _LONGEST:
            raise InvalidPathspec(
                f"{part[:_SHOWN]!r}... of {len(part)} characters is no step or task of the run {run.run_id}. "
                "Write RUN_ID/STEP or RUN_ID/STEP/TASK_ID."
            )
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


def latest_run(catalogue: RunCatalogue, flow: str, otherwise: str) -> TaggedRun:
    """Latest run of the current user, for ``resume`` and ``spin``.

    Args:
        catalogue: the runs.
        flow: name of the flow.
        otherwise: option or argument that names somebody else's run, for the error message.

    Raises:
        ObjectNotFound: the user has no run of the flow, or started the latest on another machine.
    """
    wanted = f"user:{username()}"
    run_ids = catalogue.run_ids(flow)
    for start in range(0, len(run_ids), _BATCH):
        for run in catalogue.runs(flow, run_ids[start : start + _BATCH]):
            if run is not None and wanted in run.system_tags:
                _check_known(catalogue, run, run_ids, otherwise)
                return run
    raise ObjectNotFound(
        f"There is no run of {flow} by {wanted} in {catalogue.describe()}. "
        f"Name somebody else's run with {otherwise}, or start one with 'run'."
    )


def _check_known(catalogue: RunCatalogue, run: TaggedRun, run_ids: Sequence[str], otherwise: str) -> None:
    """Refuse a run that was scheduled elsewhere, if one from here may have been meant.

    Whoever may write the datastore can put a run there under anybody's name, with any artifacts.
    """
    if catalogue.is_remembered(run.flow, run.run_id):
        return
    own = next((each for each in run_ids if catalogue.is_remembered(run.flow, each)), None)
    if own is not None:
        raise ObjectNotFound(
            f"Your latest run of {run.flow}, {run.run_id}, was not started on this machine, and the latest "
            f"that was is {own}. Say which of them you mean with {otherwise}."
        )


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

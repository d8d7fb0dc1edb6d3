"""``Story``: the times of an attempt's phases, and lines about the attempt for a task's log.

The lines are for readers of Airflow, who have no other place to look at. They say which code and environment
ran, what the task read and wrote, and where the time went. Airflow's UI folds what is between ``::group::``
and ``::endgroup::``. The lines are not part of the step's own output, which the datastore keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, RunRecordRef
    from airflow_conda_flow.records.task_record import TaskRecord
    from airflow_conda_flow.runner.task_inputs import TaskInputs
    from airflow_conda_flow.runner.task_request import TaskRequest

_SHOWN = 20
"""Artifacts and packages that a line names; the others are counted."""
_DIGITS = 12
"""Digits of a digest that a line shows."""
_THOUSAND = 1000  # as disks and S3 count
_ROUNDS = 100
"""Rounds of a step that leads back to itself whose times are kept one by one."""


class Story:
    """Story of one attempt.

    Args:
        say: called with each line; None tells nothing and measures all the same.

    Attributes:
        seconds: duration of each phase that has ended, in seconds, by its name.
    """

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block; a phase that comes again adds up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            total = self.seconds.get(name, 0.0) + time.perf_counter() - began
            self.seconds[name] = round(total, 3)

    @contextmanager
    def round(self, number: int) -> Iterator[None]:
        """Tell that a round of a step that leads back to itself begins, and measure the block.

        The first ``_ROUNDS`` rounds have a time each and the later ones have one together: a step that waits
        for something may have thousands, and all manifests of a run are read again and again.

        Args:
            number: of the round, counted from 1.
        """
        self._tell(f"Round {number} begins")
        if number <= _ROUNDS:
            with self.phase(f"round {number}"):
                yield
            return
        first = f"rounds {_ROUNDS + 1} to"
        name = f"{first} {number}"
        self.seconds[name] = self.seconds.pop(f"{first} {number - 1}", 0.0)
        with self.phase(name):
            yield

    def begin(self, request: TaskRequest, run: RunRecord, inputs: TaskInputs) -> None:
        """Tell which attempt begins, with what code, environment and inputs."""
        lines = [f"Code: {_code(run.ref)}"]
        if (prepared := run.revision_of) is not None:
            lines.append("That is newer than the run: this task was cleared, or reads from one that was.")
            lines.append(f"The run was prepared with {_code(prepared)}")
        if (environment := run.environment_of(request.step)) is not None:
            packages = _packages(environment.get("stated", {}))
            stated = f"; {packages}" if packages else ""
            lines.append(
                f"Environment: {environment['id'][:_DIGITS]}, Python {environment['python']}, "
                f"{environment['platform']}{stated}"
            )
        lines += [f"Input: {task.task_id}" for task in inputs.tasks[:_SHOWN]]
        lines += _more(len(inputs.tasks) - _SHOWN)
        lines.append(f"Artifacts to read: {_artifacts(inputs.namespace)}")
        self._group(f"Attempt {request.attempt} of {request.task.pathspec}", lines)

    def making_environment(self) -> None:
        """Tell that the environment is being made, which may take a while."""
        self._tell("Making the environment ready")

    def end(self, record: TaskRecord, inputs: TaskInputs | None) -> None:
        """Tell what the attempt has left, what comes next, and the time of each phase."""
        before: Mapping[str, ArtifactRef] = {} if inputs is None else inputs.namespace
        lines = []
        if record.is_done:
            written = {
                name: ref
                for name, ref in record.artifacts.items()
                if name not in before or before[name]["sha256"] != ref["sha256"]
            }
            lines.append(f"Artifacts written: {_artifacts(written)}")
            if kept := len(record.artifacts) - len(written):
                lines.append(f"Artifacts passed on: {kept}")
            lines.append(_next(record))
        phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        lines.append(f"Seconds: {phases}")
        self._group(f"{record.name.task.pathspec} is {record.status}", lines)

    def _group(self, title: str, lines: list[str]) -> None:
        self._tell(f"::group::{title}")
        for line in lines:
            self._tell(line)
        self._tell("::endgroup::")

    def _tell(self, line: str) -> None:
        if self._say is not None:
            self._say(line)


def _code(ref: RunRecordRef) -> str:
    made = ref["created"][:19].replace("T", " ")
    return f"package {ref['code']['sha256'][:_DIGITS]}, made {made} UTC"


def _packages(stated: Mapping[str, str]) -> str:
    shown = [f"{name} {version}".rstrip() for name, version in list(stated.items())[:_SHOWN]]
    return ", ".join([*shown, *_more(len(stated) - _SHOWN)])


def _artifacts(refs: Mapping[str, ArtifactRef]) -> str:
    shown = [
        f"{name} ({ref['type'].rpartition('.')[2]}, {amount_text(ref['size'])})"
        for name, ref in list(refs.items())[:_SHOWN]
    ]
    return ", ".join([*shown, *_more(len(refs) - _SHOWN)]) or "none"


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []


def _next(record: TaskRecord) -> str:
    if record.transition is None:
        return "Next: the flow ends here"
    following = " and ".join(record.transition["next"])
    if record.num_splits is not None:
        return f"Next: {following}, {record.num_splits} times"
    chosen = record.transition["condition"]
    return f"Next: {following}, chosen by {chosen}" if chosen else f"Next: {following}"


def amount_text(size: float) -> str:
    """Number of bytes for people, in decimal units.

    >>> amount_text(999), amount_text(1500), amount_text(2_345_678_901)
    ('999 B', '1.5 kB', '2.3 GB')
    """
    units = ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        if size < _THOUSAND or unit == units[-1]:
            break
        size /= _THOUSAND
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"

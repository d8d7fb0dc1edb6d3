"""``@catch``: the artifact that holds a failure, and the lines that report it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import NotAsPrepared
from airflow_conda_flow.flow.caught_exception import CaughtException
from airflow_conda_flow.runner.stored_values import store_values

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, ExceptionRecord


def is_caught(run: RunRecord, step: str, exception: ExceptionRecord) -> bool:
    """True if the run continues after the last attempt of the step has failed with this exception.

    ``@catch`` is for failures of the step, and not for a run that is not what was prepared.
    """
    return "catch" in run.decorators_of(step) and not is_hopeless(exception)


def is_hopeless(exception: ExceptionRecord | None) -> bool:
    """True for a failure that no other attempt of the step may follow."""
    return exception is not None and exception["type"] == NotAsPrepared.__name__


def stored(
    datastore: Datastore, run: RunRecord, step: str, exception: ExceptionRecord
) -> dict[str, ArtifactRef]:
    """Store the failure as an artifact under the name ``var`` of ``@catch``.

    Args:
        datastore: where the artifact is stored.
        run: the run's record.
        step: the step that failed.
        exception: the failure.

    Returns:
        the artifact's reference by its name; empty if ``var`` is None.
    """
    var = _attributes(run, step)["var"]
    if var is None:
        return {}
    value = CaughtException(exception["message"], exception["full_type"], exception["traceback"])
    return store_values(datastore, {var: value}, run.pickle_protocol(step))


def lines(run: RunRecord, step: str, exception: ExceptionRecord) -> Iterator[str]:
    """Lines that report a caught failure; none with ``print_exception=False``."""
    if _attributes(run, step)["print_exception"]:
        yield f"@catch caught an exception from step {step}"
        for line in exception["traceback"].splitlines():
            yield f">  {line}"


def _attributes(run: RunRecord, step: str) -> dict[str, Any]:
    attributes: dict[str, Any] = run.decorators_of(step)["catch"]
    return attributes

"""Says in which line of the flow the environment is asked for that cannot be solved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import SolveError


@contextmanager
def placed(spec: EnvironmentSpec) -> Iterator[None]:
    """Give a ``SolveError`` of the block, which is about the spec, the place of the step that asks for it."""
    try:
        yield
    except SolveError as error:
        if error.file is None and spec.place is not None:
            error.file, error.line = spec.place
        raise

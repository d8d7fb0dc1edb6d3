"""Return value of ``MyFlow.dag()`` in steps, in programs and without Airflow, where no DAG is made."""

import sys
from contextlib import suppress

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.late_bindings import bound
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from typing_extensions import Self

_RUNNING = ("cli", "test")
"""Methods of a DAG that run it. A program that calls one expects a run, so doing nothing would mislead it."""


class InertValue:
    """Object that accepts everything that a DAG or an attribute of a DAG accepts, and does nothing.

    >>> dag = InertValue()
    >>> dag.tags.add("x"), bool(dag), list(dag.tasks), dag >> dag.task is not None
    (<InertValue>, False, [], True)
    """

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__"):  # copy, pickle and others test for optional methods
            raise AttributeError(name)
        return InertValue()

    def __setattr__(self, name: str, value: "Any") -> None:
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)

    def __call__(self, *arguments: "Any", **options: "Any") -> "Any":
        """Return an inert value; used as a decorator, it replaces the function as well."""
        del arguments, options
        return InertValue()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exception: object) -> None:
        """Let the exception pass."""

    def __iter__(self) -> "Iterator[Any]":
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, item: object) -> bool:
        return False

    def __getitem__(self, key: object) -> "Any":
        return InertValue()

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def __delitem__(self, key: object) -> None:
        pass

    def _operation(self, other: object) -> "Any":  # noqa: ARG002 - the operand of an operator
        return InertValue()

    __rshift__ = __lshift__ = __rrshift__ = __rlshift__ = _operation
    __add__ = __radd__ = __or__ = __ror__ = __and__ = __rand__ = __sub__ = __rsub__ = _operation
    __iadd__ = __ior__ = _operation

    def __repr__(self) -> str:
        return "<InertValue>"


class InertDag(InertValue):
    """Placeholder for the DAG of a flow; ``dag_id`` is a real text and ``tags`` a real set.

    Args:
        dag_id: id of the DAG.
        place: file and line of ``dag()`` if the file runs as a program, where running the DAG is an error.
    """

    def __init__(self, dag_id: str, place: "tuple[str, int] | None" = None) -> None:
        self.dag_id = dag_id
        self.tags: "set[str]" = set()
        self._place = place

    def __enter__(self) -> "Self":
        # If the flow file has imported Airflow since dag(), operators in the block need a real DAG.
        if "airflow.sdk" in sys.modules:
            with suppress(ImportError):
                self._real = bound("scratch_dag")(self.dag_id, None)
                self._real.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let the exception pass."""
        real = self.__dict__.pop("_real", None)
        if real is not None:
            real.__exit__(*exception)

    def __getattr__(self, name: str) -> "Any":
        if name in _RUNNING and self._place is not None:
            runs_nothing(name, self.dag_id, self._place)
        return InertValue.__getattr__(self, name)

    def __repr__(self) -> str:
        return "<DAG %s, which is not made here>" % self.dag_id


def runs_nothing(method: str, dag_id: str, place: "tuple[str, int]") -> "NoReturn":
    """Say that a DAG cannot be run where it is not made.

    Args:
        method: name of the method that would run it.
        dag_id: id of the DAG.
        place: file and line of ``dag()``.

    Raises:
        FlowDefinitionError: always.
    """
    show_plainly()
    raise FlowDefinitionError(
        "dag.%s() runs nothing here: where the flow file runs as a program, dag() makes no DAG. "
        "Write 'airflow dags test %s', or run the flow by calling its class." % (method, dag_id),
        *place,
    )

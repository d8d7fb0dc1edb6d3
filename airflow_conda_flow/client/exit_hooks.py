"""Calls the functions of ``@exit_hook`` about a run that has ended."""

from airflow_conda_flow.client import scope
from airflow_conda_flow.flow.decorators.exit_hook import call_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from airflow_conda_flow.client.past_run import Run


def call_hooks(functions: "Sequence[Any]", run: "Run | None", say: "Callable[[str], object]") -> "list[str]":
    """Call each, whatever becomes of those before it; returns the names of those that failed.

    The client shows them all runs, as they may be about those of others.

    Args:
        functions: what is called.
        run: the run, None if it never began.
        say: takes the lines that say why one failed.
    """
    scope.namespace(None)
    failed = []
    for function in functions:
        name = getattr(function, "__name__", repr(function))
        try:
            call_hook(function, run)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a hook fails for itself alone
            failed.append(name)
            say("The exit hook %s() failed:" % name)
            for line in _described(error).splitlines():
                say(line)
    return failed


def _described(error: "BaseException") -> str:
    from airflow_conda_flow.runtime.failure import describe  # noqa: PLC0415 - only where one failed

    return str(describe(error)["traceback"])

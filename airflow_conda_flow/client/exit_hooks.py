"""Calls of the ``@exit_hook`` functions after a run has ended."""

from airflow_conda_flow.client import scope
from airflow_conda_flow.flow.decorators.exit_hook import call_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from airflow_conda_flow.client.past_run import Run


def call_hooks(functions: "Sequence[Any]", run: "Run | None", say: "Callable[[str], object]") -> "list[str]":
    """Call every function, even if earlier ones fail; return the names of those that failed.

    The namespace is switched off first, because a hook may look at runs of other users.

    Args:
        functions: the hooks.
        run: the run; None if it never began.
        say: receives the lines that explain why a hook failed.
    """
    scope.namespace(None)
    failed = []
    for function in functions:
        name = getattr(function, "__name__", repr(function))
        try:
            call_hook(function, run)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a failing hook must not affect the others
            failed.append(name)
            say("The exit hook %s() failed:" % name)
            for line in _described(error).splitlines():
                say(line)
    return failed


def _described(error: "BaseException") -> str:
    from airflow_conda_flow.runtime.failure import describe  # noqa: PLC0415 - needed after a failure only

    return str(describe(error)["traceback"])

"""Time limit of a step, as set by ``@timeout``.

A signal raises an exception in the step itself, so that its ``finally`` blocks run and the traceback shows
where it was. The runner is told of the limit too, and ends code that the signal cannot interrupt.
"""

import signal

from airflow_conda_flow.errors import TimeoutException
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from airflow_conda_flow.runtime.protocol import MessageStream


def run(
    method: "Callable[..., Any]",
    arguments: "tuple[Any, ...]",
    seconds: float,
    step: str,
    stream: "MessageStream",
) -> None:
    """Call the step's method with a time limit.

    Args:
        method: the step.
        arguments: arguments of the step.
        seconds: time limit.
        step: name of the step.
        stream: connection to the runner.

    Raises:
        TimeoutException: the step ran longer than that.
    """

    def end(_number: int, _frame: "Any") -> "NoReturn":
        raise TimeoutException(message(step, seconds))

    signal.signal(signal.SIGALRM, end)
    stream.send(protocol.clock(seconds))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        method(*arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        stream.send(protocol.clock(None))


def message(step: str, seconds: float) -> str:
    """Message for a step that took too long.

    >>> message("train", 3723.5)
    'Step train timed out after 1 hours, 2 minutes, 3.5 seconds'
    """
    minutes, rest = divmod(seconds, 60)
    return "Step %s timed out after %d hours, %d minutes, %g seconds" % (
        step,
        minutes // 60,
        minutes % 60,
        rest,
    )

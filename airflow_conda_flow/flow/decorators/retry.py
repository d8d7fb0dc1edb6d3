"""``@retry``: retries a task that fails."""

from airflow_conda_flow.flow.decorators.amounts import duration, whole
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue


class RetryDecorator(StepDecorator):
    """Retry a task that fails, as a new attempt.

    A local process is retried immediately: waiting would change nothing on the same machine. Pods, jobs and
    Airflow's tasks wait.

    Args:
        times: number of retries after the first attempt.
        minutes_between_retries: minutes to wait before a retry.
    """

    name = "retry"
    defaults = {"times": 3, "minutes_between_retries": 2}

    def check(self) -> None:
        """Raise unless both are numbers from 0 up."""
        times = whole(self.attributes["times"])
        if times is None:
            self.fail(
                "@retry: times is %r; write a whole number from 0 up, such as times=3."
                % (self.attributes["times"],)
            )
        minutes = duration(self.attributes["minutes_between_retries"])
        if minutes is None:
            self.fail(
                "@retry: minutes_between_retries is %r; write a number from 0 up, such as "
                "minutes_between_retries=2." % (self.attributes["minutes_between_retries"],)
            )
        self.attributes.update(times=times, minutes_between_retries=minutes)


def retries(decorators: "Mapping[str, Mapping[str, Any]]") -> "tuple[int, float]":
    """Number of retries of a step's tasks, and the seconds to wait before each retry.

    Args:
        decorators: attributes of the step's decorators, by decorator name.

    >>> retries({"retry": {"times": 3, "minutes_between_retries": 0.5}}), retries({})
    ((3, 30.0), (0, 0.0))
    """
    attributes = decorators.get("retry")
    if attributes is None:
        return 0, 0.0
    return attributes["times"], attributes["minutes_between_retries"] * 60.0


if TYPE_CHECKING:

    def retry(
        __method: "Method | None" = None,
        *,
        times: "int | DelayedValue" = 3,
        minutes_between_retries: "float | DelayedValue" = 2,
    ) -> "Method":
        """Retry a task that fails; see ``RetryDecorator``."""

else:
    retry = decorator_function(RetryDecorator)

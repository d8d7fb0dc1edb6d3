"""``@retry``: how often a task that fails is tried again."""

from airflow_conda_flow.flow.decorators.amounts import duration, whole
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue


class RetryDecorator(StepDecorator):
    """Try a task again when it fails, as a new attempt.

    A local process is tried again at once, as nothing around it would have changed; pods, jobs and
    Airflow's tasks wait.

    Args:
        times: how often, beside the first attempt.
        minutes_between_retries: how long to wait before a retry.
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
    """How often a task of a step is tried again, and the seconds before each retry.

    Args:
        decorators: the step's, attributes by name.

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
        """Try a task again when it fails; see ``RetryDecorator``."""

else:
    retry = decorator_function(RetryDecorator)

"""``@timeout``: limits how long a step may run."""

from airflow_conda_flow.flow.decorators.amounts import duration
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600}


class TimeoutDecorator(StepDecorator):
    """End an attempt and its child processes when it runs longer than the sum of the attributes.

    The clock starts at the first line of the step, after environment and code have been prepared.

    Args:
        seconds: a number of at least 0.
        minutes: a number of at least 0.
        hours: a number of at least 0.
    """

    name = "timeout"
    defaults = {"seconds": 0, "minutes": 0, "hours": 0}

    def check(self) -> None:
        """Raise unless the attributes are numbers whose sum is above 0."""
        for unit in self.defaults:
            amount = duration(self.attributes[unit])
            if amount is None:
                self.fail(
                    "@timeout: %s is %r; write a number from 0 up, such as %s=30."
                    % (unit, self.attributes[unit], unit)
                )
            self.attributes[unit] = amount
        if not timeout_seconds({"timeout": self.attributes}):
            self.fail("@timeout gives no time. Write one, such as @timeout(minutes=30).")


def timeout_seconds(decorators: "Mapping[str, Mapping[str, Any]]") -> "float | None":
    """Seconds that a step may run; None if there is no limit.

    >>> timeout_seconds({"timeout": {"seconds": 5, "minutes": 1, "hours": 0}}), timeout_seconds({})
    (65, None)
    """
    attributes = decorators.get("timeout")
    if attributes is None:
        return None
    return sum(attributes[unit] * factor for unit, factor in _UNITS.items())  # type: ignore[no-any-return]


if TYPE_CHECKING:

    def timeout(
        __method: "Method | None" = None,
        *,
        seconds: "float | DelayedValue" = 0,
        minutes: "float | DelayedValue" = 0,
        hours: "float | DelayedValue" = 0,
    ) -> "Method":
        """Limit how long a step may run; see ``TimeoutDecorator``."""

else:
    timeout = decorator_function(TimeoutDecorator)

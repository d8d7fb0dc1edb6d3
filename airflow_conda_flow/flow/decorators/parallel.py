"""``@parallel``: the tasks of a step run at once and know of each other, as ``num_parallel`` asks."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.base import Method


class Parallel(StepDecorator):
    """Marks the step that ``self.next(self.train, num_parallel=4)`` leads to.

    In it ``current.parallel`` says how many nodes there are, and which of them the task is.
    """

    name = "parallel"


if TYPE_CHECKING:

    def parallel(
        __method: "Method | None" = None,
    ) -> "Method":
        """Mark a step whose tasks run at once, for num_parallel."""

else:
    parallel = decorator_function(Parallel)

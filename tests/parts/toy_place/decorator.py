"""``@toy``: run a step as a process of its own."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function


class ToyDecorator(StepDecorator):
    """Run a step as a toy."""

    name = "toy"
    defaults = {"colour": "red"}


toy = decorator_function(ToyDecorator)

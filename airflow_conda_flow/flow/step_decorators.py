"""Every step decorator that ``--with`` can add, by name. A new one is a new file and a line here."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators import StepDecorator

STEP_DECORATORS = {}  # type: dict[str, type[StepDecorator]]

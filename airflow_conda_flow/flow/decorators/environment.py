"""``@environment``: sets environment variables in a step's process."""

import re

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")


class EnvironmentDecorator(StepDecorator):
    """Environment variables that a step finds in ``os.environ``, wherever it runs.

    Args:
        vars: values by name; numbers and truth values become text by ``str``, and None leaves the variable
            unchanged. The values are stored with the run, so put secrets into ``@secrets`` instead.
    """

    name = "environment"
    defaults: "dict[str, Any]" = {"vars": {}}

    def check(self) -> None:
        """Raise unless ``vars`` maps valid names to texts, numbers or None."""
        given = self.attributes["vars"]
        if not isinstance(given, dict):
            self.fail('@environment: vars is %r; write a dict, such as vars={"MODE": "fast"}.' % (given,))
        values: "dict[str, str | None]" = {}
        for name, value in given.items():
            if not isinstance(name, str) or not VARIABLE.match(name):
                self.fail(
                    "@environment: %r is not a name of an environment variable. Write letters, digits and _."
                    % (name,)
                )
            if value is None:  # such as os.getenv("TOKEN") on a machine without that variable
                values[name] = None
                continue
            if not isinstance(value, (str, int, float)):
                self.fail('@environment: %s is %r; write a text, such as "1".' % (name, value))
            if "\0" in str(value):
                self.fail("@environment: %s holds a NUL character, which no variable can." % name)
            values[name] = str(value)
        self.attributes["vars"] = values


if TYPE_CHECKING:

    def environment(
        __method: "Method | None" = None,
        *,
        vars: "Mapping[str, str | float | None] | DelayedValue" = ...,  # noqa: A002 - Metaflow's name
    ) -> "Method":
        """Set environment variables for a step; see ``EnvironmentDecorator``."""

else:
    environment = decorator_function(EnvironmentDecorator)

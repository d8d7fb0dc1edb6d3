"""Mistakes in parameters, files and configs, and in how a flow uses them."""

import airflow_conda_flow
from airflow_conda_flow import Config, FlowSpec, IncludeFile, Parameter, current, step


class Flow(FlowSpec):
    """Wrong values."""

    alpha = Parameter("alpha", default=0.5)
    limit = Parameter("limit", type=int)
    # error: Argument "default" to "Parameter" has incompatible type "str"
    text = Parameter("text", type=int, default="many")
    # error: Value of type variable "Single" of "Parameter" cannot be "complex"
    kind = Parameter("kind", type=complex)
    # error: Unexpected keyword argument "requird" for overloaded function "Parameter"
    # error: No overload variant of "Parameter" matches argument types "str", "bool"
    needed = Parameter("needed", requird=True)
    # error: No overload variant of "IncludeFile" matches argument types "str", "str", "str"
    data = IncludeFile("data", default="data.csv", is_text="no")
    # error: Unexpected keyword argument "parse" for overloaded function "Config"
    # error: No overload variant of "Config" matches argument types "str", "str", "type[str]"
    settings = Config("settings", default="settings.json", parse=str)
    other = Config("other", default="other.json")

    @step
    def start(self) -> None:
        """Assigns to a parameter, and forgets that one may be None."""
        # error: Incompatible types in assignment (expression has type "int", variable has type "Never")
        self.alpha = 3
        # error: Incompatible types in assignment (expression has type "dict[Never, Never]", variable has type "Never")
        self.other = {}
        # error: Unsupported operand types for + ("None" and "int")
        print(self.limit + 1)
        # error: "float" has no attribute "upper"
        print(self.alpha.upper())
        self.items = [1, 2]
        # error: No overload variant of "next" of "FlowSpec" matches argument types "Callable[[], None]", "list[int]"
        self.next(self.end, foreach=self.items)

    @step
    def end(self) -> None:
        """Names that are not there."""
        # error: "Current" has no attribute "runid"
        print(current.run, current.runid)
        # error: Module has no attribute "retries"
        print(airflow_conda_flow.retries)
        # error: No overload variant of "next" of "FlowSpec" matches argument type "str"
        self.next("start")


# error: Argument "environment" to "dag" of "FlowSpec" has incompatible type "Literal['docker']"
dag = Flow.dag(environment="docker")

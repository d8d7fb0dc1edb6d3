"""A mistake in each decorator."""

from airflow_conda_flow import (
    FlowSpec,
    airflow_external_task_sensor,
    airflow_s3_key_sensor,
    batch,
    card,
    catch,
    conda,
    conda_base,
    environment,
    exit_hook,
    kubernetes,
    parallel,
    project,
    pypi,
    pypi_base,
    resources,
    retry,
    schedule,
    secrets,
    step,
    timeout,
    trigger,
    trigger_on_finish,
    user_step_decorator,
)


# error: Argument 1 to "user_step_decorator" has incompatible type "Callable[[str, FlowSpec, object], None]"
@user_step_decorator
def returns(step_name: str, flow: FlowSpec, inputs: object) -> None:
    """Has no yield."""


# error: Argument "daily" to "schedule" has incompatible type "str"
@schedule(daily="yes")
# error: Argument "name" to "project" has incompatible type "int"
@project(name=1)
# error: Argument "python" to "conda_base" has incompatible type "float"
@conda_base(python=3.11)
# error: Argument "packages" to "pypi_base" has incompatible type "str"
@pypi_base(packages="pandas")
# error: Argument "events" to "trigger" has incompatible type "str"
@trigger(events="orders")
# error: List item 0 has incompatible type "int"
@trigger_on_finish(flows=[1])
# error: Missing named argument "bucket_key" for "airflow_s3_key_sensor"
@airflow_s3_key_sensor(bucket_name="b")
# error: Argument "execution_delta" to "airflow_external_task_sensor" has incompatible type "int"
@airflow_external_task_sensor(external_dag_id="d", execution_delta=3600)
# error: Argument "on_error" to "exit_hook" has incompatible type "str"
@exit_hook(on_error="notify")
class Flow(FlowSpec):
    """Wrong attributes of flow decorators."""

    # error: Argument "times" to "retry" has incompatible type "str"
    @retry(times="3")
    @step
    def one(self) -> None:
        """Step."""

    # error: Argument "libraries" to "conda" has incompatible type "list[str]"
    @conda(libraries=["pandas"])
    @step
    def two(self) -> None:
        """Step."""

    # error: Argument "cpu" to "kubernetes" has incompatible type "list[Never]"
    @kubernetes(cpu=[])
    @step
    def three(self) -> None:
        """Step."""

    # error: Unexpected keyword argument "minuts" for "timeout"
    @timeout(minuts=3)
    @step
    def four(self) -> None:
        """Step."""

    # error: Argument 1 to "retry" has incompatible type "int"
    @retry(3)
    @step
    def five(self) -> None:
        """Step."""

    # error: Argument "sources" to "secrets" has incompatible type "str"
    @secrets(sources="my-secret")
    @step
    def six(self) -> None:
        """Step."""

    # error: Argument "type" to "card" has incompatible type "int"
    @card(type=1)
    @step
    def seven(self) -> None:
        """Step."""

    # error: Argument "var" to "catch" has incompatible type "list[str]"
    @catch(var=["failure"])
    @step
    def eight(self) -> None:
        """Step."""

    # error: Argument "vars" to "environment" has incompatible type "list[str]"
    @environment(vars=["MODE"])
    @step
    def nine(self) -> None:
        """Step."""

    # error: Argument "queue" to "batch" has incompatible type "int"
    @batch(queue=3)
    @step
    def ten(self) -> None:
        """Step."""

    # error: Argument "memory" to "resources" has incompatible type "dict[Never, Never]"
    @resources(memory={})
    @step
    def eleven(self) -> None:
        """Step."""

    # error: Argument "packages" to "pypi" has incompatible type "list[str]"
    @pypi(packages=["requests"])
    @step
    def twelve(self) -> None:
        """Step."""

    # error: Unexpected keyword argument "nodes" for "parallel"
    @parallel(nodes=4)
    @step
    def thirteen(self) -> None:
        """Step."""

    # error: Unexpected keyword argument "begin" for "step"
    @step(begin=True)
    def fourteen(self) -> None:
        """Step."""


@project
# error: Missing named argument "name" for "project"
class Unnamed(FlowSpec):
    """A project without a name."""

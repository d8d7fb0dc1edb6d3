"""Every decorator, with and without attributes: decorated steps keep their type."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from typing_extensions import assert_type

from airflow_conda_flow import (
    USER_SKIP_STEP,
    Config,
    FlowMutator,
    FlowSpec,
    Inputs,
    MutableFlow,
    MutableStep,
    Run,
    StepMutator,
    UserStepDecorator,
    airflow_external_task_sensor,
    airflow_s3_key_sensor,
    airflow_task,
    batch,
    card,
    catch,
    conda,
    conda_base,
    config_expr,
    current,
    environment,
    exit_hook,
    kubernetes,
    namespaced_event_name,
    parallel,
    project,
    pypi,
    pypi_base,
    pytorch_parallel,
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


def notify() -> None:
    """A hook that takes nothing."""


def report(run: Run | None) -> None:
    """A hook that takes the run."""
    print(None if run is None else run.pathspec)


@user_step_decorator
def timed(step_name: str, flow: FlowSpec, inputs: object) -> Iterator[None]:
    """A generator as a decorator."""
    print(step_name, flow, inputs)
    yield


@user_step_decorator
def cached(
    step_name: str, flow: FlowSpec, inputs: object, attributes: dict[str, Any]
) -> Iterator[dict[str, Any] | None]:
    """A generator that takes attributes."""
    print(step_name, flow, inputs)
    yield USER_SKIP_STEP if attributes.get("skip") else None


class Traced(UserStepDecorator):
    """A class as a decorator."""

    def init(self, level: int = 1) -> None:
        """Take an attribute."""
        self.level = level

    def pre_step(
        self, step_name: str, flow: FlowSpec, inputs: object = None
    ) -> Callable[[FlowSpec], None] | None:
        """Before the step."""
        print(step_name, flow, inputs)
        return None

    def post_step(
        self, step_name: str, flow: FlowSpec, exception: BaseException | None = None
    ) -> BaseException | None:
        """After the step."""
        print(step_name, flow)
        return exception


class Retrying(StepMutator):
    """A mutator of a step."""

    def mutate(self, mutable_step: MutableStep) -> None:
        """Add a decorator."""
        assert_type(mutable_step.has_decorator("retry"), bool)
        mutable_step.add_decorator(retry, deco_kwargs={"times": 2}, duplicates=mutable_step.OVERRIDE)
        mutable_step.add_decorator("timeout:minutes=5")
        mutable_step.add_decorator(Traced, deco_kwargs={"level": 2})
        mutable_step.remove_decorator("card")


class Everywhere(FlowMutator):
    """A mutator of a flow."""

    def init(self, name: str) -> None:
        """Take an argument."""
        self.decorator = name

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Add a decorator to each step."""
        for name, each in mutable_flow.steps:
            assert_type(name, str)
            assert_type(each, MutableStep)
            each.add_decorator(self.decorator)


def add(step_name: str) -> str:
    """A function beside the flow."""
    return step_name


@schedule
class Daily(FlowSpec):
    """The bare form."""

    @step
    def start(self) -> None:
        """The only step."""


@schedule(cron="0 6 * * *", timezone="Europe/Berlin")
@project(name="shop", branch="main", production=True)
@conda_base(python="3.11.7", libraries={"pandas": "2.2.3"})
@pypi_base(packages={"requests": "2.32.3"})
@trigger(event="orders")
@trigger_on_finish(flows=["Daily", {"name": "Weekly", "project": "shop", "project_branch": "prod"}])
@airflow_s3_key_sensor(bucket_key="s3://orders/*.csv", wildcard_match=True, timeout=60)
@airflow_s3_key_sensor(bucket_key=["a", "b"], bucket_name="orders", mode="poke", verify=False)
@airflow_external_task_sensor(
    external_dag_id="first", external_task_ids=["end"], execution_delta=timedelta(days=1)
)
@exit_hook(on_success=[notify], on_error=[notify, report])
@Everywhere("card")
class Everything(FlowSpec):
    """All step decorators."""

    settings = Config("settings", default_value={"cpu": 1, "env": {}, "libraries": {}})

    @conda
    @pypi
    @kubernetes
    @batch
    @airflow_task
    @resources
    @retry
    @timeout(seconds=5)
    @catch
    @environment
    @card
    @timed
    @Traced
    @Retrying
    @step
    def start(self) -> None:
        """The bare forms."""
        self.next(self.work)

    @conda(libraries={"numpy": "1.26.4"}, python="3.11.7", disabled=False, file="environment.yml")
    @pypi(packages={"requests": "2.32.3"})
    @kubernetes(
        cpu=2,
        memory="4Gi",
        gpu=1,
        image="python:3.11-slim",
        node_selector={"disk": "ssd"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        labels={"team": "data"},
        secrets=["s3-credentials"],
        env={"OMP_NUM_THREADS": "2"},
        persistent_volume_claims={"data": "/data"},
        security_context={"run_as_user": 1000},
        use_tmpfs=True,
        tmpfs_size=512,
        port=8080,
    )
    @batch(cpu=0.5, queue="flows", host_volumes=["/data"], log_options=["awslogs-group:/flows"])
    @airflow_task(
        pool="small", pool_slots=2, executor_config={"pod_template_file": "/t.yaml"}, depends_on_past=True
    )
    @resources(cpu=0.5, memory=4096, shared_memory="64Mi")
    @retry(times=2, minutes_between_retries=0.5)
    @timeout(minutes=30)
    @catch(var="failure", print_exception=False)
    @environment(vars={"MODE": "fast", "LEVEL": 3})
    @secrets(sources=["my-secret", {"type": "airflow.variable", "id": "token"}], allow_override=True)
    @card(type="html", id="report", options={"attribute": "page"})
    @card(id="other")
    @cached(skip=False)
    @Traced(level=2)
    @Retrying()
    @step(end=False)
    def work(self) -> None:
        """All attributes."""
        self.next(self.configured)

    @conda(libraries=settings.libraries)
    @kubernetes(cpu=settings.cpu, **settings["kubernetes"])
    @environment(vars={"LEVEL": settings.level, "NAME": config_expr("settings.name.upper()")})
    @secrets(sources=[settings.secret])
    @pypi(packages=settings.libraries.pypi, **settings.pypi)
    @card(options=settings)
    @resources(memory=config_expr("settings.cpu * 1024"))
    @retry(times=settings["retries"])
    @step(start=False, node_info={"color": "red"})
    def configured(self) -> None:
        """Attributes from a config."""
        self.next(self.node, num_parallel=2)

    @pytorch_parallel(master_port=2345)
    @parallel()
    @step
    def node(self) -> None:
        """A node."""
        self.next(self.nodes)

    @step
    def nodes(self, inputs: Inputs["Everything"]) -> None:
        """The join of the nodes."""
        print(len(inputs))
        self.next(self.end)

    @step
    def end(self) -> None:
        """The last step."""
        print(add(current.step_name), namespaced_event_name("orders"))


def check(flow: Everything) -> None:
    """A decorated step is the method that it was."""
    assert_type(flow.start, Callable[[], None])
    assert_type(flow.work, Callable[[], None])
    assert_type(flow.configured, Callable[[], None])

"""Compiler from a flow to an Airflow DAG: one task that prepares the run, and one task per step.

Airflow parses DAG files again and again, so compiling solves no environment and uses no network. It only
reads the flow's source.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from platform import python_version
from types import FrameType
from typing import Any, Literal

from airflow.sdk import DAG, AssetAlias

from airflow_conda_flow.airflow.configuration import airflow_project_place, airflow_settings
from airflow_conda_flow.airflow.dag.facts import StepDecorators, prepare_facts, step_facts
from airflow_conda_flow.airflow.dag.parameters import airflow_param
from airflow_conda_flow.airflow.dag.schedules import own_asset, schedule_of
from airflow_conda_flow.airflow.dag.sensors import make_sensors
from airflow_conda_flow.airflow.identity import dag_id_of
from airflow_conda_flow.airflow.operators.exit_hook import ExitHookOperator
from airflow_conda_flow.airflow.operators.prepare import FanOutOperator, PrepareOperator
from airflow_conda_flow.airflow.versions import is_at_least
from airflow_conda_flow.compute.infrastructure import infrastructure_retries
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.errors import FlowDefinitionError, ParameterError, SettingError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.decorators.retry import retries
from airflow_conda_flow.flow.decorators.timeout import timeout_seconds
from airflow_conda_flow.flow.definition import FlowDefinition, read_flow
from airflow_conda_flow.flow.parameters.config_input import GivenConfigs
from airflow_conda_flow.records.dag_names import DAG_TAG, PREPARE_TASK
from airflow_conda_flow.records.graph import StepNode

_SLACK = timedelta(minutes=15)
"""Time that Airflow gives a task beyond ``@timeout``.

The runner ends the step itself in time. Airflow's limit also covers what comes before the step: the image,
the pod, the environment and the code package. A smaller slack would fail steps that are within their own
limit.
"""

_SPARE_DELAY = timedelta(seconds=10)
"""Pause before a step without retries of its own is tried again because the infrastructure lost it."""


def compile_dag(
    flow_class: type[Any],
    *,
    dag_id: str | None = None,
    environment: Literal["conda", "local"] = "conda",
    configs: Mapping[str, str] | None = None,
    config_values: Mapping[str, Any] | None = None,
    decorators: Sequence[str] = (),
    branch: str | None = None,
    production: bool | None = None,
    asset: bool = False,
    **dag_keywords: Any,
) -> DAG:
    """DAG of a flow.

    Args:
        flow_class: the flow.
        dag_id: the DAG's id; by default made from the flow's name: ``linear_flow`` for ``LinearFlow``.
        environment: ``conda`` runs every step in its own environment, ``local`` in the worker's
            interpreter.
        configs: files for the flow's configs, by config name; paths are relative to the flow file.
        config_values: dicts or texts for the flow's configs, by config name.
        decorators: the same as ``--with`` on the command line: texts such as ``kubernetes:cpu=2``, for every
            step that has no decorator of that name.
        branch: the branch of a flow with ``@project``; None for that of the settings.
        production: True for a production deployment; None for the value of the settings.
        asset: True to show the flow's end in Airflow as an asset that the last task updates. Without it the
            end is an event only while another DAG refers to that asset.
        dag_keywords: keywords of Airflow's ``DAG``; ``params`` is added to the flow's parameters.

    Raises:
        FlowDefinitionError: the flow or an argument is wrong.
    """
    folder = Path(_place_of(flow_class)[0]).parent
    files = {name: str(folder / path) for name, path in (configs or {}).items()}
    given = GivenConfigs(files, config_values)
    try:
        definition = read_flow(flow_class, given)
    except ParameterError as error:
        raise FlowDefinitionError(
            f"{flow_class.__name__}.dag(...): {error} In a DAG, a config has a default, or is given with "
            "configs={name: file} or config_values={name: value}.",
            *_place_of(flow_class),
        ) from error
    _check_call(definition)
    if environment not in {"conda", "local"}:
        raise FlowDefinitionError(
            f"{definition.name}.dag(environment={environment!r}): write 'conda' or 'local'.",
            *_dag_line(definition),
        )
    try:
        definition.attach(decorators)
    except SettingError as error:
        message = f"{definition.name}.dag(decorators=...): {error}"
        raise FlowDefinitionError(message, *_dag_line(definition)) from None
    if environment == "conda":
        definition.check_versions()
    project = _take_project(definition, branch, production=production)
    params = {each.name: airflow_param(each) for each in definition.parameters}
    params.update(dag_keywords.pop("params", None) or {})
    dag_keywords.setdefault("doc_md", definition.graph.doc or None)
    dag_keywords.setdefault("description", (definition.graph.doc or "").strip().partition("\n")[0] or None)
    dag_keywords["tags"] = [DAG_TAG, *(dag_keywords.get("tags") or ())]
    dag_keywords.setdefault("schedule", schedule_of(definition))
    own_id = dag_id_of(definition.name)
    if project:
        own_id = f"{project['project_name']}.{project['branch_name']}.{own_id}"
        names = (f"project:{project['project_name']}", f"project_branch:{project['branch_name']}")
        dag_keywords["tags"] = [*dag_keywords["tags"], *names]
    dag = _make_dag(definition, dag_id or own_id, params, dag_keywords)
    # DAG() takes the file of its caller, which is this module; Airflow's UI would show this code.
    dag.fileloc = definition.file
    _Tasks(definition, dag, environment, given, tuple(decorators), shows_end=asset).add()
    return dag


def _check_call(definition: FlowDefinition) -> None:
    """Raise unless the flow object can be made without arguments: no program makes one in a DAG."""
    try:
        inspect.signature(definition.flow_class).bind()
    except TypeError as error:
        raise FlowDefinitionError(
            f"{definition.name}.__init__ cannot be called without arguments ({error}), as the steps of a DAG "
            "do. Give its arguments defaults, or make them parameters.",
            *_place_of(definition.flow_class),
        ) from None


def _take_project(
    definition: FlowDefinition, branch: str | None, *, production: bool | None
) -> dict[str, Any]:
    """Place of the flow in its project; empty without ``@project``.

    Sets the definition's branch, production and user.
    """
    if not definition.has_project:
        if branch is not None or production is not None:
            raise FlowDefinitionError(
                f"{definition.name}.dag(...): branch and production are for flows with @project.",
                *_dag_line(definition),
            )
        return {}
    try:
        set_branch, set_production, definition.user = airflow_project_place()
        definition.branch = branch or set_branch
        definition.production = set_production if production is None else production
        project = definition.project
    except SettingError as error:
        raise FlowDefinitionError(f"{definition.name}.dag(...): {error}", *_dag_line(definition)) from error
    return project


def _make_dag(
    definition: FlowDefinition, dag_id: str, params: dict[str, Any], keywords: dict[str, Any]
) -> DAG:
    try:
        return DAG(dag_id, params=params, **keywords)  # noqa: AIR002 - the flow's author gives it
    except (TypeError, ValueError) as error:
        known = [
            *DAG.__init__.__annotations__,
            "environment",
            "configs",
            "config_values",
            "decorators",
            "branch",
            "production",
            "asset",
        ]
        wrong = next((name for name in keywords if name not in known), None)
        hint = "" if wrong is None else f" {wrong!r} is not a keyword of a DAG.{nearest(wrong, known)}"
        raise FlowDefinitionError(
            f"{definition.name}.dag(...):{hint or f' {error}'}", *_dag_line(definition)
        ) from error


def _dag_line(definition: FlowDefinition) -> tuple[str, int]:
    """File and line of the call that asks for the DAG, if it is in the flow file; else those of the class."""
    return _line_in(definition.graph.file, (definition.file, definition.graph.line))


def _place_of(flow_class: type[Any]) -> tuple[str, int]:
    """The same as ``_dag_line`` for a flow that could not be read; else line 1 of the flow file."""
    file = getattr(sys.modules.get(flow_class.__module__), "__file__", None) or ""
    return _line_in(file, (file, 1))


def _line_in(file: str, otherwise: tuple[str, int]) -> tuple[str, int]:
    # inspect.currentframe would do the same, for one more import in every parsing.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_code.co_filename == file:
            return otherwise[0], frame.f_lineno
        frame = frame.f_back
    return otherwise


def _attempts(decorators: Mapping[str, Any], default_args: Mapping[str, Any], spare: int) -> dict[str, Any]:
    """Keywords of an operator that follow from ``@retry`` and ``@timeout``.

    Airflow counts tries, of which the infrastructure may lose some. They get tries of their own, so that
    ``@retry`` counts the failures of the step alone.

    Args:
        decorators: the step's decorators.
        default_args: those of the DAG; ``retries`` and ``retry_delay`` are for steps without ``@retry``.
        spare: the setting ``infrastructure_retries``.
    """
    if "retry" in decorators:
        times, seconds = retries(decorators)
        keywords: dict[str, Any] = {"retry_delay": timedelta(seconds=seconds)}
    else:
        times = int(default_args.get("retries") or 0)
        keywords = _delay(default_args)
    keywords.update(user_retries=times, retries=times + spare)
    limit = timeout_seconds(decorators)
    if limit is not None:
        keywords["execution_timeout"] = timedelta(seconds=limit) + _SLACK
    return keywords


def _delay(default_args: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword for the pause before a task is tried again that has no ``@retry``."""
    is_given = "retry_delay" in default_args or default_args.get("retries")
    return {} if is_given else {"retry_delay": _SPARE_DELAY}


class _Tasks:
    """Builder of the tasks of one flow in its DAG."""

    def __init__(
        self,
        definition: FlowDefinition,
        dag: DAG,
        environment: Literal["conda", "local"],
        given: GivenConfigs,
        decorators: Sequence[str],
        *,
        shows_end: bool,
    ) -> None:
        from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

        self._definition = definition
        self._given = given
        self._graph = definition.graph
        self._decorators = definition.decorators
        self._placement = Placement.of(definition.decorators)
        self._dag = dag
        # Read once and not for each step: parsing has to be quick.
        usual = conf.getint("core", "default_task_retries", fallback=0)
        self._default_args = {"retries": usual, **dag.default_args}
        self._settings = airflow_settings()
        self._spare = infrastructure_retries(self._settings)
        self._environment = environment
        self._environments: dict[str, Any] = {}
        if environment == "conda":
            self._environments = definition.step_environments(python_version())
        # The tasks that run no step may lose their workers too.
        self._spare_tries = {
            "retries": int(self._default_args.get("retries") or 0) + self._spare,
            **_delay(self._default_args),
        }
        self._everywhere = decorators
        self._shows_end = shows_end
        self._tasks: dict[str, Any] = {}
        self._splits: dict[str, Any] = {}
        # First, so that no other task takes the name that a sensor was given.
        self._sensors = make_sensors(definition.sensors, dag, self._settings, self._graph.steps)
        self._skipped_by: dict[str, list[str]] = {}  # switches, by the steps that they may skip
        self._prepare = self._free_name(PREPARE_TASK)

    def add(self) -> None:
        prepare = PrepareOperator(
            task_id=self._prepare,
            flow_class=self._definition.flow_class,
            environment=self._environment,
            given=self._given,
            decorators=self._everywhere,
            project=(self._definition.branch, self._definition.production, self._definition.user),
            facts=prepare_facts(self._definition.name, self._definition.file, self._environment),
            doc_md="Prepares the run before its first step: environments, code and parameters.",
            dag=self._dag,
            **self._spare_tries,
        )
        # Before the run is prepared: nothing is solved, and no run exists, until there is something to do.
        prepare.set_upstream(self._sensors)
        for node in self._graph.topological():
            task = self._step(node)
            self._tasks[node.name] = task
            # A step that leads back to itself is one task: its attempt runs all rounds.
            before = [name for name in node.in_steps if name != node.name]
            # The scheduler asks the tasks right before another one whether to skip it, and no others.
            before += [name for name in self._skipped_by.get(node.name, ()) if name not in before]
            task.set_upstream([self._tasks[name] for name in before] or [prepare])
        self._add_exit_hooks()

    def _add_exit_hooks(self) -> None:
        """Add the task that calls the exit hooks, after all others and not only after the last step.

        Airflow gives the last step up as soon as one branch fails, while another branch may still run.
        """
        hooks = {succeeded: self._definition.exit_hooks(succeeded) for succeeded in (True, False)}
        if any(hooks.values()):
            last = self._tasks_to_wait_for()
            ExitHookOperator(
                task_id=self._free_name("exit_hook"),
                flow=self._definition.name,
                last_step=self._graph.end,
                hooks=hooks,
                doc_md="Calls the flow's exit hooks when all other tasks have ended.",
                dag=self._dag,
            ).set_upstream(last)

    def _tasks_to_wait_for(self) -> list[Any]:
        """Tasks after which, whatever their states, every task of the DAG has ended.

        A task that follows one task alone, which is not mapped, gets no state before that one: whoever waits
        for it waits for both. Airflow ends other tasks early: one that follows several fails or is skipped as
        soon as one of them is, and one that follows a mapped task fails as soon as one of its splits does.
        """
        tasks = self._dag.task_dict
        waited_for = set(tasks)
        for task in tasks.values():
            first, *others = task.upstream_task_ids or [None]
            if first is not None and not others and not tasks[first].is_mapped:
                waited_for.discard(first)
        return [tasks[name] for name in sorted(waited_for)]

    def _step(self, node: StepNode) -> Any:
        decorators = self._decorators[node.name]
        place = self._placement.place(node.name)
        foreaches = self._foreaches(node)
        operator = place.load("gang_operator" if self._graph.is_in_gang(node.name) else "operator")
        keywords: dict[str, Any] = {
            "flow": self._definition.name,
            "step": node.name,
            "kind": "linear" if node.num_parallel else node.kind,
            "decorators": StepDecorators(decorators),
            "prepare": self._prepare,
            "facts": step_facts(
                self._definition.flow_class,
                node.name,
                place.name,
                decorators,
                self._environments.get(node.name),
                self._settings,
            ),
        }
        common: dict[str, Any] = {
            "task_id": node.name,
            "doc_md": node.doc or None,
            "dag": self._dag,
            "do_xcom_push": node.kind == "foreach" and not node.num_parallel,
            **self._trigger_rule(node.in_steps),
            **_attempts(decorators, self._default_args, self._spare),
            **{name: each for name, each in decorators.get("airflow_task", {}).items() if each is not None},
        }
        if node.kind == "end":
            asset = own_asset(self._definition)
            keywords["end_asset"] = asset.name
            if self._shows_end:
                # Airflow 3.0 fails a task under `dags test` whose outlet is an asset that no scheduler has
                # activated.
                common["outlets"] = [asset if is_at_least("3.1") else AssetAlias(asset.name)]
        if node.kind == "switch":
            left_out = keywords["left_out"] = self._left_out(node)
            for name in {name for names in left_out.values() for name in names}:
                self._skipped_by.setdefault(name, []).append(node.name)
        if foreaches:
            task = operator.partial(**common, **keywords, map_index_template="{{ split_name }}").expand(
                indices=self._splits_of(foreaches)
            )
        else:
            task = operator(**common, **keywords)
        # So that the scheduler looks for the XCom in which the task says which tasks to skip. Airflow sets it
        # for subclasses of its SkipMixin alone, whose methods work in a worker alone.
        task._can_skip_downstream = node.kind == "switch"  # noqa: SLF001
        return task

    def _splits_of(self, foreaches: list[str]) -> Any:
        """XCom with the splits to map over: those of the innermost foreach, in one list."""
        innermost = foreaches[-1]
        if innermost not in self._splits:
            output = self._tasks[innermost].output
            # The foreach step is mapped itself, and returns its splits per task; Airflow maps over one list.
            if len(foreaches) > 1:
                output = FanOutOperator(
                    task_id=self._free_name(f"{innermost}_splits"),
                    splits=output,
                    doc_md=f"Puts the splits of all tasks of {innermost} into one list.",
                    dag=self._dag,
                    **self._trigger_rule([innermost]),
                    **self._spare_tries,
                ).output
            self._splits[innermost] = output
        return self._splits[innermost]

    def _free_name(self, wanted: str) -> str:
        """Task id that neither a step nor a task made so far has."""
        while wanted in self._graph.steps or self._dag.has_task(wanted):
            wanted += "_"
        return wanted

    def _trigger_rule(self, upstream: Sequence[str]) -> dict[str, str]:
        """Trigger rule, as a keyword, with which a task runs although a switch skipped some upstream steps.

        If all of them are skipped, so is the task. Inside a foreach the task that returns the splits is
        upstream too, so a step that was skipped for some splits does not skip the task for the others.
        """
        if any(self._graph.steps[name].conditional for name in upstream):
            return {"trigger_rule": "none_failed_min_one_success"}
        return {}

    def _foreaches(self, node: StepNode) -> list[str]:
        """Steps over whose splits the step's task is mapped, outermost first."""
        foreaches = [name for name in node.split_parents if self._graph.steps[name].kind == "foreach"]
        if self._graph.is_in_gang(node.name):
            foreaches.pop()  # all nodes of a num_parallel are one task, so there is nothing to map
        return foreaches

    def _left_out(self, node: StepNode) -> dict[str, list[str]]:
        """For each arm of a switch, the tasks to skip if that arm is chosen.

        Outside any foreach these are the tasks directly after the switch: a task is skipped if all before it
        are. A mapped task waits for all splits of the task before it, and is not skipped with one of them. So
        a switch in a foreach names all tasks of its arms that are mapped as it is; otherwise a worker would
        start for each, only to skip it.
        """
        foreaches = self._foreaches(node)
        arms = list(node.out_steps)
        if foreaches:
            after = self._graph.descendants(node.name) - set(arms)
            steps = self._graph.steps
            arms += sorted(name for name in after if self._foreaches(steps[name]) == foreaches)
        # Not the steps that the chosen arm reaches later, nor the switch itself, if it leads back to itself.
        left_out = {}
        for chosen in node.out_steps:
            on_the_way = self._graph.descendants(chosen) | {chosen, node.name}
            left_out[chosen] = [name for name in arms if name not in on_the_way]
        return left_out

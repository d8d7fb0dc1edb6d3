"""Execution of a step together with the user decorators around it."""

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.extending.recorded_decorators import find_decorators
from airflow_conda_flow.flow.graph.reader import read_graph
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.flow.parameters.config import Config, config_options, variable_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from airflow_conda_flow.records.shapes import UserDecoratorRecord
    from airflow_conda_flow.runtime.task import StepTask


def decorated(
    flow: "Any", method: "Any", task: "StepTask", records: "list[UserDecoratorRecord]"
) -> "Callable[..., None]":
    """Function to call in place of a step.

    Args:
        flow: the flow object.
        method: the step, bound to the flow object.
        task: the running task.
        records: the step's decorators, as returned by ``recorded_decorators``.
    """
    configs: "Any" = _Configs(flow)
    decorators = find_decorators(type(flow), method, records, configs)

    def call(*arguments: "Any") -> None:
        _Around(flow, method, task, decorators).run(arguments)

    return call


class _Around:
    """One step between the first and second halves of its decorators."""

    def __init__(self, flow: "Any", method: "Any", task: "StepTask", decorators: "list[Any]") -> None:
        self._flow = flow
        self._method = method
        self._task = task
        self._decorators = decorators
        self._entered: "list[Any]" = []
        self._next: "Any" = None
        self._error: "BaseException | None" = None

    def run(self, arguments: "tuple[Any, ...]") -> None:
        """Run the first halves from the outside in, the step, and the second halves from the inside out."""
        try:
            body = self._enter(arguments)
            if body is not None:
                body()
        except Exception as error:  # noqa: BLE001 - the decorators may catch any error
            self._error = error
        has_failed = self._error is not None
        for decorator in reversed(self._entered):
            self._leave(decorator)
        if self._error is not None:
            raise self._error
        if self._next not in (None, False) or self._next == {} or has_failed:
            self._go_on()

    def _enter(self, arguments: "tuple[Any, ...]") -> "Callable[[], None] | None":
        """Function to call after the first halves; None if the step is skipped."""
        name = self._method.__name__
        for decorator in reversed(self._decorators):
            given = decorator.pre_step(name, self._flow, arguments[0] if arguments else None)
            self._entered.append(decorator)
            if decorator.skip_step:
                self._next = decorator.skip_step
                return None
            if given is not None:
                return self._replacement(decorator, given, arguments)
        return lambda: self._method(*arguments)

    def _replacement(
        self, decorator: "Any", given: "Any", arguments: "tuple[Any, ...]"
    ) -> "Callable[[], None]":
        if not callable(given):
            decorator.fail(
                "sets %r in place of step %r; write a function or USER_SKIP_STEP."
                % (given, self._method.__name__)
            )

        def call() -> None:
            self._next = given(self._flow, *arguments) or None
            if self._next is None and self._task.is_undecided:
                self._next = {}  # take the step's usual transition

        return call

    def _leave(self, decorator: "Any") -> None:
        try:
            given = decorator.post_step(self._method.__name__, self._flow, self._error)
        except FlowDefinitionError:
            raise
        except Exception as error:  # noqa: BLE001 - the step fails with it, unless an outer one catches it
            self._error = error
            return
        if isinstance(given, tuple):
            if len(given) != len(("exception", "next")):
                decorator.fail(
                    "returns %r after the step; write a pair (exception, arguments of next)." % (given,)
                )
            self._error = given[0]
            self._next = self._next if given[1] is None else given[1]
        elif given is None or isinstance(given, BaseException):
            self._error = given
        else:
            decorator.fail("returns %r after the step; write None or an exception." % (given,))

    def _go_on(self) -> None:
        """Do what the step's own ``self.next`` would do, with other options if a decorator gave some."""
        options = dict(self._next) if isinstance(self._next, dict) else {}
        node = read_graph(type(self._flow)).steps[self._method.__name__]
        if not node.out_steps:
            return
        targets: "Any" = [getattr(self._flow, name) for name in node.out_steps]
        if node.condition is not None:
            cases = node.switch_cases.items()
            targets = [{case: getattr(self._flow, name) for case, name in cases}]
            options.setdefault("condition", node.condition)
        elif node.num_parallel and "num_parallel" not in options:
            raise FlowDefinitionError(
                "Step %r is skipped, so its num_parallel is not known. Set a dict instead of USER_SKIP_STEP, "
                "such as {'num_parallel': 2}." % node.name,
                node.file,
                node.next_line,
            )
        elif node.foreach is not None:
            options.setdefault("foreach", node.foreach)
        self._task.go_on(self._flow, targets, options)


class _Configs:
    """Values of a flow's configs by name, loaded when a decorator uses them."""

    def __init__(self, flow: "Any") -> None:
        self._flow = flow
        self._attributes: "dict[str, str]" = {}
        for attribute, config in members_of(type(flow), Config).items():
            self._attributes[variable_of(config_options(config))] = attribute
            self._attributes.setdefault(attribute, attribute)

    def keys(self) -> "list[str]":
        """Names that expressions may use."""
        return list(self._attributes)

    def __getitem__(self, name: str) -> "Any":
        return getattr(self._flow, self._attributes[name])

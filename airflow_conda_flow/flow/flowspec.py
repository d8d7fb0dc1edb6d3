"""``FlowSpec``: base class of flows, and its interface to the runtime that runs the steps.

A flow object does nothing by itself. While a step runs, ``_task`` is an object of the runtime
(``runtime/task.py``) that loads artifacts and records the transition.
"""

import os
import sys
import types
from collections import namedtuple

from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.late_bindings import bound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import FrameType
    from typing import Any, Literal, Protocol, overload

    from airflow.sdk import DAG
    from typing_extensions import Self

    class Task(Protocol):
        """Interface of the running task, as flow objects use it."""

        input: Any
        index: int | None
        step: str

        def has(self, name: str) -> bool:
            """True if there is an artifact of that name."""

        def load(self, name: str) -> "Any":
            """Load the artifact of that name; raises ``MissingArtifact`` if there is none."""

        def parameter(self, attribute: str, load: "Callable[[Any], Any]") -> "Any":
            """Value that ``load`` computes from the stored artifact of a parameter."""

        def foreach_stack(self) -> "list[tuple[int, int, Any]]":
            """(index, number of splits, value) of every foreach around the task."""

        def transition(
            self,
            flow: "FlowSpec",
            targets: "tuple[Any, ...]",
            foreach: "str | None",
            condition: "str | None",
            num_parallel: "Any" = None,
        ) -> None:
            """Record the arguments of ``self.next``."""

        def merge(
            self, flow: "FlowSpec", inputs: "Any", include: "Iterable[str]", exclude: "Iterable[str]"
        ) -> None:
            """Copy to the flow object the artifacts on which all inputs agree."""


in_step_process = False
"""True in a step process, where a flow file must not start a run or make a DAG when it is loaded."""

_OWN = frozenset(["_task"])
_MAY_BE_HIDDEN = (types.FunctionType, types.MethodType, type)
"""Kinds of class members that an artifact may shadow: a step ``plot`` may assign ``self.plot``."""

_TAKEN = {
    "input": "the value of a split",
    "index": "the number of a split",
    "next": "the call that says which step comes next",
    "foreach_stack": "a method",
    "merge_artifacts": "a method",
    "load_artifact": "a method",
    "load_parameter": "a method",
}
"""Attributes of every flow that steps must not assign, each with a description for the message."""

_IN_STEPS = ("input", "index", "_current_step")

_ForeachFrame = namedtuple(  # noqa: PYI024 - importing typing would slow down every step process
    "_ForeachFrame", ["step", "var", "num_splits", "index", "value"]
)


def _foreach_frames(flow: "FlowSpec") -> "list[Any]":
    """Every foreach around the task, outermost first, in Metaflow's form: with its step and attribute."""
    from airflow_conda_flow.flow.graph.reader import read_graph  # noqa: PLC0415 - slow, and few flows need it

    steps = read_graph(type(flow)).steps
    around = [steps[each] for each in steps[current.step_name or ""].split_parents]
    return [
        _ForeachFrame(node.name, node.foreach, num_splits, index, value)
        for node, (index, num_splits, value) in zip(
            (each for each in around if each.kind == "foreach"), flow.foreach_stack()
        )
    ]


_NAMES: "dict[str, Callable[[FlowSpec], Any]]" = {
    "_foreach_stack": _foreach_frames,
    "_graph_info": lambda _flow: current.graph,
    "name": lambda flow: type(flow).__name__,
    "script_name": lambda flow: os.path.basename(sys.modules[type(flow).__module__].__file__ or ""),
}
"""Default values of names that a step may assign; they apply until a step does."""


def taken_name(name: str) -> str:
    """Message that refuses an assignment to an attribute of every flow; the empty string for other names.

    >>> taken_name("index")
    'self.index is the number of a split in every flow. Assign to another name.'
    """
    what = _TAKEN.get(name)
    return "self.%s is %s in every flow. Assign to another name." % (name, what) if what else ""


def vars_of(flow_class: "Any") -> "dict[str, Any]":
    """Members of a class and its bases by name; a subclass overrides its bases."""
    found: "dict[str, Any]" = {}
    for each in reversed(flow_class.__mro__):
        found.update(vars(each))
    return found


def _is_made_by_program(flow: "FlowSpec") -> bool:
    """True if ``MyFlow()`` starts the command line here."""
    from airflow_conda_flow.flow.program_call import is_program_call  # noqa: PLC0415 - not in a step process

    caller: "FrameType | None" = sys._getframe(2)  # noqa: SLF001 - the only way to find the caller
    while caller is not None and caller.f_locals.get("self") is flow:  # skip __init__ of subclasses
        caller = caller.f_back
    return is_program_call(type(flow), caller)


def _compiled(flow_class: "type[FlowSpec]", keywords: "dict[str, Any]") -> "Any":
    is_program = flow_class.__module__ == "__main__"
    if not in_step_process and not is_program:
        import importlib.util  # noqa: PLC0415 - not in a step process

        spec = importlib.util.find_spec("airflow")
        if spec is not None and spec.origin is not None:  # a folder of that name has no origin
            return bound("compile_dag")(flow_class, **keywords)
    from airflow_conda_flow.flow.inert_dag import InertDag  # noqa: PLC0415 - few flow files make a DAG
    from airflow_conda_flow.records.dag_names import dag_id_of  # noqa: PLC0415 - few flow files make a DAG

    frame = sys._getframe(2)  # noqa: SLF001 - the line of dag()
    place = (frame.f_code.co_filename, frame.f_lineno) if is_program else None
    dag_id = keywords.get("dag_id") or dag_id_of(flow_class.__name__)
    # The flow file may have operators of Airflow, which take real DAGs alone.
    if (is_program or in_step_process) and "airflow.sdk" in sys.modules:
        try:
            return bound("scratch_dag")(dag_id, place)
        except ImportError:  # an Airflow that we do not work with
            pass
    return InertDag(dag_id, place)


class _OfClass:
    """Class method that an artifact of the same name replaces in the steps that have that artifact."""

    def __init__(self, function: "Callable[..., Any]") -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, flow: "FlowSpec | None", owner: "type[FlowSpec]") -> "Any":
        name = self._function.__name__
        task = None if flow is None else flow._task  # noqa: SLF001 - part of FlowSpec
        if flow is not None and task is not None and task.has(name):
            return flow.load_artifact(name)
        return types.MethodType(self._function, owner)


class FlowSpec:
    """Base class of flows: subclass it, and write the steps as methods with ``@step``.

    ``self.x = value`` in a step stores an artifact that later steps read as ``self.x``.
    """

    _task: "Task | None" = None
    flow_decorators: "list[Any]" = []

    def __new__(cls, *arguments: "Any", **options: "Any") -> "Self":
        """Create a flow object, and keep the arguments: steps create their own flow objects with them."""
        made = object.__new__(cls)
        if not in_step_process:
            frame = sys._getframe(1)  # noqa: SLF001 - the line of the call
            made.__dict__["_call"] = (arguments, options, frame.f_code.co_filename, frame.f_lineno)
        return made

    def __init__(self, use_cli: bool = True) -> None:
        if use_cli and not in_step_process and _is_made_by_program(self):
            try:
                bound("run_as_program")(type(self), self.__dict__.get("_call"))
            except (ImportError, AttributeError) as error:
                from airflow_conda_flow.flow.hidden_module import explain  # noqa: PLC0415 - rarely needed

                explain(error)
                raise
            except KeyboardInterrupt:  # while the command line was imported: later it catches its own
                sys.stderr.write("Interrupted.\n")
                sys.exit(1)

    def __iter__(self) -> "Iterator[Any]":
        """Iterate over the functions of the steps, sorted by name."""
        # Not hasattr: a member whose __getattr__ answers to every name is not a step.
        return iter(
            [
                each
                for _, each in sorted(vars_of(type(self)).items())
                if callable(each) and getattr(each, "is_step", False)
            ]
        )

    if TYPE_CHECKING:
        # The named keywords are those of compile_dag; dag_keywords are passed to Airflow's DAG.
        @classmethod
        def dag(
            cls,
            *,
            dag_id: "str | None" = None,
            environment: "Literal['conda', 'local']" = "conda",
            configs: "Mapping[str, str] | None" = None,
            config_values: "Mapping[str, Any] | None" = None,
            decorators: "Sequence[str]" = (),
            branch: "str | None" = None,
            production: "bool | None" = None,
            **dag_keywords: "Any",
        ) -> "DAG":
            """Make the Airflow DAG of this flow."""

    else:

        @_OfClass
        def dag(cls: "Any", **kwargs: "Any") -> "Any":  # noqa: N805 - bound to the class
            """Make the Airflow DAG of this flow; a flow file ends with ``dag = MyFlow.dag(schedule=...)``.

            No DAG is made if the file runs as a program, if it is loaded in a step process, or if
            Airflow is not installed. The returned object then accepts everything that a DAG accepts,
            does nothing, and is false.

            Args:
                kwargs: keywords of Airflow's ``DAG`` and of ``compile_dag``.

            Raises:
                FlowDefinitionError: the flow or a keyword is wrong.
            """
            return _compiled(cls, kwargs)

    if TYPE_CHECKING:

        @overload
        def next(self, *targets: "Callable[..., object]") -> None: ...

        @overload
        def next(self, __target: "Callable[..., object]", *, foreach: str) -> None: ...

        @overload
        def next(self, __target: "Callable[..., object]", *, num_parallel: int) -> None: ...

        @overload
        def next(self, __cases: "Mapping[Any, Callable[..., object]]", *, condition: str) -> None: ...

    def next(self, *targets: "Any", **options: "Any") -> None:
        """State which steps come next; it is the last statement of every step except the last step.

        ``self.next(self.a)`` continues with ``a``. ``self.next(self.a, self.b)`` splits into branches.
        ``self.next(self.a, foreach="items")`` runs ``a`` for each item of ``self.items``.
        ``self.next(self.a, num_parallel=4)`` runs ``a``, which has ``@parallel``, four times at once.
        ``self.next({"x": self.a, "y": self.b}, condition="name")`` selects the step by the value of
        ``self.name``; if that is the calling step itself, it runs again.

        Raises:
            TransitionError: the graph does not allow the targets, or the named attribute has a wrong value.
        """
        foreach = options.pop("foreach", None)
        condition = options.pop("condition", None)
        num_parallel = options.pop("num_parallel", None)
        if options:
            raise TypeError("self.next() has no option %r." % next(iter(options)))
        self._running_task("self.next()").transition(self, targets, foreach, condition, num_parallel)

    @property
    def input(self) -> "Any":
        """Item of the foreach that this task processes; None outside a foreach."""
        return self._task_of("input").input

    @property
    def _current_step(self) -> str:
        """Name of the running step."""
        return self._task_of("_current_step").step

    @property
    def index(self) -> "int | None":
        """Index of this task in its foreach, from 0; None outside a foreach."""
        return self._task_of("index").index

    def foreach_stack(self) -> "list[tuple[int, int, Any]]":
        """(index, number of splits, value) of every foreach around this task, outermost first."""
        return self._running_task("self.foreach_stack()").foreach_stack()

    def merge_artifacts(
        self, inputs: "Iterable[Any]", exclude: "Iterable[str]" = (), include: "Iterable[str]" = ()
    ) -> None:
        """Copy to ``self`` the artifacts on which all inputs of a join agree.

        Args:
            inputs: the join's ``inputs``.
            exclude: names to leave out.
            include: if given, the only names to take.

        Raises:
            MergeError: inputs have different values of an artifact that the join has not assigned itself,
                or a name of ``include`` is missing.
        """
        self._running_task("self.merge_artifacts()").merge(self, inputs, include, exclude)

    def load_parameter(self, attribute: str, load: "Callable[[Any], Any]") -> "Any":
        """Value of a parameter or config; it is read once.

        Args:
            attribute: its name in the class.
            load: function that computes the value from the stored one.
        """
        return self._running_task("self.%s" % attribute).parameter(attribute, load)

    def load_artifact(self, name: str) -> "Any":
        """Artifact of that name; it is read once and kept."""
        if name not in self.__dict__:
            self.__dict__[name] = self._running_task("self.%s" % name).load(name)
        return self.__dict__[name]

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__"):
            raise AttributeError("%s has no attribute %r" % (type(self).__name__, name))
        if self._task is None:
            if name in _NAMES and not name.startswith("_"):
                return _NAMES[name](self)
            if name in _IN_STEPS:
                raise AttributeError("self.%s works only inside a running step." % name)
            raise AttributeError("%s has no attribute %r" % (type(self).__name__, name))
        if name in _NAMES and not self._task.has(name):
            return _NAMES[name](self)
        return self.load_artifact(name)

    def __repr__(self) -> str:
        where = "" if self._task is None else " step %s" % self._task.step
        return "<flow %s%s>" % (type(self).__name__, where)

    def __setattr__(self, name: str, value: "Any") -> None:
        if name not in _OWN:
            self._refuse_class_attribute(name)
        object.__setattr__(self, name, value)

    def _refuse_class_attribute(self, name: str) -> None:
        if name in _TAKEN:
            raise AttributeError(taken_name(name))
        held = getattr(type(self), name, None)
        if held is None or hasattr(held, "__set__"):
            return
        if not name.startswith("_") and not isinstance(held, _MAY_BE_HIDDEN):
            raise AttributeError(
                "%r is an attribute of the class %s, and those do not change during a run. "
                "Assign to another attribute of self." % (name, type(self).__name__)
            )

    def _task_of(self, name: str) -> "Task":
        """Running task; outside a step it raises ``AttributeError``, as ``hasattr`` expects."""
        if self._task is None:
            raise AttributeError(name)  # Python then calls __getattr__, which raises the message
        return self._task

    def _running_task(self, what: str) -> "Task":
        if self._task is None:
            raise RuntimeError("%s works only inside a running step." % what)
        return self._task

"""One task in its step process: the object behind ``self`` while a step runs."""

import sys
import types

from airflow_conda_flow.errors import (
    MergeConflict,
    MergeError,
    MissingArtifact,
    MissingInMerge,
    TransitionError,
    UnpicklableArtifact,
)
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.runtime.inputs import Input, Inputs, refs_of, step_of, task_of
from airflow_conda_flow.runtime.store import ArtifactClient
from airflow_conda_flow.runtime.transition import SplitValues, own_transition, read_transition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from airflow_conda_flow.records.shapes import ArtifactRef, Frame, NodeSummary, TaskMessage, Transition
    from airflow_conda_flow.runtime.protocol import MessageStream
    from airflow_conda_flow.runtime.step_cards import StepCards

_OURS = frozenset(["_task"])  # attributes of a flow object that are not artifacts
_READ_WHOLE = 256 * 1024  # bytes; up to this size every split reads the whole list of values
_BLOCK = 64 * 1024  # bytes; approximate least size of a block of values
_MOST_BLOCKS = 200  # each block is named in the manifest, which every split reads


class StepTask:
    """State of one task: loads its artifacts, takes its transition, and collects its outputs.

    Args:
        message: the ``task`` message.
        stream: connection to the runner.
    """

    def __init__(self, message: "TaskMessage", stream: "MessageStream") -> None:
        self.step = message["step"]
        self._node = message["node"]
        self._file = message["flow_file"]
        self._client = ArtifactClient(stream, message["scratch"], message["pickle_protocol"], self.step)
        self._namespace = dict(message["namespace"])
        self._loaded: "dict[str, Any]" = {}
        self._parameters: "dict[str, Any]" = {}
        self._reasons: "dict[str, str]" = {}
        self._stack = message["foreach_stack"]
        self._split_value: "list[Any]" = []
        self._splits: "Any" = None
        self._splits_ref: "ArtifactRef | None" = None
        self.cards: "StepCards | None" = None
        self.inputs: "Inputs | None" = None
        if message["inputs"] is not None:
            self.inputs = Inputs([Input(each, self._client, self) for each in message["inputs"]])
        self._initial: "dict[str, Any]" = {}
        self._transition: "Transition | None" = None
        self._opened: "SplitValues | None" = None
        self._catch_var = message["catch_var"]
        # Only the main node of a num_parallel decides the transition; a worker may simply return.
        self._is_worker = message["current"].get("parallel", {}).get("node_index", 0) > 0
        self.flow: "Any" = None

    def make_flow(self, flow_class: "Any", call: "ArtifactRef | None") -> "Any":
        """Flow object of this task, made with the arguments that the starting program used.

        Args:
            flow_class: the flow.
            call: reference of the arguments; None if there are none.
        """
        positional, keywords = ([], {}) if call is None else self._client.load(call, "The flow's arguments")
        flow = self.flow = flow_class(*positional, **keywords)
        self._initial = {name: value for name, value in vars(flow).items() if name not in self._namespace}
        for name in set(vars(flow)) - set(self._initial):
            del vars(flow)[name]  # an earlier step has stored it, and may have changed it
        flow._task = self  # noqa: SLF001 - interface for the runtime
        return flow

    @property
    def is_undecided(self) -> bool:
        """True if ``self.next`` has not been called yet."""
        return self._transition is None

    # Used by the flow object.

    @property
    def index(self) -> "int | None":
        """Index of the innermost split; None outside a foreach."""
        return self._stack[-1]["index"] if self._stack else None

    @property
    def input(self) -> "Any":
        """Value of the innermost split, read once; None outside a foreach."""
        if not self._stack:
            return None
        if not self._split_value:
            self._split_value.append(self.value_of(self._stack[-1]))
        return self._split_value[0]

    def foreach_stack(self) -> "list[tuple[int, int, Any]]":
        """Triples (index, number of splits, value) of every foreach around the task."""
        outer = [(frame["index"], frame["num_splits"], self.value_of(frame)) for frame in self._stack[:-1]]
        if not self._stack:
            return outer
        inner = self._stack[-1]
        return outer + [(inner["index"], inner["num_splits"], self.input)]

    def value_of(self, frame: "Frame") -> "Any":
        """Value of a split. The list that contains it is cached for the next call."""
        if self._splits_ref != frame["splits"]:
            self._splits = self._client.load(frame["splits"], "The list behind self.input")
            self._splits_ref = frame["splits"]
        return self._splits[frame.get("position", frame["index"])]

    def has(self, name: str) -> bool:
        """True if there is an artifact with this name."""
        return name in self._namespace

    def names(self) -> "list[str]":
        """Names of all artifacts that the step starts with."""
        return list(self._namespace)

    def load(self, name: str) -> "Any":
        """Value of the artifact with this name.

        Raises:
            MissingArtifact: no earlier step assigned it.
        """
        ref = self._namespace.get(name)
        if ref is None:
            raise MissingArtifact(self._missing(name))
        value = self._client.load(ref, "self.%s" % name)
        self._loaded[name] = (value, ref)
        return value

    def _missing(self, name: str) -> str:
        from airflow_conda_flow.runtime.lost_artifacts import why_missing  # noqa: PLC0415 - rarely needed

        if name not in self._reasons:  # cached, because ``hasattr`` and ``getattr`` may ask repeatedly
            given = [each for each in self.inputs or () if name in refs_of(each)]
            self._reasons[name] = why_missing(
                type(self.flow), self.step, name, [step_of(each) for each in given]
            ) or "which no step before it has assigned.%s" % nearest(
                name, [*self._namespace, *(each for each in dir(self.flow) if not each.startswith("_"))]
            )
        return "Step %r reads self.%s, %s" % (self.step, name, self._reasons[name])

    def parameter(self, attribute: str, load: "Callable[[Any], Any]") -> "Any":
        """Value of a parameter or config. Changes that the step makes to it are not stored."""
        if attribute not in self._parameters:
            self._parameters[attribute] = load(self.load(attribute))
        return self._parameters[attribute]

    def transition(
        self,
        flow: "Any",
        targets: "tuple[Any, ...]",
        foreach: "str | None",
        condition: "str | None",
        num_parallel: "Any" = None,
    ) -> None:
        """Record the arguments of ``self.next``, which may be called once."""
        if self._transition is not None:
            raise TransitionError("Step %r called self.next() twice." % self.step)
        self._transition, self._opened = read_transition(
            flow, self.step, self._node, targets, foreach, condition, num_parallel
        )

    def go_on(self, flow: "Any", targets: "list[Any]", options: "dict[str, Any]") -> None:
        """Record a transition that replaces the step's own; its ``options`` may differ from the source code.

        Args:
            flow: the flow object.
            targets: targets of ``self.next``, as in the source code.
            options: ``foreach``, ``condition`` or ``num_parallel``.
        """
        unknown = set(options) - {"foreach", "condition", "num_parallel"}
        if unknown:
            raise TransitionError("self.next() has no option %r." % min(unknown))
        node: "NodeSummary" = dict(  # type: ignore[assignment]
            self._node, foreach=options.get("foreach"), condition=options.get("condition")
        )
        self._transition, self._opened = read_transition(
            flow,
            self.step,
            node,
            tuple(targets),
            options.get("foreach"),
            options.get("condition"),
            options.get("num_parallel"),
        )

    def merge(self, flow: "Any", inputs: "Any", include: "Iterable[str]", exclude: "Iterable[str]") -> None:
        """Copy the artifacts on which all inputs agree. They are compared by digest, and not read."""
        if self.inputs is None:
            raise MergeError("merge_artifacts() works only in a join, and step %r is not one." % self.step)
        wanted, unwanted = set(include), set(exclude)
        if wanted and unwanted:
            raise MergeError("merge_artifacts() takes include or exclude, not both.")
        refs: "dict[str, dict[str, tuple[ArtifactRef, Input]]]" = {}
        for each in inputs:
            for name, ref in refs_of(each).items():
                refs.setdefault(name, {}).setdefault(ref["sha256"], (ref, each))
        held = {name for name, value in vars(flow).items() if self._initial.get(name, flow) is not value}
        assigned = held | set(self._namespace)
        missing = sorted(wanted - set(refs) - assigned)
        if missing:
            raise MissingInMerge(
                "merge_artifacts(include=...) names %s, which no input of step %r has.%s"
                % (", ".join(missing), self.step, nearest(missing[0], refs))
            )
        names = (wanted or set(refs)) - unwanted - assigned
        differing = sorted(name for name in names if len(refs[name]) > 1)
        if differing:
            raise MergeConflict(self._conflict(differing, refs[differing[0]]))
        for name in names:
            ((self._namespace[name], _),) = refs[name].values()
            vars(flow).pop(name, None)  # merged artifacts replace values that the flow's __init__ assigned

    def _conflict(self, names: "list[str]", refs: "dict[str, tuple[ArtifactRef, Input]]") -> str:
        (one, first), (other, second) = list(refs.values())[:2]
        return (
            "merge_artifacts() cannot decide: the inputs of step %r differ in %s. "
            "self.%s is %s in task %s, and %s in task %s. "
            "Assign self.%s before the call, or name it in exclude=[...]."
            % (
                self.step,
                ", ".join(names),
                names[0],
                one["preview"] or "a " + one["type"],
                task_of(first),
                other["preview"] or "another " + other["type"],
                task_of(second),
                names[0],
            )
        )

    # Used by the step process.

    def finish(self, flow: "Any") -> "tuple[dict[str, ArtifactRef], Transition | None]":
        """Store the attributes that the step assigned or changed; return all artifacts and the transition.

        Raises:
            TransitionError: the step did not call ``self.next``.
            UnpicklableArtifact: a value cannot be stored.
        """
        if self._transition is None and self._is_worker:
            self._transition = own_transition(self._node)
        if self._transition is None and self._node["kind"] != "end":
            raise TransitionError(
                "Step %r ended without calling self.next(). Every way through it has to end with "
                "self.next(%s)." % (self.step, ", ".join("self." + name for name in self._node["out_steps"])),
                file=self._file,
                line=self._node["line"],
            )
        if self._catch_var is not None:
            setattr(flow, self._catch_var, None)
        artifacts = dict(self._namespace)
        for name, value in vars(flow).items():
            if name not in _OURS:
                self._store_if_possible(name, value, artifacts)
        if self._transition is not None and self._opened is not None:
            self._store_splits(self._transition, self._opened, artifacts)
        return artifacts, self._transition

    def _store_if_possible(self, name: str, value: "Any", artifacts: "dict[str, ArtifactRef]") -> None:
        """Store an attribute; a function that cannot be pickled is dropped with a message in the log."""
        try:
            artifacts[name] = self._stored(name, value)
        except UnpicklableArtifact:
            artifacts.pop(name, None)
            if self._initial.get(name, self) is value:  # every step's __init__ makes it again
                return
            if not isinstance(value, (types.FunctionType, types.MethodType)):
                raise
            sys.stderr.write(
                "self.%s of step %r is a function that cannot be pickled: later steps do not have it.\n"
                % (name, self.step)
            )

    def left_behind(self) -> "dict[str, ArtifactRef]":
        """Artifacts of a failed step, for the steps after it; values that cannot be stored are left out."""
        artifacts = dict(self._namespace)
        for name, value in vars(self.flow).items():
            if name not in _OURS:
                try:
                    artifacts[name] = self._stored(name, value)
                except Exception:  # noqa: BLE001 - storing this value may be the very failure of the step
                    artifacts.pop(name, None)
        return artifacts

    def _stored(self, name: str, value: "Any") -> "ArtifactRef":
        if name in self._loaded:
            original, ref = self._loaded[name]
            if self._client.is_unchanged(value, original, ref):
                return ref  # type: ignore[no-any-return]
        return self._client.store(name, value)

    def _store_splits(
        self, transition: "Transition", splits: SplitValues, artifacts: "dict[str, ArtifactRef]"
    ) -> None:
        """Record where the values of the splits are stored: the attribute itself, or a list made from it.

        A long list is also stored in blocks, so that a split does not have to read the values of all others.
        """
        name, values = transition["foreach"] or "", splits.values
        ref = artifacts.get(name) if splits.is_attribute else None  # an attribute of the class is no artifact
        if ref is None:
            ref = self._client.store(name, values)
        transition["splits"] = ref
        length = _block_length(len(values), ref["size"])
        if length < len(values):
            transition["block_length"] = length
            transition["blocks"] = [
                self._client.store(name, values[first : first + length])
                for first in range(0, len(values), length)
            ]


def _block_length(count: int, size: int) -> int:
    """Number of splits per block, for ``count`` values with a total size of ``size`` bytes.

    >>> _block_length(10000, 30000), _block_length(10000, 10000000), _block_length(3, 10**9)
    (10000, 66, 1)
    """
    if size <= _READ_WHOLE:
        return count
    blocks = min(count, size // _BLOCK, _MOST_BLOCKS)
    return -(-count // blocks)

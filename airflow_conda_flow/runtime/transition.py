"""Transition that a call of ``self.next`` asks for, checked against the graph."""

from itertools import islice

from airflow_conda_flow.errors import TransitionError
from airflow_conda_flow.flow.constants import flow_constants
from airflow_conda_flow.flow.decorators.base import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import NodeSummary, Transition

_INDEXABLE = (list, tuple, range)  # stored unchanged; any other iterable becomes a list
_NAMES_ITSELF = (str, int, float, bool)  # types whose short values serve as display names
_MOST_SPLITS = 100000  # of what is no list: an iterator may have no end, and memory has
_LONGEST_NAME = 60  # characters
_LONGEST_INT = 200  # bits; Python refuses to print much longer integers


class SplitValues:
    """Values that a foreach runs over.

    Attributes:
        values: the values, by index.
        is_attribute: True if they are the attribute itself, and not a list made from it.
    """

    def __init__(self, values: "Any", is_attribute: bool) -> None:
        self.values = values
        self.is_attribute = is_attribute


def read_transition(
    flow: "Any",
    step: str,
    node: "NodeSummary",
    targets: "tuple[Any, ...]",
    foreach: "str | None",
    condition: "str | None",
    num_parallel: "Any" = None,
) -> "tuple[Transition, SplitValues | None]":
    """Transition for the task manifest, and the values of a foreach, which the caller has to store.

    ``num_parallel`` is treated as a foreach over the node numbers.

    Raises:
        TransitionError: the call differs from the graph, or the attribute that it names is missing or wrong.
    """
    chosen = None
    if condition is not None:
        chosen = _chosen(flow, step, targets, condition)
        names = [chosen]
        allowed = chosen in node["out_steps"]
    else:
        names = [_name(flow, step, target) for target in targets]
        allowed = names == node["out_steps"]
    if foreach is not None and not isinstance(foreach, str):
        raise TransitionError(
            "Step %r calls self.next() with foreach=%r. Write the name of an attribute." % (step, foreach)
        )
    is_foreach = foreach is not None or num_parallel is not None
    if (
        not allowed
        or is_foreach != (node["kind"] == "foreach")
        or (num_parallel is not None) != node["num_parallel"]
        or node["foreach"] not in (None, foreach)
        or condition != node["condition"]
    ):
        raise TransitionError(
            "Step %r calls self.next() for %s, but its source says %s. The steps are read from the source: "
            "write the call out there." % (step, ", ".join(names), ", ".join(node["out_steps"]) or "nothing")
        )
    transition: "Transition" = {
        "next": names,
        "foreach": foreach,
        "num_splits": None,
        "split_names": None,
        "condition": condition,
        "chosen": chosen,
    }
    if not is_foreach:
        return transition, None
    if foreach is None:
        transition["foreach"] = "num_parallel"
        splits = SplitValues(_nodes(step, num_parallel), is_attribute=False)
    else:
        splits = _splits(flow, step, foreach)
    transition["num_splits"] = len(splits.values)
    transition["split_names"] = [_split_name(index, value) for index, value in enumerate(splits.values)]
    return transition, splits


def own_transition(node: "NodeSummary") -> "Transition":
    """Transition of a linear step that did not call ``self.next``."""
    return {
        "next": list(node["out_steps"]),
        "foreach": None,
        "num_splits": None,
        "split_names": None,
        "condition": None,
        "chosen": None,
    }


def _name(flow: "Any", step: str, target: "Any") -> str:
    try:
        return target.__func__.__name__  # type: ignore[no-any-return]
    except AttributeError:
        hint = "Write self.next(self.some_step)."
        for name, value in vars(flow).items():
            if value is target and hasattr(type(flow), name):
                hint = "self.%s was assigned a value; give that another name." % name
        raise TransitionError(
            "Step %r calls self.next() with %r, which is not a step. %s" % (step, target, hint)
        ) from None


def _chosen(flow: "Any", step: str, targets: "tuple[Any, ...]", condition: str) -> str:
    cases = targets[0]
    try:
        value = getattr(flow, condition)
    except AttributeError:
        raise TransitionError(
            "The switch in step %r reads self.%s, which is not assigned.%s Assign one of its cases to it "
            "before self.next()." % (step, condition, nearest(condition, _attributes(flow)))
        ) from None
    try:
        known = value in cases
    except TypeError:  # the value is not hashable
        known = False
    if not known:
        raise TransitionError(
            "The switch in step %r has no case for self.%s = %r. It has: %s."
            % (step, condition, value, ", ".join(repr(case) for case in cases))
        )
    return _name(flow, step, cases[value])


def _attributes(flow: "Any") -> "list[str]":
    """Attribute names that the user may have meant."""
    names = set(vars(flow)) | set(flow_constants(type(flow)))
    task = flow._task  # noqa: SLF001 - interface for the runtime
    if task is not None:
        names.update(task.names())
    return sorted(name for name in names if name != "_task")


def _splits(flow: "Any", step: str, foreach: str) -> SplitValues:
    try:
        value = getattr(flow, foreach)
    except AttributeError:
        raise TransitionError(
            "The foreach of step %r runs over self.%s, which is not assigned.%s "
            "Assign a list to it before self.next()." % (step, foreach, nearest(foreach, _attributes(flow)))
        ) from None
    try:
        values = value if isinstance(value, _INDEXABLE) else list(islice(iter(value), _MOST_SPLITS + 1))
        if (
            iter(value) is value and len(values) <= _MOST_SPLITS
        ):  # an iterator is used up now, so the list replaces it
            vars(flow)[foreach] = value = values
    except TypeError:
        raise TransitionError(
            "The foreach of step %r runs over self.%s, which is a %s. Make it a list."
            % (step, foreach, type(value).__name__)
        ) from None
    if values is not value and len(values) > _MOST_SPLITS:
        raise TransitionError(
            "The foreach of step %r runs over self.%s, which is a %s of more than %d values, or without "
            "an end. Make it a list if it has one." % (step, foreach, type(value).__name__, _MOST_SPLITS)
        )
    if len(values) == 0:
        raise TransitionError(
            "The foreach of step %r has nothing to run over: self.%s is empty." % (step, foreach)
        )
    return SplitValues(values, is_attribute=values is value)


def _nodes(step: str, num_parallel: "Any") -> "Any":
    """Node numbers of a ``num_parallel``."""
    if type(num_parallel) is not int or num_parallel < 1:
        raise TransitionError(
            "Step %r calls self.next() with num_parallel=%r. Write a whole number from 1 up."
            % (step, num_parallel)
        )
    return range(num_parallel)


def _split_name(index: int, value: "Any") -> str:
    """Display name of a split: its value if that is short, otherwise its number, such as ``#3``."""
    if type(value) in _NAMES_ITSELF and not (type(value) is int and value.bit_length() > _LONGEST_INT):
        text = str(value)
        if 0 < len(text) <= _LONGEST_NAME and text.isprintable():
            return text
    return "#%d" % index

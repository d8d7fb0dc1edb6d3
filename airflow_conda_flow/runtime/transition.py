"""What a call of ``self.next`` means, checked against the graph."""

from airflow_conda_flow.errors import TransitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.runtime.protocol import Message

_INDEXABLE = (list, tuple, range)
_NAMES_ITSELF = (str, int, float, bool)
_LONGEST_NAME = 60
_LONGEST_INT = 200  # bits; Python refuses to write out very long ones


def read_transition(
    flow: "Any",
    step: "str",
    node: "Message",
    targets: "tuple[Any, ...]",
    foreach: "str | None",
    condition: "str | None",
    num_parallel: "Any" = None,
) -> "Message":
    """The transition, as the task manifest holds it, and for a foreach the ``values`` to store.

    ``num_parallel`` is a foreach over the numbers of the nodes. ``made`` says that the values are a list
    made of the attribute, not the attribute itself.

    Raises:
        TransitionError: the call is not what the graph says, or the attribute it names is wrong.
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
            "Step %r calls self.next() with what its source does not say: %s instead of %s."
            % (step, ", ".join(names), ", ".join(node["out_steps"]) or "nothing")
        )
    transition: "Message" = {
        "next": names,
        "foreach": foreach,
        "num_splits": None,
        "split_names": None,
        "condition": condition,
        "chosen": chosen,
    }
    if is_foreach:
        if foreach is None:
            foreach = transition["foreach"] = "num_parallel"
            values, made = _nodes(step, num_parallel), True
        else:
            values, made = _splits(flow, step, foreach)
        transition["num_splits"] = len(values)
        transition["split_names"] = [_split_name(index, value) for index, value in enumerate(values)]
        transition["values"], transition["made"] = values, made
    return transition


def _name(flow: "Any", step: "str", target: "Any") -> "str":
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


def _chosen(flow: "Any", step: "str", targets: "tuple[Any, ...]", condition: "str") -> "str":
    cases = targets[0]
    value = getattr(flow, condition)
    try:
        known = value in cases
    except TypeError:  # it cannot be hashed
        known = False
    if not known:
        raise TransitionError(
            "The switch in step %r has no case for self.%s = %r. It has: %s."
            % (step, condition, value, ", ".join(repr(case) for case in cases))
        )
    return _name(flow, step, cases[value])


def _splits(flow: "Any", step: "str", foreach: "str") -> "tuple[Any, bool]":
    """The values of a foreach, and whether a list had to be made of them."""
    try:
        value = getattr(flow, foreach)
    except AttributeError:
        raise TransitionError(
            "The foreach of step %r runs over self.%s, which is not assigned. "
            "Assign a list to it before self.next()." % (step, foreach)
        ) from None
    try:
        values = value if isinstance(value, _INDEXABLE) else list(value)
        if iter(value) is value:  # it is used up now, so the list takes its place
            vars(flow)[foreach] = value = values
    except TypeError:
        raise TransitionError(
            "The foreach of step %r runs over self.%s, which is a %s. Make it a list."
            % (step, foreach, type(value).__name__)
        ) from None
    if len(values) == 0:
        raise TransitionError(
            "The foreach of step %r has nothing to run over: self.%s is empty." % (step, foreach)
        )
    return values, values is not value


def _nodes(step: "str", num_parallel: "Any") -> "Any":
    """The numbers of the nodes of a ``num_parallel``."""
    if type(num_parallel) is not int or num_parallel < 1:
        raise TransitionError(
            "Step %r calls self.next() with num_parallel=%r. Write a whole number from 1 up."
            % (step, num_parallel)
        )
    return range(num_parallel)


def _split_name(index: "int", value: "Any") -> "str":
    """What people call a split: its value where that is short, else its number, such as ``#3``."""
    if type(value) in _NAMES_ITSELF and not (type(value) is int and value.bit_length() > _LONGEST_INT):
        text = str(value)
        if 0 < len(text) <= _LONGEST_NAME and text.isprintable():
            return text
    return "#%d" % index

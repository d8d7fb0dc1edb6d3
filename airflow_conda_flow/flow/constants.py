"""Constants of a flow: plain values that its class assigns, and that every task has among its artifacts."""

from airflow_conda_flow.flow.members import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SINGLE = (type(None), bool, int, float, complex, str, bytes)
_OURS = ("flow_decorators", "flow_mutators")  # set by the decorators, not by the flow's author
_DEEPEST = 20  # a collection that contains itself would never end


def flow_constants(flow_class: "Any") -> "dict[str, Any]":
    """Plain values among the attributes of a flow class and its bases, by name.

    Private names are left out, and so are all values other than numbers, texts and collections of them.
    A step can still read those as attributes of the class.
    """
    found: "dict[str, Any]" = {}
    for owner in owners(flow_class):
        for name, member in vars(owner).items():
            found.pop(name, None)
            if name.startswith("_") or name in _OURS:
                continue
            if is_plain(member):
                found[name] = member
    return found


def is_plain(value: "Any", depth: int = 0) -> bool:
    """True if the value is a number, text, bytes, None, or a collection of such values."""
    if type(value) in _SINGLE:
        return True
    if depth > _DEEPEST:
        return False
    if type(value) is dict:
        return all(is_plain(key, depth + 1) and is_plain(item, depth + 1) for key, item in value.items())
    return type(value) in (list, tuple, set, frozenset) and all(is_plain(item, depth + 1) for item in value)

"""Members of a flow class, as the class and its bases define them."""

from airflow_conda_flow.flow.flowspec import FlowSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def members_of(flow_class: "Any", kind: "Any") -> "dict[str, Any]":
    """Members of a type, by attribute; a subclass overrides its bases."""
    found: "dict[str, Any]" = {}
    for owner in owners(flow_class):
        for attribute, member in vars(owner).items():
            if isinstance(member, kind):
                found[attribute] = member
            else:
                found.pop(attribute, None)
    return found


def owners(flow_class: "Any") -> "list[type]":
    """Classes of a flow that users wrote, the most general first."""
    return [each for each in reversed(flow_class.__mro__) if each is not FlowSpec and each is not object]

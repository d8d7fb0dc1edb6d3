"""User step decorators as data: recorded when the flow is read, and found again in a step process.

A decorator that the flow file applies to the step is found on the step. One that a mutator or ``--with``
added is created again from its recorded name and arguments. Mutators in the step process do not affect it.
"""

import copy
import importlib
import json

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.extending.user_decorators import REGISTERED, UserStepDecorator, user_decorators

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.records.shapes import UserDecoratorRecord as Record


def recorded_decorators(draft: "FlowDraft") -> "dict[str, list[Record]]":
    """User step decorators of each step that has any, the innermost first, as JSON data.

    Raises:
        FlowDefinitionError: a decorator that a mutator added cannot be created again in the step; names its
            line.
    """
    found = {}
    for step, attached in draft.user_decorators.items():
        records = [
            _record(draft.flow_class, each) for each in attached if isinstance(each, UserStepDecorator)
        ]
        if records:
            found[step] = records
    return found


def find_decorators(
    flow_class: "Any", method: "Any", records: "list[Record]", configs: "Mapping[str, Any]"
) -> "list[Any]":
    """Decorators that were recorded for a step, ready to run; the inverse of ``recorded_decorators``.

    Args:
        flow_class: the flow, as this process loaded it.
        method: the step.
        records: data that was recorded for the step.
        configs: values of the flow's configs, by name.

    Raises:
        FlowDefinitionError: a recorded decorator does not exist in this process.
    """
    standing = {_origin(flow_class, each): each for each in user_decorators(method)}
    found = []
    for record in records:
        origin = (record["module"], record["name"])
        if record["arguments"] is None:
            if origin not in standing:
                raise FlowDefinitionError(
                    "The decorator @%s was on this step when the run was prepared; now it is not. "
                    "Start a new run." % record["name"]
                )
            made = copy.copy(standing[origin])
        else:
            positional, attributes = record["arguments"]
            made = _class_of(flow_class, origin)(*positional, **attributes)
        made.ready(configs)
        found.append(made)
    return found


def _record(flow_class: "Any", decorator: "Any") -> "Record":
    module, name = _origin(flow_class, decorator)
    arguments = None
    if not decorator.stands_on_step:
        arguments = [decorator.positional, decorator.attributes_given]
        if "<locals>" in name:
            decorator.fail("is added to a step, which cannot find it: it is defined inside a function.")
        try:
            arguments = json.loads(json.dumps(arguments))
        except (TypeError, ValueError) as error:
            decorator.fail("is added to a step with arguments that JSON does not have: %s." % error)
    return {"module": module, "name": name, "arguments": arguments}


def _origin(flow_class: "Any", decorator: "Any") -> "tuple[str, str]":
    """Module and name of a decorator; the module is empty for the flow file.

    The flow file's module has different names in different processes, such as ``__main__``.
    """
    module, name = decorator.origin
    return ("" if module == flow_class.__module__ else module, name)


def _class_of(flow_class: "Any", origin: "tuple[str, str]") -> "Any":
    module = origin[0] or flow_class.__module__
    importlib.import_module(module)
    try:
        return REGISTERED["%s.%s" % (module, origin[1])]
    except KeyError:
        raise FlowDefinitionError(
            "There is no user decorator %s.%s in this step." % (module, origin[1])
        ) from None

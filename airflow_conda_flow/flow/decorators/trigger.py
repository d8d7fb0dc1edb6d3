"""``@trigger`` and ``@trigger_on_finish``: what makes the flow's DAG run, beside the clock and a person.

A function may stand wherever a name, a dict or a list does. It is called where the DAG is made, with the
context that functions of parameters get, and may read ``current.project_name`` and the like.
"""

import copy

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.decorators.base import FlowDecorator, decorator_function, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Fields, Several
    from airflow_conda_flow.flow.decorators.base import FlowClass
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph

    _Function = Callable[[Any], Any]
    _Named = str | Mapping[str, Any] | _Function | DelayedValue
    _SeveralNamed = Several[_Named] | _Function | DelayedValue


class _Trigger(FlowDecorator):
    """One thing or several under two names, each a text or a dict with a name."""

    one = ""
    many = ""
    keys: "tuple[str, ...]" = ()
    waits = False

    def check(self) -> None:
        """Raise unless there is at least one name; ``many`` becomes the list of dicts."""
        one, several = self.attributes[self.one], self.attributes[self.many]
        if one is not None and several:
            self.fail("@%s gives both %s and %s. Keep one." % (self.name, self.one, self.many))
        self.waits = _has_function(one) or _has_function(several)
        if self.waits:
            self.attributes.update({self.one: None, self.many: []})
            return
        if not isinstance(several, (list, tuple)):
            self.fail("@%s: %s is %r; write a list of names." % (self.name, self.many, several))
        found = [self._checked(each) for each in ([one] if one is not None else several)]
        if not found:
            self.fail('@%s names nothing. Write @%s(%s="name").' % (self.name, self.name, self.one))
        if self.attributes["options"]:
            self.fail(
                "@%s: options are for Argo Workflows, and mean nothing to Airflow. Leave them out."
                % self.name
            )
        names = [each["name"] for each in found]
        for name in names:
            if names.count(name) > 1:
                self.fail("@%s names %r twice; keep one." % (self.name, name))
        self.attributes.update({self.one: None, self.many: found})

    def settled(self, call: "Callable[[Any], Any]") -> "_Trigger":
        """This decorator, with what its functions give in their places.

        Args:
            call: gives what a function gives.

        Raises:
            FlowDefinitionError: a function fails, or gives what cannot stand there.
        """
        if not self.waits:
            return self

        def called(value: "Any") -> "Any":
            if isinstance(value, dict):
                return {key: called(each) for key, each in value.items()}
            if isinstance(value, (list, tuple)):
                return [called(each) for each in value]
            return called(call(value)) if callable(value) else value

        other = copy.copy(self)
        try:
            given = {key: called(value) for key, value in self.given.items()}
        except FlowDefinitionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a function raises is the decorator's mistake
            self.fail("@%s: a function fails: %s: %s" % (self.name, type(error).__name__, error))
        if isinstance(given.get(self.one), list):  # one function may give the list of several
            given[self.many] = given.pop(self.one)
        other._take(given)  # noqa: SLF001 - a copy of this one
        return other

    def _checked(self, given: "Any") -> "dict[str, Any]":
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, dict):
            self.fail(
                "@%s: %r is no name; write a text, or a dict with a name."
                % (self.name, getattr(given, "__name__", given))
            )
        for key in given:
            if key not in self.keys:
                self.fail(
                    "@%s: there is no %r.%s There is: %s."
                    % (self.name, key, nearest(str(key), self.keys), ", ".join(self.keys))
                )
        name = given.get("name")
        if not isinstance(name, str) or not name.strip():
            self.fail("@%s: the name is %r; write a text." % (self.name, name))
        return self.normal(dict(given))

    def normal(self, given: "dict[str, Any]") -> "dict[str, Any]":
        """The dict that readers get."""
        return given


class TriggerDecorator(_Trigger):
    """Run the flow's DAG when something has happened: an update of the Airflow asset of that name.

    Args:
        event: a name, or a dict with ``name`` and ``parameters``: which parameter takes which entry
            of the event's ``extra``, as a dict or as a list of names that are the same.
        events: several of them; the DAG runs when each has happened.
    """

    name = "trigger"
    defaults: "dict[str, Any]" = {"event": None, "events": [], "options": {}}
    one, many, keys = "event", "events", ("name", "parameters")

    def normal(self, given: "dict[str, Any]") -> "dict[str, Any]":
        """With the parameters as a dict."""
        parameters = given.get("parameters") or {}
        if isinstance(parameters, (list, tuple)):
            parameters = dict([each, each] if isinstance(each, str) else each for each in parameters)
        if not isinstance(parameters, dict) or not all(
            isinstance(each, str) for pair in parameters.items() for each in pair
        ):
            self.fail(
                "@trigger: parameters of %r is %r; write a dict of parameters and entries of the event."
                % (given["name"], given["parameters"])
            )
        return {"name": given["name"], "parameters": parameters}

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if an event is for a parameter that the flow does not have."""
        del step
        known = [each.name for each in draft.parameters.values()]
        for event in self.attributes["events"]:
            for name in event["parameters"]:
                if name not in known:
                    self.fail(
                        "@trigger: %s has no parameter %r.%s" % (graph.name, name, nearest(name, known))
                    )


class TriggerOnFinishDecorator(_Trigger):
    """Run the flow's DAG when another flow has finished: an update of the asset of its last step.

    Args:
        flow: the name of a flow of the same project and branch, a name with both in front, such as
            ``my_project.prod.FirstFlow``, or a dict with ``name``, ``project`` and ``project_branch``.
        flows: several of them; the DAG runs when each has finished.
    """

    name = "trigger_on_finish"
    defaults: "dict[str, Any]" = {"flow": None, "flows": [], "options": {}}
    one, many, keys = "flow", "flows", ("name", "project", "project_branch")

    def normal(self, given: "dict[str, Any]") -> "dict[str, Any]":
        """With the project and the branch as one prefix, None where they are this flow's."""
        project, branch = given.get("project"), given.get("project_branch")
        if (project is None) != (branch is None):
            self.fail("@trigger_on_finish: project and project_branch go together; give both or neither.")
        name = given["name"]
        if project is None and "." in name:
            prefix, _, name = name.rpartition(".")
            return {"name": name, "prefix": prefix}
        return {"name": name, "prefix": None if project is None else "%s.%s" % (project, branch)}


def namespaced_event_name(event_name: str) -> "Callable[[Any], str]":
    """A function for ``@trigger``: the event's name with the flow's project and branch before it.

    Args:
        event_name: the event's name in every project and branch.
    """

    def full_name(_context: "Any" = None) -> str:
        project, branch = current.get("project_name"), current.get("branch_name")
        return ".".join(["mfns"] + ([project, branch] if project else []) + [event_name])

    return full_name


def _has_function(value: "Any") -> bool:
    if isinstance(value, dict):
        return any(_has_function(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_function(each) for each in value)
    return callable(value)


if TYPE_CHECKING:

    def trigger(
        __flow_class: "FlowClass | None" = None,
        *,
        event: "_Named | None" = None,
        events: "_SeveralNamed" = ...,
        options: "Fields" = ...,
    ) -> "FlowClass":
        """Run the DAG of a flow when an event has happened; see ``TriggerDecorator``."""

    def trigger_on_finish(
        __flow_class: "FlowClass | None" = None,
        *,
        flow: "_Named | None" = None,
        flows: "_SeveralNamed" = ...,
        options: "Fields" = ...,
    ) -> "FlowClass":
        """Run the DAG of a flow when another flow has finished; see ``TriggerOnFinishDecorator``."""

else:
    trigger = decorator_function(TriggerDecorator)
    trigger_on_finish = decorator_function(TriggerOnFinishDecorator)

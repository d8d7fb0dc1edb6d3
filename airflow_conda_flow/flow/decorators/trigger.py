"""``@trigger`` and ``@trigger_on_finish``: run the flow's DAG after an event or after another flow.

A function may be written in place of a name, a dict or a list. It is called when the DAG is created, with
the context that parameter functions receive, and may read ``current.project_name`` and similar values.
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
    """Base of the triggers: one name or a list of names, each a text or a dict with a name.

    Attributes:
        one: the attribute for a single name, such as ``event``.
        many: the attribute for a list, such as ``events``.
        keys: keys that a dict may have.
        waits: True if a function has to be called before the names are known; see ``settled``.
    """

    one = ""
    many = ""
    keys: "tuple[str, ...]" = ()
    waits = False

    def check(self) -> None:
        """Raise unless there is at least one name and no name twice; ``many`` becomes a list of dicts."""
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
                "@%s: options are for Argo Workflows and have no effect in Airflow. Leave them out."
                % self.name
            )
        names = [self.full_name(each) for each in found]
        for name in names:
            if names.count(name) > 1:
                self.fail("@%s names %r twice; keep one." % (self.name, name))
        self.attributes.update({self.one: None, self.many: found})

    def settled(self, call: "Callable[[Any], Any]") -> "_Trigger":
        """Copy of this decorator with its functions replaced by their results; itself if it has none.

        Args:
            call: calls one of the functions and returns its result.

        Raises:
            FlowDefinitionError: a function fails, or returns a value that is not valid in its place.
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
        except Exception as error:  # noqa: BLE001 - any error of a user's function is reported at the decorator
            self.fail("@%s: a function fails: %s: %s" % (self.name, type(error).__name__, error))
        if isinstance(given.get(self.one), list):  # the function of "one" may return a list
            given[self.many] = given.pop(self.one)
        other._take(given)  # noqa: SLF001 - a copy of this one
        return other

    def _checked(self, given: "Any") -> "dict[str, Any]":
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, dict):
            self.fail(
                "@%s: %r is not a name; write a text, or a dict with a name."
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
        """Dict that readers of the attributes get."""
        return given

    def full_name(self, normal: "dict[str, Any]") -> str:
        """Name by which two of the dicts are the same."""
        return str(normal["name"])


class TriggerDecorator(_Trigger):
    """Run the flow's DAG after an event, which is an update of the Airflow asset of that name.

    Args:
        event: a name, or a dict with ``name`` and ``parameters``. ``parameters`` maps parameters to entries
            of the event's ``extra``; it may be a list of names if both have the same names.
        events: several events; the DAG runs when each of them has happened.
    """

    name = "trigger"
    defaults: "dict[str, Any]" = {"event": None, "events": [], "options": {}}
    one, many, keys = "event", "events", ("name", "parameters")

    def normal(self, given: "dict[str, Any]") -> "dict[str, Any]":
        """Dict with ``name`` and ``parameters``, the latter always a dict."""
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
        """Raise if an event sets a parameter that the flow does not have."""
        del step
        known = [each.name for each in draft.parameters.values()]
        for event in self.attributes["events"]:
            for name in event["parameters"]:
                if name not in known:
                    self.fail(
                        "@trigger: %s has no parameter %r.%s" % (graph.name, name, nearest(name, known))
                    )


class TriggerOnFinishDecorator(_Trigger):
    """Run the flow's DAG after another flow has finished, which updates the asset of its last step.

    Args:
        flow: name of a flow of the same project and branch; a name with both in front, such as
            ``my_project.prod.FirstFlow``; or a dict with ``name``, ``project`` and ``project_branch``.
        flows: several flows; the DAG runs when each of them has finished.
    """

    name = "trigger_on_finish"
    defaults: "dict[str, Any]" = {"flow": None, "flows": [], "options": {}}
    one, many, keys = "flow", "flows", ("name", "project", "project_branch")

    def normal(self, given: "dict[str, Any]") -> "dict[str, Any]":
        """Dict with ``name`` and ``prefix``: project and branch, or None for those of this flow."""
        project, branch = given.get("project"), given.get("project_branch")
        if (project is None) != (branch is None):
            self.fail("@trigger_on_finish: project and project_branch go together; give both or neither.")
        name = given["name"]
        if project is None and "." in name:
            prefix, _, name = name.rpartition(".")
            return {"name": name, "prefix": prefix}
        return {"name": name, "prefix": None if project is None else "%s.%s" % (project, branch)}

    def full_name(self, normal: "dict[str, Any]") -> str:
        """Name of the flow, with project and branch if they are given."""
        prefix: "str | None" = normal["prefix"]
        return str(normal["name"]) if prefix is None else "%s.%s" % (prefix, normal["name"])


def namespaced_event_name(event_name: str) -> "Callable[[Any], str]":
    """Function for ``@trigger`` that puts the flow's project and branch before the event's name.

    Args:
        event_name: name of the event without project and branch.
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
        """Run the DAG of a flow after an event; see ``TriggerDecorator``."""

    def trigger_on_finish(
        __flow_class: "FlowClass | None" = None,
        *,
        flow: "_Named | None" = None,
        flows: "_SeveralNamed" = ...,
        options: "Fields" = ...,
    ) -> "FlowClass":
        """Run the DAG of a flow after another flow has finished; see ``TriggerOnFinishDecorator``."""

else:
    trigger = decorator_function(TriggerDecorator)
    trigger_on_finish = decorator_function(TriggerOnFinishDecorator)

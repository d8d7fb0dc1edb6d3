"""``@project``: groups flows into a project, and gives each run or DAG a branch."""

import re

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.base import FlowDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Text
    from airflow_conda_flow.flow.decorators.base import FlowClass
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

_NAME = re.compile(r"^[a-z0-9_]{1,128}\Z")
_BRANCH = re.compile(r"^[A-Za-z0-9_.-]{1,128}\Z")


class ProjectDecorator(FlowDecorator):
    """Name the project that a flow is part of.

    Args:
        name: name of the project, in lower-case letters, digits and ``_``.
        branch: the branch, if neither command line nor settings give one.
        production: True if the branch is a production branch.
    """

    name = "project"
    defaults: "dict[str, Any]" = {"name": None, "branch": None, "production": False}

    def check(self) -> None:
        """Raise unless the names can be part of an id and ``production`` is a bool."""
        name, branch = self.attributes["name"], self.attributes["branch"]
        if not isinstance(name, str) or not _NAME.match(name):
            self.fail(
                "@project: name is %r; write lower-case letters, digits and _, up to 128 of them." % (name,)
            )
        if branch is not None and not (isinstance(branch, str) and _BRANCH.match(branch)):
            self.fail("@project: branch is %r; write letters, digits, _, . and -." % (branch,))
        if not isinstance(self.attributes["production"], bool):
            self.fail("@project: production is %r; write True or False." % (self.attributes["production"],))


def project_values(
    flow: str, attributes: "dict[str, Any]", branch: "str | None", production: bool, user: str
) -> "dict[str, Any]":
    """Values of ``current`` that place a flow in its project.

    Args:
        flow: the flow's name.
        attributes: attributes of ``@project``.
        branch: the branch from the command line or a setting.
        production: True if the command line or a setting makes it a production branch.
        user: name of the user who runs the flow; the branch is named after the user if none is given.

    Raises:
        SettingError: the branch is not a valid name, or the decorator gives a different branch.

    >>> values = project_values("F", {"name": "p", "branch": None, "production": False}, "x", False, "me")
    >>> values["project_flow_name"]
    'p.test.x.F'
    """
    if branch and not _BRANCH.match(branch):
        raise SettingError("The branch is %r; write letters, digits, _, . and -." % branch)
    if branch and attributes["branch"] and branch != attributes["branch"]:
        raise SettingError(
            "The branch is %r, but @project of %s says %r. Keep one." % (branch, flow, attributes["branch"])
        )
    branch = branch or attributes["branch"]
    production = production or attributes["production"]
    if branch:
        full = "%s.%s" % ("prod" if production else "test", branch)
    else:
        full = "prod" if production else "user.%s" % user
    return {
        "project_name": attributes["name"],
        "branch_name": full,
        "is_user_branch": not branch and not production,
        "is_production": production,
        "project_flow_name": "%s.%s.%s" % (attributes["name"], full, flow),
    }


if TYPE_CHECKING:

    def project(
        __flow_class: "FlowClass | None" = None,
        *,
        name: "str | DelayedValue",
        branch: "Text" = None,
        production: "bool | DelayedValue" = False,
    ) -> "FlowClass":
        """Name the project that a flow belongs to; see ``ProjectDecorator``."""

else:
    project = decorator_function(ProjectDecorator)

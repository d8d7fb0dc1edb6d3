"""Environment that each step declares: decorators of the step override those of the flow class."""

import os

from airflow_conda_flow.errors import SolveError
from airflow_conda_flow.flow.decorators.conda import BASE_NAMES, STEP_NAMES, merge, ranges_of
from airflow_conda_flow.records.lock_file import lock_file_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft


def step_environments(draft: "FlowDraft", flow_file: str, default_python: str) -> "dict[str, Any]":
    """Environment of every step, in the form that ``merge`` returns; None if it is disabled.

    Args:
        draft: the flow.
        flow_file: path of the flow file.
        default_python: version of Python for steps that name none, such as ``3.11.7``.

    Raises:
        FlowDefinitionError: the decorators of a step disagree, or name a file that does not exist, or that is
            where the flow's lock file belongs.
    """
    base = _base_layers(draft)
    environments = {}
    for step, decorators in draft.step_decorators.items():
        layers = _step_layers(decorators)
        _check_agreement(layers)
        environments[step] = merge(base + layers, default_python)
        _check_file(base + layers, lock_file_of(flow_file))
    return environments


def check_versions(
    draft: "FlowDraft",
    flow_file: str,
    lock_command: str,
    propose: "Callable[[str, str], str | None] | None" = None,
) -> None:
    """Raise if a version is a range and the flow has no lock file.

    Args:
        draft: the flow.
        flow_file: path of the flow file.
        lock_command: the command that writes the lock file.
        propose: called with a step and a name; returns the version that a solve chooses today, or None. It
            raises ``SolveError`` if the channels have nothing that the step asks for.

    Raises:
        FlowDefinitionError: a version is a range; the error names the decorator's line and both ways out, or
            why neither is open.
    """
    if os.path.isfile(lock_file_of(flow_file)):
        return
    base = _base_layers(draft)
    for step, decorators in draft.step_decorators.items():
        for layer, name, version in ranges_of(base + _step_layers(decorators)):
            try:
                exact = propose(step, name) if propose else None
            except SolveError as error:
                layer.refuse_unmet_range(name, version, error.message)
            layer.refuse_range(name, version, lock_command, exact)


def declares_conda(draft: "FlowDraft") -> bool:
    """True if any decorator of the flow declares an environment."""
    return bool(_base_layers(draft)) or any(map(_step_layers, draft.step_decorators.values()))


def _base_layers(draft: "FlowDraft") -> "list[Any]":
    return [each for each in draft.flow_decorators if each.name in BASE_NAMES]


def _step_layers(decorators: "list[Any]") -> "list[Any]":
    return [each for each in decorators if each.name in STEP_NAMES]


def _check_file(layers: "list[Any]", lock_file: str) -> None:
    """Raise if a file with packages is where the flow's lock file is written."""
    for layer in layers:
        path = None if layer.spelling == "packages" else layer.path
        if path and os.path.realpath(path) == os.path.realpath(lock_file):
            layer.fail(
                "@%s: %s is the place of the flow's own lock file, which `environment lock` writes. Give the "
                "file with the packages another name." % (layer.name, os.path.basename(lock_file))
            )


def _check_agreement(layers: "list[Any]") -> None:
    """Raise if ``@conda`` and ``@pypi`` of one step ask for different versions of Python."""
    stated = [each for each in layers if each.attributes["python"]]
    for one, other in zip(stated, stated[1:]):  # noqa: RUF007 - Python 3.6
        if one.attributes["python"] != other.attributes["python"]:
            other.fail(
                "@%s asks for Python %s and @%s for Python %s. A step has one Python; keep one."
                % (one.name, one.attributes["python"], other.name, other.attributes["python"])
            )

"""Environment that each step declares: decorators of the step override those of the flow class."""

from airflow_conda_flow.flow.decorators.conda import BASE_NAMES, STEP_NAMES, merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft


def step_environments(draft: "FlowDraft", default_python: str) -> "dict[str, Any]":
    """Environment of every step, in the form that ``merge`` returns; None if it is disabled.

    Args:
        draft: the flow.
        default_python: version of Python for steps that name none, such as ``3.11.7``.

    Raises:
        FlowDefinitionError: the decorators of a step disagree, or name a file that does not exist.
    """
    base = _base_layers(draft)
    environments = {}
    for step, decorators in draft.step_decorators.items():
        layers = _step_layers(decorators)
        _check_agreement(layers)
        environments[step] = merge(base + layers, default_python)
    return environments


def declares_conda(draft: "FlowDraft") -> bool:
    """True if any decorator of the flow declares an environment."""
    return bool(_base_layers(draft)) or any(map(_step_layers, draft.step_decorators.values()))


def _base_layers(draft: "FlowDraft") -> "list[Any]":
    return [each for each in draft.flow_decorators if each.name in BASE_NAMES]


def _step_layers(decorators: "list[Any]") -> "list[Any]":
    return [each for each in decorators if each.name in STEP_NAMES]


def _check_agreement(layers: "list[Any]") -> None:
    """Raise if ``@conda`` and ``@pypi`` of one step ask for different versions of Python."""
    stated = [each for each in layers if each.attributes["python"]]
    for one, other in zip(stated, stated[1:]):  # noqa: RUF007 - Python 3.6
        if one.attributes["python"] != other.attributes["python"]:
            other.fail(
                "@%s asks for Python %s and @%s for Python %s. A step has one Python; keep one."
                % (one.name, one.attributes["python"], other.name, other.attributes["python"])
            )

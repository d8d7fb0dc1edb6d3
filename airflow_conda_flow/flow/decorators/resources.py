"""``@resources``: states what a step needs from a machine, no matter where the step runs."""

from airflow_conda_flow.flow.decorators.amounts import cores, count, megabytes
from airflow_conda_flow.flow.decorators.base import Decorator, StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Amount, Count
    from airflow_conda_flow.flow.decorators.base import Method

    Measure = Callable[[Any], float | None]

RESOURCES: "dict[str, Any]" = {
    "cpu": None,
    "memory": None,
    "disk": None,
    "gpu": None,
    "shared_memory": None,
}
"""Attributes that ``@resources`` shares with the decorators that run a step on another machine."""

_MEASURES: "dict[str, Measure]" = {
    "cpu": cores,
    "memory": megabytes,
    "disk": megabytes,
    "gpu": count,
    "shared_memory": megabytes,
}
_EXPECTED = {
    "cpu": 'a number of cores above 0, such as cpu=2 or cpu="500m"',
    "memory": 'MB above 0, or a quantity, such as memory=4096 or memory="4Gi"',
    "disk": 'MB above 0, or a quantity, such as disk=10240 or disk="10Gi"',
    "gpu": "a whole number, such as gpu=1",
    "shared_memory": 'MiB above 0, or a quantity, such as shared_memory=64 or shared_memory="64Mi"',
}


def check_resources(decorator: "Decorator") -> None:
    """Raise at the decorator's line if one of ``RESOURCES`` is not an amount."""
    for name in RESOURCES:
        value = decorator.attributes[name]
        expected = None if value is None else check_amount(name, value)
        if expected is not None:
            decorator.fail("@%s: %s is %r; write %s." % (decorator.name, name, value, expected))


def check_amount(name: str, value: "Any") -> "str | None":
    """Description of valid values if this value of one of ``RESOURCES`` is invalid; None if it is valid."""
    # Only gpu may be 0, which asks for a step without a GPU.
    measured = _MEASURES[name](value)
    if measured is None or (measured == 0 and name != "gpu"):
        return _EXPECTED[name]
    return None


def merge_resources(decorators: "Mapping[str, Mapping[str, Any]]", name: str) -> "dict[str, Any]":
    """Resources that a step needs: the larger amount of ``@resources`` and the decorator ``name``.

    A resource that neither gives is None. Amounts keep their written form.

    >>> merged = merge_resources({"resources": {"memory": "1Gi"}, "batch": {"memory": 500}}, "batch")
    >>> merged["memory"]
    '1Gi'
    """
    layers = [decorators.get("resources") or {}, decorators.get(name) or {}]
    merged = {}
    for key, measure in _MEASURES.items():
        given = [layer[key] for layer in layers if layer.get(key) is not None]
        # The decorators have checked all amounts already; "or 0.0" is for the type checker.
        merged[key] = max(given, key=lambda amount: measure(amount) or 0.0) if given else None
    return merged


NO_EXECUTABLE = {
    "executable": "a step runs its environment's Python, @conda(python=...); without one, the image's python3"
}
"""Attribute of Metaflow's computes that has no counterpart, and what to write."""


class ResourcesDecorator(StepDecorator):
    """Resources that a step needs from its machine; a local process uses whatever the machine has.

    Args:
        cpu: cores.
        memory: MB, or a quantity such as ``4Gi``.
        disk: MB, or a quantity.
        gpu: number of devices.
        shared_memory: size of ``/dev/shm`` in MiB, or a quantity.
    """

    name = "resources"
    defaults = dict(RESOURCES)

    def check(self) -> None:
        """Raise unless every attribute is an amount."""
        check_resources(self)


if TYPE_CHECKING:

    def resources(
        __method: "Method | None" = None,
        *,
        cpu: "Amount" = None,
        memory: "Amount" = None,
        disk: "Amount" = None,
        gpu: "Count" = None,
        shared_memory: "Amount" = None,
    ) -> "Method":
        """State the resources that a step needs, wherever it runs; see ``ResourcesDecorator``."""

else:
    resources = decorator_function(ResourcesDecorator)

"""Facts that Airflow shows among a task's rendered fields, and by which it sees that a DAG has changed."""

from __future__ import annotations

import hashlib
import inspect
import linecache
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_conda_flow.flow.decorators.resources import merge_resources
from airflow_conda_flow.flow.places import LOCAL
from airflow_conda_flow.records.document import canonical_json
from airflow_conda_flow.settings.loading import Settings

_DIGITS = 12  # of a digest that people compare by eye: 48 bits never repeat by chance among a DAG's versions
_ENVIRONS = (("environment", "vars"), ("kubernetes", "env"))
"""Attributes that hold environment variables. Their names are shown; a value may have come from a secret."""
_OF_A_SECRET = ("type", "id")
"""Parts of a source of ``@secrets`` that are shown; the options of an inline one hold the values."""


class Facts:
    """Facts that Airflow shows and does not render: it renders texts, lists and dicts, not other objects.

    Args:
        facts: JSON.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def serialize(self) -> dict[str, Any]:
        """The facts; Airflow calls this for what it shows, and for the DAG that it stores."""
        return self._facts

    def __str__(self) -> str:
        """The facts as JSON; Airflow stores this of a mapped task."""
        return canonical_json(self._facts).decode("utf-8", "replace")


class StepDecorators(Mapping[str, Any]):
    """A step's decorators as an operator takes them, whose text shows no value of an environment or a secret.

    Airflow stores every argument of a mapped operator with the DAG, for whoever may read the DAG: of a dict
    all values, those of ``@environment`` among them; of another object its text.

    Args:
        decorators: attributes by decorator's name.
    """

    def __init__(self, decorators: Mapping[str, Any]) -> None:
        self._decorators = dict(decorators)

    def __getitem__(self, name: str) -> Any:
        """Attributes of a decorator."""
        return self._decorators[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the decorators."""
        return iter(self._decorators)

    def __len__(self) -> int:
        """Number of decorators."""
        return len(self._decorators)

    def __repr__(self) -> str:
        """The decorators as JSON, as the step's facts show them; Airflow stores this of a mapped task."""
        return canonical_json(_shown_decorators(self._decorators)).decode("utf-8", "replace")


def step_facts(
    flow_class: type[Any],
    step: str,
    place: str,
    decorators: Mapping[str, Any],
    environment: Mapping[str, Any] | None,
    settings: Settings,
) -> Facts:
    """Facts about a step.

    Args:
        flow_class: the flow.
        step: name of the step.
        place: where it runs, such as ``kubernetes``.
        decorators: the step's decorators: attributes by decorator's name.
        environment: what the step's environment is asked to be, as from ``FlowDefinition.step_environments``;
            None if the step has no environment of its own.
        settings: the settings in force.
    """
    code = _source_digest(inspect.unwrap(getattr(flow_class, step)))
    facts: dict[str, Any] = {"step": step, "code": code, "runs_on": place}
    if environment is not None:
        names = ("python", "libraries", "pypi", "file")
        facts["environment"] = _given({name: environment.get(name) for name in names})
    if place != LOCAL:
        image = (decorators.get(place) or {}).get("image")
        default = settings.texts.get(f"{place}_image")
        facts["image"] = image or (default.text if default else None)
        facts["resources"] = _given(merge_resources(decorators, place))
    facts["decorators"] = _shown_decorators(decorators)
    return Facts(_given(facts))


def prepare_facts(flow: str, file: str, environment: str) -> Facts:
    """Facts about the task that prepares a flow's runs.

    Args:
        flow: the flow's name.
        file: path of the flow file.
        environment: ``conda`` or ``local``.
    """
    code = _digest(linecache.getlines(file))
    return Facts(_given({"flow": flow, "file": Path(file).name, "code": code, "environment": environment}))


def _shown_decorators(decorators: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shown(name, attributes) for name, attributes in decorators.items()}


def _shown(name: str, attributes: Any) -> Any:
    if isinstance(attributes, list):  # of a decorator that a step may have several times
        return [_shown(name, each) for each in attributes]
    if not isinstance(attributes, Mapping):
        return attributes
    shown = _given(attributes)
    for decorator, attribute in _ENVIRONS:
        if decorator == name and isinstance(shown.get(attribute), Mapping):
            shown[attribute] = sorted(shown[attribute])
    if name == "secrets":
        shown["sources"] = [{key: each[key] for key in _OF_A_SECRET} for each in attributes["sources"]]
    return shown


def _given(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in (None, {}, [])}


def _source_digest(method: Any) -> str | None:
    """Digest of a step's source, with its decorators; None without a source."""
    code = getattr(method, "__code__", None)
    if code is None:
        return None
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    return _digest(inspect.getblock(lines)) if lines else None


def _digest(lines: Sequence[str]) -> str | None:
    """First digits of the SHA-256 of some lines; None if there are none."""
    if not lines:
        return None
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]

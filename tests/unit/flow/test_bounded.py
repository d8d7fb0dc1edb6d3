"""JSON and YAML from people and files: bounded in depth and in number of values."""

from __future__ import annotations

import pytest

from airflow_conda_flow.environments.environment_file import read_environment_file
from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.parameters import bounded
from airflow_conda_flow.flow.parameters.bounded import OutOfBounds, loads, shown, within_bounds
from airflow_conda_flow.flow.parameters.config_parsers import yaml_parser

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
"""A kilobyte of YAML that stands for ten thousand million values."""


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 300 + "1" + "}" * 300]
)
def test_deep_json(text):
    """Deeper than Python's stack, or than anything after it could walk."""
    with pytest.raises(OutOfBounds, match="nested more than 200 deep"):
        loads(text)


def test_json_within_bounds():
    """It is as before."""
    deep = "[" * 200 + "]" * 200
    assert loads(deep) == within_bounds(loads(deep))
    assert loads('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    with pytest.raises(ValueError, match="Expecting value"):
        loads("nothing")


def test_too_many_values(monkeypatch):
    """Parts of parts count."""
    monkeypatch.setattr(bounded, "MOST_VALUES", 10)
    assert loads('[1, [2, 3], {"a": 4}]')
    with pytest.raises(OutOfBounds, match="of more than 10 values"):
        loads("[[1, 2, 3], [1, 2, 3], [1, 2, 3]]")


def test_a_value_that_holds_itself():
    """A parser of the user may make one."""
    value: list = []
    value.append(value)
    with pytest.raises(OutOfBounds):
        within_bounds(value)


@pytest.mark.parametrize("text", [LAUGHS, "[" * 700], ids=["laughs", "deep"])
def test_yaml(text, tmp_path):
    """In a config, and in an environment.yml."""
    with pytest.raises(ParameterError, match=r"^It is (nested|of more|no YAML)"):
        yaml_parser(text)
    path = tmp_path / "environment.yml"
    path.write_text(text)
    with pytest.raises(FlowDefinitionError, match=r"environment\.yml.*It is (nested|of more|no YAML)"):
        read_environment_file(path, "linux-64")


def test_a_long_value_is_cut_in_messages():
    """A message is one line that a person reads."""
    assert shown("abc") == "'abc'"
    assert len(shown("x" * 10**6)) < 250
    assert shown("x" * 10**6).endswith("(1000002 characters)")

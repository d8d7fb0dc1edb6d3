"""YAML 1.2 as lock files have it; the values are of the specification's core schema."""

from __future__ import annotations

import math

import pytest
import yaml

from airflow_conda_flow.environments.lock_yaml import load_yaml, yaml_text

VALUES = {
    "1.0_1": "1.0_1",
    "1_000": "1_000",
    "12:30": "12:30",
    "2021-01-02": "2021-01-02",
    "on": "on",
    "No": "No",
    "=": "=",
    "0b1": "0b1",
    "1.2.3": "1.2.3",
    "e3": "e3",
    "1e5": 1e5,
    "3950e3": 3950e3,
    "-1.5E-3": -1.5e-3,
    "1.": 1.0,
    ".5": 0.5,
    "017": 17,
    "0o17": 15,
    "0x1F": 31,
    "+1": 1,
    "-12": -12,
    "True": True,
    "false": False,
    "~": None,
    "": None,
    "Null": None,
    "-.INF": -math.inf,
}


@pytest.mark.parametrize("text", VALUES)
def test_what_a_plain_scalar_is(text):
    """Text where YAML 1.1 has a number, a date or a truth value, and the other way round."""
    found = load_yaml(f"a: {text}\n")["a"]
    assert (found, type(found)) == (VALUES[text], type(VALUES[text]))


def test_not_a_number():
    """It equals nothing, itself neither."""
    assert math.isnan(load_yaml("a: .NaN")["a"])


@pytest.mark.parametrize("text", [*VALUES, ".nan", "3950102070140e30", "0" * 48 + "3950102070140e30"])
def test_text_stays_text(text):
    """For readers of both versions."""
    written = yaml_text({"a": text, text: "b"})
    assert load_yaml(written) == yaml.safe_load(written) == {"a": text, text: "b"}


@pytest.mark.parametrize("value", [None, True, 0, -3, 1.5, 1e300, math.inf, [1, {"a": None}], "a\nb: c"])
def test_values_stay_values(value):
    """A written document reads back the same."""
    assert load_yaml(yaml_text({"a": value})) == {"a": value}


def test_anchors_and_merges():
    """A file that somebody has written."""
    assert load_yaml("a: &a {b: 1}\nc: {<<: *a, d: 2}")["c"] == {"b": 1, "d": 2}

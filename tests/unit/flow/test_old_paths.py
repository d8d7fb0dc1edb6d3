"""Pickles name the module of a class: those of artifacts that exist are read after the class has moved."""

import pickle

import pytest

from airflow_conda_flow import ConfigValue, JSONType
from airflow_conda_flow.cards import EventsTimeline, Markdown, Table

MOVED = [
    ("flow.card_components", Markdown("x")),
    ("flow.card_components", Table([["x"]])),
    ("flow.card_viewers", EventsTimeline()),
    ("flow.config_value", ConfigValue({"a": {"b": 1}})),
    ("flow.parameter_types", JSONType),
]


@pytest.mark.parametrize(
    ("old", "value"), MOVED, ids=lambda each: each if isinstance(each, str) else type(each).__name__
)
def test_a_pickle_that_names_the_old_module(old, value):
    # Protocol 0 writes names as lines, so that the test can write an old one in.
    now = pickle.dumps(value, protocol=0)
    module = "JSONType" if value is JSONType else type(value).__module__
    if value is JSONType:
        before = f"cairflow_conda_flow.{old}\nJSONType\n.".encode()
    else:
        before = now.replace(module.encode(), f"airflow_conda_flow.{old}".encode())
        assert before != now
    assert type(pickle.loads(before)) is type(value)

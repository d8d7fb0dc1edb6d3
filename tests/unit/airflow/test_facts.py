"""Facts about a step that Airflow shows and stores."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow import FlowSpec, step
from airflow_conda_flow.airflow.dag.facts import prepare_facts, step_facts
from airflow_conda_flow.settings.loading import load_settings

SETTINGS = load_settings({}, environ={"CONDA_FLOW_KUBERNETES_IMAGE": "registry/base:1"})


class AFlow(FlowSpec):
    """A flow of one step."""

    @step
    def start(self):
        """Do nothing."""


def facts(**decorators):
    """The facts about the step with these decorators, in a pod."""
    return step_facts(AFlow, "start", "kubernetes", decorators, None, SETTINGS)


@pytest.mark.parametrize(
    ("name", "attributes", "shown"),
    [
        ("environment", {"vars": {"B": "hunter-2", "A": "x"}}, {"vars": ["A", "B"]}),
        ("kubernetes", {"env": {"B": "hunter-2"}, "cpu": None}, {"env": ["B"]}),
        (
            "secrets",
            {"sources": [{"type": "inline", "id": "own", "options": {"env_vars": {"B": "hunter-2"}}}]},
            {"sources": [{"type": "inline", "id": "own"}]},
        ),
        ("retry", {"times": 0, "minutes_between_retries": 2}, {"times": 0, "minutes_between_retries": 2}),
        ("card", [{"type": "default", "id": None}, {"id": "own"}], [{"type": "default"}, {"id": "own"}]),
    ],
)
def test_what_is_given_but_no_value_of_a_variable_or_secret(name, attributes, shown):
    """Neither as JSON nor as the text that Airflow stores of a mapped task."""
    found = facts(**{name: attributes})
    assert found.serialize()["decorators"] == {name: shown}
    assert json.loads(str(found)) == found.serialize()
    assert "hunter-2" not in str(found)


def test_image_and_resources():
    """The image of the decorator, else of the settings; the larger amount of both decorators."""
    assert facts().serialize()["image"] == "registry/base:1"
    own = facts(kubernetes={"image": "own:2", "memory": 100}, resources={"memory": 200}).serialize()
    assert (own["image"], own["resources"]) == ("own:2", {"memory": 200})


def test_a_source_that_cannot_be_read():
    """As in a zip: there is no digest, and the DAG is made all the same."""
    assert "code" not in prepare_facts("AFlow", "/no/such/flow.py", "conda").serialize()

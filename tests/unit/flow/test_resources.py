"""`@resources`: amounts are checked at their line, and the larger of two decorators' amounts counts."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow import resources
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators import amounts
from airflow_conda_flow.flow.decorators import resources as resources_decorator
from airflow_conda_flow.flow.decorators.resources import RESOURCES, merge_resources


@pytest.mark.parametrize("module", [amounts, resources_decorator], ids=lambda module: module.__name__)
def test_examples(module):
    """The examples in docstrings give what they say."""
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    "attributes",
    [
        {"cpu": 2, "memory": 4096, "disk": 1, "gpu": 0, "shared_memory": 64},
        {"cpu": "0.5", "memory": "4Gi", "disk": "10G", "gpu": "1", "shared_memory": "64Mi"},
        {"cpu": "250m", "memory": "1.5Gi"},
        {},
    ],
)
def test_amounts_stay_as_they_were_written(attributes):
    """Numbers, texts and quantities are taken; what is not given is None."""

    @resources(**attributes)
    def method():
        """Do nothing."""

    (attached,) = method.decorators
    assert attached.attributes == {**RESOURCES, **attributes}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"cpu": "two"}, "@resources: cpu is 'two'; write a number of cores above 0, such as cpu=2"),
        ({"cpu": 0}, "@resources: cpu is 0; write"),
        ({"cpu": -1}, "@resources: cpu is -1; write"),
        ({"cpu": True}, "@resources: cpu is True; write"),
        ({"memory": "4GB"}, "@resources: memory is '4GB'; write MB above 0, or a quantity"),
        ({"memory": float("inf")}, "@resources: memory is inf; write"),
        ({"memory": float("nan")}, "@resources: memory is nan; write"),
        ({"disk": []}, "@resources: disk is []; write"),
        ({"gpu": 0.5}, "@resources: gpu is 0.5; write a whole number"),
        ({"shared_memory": ""}, "@resources: shared_memory is ''; write"),
        ({"mem": 1}, "@resources has no attribute 'mem'. Did you mean 'memory'?"),
    ],
)
def test_a_wrong_amount_names_its_line(attributes, message):
    """The message says what stands there and what to write instead."""
    with pytest.raises(FlowDefinitionError) as raised:
        resources(**attributes)
    assert raised.value.message.startswith(message)
    assert raised.value.file == __file__
    assert raised.value.line > 60


@pytest.mark.parametrize(
    ("general", "own", "merged"),
    [
        ({"cpu": 2}, {"cpu": 4}, {"cpu": 4}),
        ({"cpu": "3000m"}, {"cpu": 2}, {"cpu": "3000m"}),
        ({"memory": 5000}, {"memory": "4Gi"}, {"memory": 5000}),
        ({"memory": 4000}, {"memory": "4Gi"}, {"memory": "4Gi"}),
        ({"gpu": 1}, {}, {"gpu": 1}),
        ({}, {"gpu": 1}, {"gpu": 1}),
        (None, {"disk": 5}, {"disk": 5}),
    ],
)
def test_the_larger_amount_counts(general, own, merged):
    """Of `@resources` and a compute's decorator, amount by amount."""
    decorators = {"kubernetes": {**RESOURCES, **own, "image": "base"}}
    if general is not None:
        decorators["resources"] = {**RESOURCES, **general}
    assert merge_resources(decorators, "kubernetes") == {**RESOURCES, **merged}

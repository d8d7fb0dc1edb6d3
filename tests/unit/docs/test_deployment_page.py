"""The blocks and tables of docs/deployment.md against what the package does and what Airflow has."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_conda_flow.settings.loading import options

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "airflow_conda_flow"
BLOCKS = dict(re.findall(r"<!-- ([\w: ]+) -->\n```(?:yaml|json)\n(.*?)```", PAGE, re.DOTALL))
VERBS = {"create": "create", "read": "get", "list": "list", "delete": "delete"}
RESOURCES = {"pod": "pods", "pod_log": "pods/log", "event": "events"}
ROW = re.compile(r"^\| `\[(\w+)\] (\w+)` \| (\d+) ?s? \|", re.MULTILINE)
NAMED = re.compile(r"`\[(\w+)\] (\w+)`(?: \((\d+)\))?(?:, `(\w+)` \((\d+)\))?")


@pytest.fixture(scope="module")
def airflow_options() -> dict[str, dict[str, Any]]:
    """Airflow's options by section, read from its files: nothing is imported."""
    core = importlib.metadata.distribution("apache-airflow-core")
    path = Path(str(core.locate_file("airflow/config_templates/config.yml")))
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: section["options"] for name, section in document.items() if isinstance(section, dict)}


def test_every_block_is_one_that_a_test_holds():
    """A block of YAML or JSON has a name, and each name is that of a test here or on the real cluster."""
    assert len(re.findall(r"^```\w", PAGE, re.MULTILINE)) == len(BLOCKS)
    assert set(BLOCKS) == {"helm values", "rbac", "iam: worker", "iam: triggerer"}


def test_the_helm_values_set_what_there_is(airflow_options):
    """Options of our section and of Airflow's have the names that they have there."""
    config = yaml.safe_load(BLOCKS["helm values"])["config"]
    ours = {option.name for option in options()}
    assert set(config.pop("conda_flow")) <= ours
    for section, chosen in config.items():
        assert set(chosen) <= set(airflow_options[section])


def test_the_accounts_of_the_helm_values_are_those_of_the_role():
    """The role is bound to the service accounts that the values name."""
    values = yaml.safe_load(BLOCKS["helm values"])
    _, binding = yaml.safe_load_all(BLOCKS["rbac"])
    named = {values[component]["serviceAccount"]["name"] for component in ("workers", "triggerer")}
    assert {subject["name"] for subject in binding["subjects"]} == named


def test_the_role_has_the_rights_that_are_used():
    """Every call to the cluster has its right, and no right is there without a call."""
    role, binding = yaml.safe_load_all(BLOCKS["rbac"])
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    granted = {
        (verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    texts = [path.read_text() for path in PACKAGE.rglob("*.py")]
    used = {
        (VERBS[verb], RESOURCES[what])
        for text in texts
        for verb, what in re.findall(r"\.(\w+?)_namespaced_(\w+)\(", text)
    }
    # The client watches by a list with an argument, and Kubernetes has a verb of its own for it.
    watches = re.compile(r"\.list_namespaced_(\w+)\((?:(?!_namespaced_).)*watch=True", re.DOTALL)
    used |= {("watch", RESOURCES[what]) for text in texts for what in watches.findall(text)}
    assert granted == used


def _actions(name: str) -> set[str]:
    found: set[str] = set()
    for statement in json.loads(BLOCKS[name])["Statement"]:
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def _operations() -> set[str]:
    """IAM actions of the calls to Batch and CloudWatch in the package."""
    import boto3

    session = boto3.session.Session(region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    found = set()
    text = "".join(path.read_text() for path in (PACKAGE / "compute" / "batch").glob("*.py"))
    for service in ("batch", "logs"):
        for method, operation in session.client(service).meta.method_to_api_mapping.items():
            if re.search(rf'\.{method}\(|get_paginator\("{method}"\)', text):
                found.add(f"{service}:{operation}")
    return found


def test_the_policy_of_workers_has_the_operations_that_are_used():
    """The requests of the package to Batch and CloudWatch, and the right to hand over the job's roles."""
    assert _actions("iam: worker") == _operations() | {"iam:PassRole"}


def test_the_policy_of_the_triggerer_is_a_part_of_it():
    """The triggerer follows jobs, reads their logs and ends them."""
    following = {"batch:DescribeJobs", "batch:TerminateJob", "logs:GetLogEvents"}
    assert _actions("iam: triggerer") == following
    assert following < _actions("iam: worker")


def test_the_defaults_of_airflow_are_those_of_the_tables(airflow_options):
    """Each option that the page names is there; a default that it states is the default."""
    stated = [(section, name, value) for section, name, value in ROW.findall(PAGE)]
    for section, name, value, other, other_value in NAMED.findall(PAGE):
        stated += [(section, name, value), *([(section, other, other_value)] if other else [])]
    assert len(stated) >= 12
    for section, name, value in stated:
        default = airflow_options[section][name]["default"]
        assert not value or float(default) == float(value), (section, name)

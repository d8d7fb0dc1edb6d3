"""`@kubernetes`: every attribute is checked at its line, and comes out in one form."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from airflow_conda_flow import FlowSpec, batch, kubernetes, step
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators import attribute_values
from airflow_conda_flow.flow.decorators.kubernetes import ATTRIBUTES
from airflow_conda_flow.flow.decorators.resources import RESOURCES
from airflow_conda_flow.flow.definition import read_flow


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(attribute_values)
    assert results.attempted
    assert not results.failed


WITHOUT_EFFECT = ("hostname_resolution_timeout", "compute_pool")
GOOD = [
    ("image", "registry:5000/base:1", "registry:5000/base:1"),
    ("gpu_vendor", "amd", "amd"),
    ("namespace", "flows", "flows"),
    ("service_account", "flows", "flows"),
    ("node_selector", "disk=ssd,zone=a", {"disk": "ssd", "zone": "a"}),
    ("node_selector", {"example.com/disk": "ssd", "size": 1}, {"example.com/disk": "ssd", "size": "1"}),
    ("tolerations", {"key": "gpu", "operator": "Exists"}, [{"key": "gpu", "operator": "Exists"}]),
    (
        "tolerations",
        [{"key": "a", "effect": "NoExecute", "toleration_seconds": 5}],
        [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}],
    ),
    (
        "affinity",
        {"pod_anti_affinity": {"required_during_scheduling": [{"match_labels": {"a_b": "c"}}]}},
        {"podAntiAffinity": {"requiredDuringScheduling": [{"matchLabels": {"a_b": "c"}}]}},
    ),
    (
        "topology_spread_constraints",
        {"max_skew": 1, "topology_key": "zone", "when_unsatisfiable": "ScheduleAnyway"},
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    ),
    ("priority_class", "batch-low", "batch-low"),
    ("runtime_class", "nvidia", "nvidia"),
    ("automount_service_account_token", True, True),
    ("limit_memory", True, True),
    ("labels", {"team": "data"}, {"team": "data"}),
    ("annotations", {"owner": "Ada & Bob, 3rd floor"}, {"owner": "Ada & Bob, 3rd floor"}),
    ("image_pull_policy", "never", "Never"),
    ("image_pull_secrets", "one,two", ["one", "two"]),
    ("secrets", ("one", "two"), ["one", "two"]),
    ("env", {"A_B": "x=y", "N": 2}, {"A_B": "x=y", "N": "2"}),
    ("persistent_volume_claims", {"data": "/data"}, {"data": "/data"}),
    ("use_tmpfs", True, True),
    ("tmpfs_tempdir", False, False),
    ("tmpfs_size", 512, 512),
    ("tmpfs_path", "/fast", "/fast"),
    (
        "security_context",
        {"run_as_user": 1000, "runAsGroup": 1, "se_linux_options": {"level": "s0"}, "fs_group": 2},
        {"runAsUser": 1000, "runAsGroup": 1, "seLinuxOptions": {"level": "s0"}, "fsGroup": 2},
    ),
    ("host_network", True, True),
    ("node_cache", "/var/cache/flows", "/var/cache/flows"),
    ("node_cache", "a-claim", "a-claim"),
    ("qos", "guaranteed", "Guaranteed"),
    ("port", 8080, 8080),
    ("extended_resources", {"example.com/fpga": 2, "a/b": "1"}, {"example.com/fpga": "2", "a/b": "1"}),
    ("hostname_resolution_timeout", 60, 60),
    ("compute_pool", "gpus", "gpus"),
]


@pytest.mark.parametrize(("name", "given", "kept"), GOOD)
def test_good_values(name, given, kept):
    """Each attribute takes what Metaflow's takes and is kept in Kubernetes' spelling."""

    @kubernetes(**{name: given})
    def method():
        """Do nothing."""

    attributes = method.decorators[0].attributes
    assert attributes == {**RESOURCES, **dict.fromkeys([*ATTRIBUTES, *WITHOUT_EFFECT]), name: kept}


def test_every_attribute_is_tried():
    """The table above has them all."""
    assert {name for name, _, _ in GOOD} == {*ATTRIBUTES, *WITHOUT_EFFECT}


BAD = [
    ({"image": ""}, "image is ''; write the name of an image"),
    ({"image": 3}, "image is 3; write the name of an image"),
    ({"namespace": "My Flows"}, "namespace is 'My Flows'; write the name of a namespace"),
    ({"service_account": []}, "service_account is []; write its name"),
    ({"node_selector": "ssd"}, "node_selector is 'ssd'; write labels of nodes"),
    ({"node_selector": {"a b": "c"}}, "node_selector is {'a b': 'c'}; write"),
    ({"tolerations": [{"ky": "x"}]}, "tolerations is [{'ky': 'x'}]; write a list of dicts"),
    ({"labels": {"team": "a b"}}, "labels is {'team': 'a b'}; write labels as Kubernetes allows them"),
    ({"labels": {"team": "x" * 64}}, "labels is "),
    ({"annotations": {"owner": None}}, "annotations is {'owner': None}; write a dict of texts"),
    ({"image_pull_policy": "Sometimes"}, "image_pull_policy is 'Sometimes'; write \"Always\","),
    ({"secrets": "Not_A_Name"}, "secrets is 'Not_A_Name'; write names of Kubernetes secrets"),
    ({"env": {"A-B": "x"}}, "env is {'A-B': 'x'}; write a dict of texts"),
    ({"env": {"CONDA_FLOW_DATASTORE": "x"}}, "env has CONDA_FLOW_DATASTORE; variables of that kind are"),
    ({"env": {"AWS_SECRET_ACCESS_KEY": "x"}}, "env has AWS_SECRET_ACCESS_KEY, which everybody who sees"),
    ({"persistent_volume_claims": {"data": "data"}}, "persistent_volume_claims is {'data': 'data'}; write"),
    ({"use_tmpfs": "yes"}, "use_tmpfs is 'yes'; write True or False."),
    ({"tmpfs_size": 0}, "tmpfs_size is 0; write MiB above 0"),
    ({"tmpfs_path": "fast"}, "tmpfs_path is 'fast'; write an absolute path"),
    ({"security_context": {"runasuser": 1}}, "security_context is {'runasuser': 1}; write"),
    ({"host_network": 1}, "host_network is 1; write True or False."),
    ({"node_cache": "a/b"}, "node_cache is 'a/b'; write a directory of the nodes"),
    ({"qos": "BestEffort"}, "qos is 'BestEffort'; write \"Burstable\""),
    ({"port": 0}, "port is 0; write the number of a port"),
    ({"extended_resources": {"fpga": 1}}, "extended_resources is {'fpga': 1}; write names and whole numbers"),
    ({"extended_resources": {"a/b": 1.5}}, "extended_resources is {'a/b': 1.5}; write names"),
    ({"memory": "4 GB"}, "memory is '4 GB'; write MB above 0"),
    ({"shared_memory": 0}, "shared_memory is 0; write MiB above 0"),
]


@pytest.mark.parametrize(("attributes", "message"), BAD)
def test_bad_values_name_their_line(attributes, message):
    """One message: the attribute, what stands there, and what to write instead."""
    with pytest.raises(FlowDefinitionError) as raised:
        kubernetes(**attributes)
    assert raised.value.message.startswith(f"@kubernetes: {message}")
    assert raised.value.file == __file__
    assert (
        Path(__file__).read_text().splitlines()[raised.value.line - 1].strip() == "kubernetes(**attributes)"
    )


def test_from_the_command_line():
    """`--with kubernetes:...` goes to every step that has no `@kubernetes` of its own."""

    class AFlow(FlowSpec):
        @step
        def start(self):
            self.next(self.end)

        @kubernetes(image="mine")
        @step
        def end(self):
            pass

    definition = read_flow(AFlow)
    text = 'kubernetes:image=base:1,cpu=2,memory=1Gi,labels={"a":"b"},secrets=x,host_network=true'
    definition.attach([text])
    attached = definition.decorators
    assert attached["end"]["kubernetes"]["image"] == "mine"
    given = {name: value for name, value in attached["start"]["kubernetes"].items() if value is not None}
    assert given == {
        "image": "base:1",
        "cpu": 2,
        "memory": "1Gi",
        "labels": {"a": "b"},
        "secrets": ["x"],
        "host_network": True,
    }


@pytest.mark.parametrize("decorator", [kubernetes, batch], ids=["kubernetes", "batch"])
def test_executable_says_what_to_write(decorator):
    """Metaflow's attribute has no counterpart; the message is not a list of all attributes."""
    with pytest.raises(
        FlowDefinitionError, match="has no executable here: a step runs its environment's Python"
    ):
        decorator(executable="python3.11")

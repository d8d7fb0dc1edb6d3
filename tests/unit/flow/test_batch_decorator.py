"""`@batch`: every attribute is checked at its line, and comes out in one form."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from airflow_conda_flow import FlowSpec, batch, step
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators import batch_values
from airflow_conda_flow.flow.decorators.batch import ATTRIBUTES
from airflow_conda_flow.flow.decorators.resources import RESOURCES
from airflow_conda_flow.flow.definition import read_flow

ROLE = "arn:aws:iam::123456789012:role/path/flows"


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(batch_values)
    assert results.attempted
    assert not results.failed


GOOD = [
    ("image", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/base:1", None),
    ("queue", "flows", None),
    ("queue", "arn:aws:batch:eu-central-1:123456789012:job-queue/flows", None),
    ("region", "eu-central-1", None),
    ("iam_role", ROLE, None),
    ("job_role", ROLE, None),
    ("execution_role", "arn:aws-us-gov:iam::123456789012:role/x", None),
    ("max_swap", 0, None),
    ("max_swap", "2048", 2048),
    ("swappiness", 100, None),
    ("use_tmpfs", True, None),
    ("tmpfs_tempdir", False, None),
    ("tmpfs_size", "1Gi", None),
    ("tmpfs_path", "/fast", None),
    ("host_volumes", "/data", ["/data"]),
    ("host_volumes", ("/data", "/mnt/models:/models"), ["/data", "/mnt/models:/models"]),
    ("efs_volumes", ["fs-0123abcd", "fs-4567:/data"], None),
    ("ephemeral_storage", 21, None),
    ("ephemeral_storage", "200", 200),
    ("log_driver", "awslogs", None),
    ("log_options", "awslogs-group:/a/b", ["awslogs-group:/a/b"]),
    ("log_options", {"awslogs-group": "/a:b"}, ["awslogs-group:/a:b"]),
    ("inferentia", 1, None),
    ("trainium", 16, None),
    ("efa", 4, None),
    ("privileged", True, None),
    ("aws_batch_tags", {"team": "data", "Cost Centre": "4 + 2"}, None),
]


@pytest.mark.parametrize(("name", "given", "kept"), GOOD)
def test_good_values(name, given, kept):
    """Each attribute takes what Metaflow's takes and is kept in one form."""

    @batch(**{name: given})
    def method():
        """Do nothing."""

    attributes = method.decorators[0].attributes
    expected = given if kept is None else kept
    assert attributes == {**RESOURCES, **dict.fromkeys(ATTRIBUTES), name: expected}


def test_every_attribute_is_tried():
    """The table above has them all."""
    assert {name for name, _, _ in GOOD} == set(ATTRIBUTES)


BAD = [
    ({"image": " "}, "image is ' '; write the name of an image"),
    ({"queue": 3}, "queue is 3; write the name or ARN of a job queue"),
    ({"iam_role": "flows"}, "iam_role is 'flows'; write the ARN of a role, such as iam_role="),
    ({"job_role": "arn:aws:iam::1:user/x"}, "job_role is 'arn:aws:iam::1:user/x'; write the ARN"),
    ({"cpu": "many"}, "cpu is 'many'; write a number of cores above 0"),
    ({"memory": 0}, "memory is 0; write MB above 0"),
    ({"max_swap": -1}, "max_swap is -1; write MiB from 0 up"),
    ({"max_swap": True}, "max_swap is True; write"),
    ({"swappiness": 101}, "swappiness is 101; write a whole number from 0 to 100"),
    ({"swappiness": 0.5}, "swappiness is 0.5; write"),
    ({"use_tmpfs": "yes"}, "use_tmpfs is 'yes'; write True or False"),
    ({"tmpfs_path": "fast"}, "tmpfs_path is 'fast'; write an absolute path"),
    ({"host_volumes": ["data"]}, "host_volumes is ['data']; write absolute paths"),
    ({"host_volumes": "/data:data"}, "host_volumes is '/data:data'; write"),
    ({"efs_volumes": "/data"}, "efs_volumes is '/data'; write ids of EFS file systems"),
    ({"efs_volumes": "fs-1:data"}, "efs_volumes is 'fs-1:data'; write"),
    ({"ephemeral_storage": 20}, "ephemeral_storage is 20; write GiB from 21 to 200"),
    ({"log_driver": "cloudwatch"}, "log_driver is 'cloudwatch'; write one of: awslogs,"),
    ({"log_options": ["awslogs-group"]}, "log_options is ['awslogs-group']; write a list of texts"),
    ({"inferentia": 17}, "inferentia is 17; write a number of chips"),
    ({"privileged": 1}, "privileged is 1; write True or False"),
    ({"aws_batch_tags": {"aws:x": "y"}}, "aws_batch_tags is {'aws:x': 'y'}; write a dict of texts"),
    ({"aws_batch_tags": {"x": "y" * 257}}, "write a dict of texts as AWS allows them"),
    ({"iam_role": ROLE, "job_role": ROLE}, "iam_role and job_role are two names of one attribute; keep one."),
    ({"inferentia": 1, "trainium": 1}, "inferentia and trainium are two names of one attribute"),
    ({"cpus": 1}, "@batch has no attribute 'cpus'. Did you mean 'cpu'?"),
]


@pytest.mark.parametrize(("attributes", "message"), BAD)
def test_a_wrong_value_names_its_line(attributes, message):
    """The message says what stands there and what to write instead."""
    with pytest.raises(FlowDefinitionError) as raised:
        batch(**attributes)
    assert message in raised.value.message
    assert raised.value.message.startswith("@batch")
    line = Path(__file__).read_text().splitlines()[raised.value.line - 1]
    assert (raised.value.file, line) == (__file__, "        batch(**attributes)")


def test_from_the_command_line():
    """`--with batch:...` gives what the decorator gives."""

    class AFlow(FlowSpec):
        @step
        def start(self):
            self.next(self.end)

        @step
        def end(self):
            pass

    definition = read_flow(AFlow)
    definition.attach(["batch:image=base:1,queue=q,cpu=2,host_volumes=/a:/b"])
    attributes = definition.decorators["start"]["batch"]
    assert attributes["host_volumes"] == ["/a:/b"]
    assert (attributes["image"], attributes["queue"], attributes["cpu"]) == ("base:1", "q", 2)

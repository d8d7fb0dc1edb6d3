"""A step as a job definition of AWS Batch: every attribute reaches it, and nothing that is secret."""

from __future__ import annotations

import doctest
import json
from types import SimpleNamespace

import pytest

from airflow_conda_flow.compute.batch import amounts as batch_amounts
from airflow_conda_flow.compute.batch import job as batch_job
from airflow_conda_flow.compute.batch.attributes import batch_attributes
from airflow_conda_flow.compute.batch.command import container_start
from airflow_conda_flow.compute.batch.job import (
    job_definition,
    job_family,
    job_name,
    job_overrides,
    log_group,
)
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.batch import ATTRIBUTES, BatchDecorator
from airflow_conda_flow.flow.decorators.resources import RESOURCES
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

ROLE = "arn:aws:iam::123456789012:role/flows"
REQUEST = TaskRequest("AFlow", "a run", "train", (3, 1), 2)


@pytest.mark.parametrize("module", [batch_amounts, batch_job], ids=lambda module: module.__name__)
def test_examples(module):
    """The examples in docstrings give what they say."""
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def make_definition(fargate: bool = False, resources=None, environ=None, **attributes):
    """The definition of a step with these attributes of ``@batch``, and an image unless one is given."""
    given = BatchDecorator(**{"image": "base:1", **attributes}).attributes
    decorators = {"batch": given, **({"resources": resources} if resources else {})}
    settings = load_settings(environ={"HOME": "/nowhere", **(environ or {})})
    return job_definition(
        "train", batch_attributes(decorators, settings), {"B": "2", "A": "1"}, ["runner"], fargate=fargate
    )


def make_container(**attributes):
    """Its container's properties."""
    return make_definition(**attributes)["containerProperties"]


def test_the_least_that_a_definition_holds():
    """Metaflow's defaults, no retry of Batch's own, and the environment variables in order."""
    definition = make_definition()
    assert definition.pop("jobDefinitionName").startswith("airflow-conda-flow-")
    assert definition == {
        "type": "container",
        "platformCapabilities": ["EC2"],
        "propagateTags": True,
        "retryStrategy": {"attempts": 1},
        "containerProperties": {
            "image": "base:1",
            "command": ["runner"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "4096"},
            ],
        },
    }


def _needs(container):
    return {each["type"]: each["value"] for each in container["resourceRequirements"]}


def _linux(container):
    return container["linuxParameters"]


TMPFS = {"containerPath": "/metaflow_temp", "size": 2048, "mountOptions": ["rw", "exec", "mode=1777"]}
NEURON = [
    {"hostPath": f"/dev/neuron{n}", "containerPath": f"/dev/neuron{n}", "permissions": ["READ", "WRITE"]}
    for n in range(2)
]
# attribute, value, whether on Fargate, what is looked at, what stands there
REACHES = [
    ("image", "mine:2", False, lambda c: c["image"], "mine:2"),
    ("cpu", 2, False, _needs, {"VCPU": "2", "MEMORY": "4096"}),
    ("cpu", "500m", False, _needs, {"VCPU": "1", "MEMORY": "4096"}),
    ("cpu", 0.5, True, _needs, {"VCPU": "0.5", "MEMORY": "4096"}),
    ("memory", "8Gi", False, _needs, {"VCPU": "1", "MEMORY": "8192"}),
    ("memory", 9000, True, _needs, {"VCPU": "2", "MEMORY": "9216"}),
    ("gpu", 2, False, _needs, {"VCPU": "1", "MEMORY": "4096", "GPU": "2"}),
    ("shared_memory", 64, False, _linux, {"sharedMemorySize": 64}),
    ("max_swap", 0, False, _linux, {"maxSwap": 0}),
    ("swappiness", 10, False, _linux, {"swappiness": 10}),
    ("use_tmpfs", True, False, _linux, {"tmpfs": [TMPFS]}),
    ("tmpfs_size", 100, False, _linux, {"tmpfs": [{**TMPFS, "size": 100}]}),
    ("inferentia", 2, False, _linux, {"devices": NEURON}),
    ("trainium", 2, False, _linux, {"devices": NEURON}),
    (
        "efa",
        1,
        False,
        _linux,
        {
            "devices": [
                {
                    "hostPath": "/dev/infiniband/uverbs0",
                    "containerPath": "/dev/infiniband/uverbs0",
                    "permissions": ["READ", "WRITE", "MKNOD"],
                }
            ]
        },
    ),
    ("privileged", True, False, lambda c: c["privileged"], True),
    ("iam_role", ROLE, False, lambda c: c["jobRoleArn"], ROLE),
    ("job_role", ROLE, False, lambda c: c["jobRoleArn"], ROLE),
    ("execution_role", ROLE, False, lambda c: c["executionRoleArn"], ROLE),
    ("disk", 30000, True, lambda c: c["ephemeralStorage"], {"sizeInGiB": 28}),
    ("ephemeral_storage", 50, True, lambda c: c["ephemeralStorage"], {"sizeInGiB": 50}),
    (
        "host_volumes",
        ["/data", "/mnt/models:/models"],
        False,
        lambda c: (c["volumes"], c["mountPoints"]),
        (
            [
                {"name": "host-0", "host": {"sourcePath": "/data"}},
                {"name": "host-1", "host": {"sourcePath": "/mnt/models"}},
            ],
            [
                {"sourceVolume": "host-0", "containerPath": "/data", "readOnly": False},
                {"sourceVolume": "host-1", "containerPath": "/models", "readOnly": False},
            ],
        ),
    ),
    (
        "efs_volumes",
        ["fs-01", "fs-02:/data"],
        True,
        lambda c: ([each["efsVolumeConfiguration"] for each in c["volumes"]], c["mountPoints"]),
        (
            [
                {"fileSystemId": "fs-01", "transitEncryption": "ENABLED"},
                {"fileSystemId": "fs-02", "transitEncryption": "ENABLED"},
            ],
            [
                {"sourceVolume": "efs-0", "containerPath": "/mnt/fs-01", "readOnly": False},
                {"sourceVolume": "efs-1", "containerPath": "/data", "readOnly": False},
            ],
        ),
    ),
    ("log_driver", "syslog", False, lambda c: c["logConfiguration"], {"logDriver": "syslog"}),
    (
        "log_options",
        ["awslogs-group:/a:b"],
        False,
        lambda c: c["logConfiguration"],
        {"logDriver": "awslogs", "options": {"awslogs-group": "/a:b"}},
    ),
]
ELSEWHERE = {"queue", "region", "aws_batch_tags", "tmpfs_path", "tmpfs_tempdir"}
"""They are not of the definition, or have a test below."""


@pytest.mark.parametrize(("name", "value", "fargate", "look", "expected"), REACHES)
def test_an_attribute_reaches_the_definition(name, value, fargate, look, expected):
    """It stands where Batch's documentation says, in Batch's units."""
    needed = {"execution_role": ROLE} if fargate else {}
    assert look(make_container(fargate=fargate, **{**needed, name: value})) == expected


def test_every_attribute_is_tried():
    """The tables here have them all."""
    assert {row[0] for row in REACHES} | ELSEWHERE == set(ATTRIBUTES) | set(RESOURCES)


def test_tmpfs_has_a_path_and_is_where_temporary_files_go():
    """`tmpfs_path` says where it is; `tmpfs_tempdir=False` leaves temporary files where they were."""
    container = make_container(use_tmpfs=True, tmpfs_path="/fast")
    assert container["linuxParameters"]["tmpfs"][0]["containerPath"] == "/fast"
    assert {"name": "CONDA_FLOW_TEMPDIR", "value": "/fast"} in container["environment"]
    container = make_container(use_tmpfs=True, tmpfs_tempdir=False)
    assert [each["name"] for each in container["environment"]] == ["A", "B"]
    assert "linuxParameters" not in make_container(tmpfs_path="/fast")
    left_out = make_container(use_tmpfs=False, tmpfs_size=100)
    assert "linuxParameters" not in left_out
    assert "CONDA_FLOW_TEMPDIR" not in {each["name"] for each in left_out["environment"]}


def test_the_larger_of_resources_and_batch_counts():
    """As in Metaflow."""
    container = make_container(resources={"cpu": 4, "memory": 1000}, cpu=2, memory=2000)
    assert _needs(container) == {"VCPU": "4", "MEMORY": "2000"}


def test_settings_stand_in_for_attributes():
    """Each has an environment variable; what the step says wins."""
    environ = {
        "CONDA_FLOW_BATCH_MEMORY": "1Gi",
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": ROLE,
        "CONDA_FLOW_BATCH_LOG_OPTIONS": '["awslogs-group:/a", "awslogs-region:eu-west-1"]',
        "CONDA_FLOW_BATCH_HOST_VOLUMES": "/data:/x",
        "CONDA_FLOW_BATCH_SWAPPINESS": "3",
    }
    container = make_container(environ=environ)
    assert _needs(container)["MEMORY"] == "1024"
    assert container["jobRoleArn"] == ROLE
    assert container["logConfiguration"]["options"] == {"awslogs-group": "/a", "awslogs-region": "eu-west-1"}
    assert container["mountPoints"][0]["containerPath"] == "/x"
    assert container["linuxParameters"] == {"swappiness": 3}
    assert _needs(make_container(environ=environ, memory=10))["MEMORY"] == "10"


def test_tags_of_the_settings_and_of_the_step():
    """The step's come on top."""
    settings = load_settings(environ={"HOME": "/nowhere", "CONDA_FLOW_BATCH_TAGS": "a=1,b=2"})
    given = BatchDecorator(aws_batch_tags={"b": "3"}).attributes
    assert batch_attributes({"batch": given}, settings)["aws_batch_tags"] == {"a": "1", "b": "3"}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"CONDA_FLOW_BATCH_JOB_ROLE": "flows"},
            "The environment variable CONDA_FLOW_BATCH_JOB_ROLE is 'flows'; it takes the ARN of a role",
        ),
        (
            {"CONDA_FLOW_BATCH_CPU": "many"},
            "CONDA_FLOW_BATCH_CPU is 'many'; it takes a number of cores above 0",
        ),
        ({"CONDA_FLOW_BATCH_MAX_SWAP": "-1"}, "CONDA_FLOW_BATCH_MAX_SWAP is '-1'; it takes MiB from 0 up"),
    ],
)
def test_a_wrong_setting_names_where_it_stands(environ, message):
    """The message says what it takes."""
    with pytest.raises(SettingError) as raised:
        make_definition(environ=environ)
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("attributes", "fargate", "message"),
    [
        ({"gpu": 1}, True, "Step 'train' asks for gpu=1, which Fargate does not give"),
        ({"host_volumes": "/a"}, True, "asks for host_volumes=['/a'], which Fargate does not give"),
        ({"privileged": True}, True, "asks for privileged=True"),
        ({"use_tmpfs": True}, True, "asks for use_tmpfs=True"),
        ({"cpu": 17}, True, "asks for cpu=17 and memory=4096 MiB; Fargate gives up to 16 and 122880"),
        ({"execution_role": None}, True, "needs an execution role. Set CONDA_FLOW_BATCH_EXECUTION_ROLE"),
        ({"ephemeral_storage": 50}, False, "which Fargate alone gives; its queue runs on EC2"),
        ({"image": None}, False, "has @batch but no image"),
    ],
)
def test_what_the_queue_cannot_run_is_refused(attributes, fargate, message):
    """Before anything is submitted, with what to write instead."""
    with pytest.raises(SettingError) as raised:
        make_definition(fargate=fargate, **{"execution_role": ROLE, **attributes})
    assert message in raised.value.message


def test_on_fargate():
    """The platform, and a public address by which the image can be pulled."""
    definition = make_definition(fargate=True, execution_role=ROLE, disk=1000)
    assert definition["platformCapabilities"] == ["FARGATE"]
    container = definition["containerProperties"]
    assert container["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert "ephemeralStorage" not in container
    assert "linuxParameters" not in container


def test_the_processor_on_fargate():
    """That of the step's environment."""
    given = batch_attributes(
        {"batch": BatchDecorator(image="base:1", execution_role=ROLE).attributes},
        load_settings(environ={"HOME": "/n"}),
    )
    definition = job_definition("s", given, {}, [], fargate=True, platform="linux-aarch64")
    assert definition["containerProperties"]["runtimePlatform"]["cpuArchitecture"] == "ARM64"


def test_fargate_sizes_are_those_that_aws_has():
    """Every pair that comes out is in AWS's table, and holds what was asked for."""
    for processors in (0.1, 0.25, 0.5, 1, 3, 7, 16):
        for memory in (1, 512, 1500, 2049, 8192, 30721, 61000, 122880):
            size, fitting = batch_amounts.fargate_size("train", processors, memory)
            assert size >= processors
            assert fitting >= memory
            least, most, step = {
                0.25: (512, 2048, 512),
                0.5: (1024, 4096, 1024),
                1: (2048, 8192, 1024),
                2: (4096, 16384, 1024),
                4: (8192, 30720, 1024),
                8: (16384, 61440, 4096),
                16: (32768, 122880, 8192),
            }[size]
            assert least <= fitting <= most
            assert fitting % step == 0
            assert (size, fitting) != (0.25, 1536)


def test_equal_steps_share_a_definition_and_others_do_not():
    """The name is the hash of the content."""
    names = [make_definition(**each)["jobDefinitionName"] for each in ({}, {"cpu": 1}, {"cpu": 2})]
    assert names[0] == names[1] != names[2]


def test_the_log_group():
    """CloudWatch's default, another one, or none where another driver takes the output."""
    assert log_group(make_definition()) == "/aws/batch/job"
    assert log_group(make_definition(log_options="awslogs-group:/a")) == "/a"
    assert log_group(make_definition(log_driver="splunk")) is None


def test_the_names_of_jobs():
    """Valid for Batch however long and odd the run's id, different for every task of every datastore."""
    odd = TaskRequest("AFlow", "manual__2026-11-24T02:00:00+00:00 é" * 9, "train", (3, 1), 12)
    name = job_name(odd, "s3://bucket")
    assert len(name) <= 128
    assert name.isascii()
    assert name.replace("-", "").isalnum()
    assert name == f"{job_family(odd, 's3://bucket')}12"
    assert batch_job.attempt_of_job(name) == 12
    names = {
        job_family(each, root)
        for each in (
            REQUEST,
            TaskRequest("AFlow", "a run", "train", (31,)),
            TaskRequest("AFlow", "a-run", "train", (3, 1)),
        )
        for root in ("s3://bucket", "s3://other")
    }
    assert len(names) == 6


def test_overrides_hold_the_request_alone_and_have_a_limit():
    """Airflow's longest ids and a deep foreach are far below it; what is above it is refused."""
    request = TaskRequest("F" * 250, "r" * 250, "s" * 250, (99999,) * 20, 99)
    overrides = job_overrides(request)
    assert list(overrides) == ["environment"]
    (variable,) = overrides["environment"]
    assert TaskRequest.from_dict(json.loads(variable["value"])) == request
    assert len(json.dumps(overrides)) < 1500
    with pytest.raises(SettingError, match="Batch takes 8192"):
        job_overrides(TaskRequest("x" * 8192, "1", "s"))


def test_the_runner_is_that_of_the_runs_record():
    """The datastore is not asked which one it is; an image that has its own fetches none."""
    storage = SimpleNamespace(url="s3://bucket/prefix")
    start = container_start("python:3.11", storage, current_platform(), "ab" * 32)
    url = f"s3://bucket/prefix/{layout.runner_archive(current_platform(), 'ab' * 32)}"
    assert start.environ == {"CONDA_FLOW_RUNNER": url}
    assert (
        container_start("a/airflow-conda-flow-runner:1", storage, current_platform(), "ab" * 32).environ == {}
    )
    assert container_start("python:3.11", storage, "osx-64", "ab" * 32).environ == {}

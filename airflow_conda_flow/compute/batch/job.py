"""Definition, name and overrides of a job on AWS Batch, as pure functions of a step and a request.

A definition contains everything that a step's tasks share. Its name is the hash of its content, so the same
step has the same definition wherever it is submitted from. The overrides contain only the request, which
differs from task to task. Neither contains credentials.
https://docs.aws.amazon.com/batch/latest/APIReference/API_RegisterJobDefinition.html
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_conda_flow.compute.batch.amounts import fargate_size, mebibytes
from airflow_conda_flow.compute.tmpfs import tempdir_variables, tmpfs_path
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.amounts import cores, count, megabytes
from airflow_conda_flow.records.document import canonical_json
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.variables import REQUEST

Definition = dict[str, Any]
"""The arguments of ``register_job_definition``."""

MOST_OVERRIDES = 8192
"""Limit of AWS on the JSON of a job's overrides, in bytes."""
DEFAULT_LOG_GROUP = "/aws/batch/job"
"""CloudWatch group that Batch writes to if a definition names none."""
_NAME_LENGTH = 128  # limit of AWS on a job's name
_UNSAFE = re.compile(r"[^A-Za-z0-9]+")
# Attributes that Fargate cannot provide.
_EC2_ONLY = (
    "gpu",
    "shared_memory",
    "max_swap",
    "swappiness",
    "use_tmpfs",
    "tmpfs_size",
    "host_volumes",
    "inferentia",
    "efa",
    "privileged",
)


def job_definition(
    step: str,
    attributes: Mapping[str, Any],
    environ: Mapping[str, str],
    command: Sequence[str],
    *,
    fargate: bool,
    platform: str = "linux-64",
) -> Definition:
    """Job definition for the tasks of a step, including its name.

    Args:
        step: the step's name, for messages.
        attributes: the merged attributes, as ``batch_attributes`` returns them.
        environ: the runner's environment variables.
        command: the container's command.
        fargate: True if the queue's jobs run on Fargate, False if they run on EC2.
        platform: conda platform of the step's environment; on Fargate it selects the processor architecture.

    Raises:
        SettingError: the queue cannot provide what the step asks for, or a required value is missing.
    """
    _check(step, attributes, fargate=fargate)
    variables = {**environ, **tempdir_variables(attributes)}
    container: dict[str, Any] = {
        "image": attributes["image"],
        "command": list(command),
        "environment": [{"name": name, "value": variables[name]} for name in sorted(variables)],
        "resourceRequirements": _requirements(step, attributes, fargate=fargate),
        **_roles(attributes),
        **_volumes(attributes),
        **_logging(attributes),
    }
    if fargate:
        container.update(_fargate(attributes, platform))
    elif parameters := _linux_parameters(attributes):
        container["linuxParameters"] = parameters
    if attributes["privileged"]:
        container["privileged"] = True
    definition = {
        "type": "container",
        "platformCapabilities": ["FARGATE" if fargate else "EC2"],
        "containerProperties": container,
        # Batch's own retries would run the same request again, but a retry is a new attempt with its own
        # number.
        "retryStrategy": {"attempts": 1},
        "propagateTags": True,
    }
    digest = hashlib.sha256(canonical_json(definition)).hexdigest()
    return {"jobDefinitionName": f"airflow-conda-flow-{digest[:32]}", **definition}


def _check(step: str, attributes: Mapping[str, Any], *, fargate: bool) -> None:
    """Raise ``SettingError`` if the queue's kind of machine cannot provide what the step asks for."""
    if not attributes["image"]:
        raise SettingError(
            f"Step {step!r} has @batch but no image. Give it one, @batch(image=...), or set "
            "CONDA_FLOW_BATCH_IMAGE: the runner image (docs/containers.md), or any image with glibc."
        )
    if not fargate:
        if attributes["ephemeral_storage"]:
            raise SettingError(
                f"Step {step!r} has @batch(ephemeral_storage=...), which Fargate alone gives; its queue runs "
                "on EC2. Remove it: the disk is that of the instance."
            )
        return
    for name in _EC2_ONLY:
        # An amount may be the text "0", which asks for nothing.
        if attributes[name] and str(attributes[name]) != "0":
            raise SettingError(
                f"Step {step!r} asks for {name}={attributes[name]!r}, which Fargate does not give; its queue "
                "runs on Fargate. Remove it, or name a queue on EC2 with queue=."
            )
    if not attributes["execution_role"]:
        raise SettingError(
            f"Step {step!r} runs on Fargate, which needs an execution role. Set "
            "CONDA_FLOW_BATCH_EXECUTION_ROLE, or write @batch(execution_role=...). See "
            "https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html."
        )


def _requirements(step: str, attributes: Mapping[str, Any], *, fargate: bool) -> list[dict[str, str]]:
    processors = cores(attributes["cpu"]) or 0.0
    memory = mebibytes(attributes["memory"])
    if fargate:
        processors, memory = fargate_size(step, processors, memory)
    else:
        processors = math.ceil(processors)  # on EC2 Batch accepts only whole vCPUs
    needs = [("VCPU", f"{processors:g}"), ("MEMORY", str(memory))]
    if gpus := count(attributes["gpu"]):
        needs.append(("GPU", f"{gpus:g}"))
    return [{"type": kind, "value": value} for kind, value in needs]


def _roles(attributes: Mapping[str, Any]) -> dict[str, str]:
    roles = {"jobRoleArn": attributes["iam_role"], "executionRoleArn": attributes["execution_role"]}
    return {name: role for name, role in roles.items() if role}


def _fargate(attributes: Mapping[str, Any], platform: str) -> dict[str, Any]:
    # Without a public address a job in a public subnet cannot pull its image.
    parameters: dict[str, Any] = {"networkConfiguration": {"assignPublicIp": "ENABLED"}}
    if platform == "linux-aarch64":
        parameters["runtimePlatform"] = {"operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64"}
    storage = attributes["ephemeral_storage"]
    if storage is None and attributes["disk"] is not None:
        storage = math.ceil((megabytes(attributes["disk"]) or 0) * 1e6 / 2**30)
    # Every job on Fargate has 20 GiB; AWS accepts requests for 21 or more only.
    if storage and storage > 20:  # noqa: PLR2004 - see above
        parameters["ephemeralStorage"] = {"sizeInGiB": storage}
    return parameters


def _linux_parameters(attributes: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if attributes["shared_memory"] is not None:
        parameters["sharedMemorySize"] = mebibytes(attributes["shared_memory"])
    if attributes["max_swap"] is not None:
        parameters["maxSwap"] = attributes["max_swap"]
    if attributes["swappiness"] is not None:
        parameters["swappiness"] = attributes["swappiness"]
    if (path := tmpfs_path(attributes)) is not None:
        size = attributes["tmpfs_size"]
        tmpfs = {
            "containerPath": path,
            # Half of the memory is Metaflow's default too.
            "size": mebibytes(attributes["memory"]) // 2 if size is None else mebibytes(size),
            # 1777, as for /tmp: the image decides as which user the runner writes there.
            "mountOptions": ["rw", "exec", "mode=1777"],
        }
        parameters["tmpfs"] = [tmpfs]
    if devices := _devices(attributes):
        parameters["devices"] = devices
    return parameters


def _devices(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    neuron = [f"/dev/neuron{number}" for number in range(attributes["inferentia"] or 0)]
    adapters = [f"/dev/infiniband/uverbs{number}" for number in range(attributes["efa"] or 0)]
    read_write = ["READ", "WRITE"]
    return [
        {"hostPath": path, "containerPath": path, "permissions": permissions}
        for paths, permissions in ((neuron, read_write), (adapters, [*read_write, "MKNOD"]))
        for path in paths
    ]


def _volumes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    volumes, mounts = [], []

    def mount(name: str, path: str, volume: dict[str, Any]) -> None:
        volumes.append({"name": name, **volume})
        mounts.append({"sourceVolume": name, "containerPath": path, "readOnly": False})

    for number, text in enumerate(attributes["host_volumes"] or ()):
        source, _, path = text.partition(":")
        mount(f"host-{number}", path or source, {"host": {"sourcePath": source}})
    for number, text in enumerate(attributes["efs_volumes"] or ()):
        system, _, path = text.partition(":")
        configuration = {"fileSystemId": system, "transitEncryption": "ENABLED"}
        mount(f"efs-{number}", path or f"/mnt/{system}", {"efsVolumeConfiguration": configuration})
    return {"volumes": volumes, "mountPoints": mounts} if volumes else {}


def _logging(attributes: Mapping[str, Any]) -> dict[str, Any]:
    driver, options = attributes["log_driver"], _log_options(attributes)
    if not driver and not options:
        return {}
    configuration: dict[str, Any] = {"logDriver": driver or "awslogs"}
    if options:
        configuration["options"] = options
    return {"logConfiguration": configuration}


def _log_options(attributes: Mapping[str, Any]) -> dict[str, str]:
    pairs = (text.partition(":") for text in attributes["log_options"] or ())
    return {name: value for name, _, value in pairs}


def log_group(definition: Definition) -> str | None:
    """CloudWatch group with the output of the definition's jobs; None if another log driver takes it."""
    logging = definition["containerProperties"].get("logConfiguration") or {"logDriver": "awslogs"}
    if logging["logDriver"] != "awslogs":
        return None
    return str(logging.get("options", {}).get("awslogs-group", DEFAULT_LOG_GROUP))


def job_family(request: TaskRequest, datastore_root: str) -> str:
    """Job-name prefix shared by all attempts of one task, and by nothing else."""
    # The readable part is cut and cleaned, so it may be ambiguous; the digest is not. It covers the
    # datastore, because two datastores may contain runs of the same name.
    task = (request.flow, request.run_id, request.step, request.task.path)
    digest = hashlib.sha256("\0".join((datastore_root, *task)).encode()).hexdigest()
    readable = "-".join(task)
    return f"{name_part(readable)}-{digest[:16]}-"


def name_part(readable: str) -> str:
    """Text in a form that may begin a job's name: 88 characters at most, without special characters.

    The rest of the 128 characters is for the digest and the attempt.

    >>> name_part("AFlow-a run")
    'AFlow-a-run'
    """
    return _UNSAFE.sub("-", readable).strip("-")[: _NAME_LENGTH - 40]


def job_name(request: TaskRequest, datastore_root: str) -> str:
    """Name of the job of an attempt, a pure function of the two: a later try finds the job by it.

    >>> job_name(TaskRequest("AFlow", "a run", "train", (3,), 1), "s3://bucket")
    'AFlow-a-run-train-3-8bc7d632d9847a95-1'
    """
    return f"{job_family(request, datastore_root)}{request.attempt}"


def attempt_of_job(name: str) -> int:
    """Attempt that a job of this name runs."""
    return int(name.rpartition("-")[2])


def job_overrides(request: TaskRequest) -> dict[str, Any]:
    """Overrides of one job: its request, and nothing else.

    Raises:
        SettingError: the overrides are longer than Batch accepts.
    """
    text = json.dumps(request.to_dict(), separators=(",", ":"))
    overrides = {"environment": [{"name": REQUEST, "value": text}]}
    size = len(json.dumps(overrides).encode())
    if size > MOST_OVERRIDES:
        raise SettingError(
            f"The request of a task is {size} bytes long; Batch takes {MOST_OVERRIDES}. "
            "Give the run a shorter id, or the flow and its step shorter names."
        )
    return overrides


def job_parameters(request: TaskRequest) -> dict[str, str]:
    """Parameters of a job: the names of its attempt, which Batch's console displays."""
    names = {"flow": request.flow, "run_id": request.run_id, "step": request.step}
    return {**names, "task_id": request.task.task_id, "attempt": str(request.attempt)}

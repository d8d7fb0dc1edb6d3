"""``@batch``: runs a step as an AWS Batch job and describes that job.

Names and units are Metaflow's. An attribute that is not given is None; a setting may supply its value.
"""

from airflow_conda_flow.flow.decorators import attribute_values as values
from airflow_conda_flow.flow.decorators import batch_values
from airflow_conda_flow.flow.decorators.amounts import megabytes
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function
from airflow_conda_flow.flow.decorators.resources import NO_EXECUTABLE, RESOURCES, check_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_conda_flow.flow.decorators.base import Method


_ROLE = 'the ARN of a role, such as %s="arn:aws:iam::123456789012:role/flows"'

ATTRIBUTES: "dict[str, tuple[values.Normalise, str]]" = {
    "image": (values.text, 'the name of an image, such as image="python:3.11-slim"'),
    "queue": (values.text, 'the name or ARN of a job queue, such as queue="flows"'),
    "region": (values.text, 'the name of an AWS region, such as region="eu-central-1"'),
    "iam_role": (batch_values.role, _ROLE % "iam_role"),
    "job_role": (batch_values.role, _ROLE % "job_role"),
    "execution_role": (batch_values.role, _ROLE % "execution_role"),
    "max_swap": (batch_values.whole(0), "MiB from 0 up, such as max_swap=2048"),
    "swappiness": (batch_values.whole(0, 100), "a whole number from 0 to 100, such as swappiness=60"),
    "use_tmpfs": (values.flag, "True or False"),
    "tmpfs_tempdir": (values.flag, "True or False"),
    "tmpfs_size": (values.amount(megabytes), "MiB above 0, or a quantity, such as tmpfs_size=512"),
    "tmpfs_path": (values.absolute_path, 'an absolute path, such as tmpfs_path="/metaflow_temp"'),
    "host_volumes": (
        batch_values.host_volumes,
        'absolute paths of the host, such as host_volumes=["/data", "/mnt/models:/models"]',
    ),
    "efs_volumes": (
        batch_values.efs_volumes,
        'ids of EFS file systems, such as efs_volumes=["fs-0123456789abcdef0:/data"]',
    ),
    "ephemeral_storage": (
        batch_values.whole(21, 200),
        "GiB from 21 to 200, such as ephemeral_storage=50",
    ),
    "log_driver": (
        values.one_of(*batch_values.LOG_DRIVERS),
        "one of: %s" % ", ".join(batch_values.LOG_DRIVERS),
    ),
    "log_options": (
        batch_values.log_options,
        'a list of texts, such as log_options=["awslogs-group:/flows/jobs"]',
    ),
    "inferentia": (batch_values.whole(0, 16), "a number of chips, such as inferentia=1"),
    "trainium": (batch_values.whole(0, 16), "a number of chips, such as trainium=1"),
    "efa": (batch_values.whole(0, 32), "a number of network devices, such as efa=1"),
    "privileged": (values.flag, "True or False"),
    "aws_batch_tags": (
        batch_values.tags,
        'a dict of texts as AWS allows them, such as aws_batch_tags={"team": "data"}',
    ),
}
"""Normaliser and description of valid values for each attribute other than the resources."""

# Pairs of names for the same attribute; only one of a pair may be given.
_SAME = (("iam_role", "job_role"), ("inferentia", "trainium"))


class BatchDecorator(StepDecorator):
    """Runs a step as an AWS Batch job.

    Args:
        cpu: virtual CPUs; 1 by default.
        memory: MiB, or a quantity such as ``4Gi``; 4096 by default.
        disk: MB, or a quantity; on Fargate the ephemeral storage, unless ``ephemeral_storage`` is given.
        gpu: number of GPUs.
        shared_memory: size of ``/dev/shm`` in MiB, or a quantity.
        image: the container's image; if it lacks the runner, the job fetches it from the datastore.
        queue: the job queue.
        region: AWS region of the queue.
        iam_role: ARN of the role that the step has in AWS.
        job_role: another name for ``iam_role``.
        execution_role: ARN of the role that starts the container; required on Fargate.
        max_swap: MiB of swap.
        swappiness: how eagerly pages are swapped, from 0 to 100.
        use_tmpfs: True to mount a directory in memory.
        tmpfs_size: size of that directory in MiB, or a quantity; half of the memory by default.
        tmpfs_path: mount path of that directory; ``/metaflow_temp`` by default.
        tmpfs_tempdir: True if ``current.tempdir`` is in that directory; True by default.
        host_volumes: directories of the host, ``path`` or ``path:path in the container``.
        efs_volumes: EFS file systems, ``id`` (mounted at ``/mnt/id``) or ``id:path in the container``.
        ephemeral_storage: GiB of disk on Fargate, from 21 to 200.
        log_driver: driver that receives the container's output; CloudWatch by default.
        log_options: options of the log driver, as ``name:value``.
        inferentia: number of Inferentia or Trainium chips.
        trainium: another name for ``inferentia``.
        efa: number of Elastic Fabric Adapters.
        privileged: True to give the container the rights of the host's root.
        aws_batch_tags: tags of the job.
    """

    name = "batch"
    elsewhere = NO_EXECUTABLE
    defaults = dict(RESOURCES, **dict.fromkeys(ATTRIBUTES))

    def check(self) -> None:
        """Raise unless AWS Batch accepts every attribute."""
        check_resources(self)
        values.normalise_attributes(self, ATTRIBUTES)
        for first, other in _SAME:
            if self.attributes[first] is not None and self.attributes[other] is not None:
                self.fail("@batch: %s and %s are two names of one attribute; keep one." % (first, other))


if TYPE_CHECKING:

    def batch(
        __method: "Method | None" = None,
        *,
        cpu: "values.Amount" = None,
        memory: "values.Amount" = None,
        disk: "values.Amount" = None,
        gpu: "values.Count" = None,
        shared_memory: "values.Amount" = None,
        image: "values.Text" = None,
        queue: "values.Text" = None,
        region: "values.Text" = None,
        iam_role: "values.Text" = None,
        job_role: "values.Text" = None,
        execution_role: "values.Text" = None,
        max_swap: "values.Whole" = None,
        swappiness: "values.Whole" = None,
        use_tmpfs: "values.Flag" = None,
        tmpfs_tempdir: "values.Flag" = None,
        tmpfs_size: "values.Amount" = None,
        tmpfs_path: "values.Text" = None,
        host_volumes: "values.Texts" = None,
        efs_volumes: "values.Texts" = None,
        ephemeral_storage: "values.Whole" = None,
        log_driver: "values.Text" = None,
        log_options: "values.Texts | Mapping[str, str]" = None,
        inferentia: "values.Whole" = None,
        trainium: "values.Whole" = None,
        efa: "values.Whole" = None,
        privileged: "values.Flag" = None,
        aws_batch_tags: "values.TextsByName" = None,
    ) -> "Method":
        """Run a step as an AWS Batch job; see ``BatchDecorator``."""

else:
    batch = decorator_function(BatchDecorator)

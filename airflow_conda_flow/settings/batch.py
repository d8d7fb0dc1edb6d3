"""Settings of steps on AWS Batch.

A ``batch_`` option is the default of the attribute of the same name of ``@batch``, except for
``batch_tags``, the default of ``aws_batch_tags``, and ``batch_poll_interval``, which is not an attribute.
Lists and dicts are written as for ``--with``: ``a=b,c=d``, or as JSON.
"""

from __future__ import annotations

from airflow_conda_flow.settings.option import Option

BATCH_OPTIONS = (
    Option(
        "batch_image",
        "",
        "The image of steps: the runner image, or any image with glibc.",
        aliases=("METAFLOW_BATCH_CONTAINER_IMAGE", "METAFLOW_DEFAULT_CONTAINER_IMAGE"),
    ),
    Option(
        "batch_queue",
        "",
        "The job queue: its name or ARN.",
        aliases=("METAFLOW_BATCH_JOB_QUEUE",),
    ),
    Option(
        "batch_region",
        "",
        "The AWS region of the job queue. Empty: that of the connection, or of boto3's default chain.",
    ),
    Option(
        "batch_job_role",
        "",
        "The ARN of the role that steps have in AWS; it must reach the datastore.",
        aliases=("METAFLOW_ECS_S3_ACCESS_IAM_ROLE",),
    ),
    Option(
        "batch_execution_role",
        "",
        "The ARN of the role that pulls the image and writes the logs. Fargate needs one.",
        aliases=("METAFLOW_ECS_FARGATE_EXECUTION_ROLE",),
    ),
    Option("batch_cpu", "1", "Virtual CPUs of a job."),
    Option("batch_memory", "4096", "Memory of a job in MiB, or a quantity such as 4Gi."),
    Option("batch_shared_memory", "", "The size of /dev/shm in MiB, or a quantity. Empty: Docker's 64 MiB."),
    Option("batch_max_swap", "", "MiB of swap. Empty: as the instance has it.", kind="integer"),
    Option("batch_swappiness", "", "How soon pages are swapped, from 0 to 100.", kind="integer"),
    Option(
        "batch_ephemeral_storage", "", "GiB of disk on Fargate, from 21 to 200. Empty: 20.", kind="integer"
    ),
    Option(
        "batch_host_volumes", "", "Directories of the instance to mount: path, or path:path in the container."
    ),
    Option("batch_efs_volumes", "", "EFS file systems to mount: fs-id, or fs-id:path in the container."),
    Option("batch_log_driver", "", "What takes the containers' output. Empty: awslogs, which is CloudWatch."),
    Option(
        "batch_log_options",
        "",
        "Options of the log driver, such as awslogs-group:/flows; more as a JSON list.",
    ),
    Option(
        "batch_tags",
        "",
        "Tags of jobs, beside those of a step, such as team=data,app=flows.",
        aliases=("METAFLOW_BATCH_DEFAULT_TAGS",),
    ),
    # Less sends more requests, which AWS throttles (see ``compute.batch_errors``); more notices the end of a
    # job later.
    Option(
        "batch_poll_interval",
        "5",
        "Seconds between two looks at the jobs that run; no attribute.",
        kind="float",
    ),
)

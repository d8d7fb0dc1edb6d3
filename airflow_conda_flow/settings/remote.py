"""Settings of steps on other machines, of whatever kind."""

from __future__ import annotations

from airflow_conda_flow.settings.option import Option

REMOTE_OPTIONS = (
    Option(
        "remote_endpoint_url",
        "",
        "The S3 endpoint as steps on Kubernetes and Batch reach it. Empty: the one that is used here.",
    ),
    Option(
        "infrastructure_retries",
        "2",
        "How often a step is tried again, beyond @retry, because its worker, machine, pod or job was lost.",
        kind="integer",
    ),
    Option(
        "deferrable",
        "auto",
        "Whether Airflow's worker hands a step on Kubernetes or Batch to the triggerer while it runs. "
        "auto: where [operators] default_deferrable is true, or Airflow says that a triggerer is healthy.",
        choices=("auto", "true", "false"),
    ),
    # A step that is shorter than this gains nothing from the triggerer, which looks less often than a worker.
    Option(
        "defer_after",
        "10",
        "Seconds that Airflow's worker waits itself for a step on Kubernetes or Batch before it hands it to "
        "the triggerer: handing over costs more than a short step.",
        kind="float",
    ),
)

"""Clients for AWS Batch from an Airflow connection, or from boto3's default chain."""

from __future__ import annotations

from airflow_conda_flow.compute.batch.jobs import BatchRegion, client_config


def connect(aws_conn_id: str | None, region: str | None) -> BatchRegion:
    """Clients for Batch and CloudWatch, with the credentials of a connection.

    Args:
        aws_conn_id: the Airflow connection; None for boto3's default chain.
        region: the region; None for the connection's.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook  # noqa: PLC0415 - heavy

    config = client_config()
    batch, logs = (
        AwsBaseHook(aws_conn_id=aws_conn_id, region_name=region, client_type=kind, config=config).get_conn()
        for kind in ("batch", "logs")
    )
    return BatchRegion.of_clients(batch, logs)

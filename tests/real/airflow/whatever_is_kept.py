"""Everything that Airflow and the datastore keep of a run, for a test that looks for a secret in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from ...parts.airflow_machine import AirflowMachine


def use_connection(machine: AirflowMachine) -> str:
    """Move the machine's credentials for AWS into an Airflow connection; gives the secret."""
    environ = machine.environ
    secret = environ.pop("AWS_SECRET_ACCESS_KEY")
    connection = {
        "conn_type": "aws",
        "login": environ.pop("AWS_ACCESS_KEY_ID"),
        "password": secret,
        "extra": {
            "region_name": environ.pop("AWS_DEFAULT_REGION", "us-east-1"),
            "endpoint_url": environ.pop("AWS_ENDPOINT_URL"),
        },
    }
    environ["AIRFLOW_CONN_MY_AWS"] = json.dumps(connection)
    environ["CONDA_FLOW_AWS_CONN_ID"] = "my_aws"
    return secret


def kept_by_airflow(machine: AirflowMachine) -> str:
    """Its whole database, with XCom, rendered templates and triggers, and every file: logs above all."""
    home = machine.home / "airflow"
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        text = "\n".join(database.iterdump())
    files = (path for path in machine.home.rglob("*") if path.is_file() and path.stat().st_size < 10**7)
    return text + "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def kept_in_s3(client: Any, root: str) -> str:
    """Every object below a datastore root."""
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    bodies = (client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    return "".join(body.decode("utf-8", "replace") for body in bodies)

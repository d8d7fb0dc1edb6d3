"""The values of a step's ``@secrets``, fetched when the step starts."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_conda_flow.errors import SecretError
from airflow_conda_flow.flow.decorators.secrets import AIRFLOW_CONNECTION, AIRFLOW_VARIABLE, AWS, INLINE

Source = Mapping[str, Any]
"""One entry of ``@secrets(sources=...)`` in its long form: ``type``, ``id``, ``options``, ``role``."""
Keeper = Callable[[Source], dict[str, str]]
"""Function that fetches the secret of a source and returns environment variables; raises ``SecretError``."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_]")
_ARN = re.compile(r"arn:[^:]+:secretsmanager:([^:]+):")  # the group is the region


def resolve(
    decorators: Mapping[str, Any], environ: Mapping[str, str], keepers: Mapping[str, Keeper]
) -> dict[str, str]:
    """Environment variables of a step's ``@secrets``.

    Args:
        decorators: the step's decorators: attributes by name.
        environ: the variables that the step has without its secrets.
        keepers: keepers by type; they take precedence over ``KEEPERS``.

    Raises:
        SecretError: a secret cannot be fetched, or its variable exists already.
    """
    attributes = decorators.get("secrets")
    if attributes is None:
        return {}
    values: dict[str, str] = {}
    for source in attributes["sources"]:
        keeper = keepers.get(source["type"]) or KEEPERS[source["type"]]
        for name, value in keeper(source).items():
            if name in values:
                raise SecretError(f"@secrets: two sources give the variable {name}. Keep one.")
            # An equal value replaces nothing, so it is no conflict.
            if environ.get(name, value) != value and not attributes["allow_override"]:
                raise SecretError(
                    f"@secrets: {name} of {source['id']} is an environment variable already. "
                    "Remove it, or write allow_override=True."
                )
            values[name] = value
    return values


def entries(text: str, source: Source, name: str) -> dict[str, str]:
    """Environment variables of a secret that is a text: one for each entry of a JSON object, or one for all.

    Args:
        text: the secret.
        source: its source; the options ``json`` and ``env_var_name`` say how to read it.
        name: name of the single variable, unless the options name it.

    Raises:
        SecretError: the text should be a JSON object and is not.

    >>> entries('{"db-user": "x", "port": 1}', {"id": "s", "options": {}}, "s")
    {'db_user': 'x', 'port': '1'}
    """
    options = source["options"]
    if not options.get("json", True):
        return {options.get("env_var_name") or variable(name): text}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SecretError(
            f"@secrets: {source['id']} is not a JSON object. To have it as one variable, write "
            f'{{"type": {source.get("type")!r}, "id": {source["id"]!r}, "options": {{"json": False}}}}.'
        )
    return {
        variable(str(key)): value if isinstance(value, str) else str(value) for key, value in found.items()
    }


def variable(name: str) -> str:
    """Name of an environment variable, made from any name: other characters become ``_``.

    >>> variable("prod/db-password"), variable("2nd")
    ('prod_db_password', '_2nd')
    """
    safe = _UNSAFE.sub("_", name)
    return f"_{safe}" if safe[:1].isdigit() else safe


def from_client(client: Any, source: Source) -> dict[str, str]:
    """Environment variables of a secret of AWS Secrets Manager; a binary secret is given in base64.

    Args:
        client: boto3's client ``secretsmanager``.
        source: names the secret.

    Raises:
        SecretError: the secret cannot be read.
    """
    from botocore.exceptions import (  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy
        BotoCoreError,
        ClientError,
    )

    try:
        answer = client.get_secret_value(SecretId=source["id"])
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"@secrets: {source['id']} cannot be read from AWS: {error}") from error
    if "SecretString" in answer:
        return entries(answer["SecretString"], source, answer["Name"])
    name = source["options"].get("env_var_name") or variable(answer["Name"])
    return {name: base64.b64encode(answer["SecretBinary"]).decode("ascii")}


def region_of(source: Source) -> str | None:
    """Region of an AWS secret, from its ARN or its options; None if neither names one."""
    arn = _ARN.match(source["id"])
    return arn.group(1) if arn else source["options"].get("region")


def _from_aws(source: Source) -> dict[str, str]:
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - heavy

    region = region_of(source) or os.environ.get("METAFLOW_AWS_SECRETS_MANAGER_DEFAULT_REGION")
    role = source["role"] or os.environ.get("METAFLOW_AWS_SECRETS_MANAGER_DEFAULT_ROLE")
    credentials = {}
    try:
        if role:
            assumed = boto3.client("sts", region_name=region).assume_role(
                RoleArn=role, RoleSessionName="airflow-conda-flow"
            )["Credentials"]
            credentials = {
                "aws_access_key_id": assumed["AccessKeyId"],
                "aws_secret_access_key": assumed["SecretAccessKey"],
                "aws_session_token": assumed["SessionToken"],
            }
        client = boto3.client("secretsmanager", region_name=region, **credentials)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"@secrets: {source['id']} cannot be read from AWS: {error}") from error
    return from_client(client, source)


def connection(uri: str, source: Source) -> dict[str, str]:
    """Environment variable of an Airflow connection: its URI, by default as ``AIRFLOW_CONN_<ID>``."""
    name = source["options"].get("env_var_name") or f"AIRFLOW_CONN_{variable(source['id']).upper()}"
    return {name: uri}


def airflow_variable(text: str, source: Source) -> dict[str, str]:
    """Environment variables of an Airflow variable: one, or with the option ``json`` one for each entry."""
    options = {"json": False, **source["options"]}
    return entries(text, {**source, "options": options}, source["id"])


def _from_environ(prefix: str, give: Callable[[str, Source], dict[str, str]]) -> Keeper:
    """Keeper that reads an Airflow connection or variable from the environment variables.

    For processes outside Airflow. Airflow itself also accepts connections and variables there.
    """

    def keeper(source: Source) -> dict[str, str]:
        name = prefix + source["id"].upper()
        if name not in os.environ:
            raise SecretError(
                f"@secrets: {source['type']}:{source['id']} is known to Airflow alone. "
                f"To run here, set the environment variable {name}."
            )
        return give(os.environ[name], source)

    return keeper


KEEPERS: dict[str, Keeper] = {
    INLINE: lambda source: dict(source["options"]["env_vars"]),
    AWS: _from_aws,
    AIRFLOW_CONNECTION: _from_environ("AIRFLOW_CONN_", connection),
    AIRFLOW_VARIABLE: _from_environ("AIRFLOW_VAR_", airflow_variable),
}

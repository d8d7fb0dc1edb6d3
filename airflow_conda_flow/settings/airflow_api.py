"""Settings of programs that ask Airflow's REST API: its address, and the token that it wants.

They are apart from the other settings, which are handed to other processes and shown in Airflow's
configuration: the token is a secret of one program.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from airflow_conda_flow.errors import SettingError

URL_VARIABLE = "CONDA_FLOW_AIRFLOW_API_URL"
TOKEN_VARIABLE = "CONDA_FLOW_AIRFLOW_API_TOKEN"  # noqa: S105 - the name of a variable
_AIRFLOWS_VARIABLE = "AIRFLOW__API__BASE_URL"  # Airflow's own setting of the same address
_DEFAULT = "http://localhost:8080"  # of `airflow standalone`
_API = "/api/v2"


class ApiPlace(NamedTuple):
    """Place of Airflow's REST API.

    Attributes:
        url: address of the API server without a slash at its end, such as ``https://airflow.example.com``.
        source: place of that text, as the beginning of an error message.
        token: bearer token; empty if none is set.
    """

    url: str
    source: str
    token: str

    def __repr__(self) -> str:
        """Text without the token, which nothing may print."""
        return f"ApiPlace({self.url!r})"


def airflow_api_place(environ: Mapping[str, str] | None = None) -> ApiPlace:
    """Place of Airflow's REST API according to the environment variables.

    Args:
        environ: environment variables; those of this process if None.

    Raises:
        SettingError: the address is none, or holds a password.
    """
    environ = os.environ if environ is None else environ
    url, source = _DEFAULT, f"The default of {URL_VARIABLE}"
    for variable in (URL_VARIABLE, _AIRFLOWS_VARIABLE):
        if environ.get(variable):
            url, source = environ[variable].strip(), f"The environment variable {variable}"
            break
    try:
        parts = urlsplit(url)
        has_user = parts.username is not None or parts.password is not None
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        has_user, is_address = False, False
    if has_user:
        raise SettingError(
            f"{source} holds a user or a password. Write the address alone, and a token into "
            f"{TOKEN_VARIABLE}."
        )
    if not is_address or parts.query or parts.fragment or any(each.isspace() for each in url):
        raise SettingError(
            f"{source} is {url!r}; write the address of Airflow's API server, such as {_DEFAULT}."
        )
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not token.isascii() or any(each.isspace() or not each.isprintable() for each in token):
        raise SettingError(
            f"The environment variable {TOKEN_VARIABLE} holds characters that no token has, such as spaces."
        )
    return ApiPlace(url.rstrip("/").removesuffix(_API), source, token)

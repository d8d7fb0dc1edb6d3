"""Errors of the Kubernetes client in our own words."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable

_FORBIDDEN, _GONE = 403, 410
# About one pod and not about us, such as an exhausted quota, which may be over at the next try. A missing
# right reads "pods is forbidden: User ... cannot create resource ...".
_REFUSED_POD = re.compile(r"is forbidden: (?!User )")


class Outdated(ComputeUnavailable):
    """The cluster has forgotten what happened since this version (status 410): the pods have to be listed."""


def refusal(status: int | None, message: str) -> ComputeUnavailable:
    """Error for an HTTP status of the cluster."""
    if status == _FORBIDDEN and not _REFUSED_POD.search(message):
        return ComputeForbidden(message)
    return Outdated(message) if status == _GONE else ComputeUnavailable(message)


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Raise ``ComputeUnavailable`` from any error of the client in the block; ``what`` begins its message.

    ``ComputeForbidden`` if a right is missing.
    """
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

    try:
        yield
    except ApiException as error:
        raise refusal(error.status, f"{what}: {reason_of(error)}") from error
    except HTTPError as error:
        raise ComputeUnavailable(f"{what}: the cluster cannot be reached: {one_line(error)}") from error


@contextlib.contextmanager
def answers(what: str) -> Iterator[None]:
    """Raise ``ComputeUnavailable`` if the block cannot read an answer: it may come from a proxy."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ComputeUnavailable(
            f"{what}: the answer is not that of a Kubernetes cluster: {type(error).__name__}: "
            f"{one_line(error)}"
        ) from error


def reason_of(error: Any) -> str:
    """The cluster's own words about a request that it refused, in one line."""
    try:
        message = json.loads(error.body)["message"]
    except (KeyError, TypeError, ValueError):
        message = f"{error.status} {error.reason}"
    return one_line(message)


def one_line(message: object) -> str:
    """Message in one line that ends with a full stop."""
    text = " ".join(str(message).split())
    return text if text.endswith(".") else f"{text}."

"""Translation of botocore's errors from AWS Batch and CloudWatch into ours: one table, each with a fix."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from airflow_conda_flow.datastore.s3_errors import FAILURES, answer_code
from airflow_conda_flow.errors import ComputeUnavailable, CondaFlowError

_CREDENTIALS = (
    "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws_conn_id under Airflow."
)

# Error code of AWS -> (cause, fix).
ANSWERS = {
    "AccessDeniedException": ("access denied", "docs/batch.md lists the permissions that are needed."),
    "AccessDenied": ("access denied", "docs/batch.md lists the permissions that are needed."),
    "UnrecognizedClientException": ("the access key is not known there", _CREDENTIALS),
    "InvalidClientTokenId": ("the access key is not known there", _CREDENTIALS),
    "InvalidSignatureException": ("the secret key is wrong", _CREDENTIALS),
    "ExpiredTokenException": ("the session token has expired", "Sign in again, or renew AWS_SESSION_TOKEN."),
    "ExpiredToken": ("the session token has expired", "Sign in again, or renew AWS_SESSION_TOKEN."),
    "TooManyRequestsException": ("too many requests", "Raise batch_poll_interval, or lower --max-workers."),
    "ThrottlingException": ("too many requests", "Raise batch_poll_interval, or lower --max-workers."),
    "ServerException": ("the service failed", "Try again later."),
}
# To a reader of logs these two mean "not yet": it reads too fast, or the job's stream does not exist yet.
THROTTLED = {"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded"}
MISSING_LOG = {"ResourceNotFoundException"}


def translated(error: BaseException, doing: str) -> CondaFlowError | None:
    """Our error for one of botocore's; None for any other exception.

    Args:
        error: the exception that was raised.
        doing: the action that failed, as an infinitive: ``submit a job to the queue 'flows'``.
    """
    code = answer_code(error)
    if code is not None:
        # Keep AWS's own message: it names the resource or the value that was refused.
        said = str(getattr(error, "response", {}).get("Error", {}).get("Message", "")).strip().rstrip(".")
        wrong, fix = ANSWERS.get(code, (said or f"the answer was {code}", ""))
        if code in ANSWERS and said:
            wrong = f"{wrong} ({said})"
    else:
        meaning = next(
            (FAILURES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in FAILURES), None
        )
        if meaning is None:
            return None
        wrong, fix = meaning
        if type(error).__name__ in {"NoRegionError", "InvalidRegionError"}:
            fix = "Set CONDA_FLOW_BATCH_REGION, or AWS_DEFAULT_REGION, or write @batch(region=...)."
    names = ("AWS_ENDPOINT_URL_BATCH", "AWS_ENDPOINT_URL")
    via = next((f" at {os.environ[name]} ({name})" for name in names if os.environ.get(name)), "")
    return ComputeUnavailable(f"AWS Batch{via}: cannot {doing}: {wrong}. {fix}".rstrip())


@contextlib.contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Raise ``ComputeUnavailable`` from any error of botocore that the block raises."""
    try:
        yield
    except CondaFlowError:
        raise
    except Exception as error:
        if (ours := translated(error, doing)) is None:
            raise
        raise ours from error

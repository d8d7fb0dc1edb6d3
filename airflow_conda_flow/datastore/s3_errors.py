"""Maps failures of botocore and boto3 to our errors: what is wrong, and which setting to change.

Messages name the URL and the setting. They never contain credentials. The original error is kept as the
cause (``__cause__``).
"""

from __future__ import annotations

import contextlib
import errno
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore.s3_client import custom_endpoint
from airflow_conda_flow.errors import (
    CondaFlowError,
    DatastoreUnavailable,
    NotInDatastore,
    S3AccessDenied,
    S3Failed,
    S3InvalidRange,
    S3InvalidURL,
    S3NoSpace,
    S3NotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# The answer to a HEAD has no body, so botocore reports its status, such as "404", instead of a code.
MISSING_KEY = {"NoSuchKey", "404", "NotFound"}
_OF_UPLOADS = {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"}
_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}
_BAD_RANGE = {"InvalidRange", "416"}

_CREDENTIALS = (
    "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached."
)
_LATER = "That is the service's fault, not a setting's: try again later."

# Error code of an S3 answer -> (what is wrong, what to do).
ANSWERS = {
    "NoSuchBucket": (
        "the bucket does not exist",
        "Create it, or set datastore_root to s3:// and a bucket that exists.",
    ),
    "AccessDenied": (
        "access denied",
        "Allow s3:GetObject, s3:PutObject and s3:ListBucket there, or set AWS_PROFILE to who may.",
    ),
    # Statuses of answers to a HEAD, which have no body and so no reason.
    "403": (
        "access denied",
        "Check the credentials (AWS_PROFILE) and that they allow s3:GetObject and s3:PutObject.",
    ),
    "400": (
        "the request was refused",
        "Check the credentials (AWS_PROFILE, AWS_SESSION_TOKEN) and AWS_DEFAULT_REGION.",
    ),
    "AllAccessDisabled": ("access is disabled", "Ask the owner of the bucket."),
    "AccountProblem": ("the account has a problem", "Ask the owner of the bucket."),
    "InvalidAccessKeyId": ("the access key is not known there", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _CREDENTIALS),
    "AuthorizationHeaderMalformed": (
        "the bucket is in another region",
        "Set AWS_DEFAULT_REGION to the bucket's region.",
    ),
    "PermanentRedirect": (
        "the bucket is in another region",
        "Set AWS_DEFAULT_REGION to the bucket's region.",
    ),
    "301": ("the bucket is in another region", "Set AWS_DEFAULT_REGION to the bucket's region."),
    "ExpiredToken": ("the session token has expired", "Sign in again, or renew AWS_SESSION_TOKEN."),
    "InvalidToken": (
        "the session token is not valid",
        "Sign in again, or unset AWS_SESSION_TOKEN.",
    ),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "Set the clock."),
    "RequestExpired": ("this machine's clock is wrong", "Set the clock."),
    "InvalidBucketName": (
        "that is not a bucket name",
        "Set datastore_root to s3://bucket/prefix; bucket names hold a-z, 0-9, '.' and '-'.",
    ),
    "SlowDown": ("the service has too many requests", "Lower max_workers, or try again later."),
    "ServiceUnavailable": ("the service is unavailable", _LATER),
    "InternalError": ("the service failed", _LATER),
    "QuotaExceeded": ("the quota is used up", "Make room there, or use another bucket."),
    "InsufficientStorage": ("no space is left", "Make room there, or use another bucket."),
}

_RIGHTS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject and s3:ListBucket",  # without the second, what is not there is refused too
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:GetObject and s3:PutObject",
    "UploadPartCopy": "s3:GetObject and s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}
"""Rights of IAM by the operation that needs them."""

# Name of a botocore exception (or of a base class of it) -> (what is wrong, what to do).
FAILURES = {
    "NoCredentialsError": ("no AWS credentials were found", _CREDENTIALS),
    "PartialCredentialsError": ("the AWS credentials are not complete", _CREDENTIALS),
    "CredentialRetrievalError": ("the AWS credentials cannot be read", _CREDENTIALS),
    "TokenRetrievalError": (
        "the AWS sign-in token cannot be read",
        "Sign in again: aws sso login.",
    ),
    "SSOError": ("the AWS sign-in has expired", "Sign in again: aws sso login."),
    "ProfileNotFound": (
        "the profile of AWS_PROFILE does not exist",
        "Set AWS_PROFILE to one that does.",
    ),
    "ConfigParseError": ("the AWS configuration file cannot be read", "Mend ~/.aws/config."),
    "EndpointConnectionError": (
        "the endpoint cannot be reached",
        "Check the network, and AWS_ENDPOINT_URL (unset it for AWS itself).",
    ),
    "ConnectTimeoutError": (
        "the endpoint does not answer",
        "Check the network, and AWS_ENDPOINT_URL (unset it for AWS itself).",
    ),
    "ProxyConnectionError": ("the proxy cannot be reached", "Check HTTPS_PROXY and NO_PROXY."),
    "SSLError": (
        "the endpoint's certificate is not trusted",
        "Set AWS_CA_BUNDLE to its authority.",
    ),
    "ReadTimeoutError": (
        "the endpoint does not answer",
        "Try again later; check the network and the service there.",
    ),
    "TooSlow": (
        "the endpoint answers too slowly",
        "Try again later; check the network and the service there.",
    ),
    "HTTPClientError": ("the connection broke", "Try again; check the network."),
    "InvalidRegionError": (
        "AWS_DEFAULT_REGION is not a region name",
        "Set AWS_DEFAULT_REGION to the bucket's region.",
    ),
    "NoRegionError": ("no region is set", "Set AWS_DEFAULT_REGION to the bucket's region."),
    "ParamValidationError": (
        "the bucket or key is not valid",
        "Set datastore_root to s3://bucket/prefix.",
    ),
    "BotoCoreError": ("the request failed", "Check AWS_ENDPOINT_URL and AWS_PROFILE."),
}


# Names, not classes: botocore is imported only when S3 is used.
_BROKEN = {
    "ResponseStreamingError",
    "IncompleteReadError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "TooSlow",
}


def is_broken_connection(error: BaseException) -> bool:
    """True if the answer began and broke off, so that a retry may succeed."""
    return type(error).__name__ in _BROKEN


def answer_code(error: BaseException) -> str | None:
    """Error code of an S3 answer; None if the error is not an answer."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    details: dict[str, Any] = response.get("Error", {})
    return str(details.get("Code", ""))


def is_services_fault(error: BaseException) -> bool:
    """True for an answer by which the service says that it failed itself, so that a later try may succeed."""
    return _status(error) >= HTTPStatus.INTERNAL_SERVER_ERROR


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, dict) else None
    return int((metadata or {}).get("HTTPStatusCode", 0))


def may_have_arrived(error: BaseException) -> bool:
    """True if a failed upload may have stored its object: the answer was lost, or the service failed later.

    ``NoSuchUpload`` is the answer to a completion that is sent again, and to one whose upload another writer
    of the key has ended. If that answer breaks off, its status is left.
    """
    code = answer_code(error)
    if code is not None:
        is_over = code == "NoSuchUpload" or (code in MISSING_KEY and _operation(error) in _OF_UPLOADS)
        return is_over or is_services_fault(error)
    return type(error).__name__ in _BROKEN - {"ReadTimeoutError", "TooSlow"}  # nothing answers there


def _operation(error: BaseException) -> str:
    return str(getattr(error, "operation_name", ""))


def _is_missing_key(error: BaseException) -> bool:
    """True if an object is missing. What is missing for a write is its bucket or its upload."""
    return answer_code(error) in MISSING_KEY and _operation(error) not in {"PutObject", *_OF_UPLOADS}


def _meaning(error: BaseException) -> tuple[str, str] | None:
    code = answer_code(error)
    if code is not None and code not in ANSWERS and is_services_fault(error):
        status = _status(error)
        return f"the service failed ({status if code in {'', str(status)} else f'{status} {code}'})", _LATER
    right = _RIGHTS.get(_operation(error))
    if code == "403" and right is not None:  # also the answer to a HEAD with a key that is not known
        return "access denied", f"Check the credentials (AWS_PROFILE), and that they allow {right}."
    if code == "AccessDenied" and right is not None:
        return "access denied", f"Allow {right} there, or set AWS_PROFILE to who may."
    if code is not None:
        unknown = f"the answer was {code or 'an error without a code'}"
        return ANSWERS.get(code, (unknown, "Check AWS_ENDPOINT_URL and the bucket."))
    for kind in type(error).__mro__:
        if kind.__name__ in FAILURES:
            return FAILURES[kind.__name__]
    return None


def translated(error: BaseException, url: str, key: str) -> CondaFlowError | None:
    """Our error for one of botocore or boto3; None for any other error."""
    if _is_missing_key(error):
        return NotInDatastore(f"There is no {key} in the datastore {url}.")
    if (meaning := _meaning(error)) is None:
        return None
    wrong, fix = meaning
    return DatastoreUnavailable(f"The datastore {url}{_via()} cannot be used: {wrong}. {fix}")


def _via() -> str:
    endpoint, name = custom_endpoint()
    return f" at {endpoint} ({name})" if endpoint else ""


def object_error(error: BaseException, url: str) -> CondaFlowError | None:
    """Our error for a failure with an object that a user named; None for an error that is not S3's."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return S3NoSpace(f"There is no room on the disk for {url}. Give S3(tmproot=...) another directory.")
    code = answer_code(error)
    if code in _BAD_RANGE:
        return S3InvalidRange(f"{url} has no bytes in that range.")
    if _is_missing_key(error) or code == "NoSuchBucket":  # a HEAD answers both alike
        reason = ": the bucket does not exist" if code == "NoSuchBucket" else ""
        return S3NotFound(f"There is no object {url}{_via()}{reason}.")
    if (meaning := _meaning(error)) is None:
        return None
    wrong, fix = meaning
    if code == "InvalidBucketName" or type(error).__name__ == "ParamValidationError":
        return S3InvalidURL(f"{url}{_via()}: {wrong}.")
    kind = S3AccessDenied if code in _DENIED else S3Failed
    return kind(f"{url}{_via()} cannot be used: {wrong}. {fix}")


@contextlib.contextmanager
def reporting_object(url: str) -> Iterator[None]:
    """Raise errors of botocore and boto3 as errors of the S3 client (``S3Error``), with their cause."""
    try:
        yield
    except CondaFlowError:
        raise
    except Exception as error:
        if (ours := object_error(error, url)) is None:
            raise
        raise ours from error


@contextlib.contextmanager
def reporting(url: str, key: str) -> Iterator[None]:
    """Raise errors of botocore and boto3 as datastore errors, with their cause."""
    try:
        yield
    except CondaFlowError:
        raise
    except Exception as error:
        if (ours := translated(error, url, key)) is None:
            raise
        raise ours from error

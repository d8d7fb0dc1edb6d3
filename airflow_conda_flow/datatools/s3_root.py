"""Root URL of an S3 client."""

from airflow_conda_flow.datatools import s3_access
from airflow_conda_flow.errors import S3InvalidURL
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEME = "s3://"
_NO_ROOT = (
    "S3(run=...) has no place in S3: the datastore is a directory. Set CONDA_FLOW_DATATOOLS_S3ROOT (or "
    "METAFLOW_DATATOOLS_S3ROOT) to s3://bucket/prefix where the run is started, or give it a bucket=."
)


def root_of(bucket: "str | None", prefix: "str | None", run: "Any", s3root: "str | None") -> "str | None":
    """Root URL of a client; None if it has none."""
    if run is not None:
        parts = _run_parts(run)
        return _joined(_run_root(bucket, prefix, run), *parts)
    if s3root is not None:
        if not s3root.startswith(SCHEME) or not s3root[len(SCHEME) :].strip("/"):
            raise S3InvalidURL("s3root is %r; write s3://bucket/prefix." % (s3root,))
        return s3root.rstrip("/")
    if bucket:
        return _joined(SCHEME + bucket, prefix or "")
    if prefix:
        raise S3InvalidURL("S3(prefix=%r) needs a bucket too, or a run." % prefix)
    return None


def _run_root(bucket: "str | None", prefix: "str | None", run: "Any") -> str:
    """Root URL for objects of runs, with the bucket or prefix of the caller if given."""
    if bucket and prefix is not None:
        return _joined(SCHEME + bucket, prefix)
    root = None if isinstance(run, FlowSpec) else run._run_record().datatools_root  # noqa: SLF001
    root = root or s3_access.root()
    if root is None:
        if bucket:
            return SCHEME + bucket
        raise S3InvalidURL(_NO_ROOT)
    own_bucket, _, own_prefix = root[len(SCHEME) :].partition("/")
    return _joined(SCHEME + (bucket or own_bucket), own_prefix if prefix is None else prefix)


def _run_parts(run: "Any") -> "tuple[str, str]":
    """Pair (flow, run id) of a run, or of the running step."""
    if not isinstance(run, FlowSpec):
        names = getattr(run, "pathspec", "").split("/")
        if len(names) != 2:  # noqa: PLR2004 - flow name and run id
            raise S3InvalidURL("S3(run=%r): write run=self in a step, or give it a Run." % (run,))
        return names[0], names[1]
    if protocol.s3 is None:
        raise S3InvalidURL("S3(run=self) works in a running step. Outside of one, give it a Run, or s3root=.")
    return current.flow_name, current.run_id


def _joined(root: str, *parts: str) -> str:
    return "/".join([root.rstrip("/")] + [part.strip("/") for part in parts if part.strip("/")])


def full_url(key: "str | None") -> str:
    """Key as a full URL, for clients without a root.

    Raises:
        S3InvalidURL: the key is not a full URL.
    """
    if key is not None and key.startswith(SCHEME):
        bucket, slash, _ = key[len(SCHEME) :].partition("/")
        if bucket and slash:
            return key
    raise S3InvalidURL(
        "%r is not a whole URL, and this client has no root. Write s3://bucket/key, or S3(run=self), or "
        "S3(s3root='s3://bucket/prefix')." % (key,)
    )

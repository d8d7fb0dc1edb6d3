"""Ids of DAGs, and our run ids of their runs."""

import hashlib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

DAG_TAG = "conda-flow"
"""Tag of every flow's DAG, by which Airflow's list of DAGs shows all of them."""
PREPARE_TASK = "prepare"
"""Id of the task that prepares the run, unless a step has that name."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
# Characters of Airflow's run id that ours keeps. A run id is the name of a directory, which has 255 bytes
# at most, and Airflow's may have 250 characters.
_READABLE = 120
_DIGITS = 8


def flow_run_id(dag_id: str, dag_run_id: str) -> str:
    """Our run id of a DAG run: readable, safe in paths, and unique for each DAG run through its digest.

    >>> flow_run_id("linear_flow", "manual__2026-11-24T02:00:00+00:00")
    'manual__2026-11-24T02-00-00-00-00-7a17fdc9'
    """
    digest = hashlib.sha256(("%s\0%s" % (dag_id, dag_run_id)).encode("utf-8")).hexdigest()
    return "%s-%s" % (_readable(dag_run_id), digest[:_DIGITS])


def run_ids_of(dag_run_id: str, run_ids: "Iterable[str]") -> "list[str]":
    """Those of the run ids that may be of a DAG run of that id.

    The digest is not compared, because the DAG's id is not known here: runs of several DAGs can match.

    >>> run_ids_of("manual__2026-11-24T02:00:00+00:00", ["7", "manual__2026-11-24T02-00-00-00-00-58c39ee0"])
    ['manual__2026-11-24T02-00-00-00-00-58c39ee0']
    """
    pattern = "%s-[0-9a-f]{%d}" % (re.escape(_readable(dag_run_id)), _DIGITS)
    return [run_id for run_id in run_ids if re.match(pattern + r"\Z", run_id)]


def dag_id_of(flow_name: str) -> str:
    """Default id of a flow's DAG.

    >>> dag_id_of("LinearFlow"), dag_id_of("HTTPFlow2")
    ('linear_flow', 'http_flow2')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", flow_name)
    return spaced.lower()


def _readable(dag_run_id: str) -> str:
    return _UNSAFE.sub("-", dag_run_id)[:_READABLE]

"""A DAG that prunes the datastore on a schedule, and then the caches of workers.

from airflow_conda_flow.airflow.maintenance import prune_dag

dag = prune_dag(schedule="@weekly", older_than="90d", keep_last=10)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, Param

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.airflow.sdk import AirflowFailException
from airflow_conda_flow.datastore.pruning.amounts import age
from airflow_conda_flow.datastore.pruning.choice import RunChoice
from airflow_conda_flow.datastore.pruning.prune import prune
from airflow_conda_flow.datastore.pruning.summary import locked_digests, prune_summary
from airflow_conda_flow.environments.cache_prune import prune_cache
from airflow_conda_flow.environments.cache_summary import cache_summary
from airflow_conda_flow.errors import CondaFlowError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.datastore.datastore import Datastore

_AGE = r"^(\d+(\.\d+)?[hdw])?$"


def prune_dag(
    dag_id: str = "conda_flow_prune",
    *,
    schedule: Any = "@weekly",
    older_than: str = "90d",
    keep_last: int = 10,
    keep_tags: Sequence[str] = (),
    grace: str = "24h",
    cache_unused_for: str = "30d",
    keep_locks: Sequence[str] = (),
    cache_queues: Sequence[str | None] = (None,),
    **dag_keywords: Any,
) -> DAG:
    """DAG with a task that prunes the datastore of the settings, and one for a cache of each queue's workers.

    The values are parameters of the DAG, so that a run started by hand may have others. With ``dry_run`` the
    log says what would go.

    Args:
        dag_id: the DAG's id.
        schedule: its schedule.
        older_than: age from which runs go, such as ``90d``; an empty text keeps all runs.
        keep_last: number of the newest runs of each flow that stay.
        keep_tags: tags of runs that stay.
        grace: age below which nothing goes; 12h at least.
        cache_unused_for: time after which something in a cache goes that was not used.
        keep_locks: paths of lock files beside flows, whose packages stay.
        cache_queues: queues whose workers prune their caches, None for the default one; empty for none.
        dag_keywords: other arguments of Airflow's ``DAG``.
    """
    text: dict[str, Any] = {"type": "string", "pattern": _AGE}
    params = {
        "older_than": Param(older_than, **text, description="Runs prepared longer ago go; empty: none."),
        "keep_last": Param(
            keep_last, type="integer", minimum=0, description="Newest runs of a flow that stay."
        ),
        "keep_tags": Param(list(keep_tags), type="array", description="Tags of runs that stay."),
        "grace": Param(grace, **text, description="Nothing younger goes; 12h at least."),
        "cache_unused_for": Param(
            cache_unused_for, **text, description="What was not used for so long goes."
        ),
        "dry_run": Param(default=False, type="boolean", description="Only log what would go."),
    }
    options = {"catchup": False, "max_active_runs": 1, "tags": ["conda-flow", "maintenance"], **dag_keywords}
    with DAG(dag_id, schedule=schedule, params=params, **options) as dag:
        datastore = PruneDatastoreOperator(task_id="prune_datastore", keep_locks=keep_locks)
        for queue in cache_queues:
            name = "prune_cache" if queue is None else f"prune_cache_{queue}"
            place = {} if queue is None else {"queue": queue}
            # Also if the datastore could not be pruned: a full disk must not wait for a damaged manifest.
            cache = PruneCacheOperator(task_id=name, keep_locks=keep_locks, trigger_rule="all_done", **place)
            datastore >> cache
    return dag


class _PruneOperator(BaseOperator):
    """Operator that prunes something of the settings.

    Args:
        keep_locks: paths of lock files beside flows, whose packages stay.
    """

    ui_color = "#efe8dc"

    def __init__(self, *, keep_locks: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_locks = list(keep_locks)

    def execute(self, context: Context) -> None:
        """Prune, and log what went; fail if something could not be read."""
        try:
            datastore, _ = open_stores(airflow_settings(), LogProgress(self.log))
            lines, faults = self._prune(datastore, context["params"])
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        for line in lines:
            self.log.info("%s", line)
        if faults:
            raise AirflowFailException(
                f"{'; '.join(faults)}. While this is so, nothing that it may refer to is removed: see "
                "docs/datastore.md."
            )

    def _prune(self, datastore: Datastore, params: Any) -> tuple[list[str], list[str]]:
        """Prune; returns the lines for the log, and what cannot be read."""
        raise NotImplementedError


class PruneDatastoreOperator(_PruneOperator):
    """Operator that removes old runs, and what no run refers to any more."""

    def _prune(self, datastore: Datastore, params: Any) -> tuple[list[str], list[str]]:
        oldest = params["older_than"]
        choice = RunChoice(
            older_than=age(oldest) if oldest else None,
            # Without an age no run goes: the number alone would remove the runs of this week.
            keep_last=params["keep_last"] if oldest else None,
            keep_tags=params["keep_tags"],
        )
        pruned = prune(
            datastore.storage,
            choice,
            removes=not params["dry_run"],
            grace=age(params["grace"]),
            kept_digests=locked_digests(map(Path, self.keep_locks)),
            report=LogReport(self.log.info),
        )
        return prune_summary(pruned, removed=not params["dry_run"]), pruned.faults


class PruneCacheOperator(_PruneOperator):
    """Operator that removes from the cache of its worker what was not used for long."""

    def _prune(self, datastore: Datastore, params: Any) -> tuple[list[str], list[str]]:
        pruned = prune_cache(
            datastore.cache_dir,
            datastore.storage,
            removes=not params["dry_run"],
            unused_for=age(params["cache_unused_for"]),
            kept_digests=locked_digests(map(Path, self.keep_locks)),
            report=LogReport(self.log.info),
        )
        return cache_summary(pruned, removed=not params["dry_run"]), pruned.faults


class LogReport:
    """Report of a prune in Airflow's log: a line for each phase.

    Args:
        info: the logger's function.
    """

    def __init__(self, info: Callable[..., object]) -> None:
        self._info = info

    def phase(self, text: str, total: int | None = None) -> None:
        """Log it."""
        self._info("%s%s", text, f" ({total:,})" if total else "")

    def step(self, count: int = 1, size: int = 0) -> None:
        """Log nothing: the summary has the numbers."""

    def say(self, text: str) -> None:
        """Log it."""
        self._info("%s", text)

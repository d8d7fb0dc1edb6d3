"""Removes old runs from the datastore every week, and what workers' caches have not used for long.

Start it by hand with dry_run to see what would go.
"""

from airflow_conda_flow.airflow.maintenance import prune_dag

dag = prune_dag(schedule="@weekly", older_than="90d", keep_last=10, keep_tags=["keep"])

"""The parameters of a run as a task's outputs: what the field calls ``Run("AFlow/1")["_parameters"]``.

No task of that name ever runs and nothing is stored for it: the run manifest holds it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STEP = "_parameters"
TASK_ID = "0"


def parameters_task(run: Mapping[str, Any]) -> dict[str, Any]:
    """A task manifest whose artifacts are a run's parameters, configs and constants."""
    return {
        "version": run["version"],
        "flow": run["flow"],
        "run_id": run["run_id"],
        "step": STEP,
        "task_id": TASK_ID,
        "attempt": run.get("first_attempt", 0),
        "split_name": None,
        "status": "done",
        "started": run["created"],
        "finished": run["created"],
        "artifacts": {**run.get("constants", {}), **run["parameters"]},
        "transition": None,
        "exception": None,
        "environment": None,
        "python": None,
    }

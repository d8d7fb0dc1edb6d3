"""How much a datastore holds, by kind and by flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout

from .prune import GRACE
from .report import Report, Silence
from .side_by_side import each_of
from .stored_run import StoredRun, stored_runs
from .sweep import ARTIFACTS, CODE, PACKAGES, RUNNERS

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage

MANIFESTS = "manifests, logs, cards"
ENVIRONMENTS = "locks and packed environments"
OBJECTS = "objects of S3(run=self)"
_FOLDERS = {
    ARTIFACTS: [f"{layout.ARTIFACTS}{number:02x}/" for number in range(256)],
    CODE: [layout.CODE],
    ENVIRONMENTS: [layout.locks()],
    PACKAGES: [layout.PACKAGES],
    RUNNERS: [layout.RUNNERS],
    OBJECTS: [layout.DATA],
    "tags, claims, notes": [layout.TAGS, layout.JOBS, layout.PRUNES],
}


@dataclass
class FlowUsage:
    """Runs of one flow.

    Attributes:
        runs: number of runs.
        states: number of runs by state; those that cannot be read have an empty one.
        size: bytes of their manifests, logs and cards.
        oldest: seconds since the first of them was prepared.
        newest: seconds since the last of them was prepared.
    """

    runs: int = 0
    states: dict[str, int] = field(default_factory=dict)
    size: int = 0
    oldest: float = 0.0
    newest: float = float("inf")

    def add(self, run: StoredRun) -> None:
        """Count a run."""
        self.runs += 1
        self.states[run.state] = self.states.get(run.state, 0) + 1
        self.size += run.size
        self.oldest, self.newest = max(self.oldest, run.age), min(self.newest, run.age)


@dataclass
class Usage:
    """Contents of a datastore.

    Attributes:
        count: number of keys by kind.
        size: bytes by kind.
        flows: by the flow's name.
        faults: runs that cannot be read.
    """

    count: dict[str, int] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)
    flows: dict[str, FlowUsage] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def usage(storage: Storage, report: Report | None = None) -> Usage:
    """Count everything in a datastore."""
    report = report or Silence()
    found = Usage()
    report.phase("looking at the runs")
    files = size = 0
    for run in stored_runs(storage, GRACE):
        report.step()
        found.flows.setdefault(run.flow, FlowUsage()).add(run)
        files, size = files + run.files, size + run.size
        if run.fault:
            found.faults.append(run.fault)
    found.count[MANIFESTS], found.size[MANIFESTS] = files, size
    for kind, folders in _FOLDERS.items():
        report.phase(f"counting {kind}")

        def count(folder: str) -> tuple[int, int]:
            sizes = [each.size for each in storage.entries(folder)]
            return len(sizes), sum(sizes)

        for number, size in each_of(storage, count, folders):
            found.count[kind] = found.count.get(kind, 0) + number
            found.size[kind] = found.size.get(kind, 0) + size
            report.step(number)
    return found

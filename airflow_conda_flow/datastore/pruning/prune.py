"""A prune: old runs go first, then what nothing refers to any more.

May run beside runs and other prunes, on every storage, and be killed and started again at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore.keeping import LEAST_GRACE, Notice, notice_of_prune
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.datastore.tags import system_tags, user_tags
from airflow_conda_flow.errors import DatastoreError, DatastoreUnavailable, ObjectNotFound, SettingError

from .choice import RunChoice, choose
from .references import mark
from .report import Report, Silence
from .run_removal import interrupted_removals, remove_run
from .stored_run import StoredRun, stored_runs
from .sweep import Sweep, Swept

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage

GRACE = 24 * 3600.0
"""Default grace time in seconds."""


@dataclass
class Pruned:
    """Result of a prune: all that went, or in a dry run would go.

    Attributes:
        runs: the runs that went.
        run_bytes: bytes of their manifests, logs, cards and objects.
        kept: number of the other runs, by the reason why they stay.
        swept: what nothing refers to.
        faults: what cannot be read. While there is anything, nothing that runs refer to is removed.
    """

    runs: list[StoredRun] = field(default_factory=list)
    run_bytes: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    swept: Swept = field(default_factory=Swept)
    faults: list[str] = field(default_factory=list)

    @property
    def freed(self) -> int:
        """All bytes."""
        return self.run_bytes + sum(self.swept.size.values())


def prune(
    storage: Storage,
    choice: RunChoice,
    *,
    removes: bool,
    grace: float = GRACE,
    kept_digests: Iterable[str] = (),
    report: Report | None = None,
) -> Pruned:
    """Remove runs, and what nothing refers to any more; without ``removes`` say what would go.

    Args:
        storage: the datastore's.
        choice: which runs go.
        removes: whether anything is removed.
        grace: seconds for which whatever is new stays, referred to or not.
        kept_digests: SHA-256 of packages that stay, such as those of lock files beside flows.
        report: told about the progress.

    Raises:
        SettingError: the grace time is too short for other processes to rely on.
        ObjectNotFound: a run of the choice is not there.
        DatastoreUnavailable: the datastore cannot be read or written.
        NoticeLost: the prune stood still for too long.
    """
    if grace < LEAST_GRACE:
        raise SettingError(
            f"The grace time is {grace / 3600:g} h; it must be at least {LEAST_GRACE / 3600:g} h, on which "
            "running steps rely."
        )
    report = report or Silence()
    if not removes:
        return _prune(storage, choice, None, grace, kept_digests, report)
    with notice_of_prune(storage) as notice:
        pruned = _prune(storage, choice, notice, grace, kept_digests, report)
    if isinstance(storage, LocalStorage):
        storage.clear_left_behind("")
    return pruned


def _prune(
    storage: Storage,
    choice: RunChoice,
    notice: Notice | None,
    grace: float,
    kept_digests: Iterable[str],
    report: Report,
) -> Pruned:
    pruned = Pruned()
    if notice is not None:
        for name in interrupted_removals(storage):
            report.say(f"Continuing the removal of {'/'.join(name)}, which was interrupted.")
            pruned.run_bytes += remove_run(storage, name, grace, notice, report) or 0
    report.phase("looking at the runs")
    runs = []
    for each in stored_runs(storage, grace):
        runs.append(each)
        report.step()
        if notice is not None:
            notice.renew()
    if missing := set(choice.runs) - {each.name for each in runs}:
        raise ObjectNotFound(
            f"There is no run {'/'.join(min(missing))} in {storage.url}. Nothing was removed."
        )
    reasons = choose(runs, choice, grace, lambda run: _tags(storage, run))
    gone = [each for each in runs if not reasons[each.name]]
    report.phase("removing runs" if notice else "counting what would go", sum(each.files for each in gone))
    for run in gone:
        freed: int | None = run.size
        if notice is not None:
            freed = remove_run(storage, run.name, grace, notice, report)
        if freed is None:
            reasons[run.name] = "something was written to it just now"
        else:
            pruned.runs.append(run)
            pruned.run_bytes += freed
    pruned.kept = Counter(reason for reason in reasons.values() if reason)
    stays = [each for each in runs if reasons[each.name]]
    # A run whose manifest cannot be read refers to things that nobody knows.
    pruned.faults = [each.fault for each in stays if each.fault]
    report.phase(f"reading the manifests of {len(stays)} runs")
    marks, faults = mark(storage, (each.name for each in stays), report, notice)
    pruned.faults = list(dict.fromkeys([*pruned.faults, *faults]))
    if not pruned.faults:
        marks.update(kept_digests)
        pruned.swept = Sweep(storage, marks, grace, notice, report).run()
        pruned.faults += pruned.swept.faults
    return pruned


def _tags(storage: Storage, run: StoredRun) -> Collection[str] | None:
    try:
        record = read_run_manifest(storage, *run.name)
        return {*system_tags(record), *user_tags(storage, record)}
    except DatastoreUnavailable:
        raise
    except DatastoreError:
        return None

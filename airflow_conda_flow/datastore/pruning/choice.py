"""Which runs a prune removes, and why the others stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from .stored_run import RUNNING, StoredRun


@dataclass(frozen=True)
class RunChoice:
    """Runs that may go: all conditions that are stated have to hold. Without any, no run may go.

    Attributes:
        older_than: seconds since the run was prepared; None does not ask.
        keep_last: number of the newest runs of each flow that stay, whatever their state; None for none.
        tags: tags that the run has, all of them.
        keep_tags: tags of runs that stay.
        states: states that the run is in one of; empty does not ask.
        flows: names of flows whose runs may go; empty for all.
        runs: runs that go without any other condition, as (flow, run id).
    """

    older_than: float | None = None
    keep_last: int | None = None
    tags: Collection[str] = ()
    keep_tags: Collection[str] = ()
    states: Collection[str] = ()
    flows: Collection[str] = ()
    runs: Collection[tuple[str, str]] = ()

    @property
    def asks(self) -> bool:
        """True if runs may go that are not named."""
        return bool(self.older_than is not None or self.keep_last is not None or self.tags or self.states)


def choose(
    runs: Sequence[StoredRun],
    choice: RunChoice,
    grace: float,
    tags_of: Callable[[StoredRun], Collection[str] | None],
) -> dict[tuple[str, str], str]:
    """Reason why a run stays, by the run's name; empty for a run that may go.

    Args:
        runs: all runs of the datastore.
        choice: the conditions.
        grace: seconds after a run's last sign of life for which it stays.
        tags_of: gives all tags of a run, None if they cannot be read; called only if the choice names tags.
    """
    newest = _newest(runs, choice.keep_last or 0)
    reasons = {each.name: _reason(each, choice, grace, newest, tags_of) for each in runs}
    needed = [each for each in runs if reasons[each.name]]
    by_name = {each.name: each for each in runs}
    while needed:
        run = needed.pop()
        origin = by_name.get((run.flow, run.origin_run_id or ""))
        if origin is not None and not reasons[origin.name]:
            # Its clones have their logs and cards there, and a resume reads there.
            reasons[origin.name] = "a run that stays was resumed from it"
            needed.append(origin)
    return reasons


def _newest(runs: Sequence[StoredRun], count: int) -> set[tuple[str, str]]:
    by_flow: dict[str, list[StoredRun]] = {}
    for each in runs:
        by_flow.setdefault(each.flow, []).append(each)
    return {
        each.name
        for of_flow in by_flow.values()
        for each in sorted(of_flow, key=lambda run: (run.age, run.run_id))[:count]
    }


def _reason(
    run: StoredRun,
    choice: RunChoice,
    grace: float,
    newest: set[tuple[str, str]],
    tags_of: Callable[[StoredRun], Collection[str] | None],
) -> str:
    """Why a run stays by itself; empty if it may go."""
    if run.state == RUNNING:
        return "it has not ended"
    if run.quiet < grace:
        return "something was written to it within the grace time"
    if run.name in choice.runs:
        return ""
    conditions = (
        (bool(run.fault), "it cannot be read"),
        (not choice.asks, "no condition names it"),
        (bool(choice.flows) and run.flow not in choice.flows, "it is of another flow"),
        (run.name in newest, "it is among the newest of its flow"),
        (choice.older_than is not None and run.age <= choice.older_than, "it is younger"),
        (bool(choice.states) and run.state not in choice.states, f"it is {run.state}"),
    )
    stays = next((reason for holds, reason in conditions if holds), "")
    return stays or _tag_reason(run, choice, tags_of)


def _tag_reason(
    run: StoredRun, choice: RunChoice, tags_of: Callable[[StoredRun], Collection[str] | None]
) -> str:
    if not (choice.tags or choice.keep_tags):
        return ""
    tags = tags_of(run)
    if tags is None:
        return "its tags cannot be read"
    if not set(choice.tags) <= set(tags):
        return "it lacks a tag"
    return "it has a tag that keeps it" if set(choice.keep_tags) & set(tags) else ""

"""Lines that say what a prune of the cache did."""

from __future__ import annotations

from collections import Counter

from airflow_conda_flow.datastore.pruning.amounts import size_text
from airflow_conda_flow.environments.cache_contents import CacheItem
from airflow_conda_flow.environments.cache_prune import CachePruned


def users_text(item: CacheItem) -> str:
    """Processes that use something in the cache."""
    if item.users is None:
        return "?"
    return ", ".join(f"process {each}" if each else "another container" for each in item.users)


def cache_summary(pruned: CachePruned, *, removed: bool) -> list[str]:
    """Lines that say what went, or would go."""
    counts = Counter(each.kind for each in pruned.items)
    lines = [f"{kind:<20} {count:>8,}" for kind, count in sorted(counts.items())]
    lines += [
        f"{each.path} is in use and stays: {users_text(each) or 'its files are locked'}"
        for each in pruned.in_use
    ]
    if pruned.scratch:
        lines.append(f"{pruned.scratch} things were left by processes that died, and were removed.")
    if removed:
        return [*lines, f"{size_text(pruned.freed)} freed."]
    hint = " Nothing was removed: add --yes to remove this." if pruned.items else ""
    return [*lines, f"{size_text(pruned.freed)} would be freed.{hint}"]

"""Lines that say what a prune did, and the digests that lock files keep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airflow_conda_flow.errors import SettingError

from .amounts import age_text, size_text
from .prune import Pruned
from .references import digests_in


def locked_digests(files: Iterable[Path]) -> list[str]:
    """SHA-256 of all packages in these lock files.

    Raises:
        SettingError: a file cannot be read, or names no package.
    """
    found: list[str] = []
    for each in files:
        try:
            digests = digests_in(each.read_bytes())
        except OSError as error:
            raise SettingError(f"--keep-lock {each} cannot be read: {error.strerror}.") from error
        if not digests:
            raise SettingError(f"--keep-lock {each} is not a lock file: it names no package by its sha256.")
        found += digests
    return found


def prune_summary(pruned: Pruned, *, removed: bool) -> list[str]:
    """Lines that say what went, or would go."""
    verb = "removed" if removed else "would go"
    total = len(pruned.runs) + sum(pruned.kept.values())
    lines = [f"{len(pruned.runs)} of {total} runs {verb}, {size_text(pruned.run_bytes)}"]
    lines += [
        f"  {each.pathspec}  {each.state or 'unreadable'}  {age_text(each.age)}  {size_text(each.size)}"
        for each in pruned.runs
    ]
    lines += [f"  {count} stay: {reason}" for reason, count in pruned.kept.most_common()]
    swept = pruned.swept
    if any(swept.count.values()):
        lines.append(f"No run {'refers' if removed else 'would refer'} to these any more:")
        lines += [
            f"  {kind:<20} {count:>10,}  {size_text(swept.size[kind]):>9}"
            for kind, count in swept.count.items()
            if count
        ]
    if removed:
        return [*lines, f"{size_text(pruned.freed)} freed."]
    nothing = not pruned.runs and not any(swept.count.values())
    hint = "" if nothing else " Nothing was removed: add --yes to remove this."
    return [*lines, f"{size_text(pruned.freed)} would be freed.{hint}"]

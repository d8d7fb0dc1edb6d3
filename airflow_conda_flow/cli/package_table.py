"""Packages as people read them: a table of a lock, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_conda_flow.environments.lock import Lock, LockedPackage

_HEADINGS = ("name", "version", "build", "size", "channel")


def megabytes(size: int) -> str:
    """A number of bytes, as ``12.3 MB``.

    >>> megabytes(12_340_000), megabytes(900)
    ('12.3 MB', '0.0 MB')
    """
    return f"{size / 1e6:.1f} MB"


def package_table(packages: Iterable[LockedPackage]) -> str:
    """One line a package; those that the step asked for have a star."""
    rows = [_HEADINGS]
    for each in sorted(packages, key=lambda package: package.name):
        name = f"{each.name} *" if each.stated else each.name
        rows.append((name, each.version, each.build, megabytes(each.size), each.channel or each.kind))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def difference(before: Lock | None, after: Lock | None) -> Iterator[str]:
    """The lines that say how one environment became another."""
    if before is None or after is None:
        yield f"{_named(before)} -> {_named(after)}"
        return
    if before.platform != after.platform:
        yield f"platform {before.platform} -> {after.platform}"
    old, new = ({each.name: each for each in lock.packages} for lock in (before, after))
    same = True
    for name in sorted({*old, *new}):
        if name not in new:
            yield f"- {_package(old[name])}"
        elif name not in old:
            yield f"+ {_package(new[name])}"
        elif old[name].sha256 != new[name].sha256:
            yield f"~ {name} {_version(old[name])} -> {_version(new[name])}"
        else:
            continue
        same = False
    if same:
        yield "the same packages; what the step asks for differs"


def _named(lock: Lock | None) -> str:
    return "the interpreter around it" if lock is None else f"environment {lock.spec_id[:12]}"


def _package(package: LockedPackage) -> str:
    return f"{package.name} {_version(package)}"


def _version(package: LockedPackage) -> str:
    return f"{package.version} {package.build}".strip()

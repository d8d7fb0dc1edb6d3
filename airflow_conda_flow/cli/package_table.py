"""Text about packages: the table of a lock, and the difference between two locks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_conda_flow.environments.lock import Lock, LockedPackage

_HEADINGS = ("name", "version", "build", "size", "channel")


def megabytes(size: int) -> str:
    """Number of bytes as text: ``12.3 MB``, with a million bytes per MB.

    >>> megabytes(12_340_000), megabytes(900)
    ('12.3 MB', '0.0 MB')
    """
    return f"{size / 1e6:.1f} MB"


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "package"), counted(2, "package")
    ('1 package', '2 packages')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def headline(steps: Iterable[str], lock: Lock | None) -> str:
    """Line about the environment of some steps."""
    names = list(steps)
    title = f"{'Step' if len(names) == 1 else 'Steps'} {', '.join(names)}"
    if lock is None:
        return f"{title}: no environment of its own"
    size = megabytes(sum(each.size for each in lock.packages))
    return (
        f"{title}: Python {lock.python}, {lock.platform}, {counted(len(lock.packages), 'package')}, {size}, "
        f"environment {lock.spec_id[:12]}"
    )


def package_table(packages: Iterable[LockedPackage]) -> str:
    """Table with one line per package; a star marks the packages that the step asked for."""
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
    """Lines that describe how an environment changed: ``-`` package gone, ``+`` new, ``~`` changed."""
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
    if same:  # two specs may have the same solution
        yield "the same packages; what the step asks for differs"


def _named(lock: Lock | None) -> str:
    return "no environment of its own" if lock is None else f"environment {lock.spec_id[:12]}"


def _package(package: LockedPackage) -> str:
    return f"{package.name} {_version(package)}"


def _version(package: LockedPackage) -> str:
    return f"{package.version} {package.build}".strip()

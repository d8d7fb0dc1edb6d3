"""The tags of a run: those that it started with, and every later change.

A run's manifest is not rewritten. Each change is a separate object, so that none is lost when several are
made at the same time, on any storage. Applied in the order of their names, which is the order of time, the
changes give the current tags. A process that changes tags reads the earlier changes first and chooses a name
that sorts after them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow_conda_flow._version import __version__
from airflow_conda_flow.errors import TaggingError
from airflow_conda_flow.records.document import MOST_BYTES, VERSION, read_document, stored_bytes
from airflow_conda_flow.records.kinds import Shape
from airflow_conda_flow.records.names import whole_number
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.times import stated_moment

from . import layout
from .storage import Storage

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import TagChange

_SHAPE = Shape({"add": [str], "remove": [str]})
_LONGEST = 500  # characters, as in Metaflow
_SIDE_BY_SIDE = 16  # changes that are read at a time, as ``manifests.py`` reads manifests


def checked_tags(tags: Iterable[str]) -> list[str]:
    """The tags as a list, if all of them are valid.

    Raises:
        TaggingError: a tag is not a text, is empty, is longer than 500 characters, or contains line breaks or
            control characters; or the tags are not a list.
    """
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
        raise TaggingError(f"Tags come as a list of texts; got {tags!r}.")
    found = list(tags)
    for tag in found:
        if not isinstance(tag, str):
            raise TaggingError(f"A tag is a text; got {tag!r}, a {type(tag).__name__}.")
        if not tag:
            raise TaggingError("A tag must not be empty.")
        if len(tag) > _LONGEST:
            raise TaggingError(f"A tag has at most {_LONGEST} characters; {tag[:20]!r}… has {len(tag)}.")
        if not tag.isprintable():
            raise TaggingError(f"A tag holds no line breaks or control characters; got {tag!r}.")
    return found


def system_tags(run: RunRecord) -> list[str]:
    """Tags that state where a run comes from; they cannot be removed."""
    if run.system_tags is not None:
        return list(run.system_tags)
    return origin_tags(run.username, run.origin, stated_moment(run.created))


def origin_tags(username: str, origin: str, created: datetime, python: str | None = None) -> list[str]:
    """System tags of a new run.

    Args:
        username: the user who starts it.
        origin: ``airflow``, or ``local``, for which the tag says ``dev`` as in Metaflow.
        created: its start time.
        python: version of the interpreter that starts it.
    """
    tags = [
        f"user:{username}",
        f"runtime:{'dev' if origin == 'local' else origin}",
        f"date:{created:%Y-%m-%d}",
        f"airflow_conda_flow_version:{__version__}",
    ]
    return [*tags, f"python_version:{python}"] if python else tags


def user_tags(storage: Storage, run: RunRecord) -> list[str]:
    """Current tags of a run that people gave it, sorted."""
    names = storage.list_names(layout.tag_folder(run.flow, run.run_id))
    return _replay(run, _changes(storage, run.flow, run.run_id, names))


def change_tags(storage: Storage, run: RunRecord, add: Collection[str], remove: Collection[str]) -> list[str]:
    """Remove tags, then add tags, as one change; returns the run's current user tags, sorted.

    Adding a tag that the run has, or removing one that it lacks, is no error. If nothing changes, nothing is
    stored.

    Raises:
        TaggingError: a tag is malformed, a system tag is to be removed, or no tag is named.
    """
    add, remove = checked_tags(add), checked_tags(remove)
    if not add and not remove:
        raise TaggingError("No tag is named; name at least one to add or to remove.")
    fixed = set(system_tags(run))
    if forbidden := sorted(fixed.intersection(remove)):
        raise TaggingError(f"{', '.join(forbidden)}: system tags cannot be removed.")
    flow, run_id = run.flow, run.run_id
    names = storage.list_names(layout.tag_folder(flow, run_id))
    changes = _changes(storage, flow, run_id, names)
    change: TagChange = {
        "version": VERSION,
        "add": sorted(set(add) - fixed),
        "remove": sorted(set(remove)),
    }
    before = _replay(run, changes)
    after = _replay(run, [*changes, change])
    if after != before:
        key = layout.tag_change(flow, run_id, _name_after(names))
        storage.write_bytes(key, stored_bytes(change))
    return after


def _name_after(names: list[str]) -> str:
    # At least one more than the last change's time, in case this machine's clock is behind that of the
    # machine that made it. The random part separates changes that are made at the same time. Twenty digits
    # hold every 64-bit number of nanoseconds, so names sort as numbers.
    # Whoever may write the datastore may have stored other names, which count for nothing.
    numbers = (whole_number(name.partition("-")[0]) for name in names)
    last = max((number for number in numbers if number is not None), default=0)
    return f"{max(time.time_ns(), last + 1):020d}-{secrets.token_hex(4)}"


def _changes(storage: Storage, flow: str, run_id: str, names: list[str]) -> list[TagChange]:
    folder = layout.tag_folder(flow, run_id)

    def read(name: str) -> TagChange:
        change: Any = read_document(
            storage.read_bytes(folder + name, MOST_BYTES),
            f"{folder}{name} in the datastore {storage.url}",
            "Delete it, and add or remove the tags again.",
            wrong=_SHAPE.fault,
        )
        return cast("TagChange", change)

    if len(names) < 2 or storage.kind == "local":  # noqa: PLR2004  nothing to overlap
        return [read(name) for name in names]
    with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(names))) as pool:
        return list(pool.map(read, names))


def _replay(run: RunRecord, changes: Iterable[TagChange]) -> list[str]:
    # A user tag that equals a system tag is shown once, among the system tags.
    tags = set(run.tags) - set(system_tags(run))
    for change in changes:
        tags -= set(change["remove"])
        tags |= set(change["add"])
    return sorted(tags)

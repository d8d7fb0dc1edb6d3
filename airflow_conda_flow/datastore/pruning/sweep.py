"""Removal of what no run refers to: old locks, then what the remaining ones do not need, then the rest.

The order is what makes it safe beside runs that are being prepared: whoever refers to a lock again makes the
lock new (``keeping.py``), and what a lock needs is decided after the old locks are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.document import read_document

from .digest_set import DigestSet
from .references import digests_in
from .side_by_side import each_of

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.keeping import Notice
    from airflow_conda_flow.datastore.storage import Entry, Storage

    from .report import Report

ARTIFACTS, CODE, PACKAGES = "artifacts", "code packages", "packages"
LOCKS, ARCHIVES, RUNNERS = "locks", "packed environments", "runners"
KINDS = (ARTIFACTS, CODE, LOCKS, ARCHIVES, PACKAGES, RUNNERS)
_DOCUMENTS = (".lock", ".packed", ".json")
# Folders of artifacts in S3, each with a request for up to 1000 removals; more would be throttled.
_AT_ONCE = 8
# By the first two hex digits of an artifact's digest, as ``layout.artifact`` writes them.
_ARTIFACT_FOLDERS = [f"{layout.ARTIFACTS}{number:02x}/" for number in range(256)]


@dataclass
class Swept:
    """Everything that nothing refers to, by kind.

    Attributes:
        count: number of keys that went, or would go.
        size: their bytes.
        faults: documents that cannot be read; whatever they may refer to stays.
    """

    count: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    size: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    faults: list[str] = field(default_factory=list)


class Sweep:
    """One sweep over a datastore.

    Args:
        storage: the datastore's.
        marks: digests that stay; those that remaining documents refer to are added.
        grace: seconds; nothing that is younger goes.
        notice: of the prune; None for a dry run, which removes nothing.
        report: told about every key that goes.
    """

    def __init__(
        self, storage: Storage, marks: DigestSet, grace: float, notice: Notice | None, report: Report
    ) -> None:
        self._storage = storage
        self._marks = marks
        self._grace = grace
        self._notice = notice
        self._report = report
        self._swept = Swept()

    def run(self) -> Swept:
        """Do it; returns what went, or would go."""
        self._report.phase("sweeping environments")
        self._documents(LOCKS, layout.locks(), self._is_marked)
        self._files(ARCHIVES, [layout.locks()])
        self._report.phase("sweeping packages")
        self._files(PACKAGES, [layout.PACKAGES])
        self._report.phase("sweeping runners")
        self._documents(RUNNERS, layout.RUNNERS, self._named_by_marks(layout.RUNNERS).__contains__)
        self._files(RUNNERS, [layout.RUNNERS])
        self._report.phase("sweeping code packages")
        self._files(CODE, [layout.CODE])
        self._report.phase("sweeping artifacts")
        self._files(ARTIFACTS, _ARTIFACT_FOLDERS)
        return self._swept

    def _documents(self, kind: str, folder: str, stays: Callable[[str], bool]) -> None:
        """Remove the documents in a folder that do not stay, and mark what the remaining ones refer to."""
        gone = {
            each.key: each.size
            for each in self._removed(
                folder, lambda entry: entry.key.endswith(_DOCUMENTS) and not stays(entry.key)
            )
        }
        self._count(kind, gone.values())
        for data in self._read(folder, gone):
            self._marks.update(digests_in(data))

    def _named_by_marks(self, folder: str) -> set[str]:
        """Documents in a folder that name something that has a mark, and those that cannot be read."""
        keys = self._keys(folder)
        found = zip(keys, each_of(self._storage, self._document, keys), strict=True)
        return {key for key, data in found if data is None or any(d in self._marks for d in digests_in(data))}

    def _read(self, folder: str, gone: dict[str, int]) -> Iterator[bytes]:
        keys = [key for key in self._keys(folder) if key not in gone]
        for key, data in zip(keys, each_of(self._storage, self._document, keys), strict=True):
            if data is None:
                self._swept.faults.append(f"{key} in the datastore {self._storage.url} cannot be read")
            else:
                yield data

    def _keys(self, folder: str) -> list[str]:
        return [key for key in self._storage.list_keys(folder) if key.endswith(_DOCUMENTS)]

    def _document(self, key: str) -> bytes | None:
        """Bytes of a document; empty if it is gone, None if it is damaged or of a newer version."""
        try:
            data = self._storage.read_bytes(key)
            read_document(data, key, "")
        except NotInDatastore:
            return b""  # another prune was first
        except DatastoreUnavailable:
            raise
        except (DamagedDocument, DatastoreError):
            return None
        return data

    def _files(self, kind: str, folders: list[str]) -> None:
        """Remove the files in folders whose digests have no mark; none if a document cannot be read."""
        if self._swept.faults:
            return  # it may have named any of them
        _ = len(self._marks)  # sorts them, which threads must not do

        def sweep(folder: str) -> list[int]:
            return [
                each.size
                for each in self._removed(
                    folder,
                    lambda entry: not entry.key.endswith(_DOCUMENTS) and not self._is_marked(entry.key),
                )
            ]

        for sizes in each_of(self._storage, sweep, folders, _AT_ONCE):
            self._count(kind, sizes)

    def _is_marked(self, key: str) -> bool:
        """True if the last digest in the key has a mark. Without a digest the key is not ours, and stays."""
        names = digests_in(key.encode())
        return not names or names[-1] in self._marks

    def _removed(self, folder: str, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Old keys in a folder that are wanted, removed unless this is a dry run."""
        if self._notice is None:
            return (each for each in self._storage.entries(folder) if each.age > self._grace and wanted(each))
        return self._with_notice(self._notice, self._storage.remove_old(folder, self._grace, wanted))

    @staticmethod
    def _with_notice(notice: Notice, entries: Iterator[Entry]) -> Iterator[Entry]:
        notice.renew()
        for each in entries:
            yield each
            notice.renew()

    def _count(self, kind: str, sizes: Iterable[int]) -> None:
        sizes = list(sizes)
        self._swept.count[kind] += len(sizes)
        self._swept.size[kind] += sum(sizes)
        self._report.step(len(sizes), sum(sizes))

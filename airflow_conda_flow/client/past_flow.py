"""``Flow``: all runs of a flow; and ``Metaflow``, all flows."""

from airflow_conda_flow.client import scope
from airflow_conda_flow.client.dag_runs import run_id_of
from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.stored_object import BATCH, StoredObject, local_time
from airflow_conda_flow.errors import NamespaceMismatch, ObjectNotFound
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.records.run_record import TaggedRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_FIRST_BATCH = 8


class Metaflow:
    """All flows of the datastore; those with a run in the namespace when iterated."""

    def __iter__(self) -> "Iterator[Flow]":
        for name in scope.catalogue().call("flows", []):
            try:
                yield Flow(name)
            except (NamespaceMismatch, ObjectNotFound):
                continue

    def __getitem__(self, name: str) -> "Flow":
        if name not in self:
            raise KeyError(name)
        return Flow(name)

    def __contains__(self, name: object) -> bool:
        return name in scope.catalogue().call("flows", [])

    def __repr__(self) -> str:
        return "Metaflow()"

    @property
    def flows(self) -> "list[Flow]":
        """The flows that have a run in the namespace."""
        return list(self)


class Flow(StoredObject):
    """All runs of a flow, the newest first: ``Flow("TrainFlow")``."""

    depth = 1

    if TYPE_CHECKING:

        @property
        def parent(self) -> None:
            """None: a flow is part of nothing."""

        def __iter__(self) -> "Iterator[Run]":
            """Its runs in the namespace, the newest first."""

        def __getitem__(self, name: str) -> "Run":
            """The run of that id."""

    @property
    def latest_run(self) -> "Run | None":
        """The newest run in the namespace, whether it has finished or not; None if there is none."""
        return next(self.runs(), None)

    @property
    def latest_successful_run(self) -> "Run | None":
        """The newest run in the namespace that succeeded; None if there is none."""
        return next((run for run in self.runs() if run.successful), None)

    @property
    def created_at(self) -> "datetime | None":
        """When its oldest run started."""
        run_ids = self._run_ids()
        return local_time(self[run_ids[-1]]._run_record().created) if run_ids else None

    @property
    def finished_at(self) -> "datetime | None":
        """When its newest run finished; None if it has not."""
        latest = self.latest_run
        return None if latest is None else latest.finished_at

    def runs(self, *tags: str) -> "Iterator[Run]":
        """The runs in the namespace that have all these tags, the newest first."""
        return (run for run in iter(self) if run.tags.issuperset(tags))

    def is_in_namespace(self) -> bool:
        """Whether one of its runs is in the namespace."""
        return self._namespace is None or any(run.is_in_namespace() for run in self._children())

    def _load(self) -> None:
        if not self._run_ids():
            flows = self._catalogue.call("flows", [])
            raise ObjectNotFound("%s%s" % (self._missing(), nearest(self.id, flows)))

    def _run_ids(self) -> "list[str]":
        return self._catalogue.call("run_ids", [self.id])  # type: ignore[no-any-return]

    def _children(self) -> "Iterator[Run]":
        run_ids = self._run_ids()
        start, size = 0, _FIRST_BATCH  # most ask for the newest alone
        while start < len(run_ids):
            batch = run_ids[start : start + size]
            for document in self._catalogue.call("runs", [self.id, batch]):
                if document is not None:
                    yield Run._known(self, TaggedRun(document))
            start, size = start + size, BATCH

    def _child(self, name: str) -> "Run | None":
        document = self._catalogue.call("run", [self.id, name])
        if document is None:
            run_id = run_id_of(self.id, name, self._run_ids())
            document = run_id and self._catalogue.call("run", [self.id, run_id])
        return None if document is None else Run._known(self, TaggedRun(document))

    @property
    def user_tags(self) -> "frozenset[str]":
        """None: runs have tags, and a flow has not."""
        return frozenset()

    @property
    def system_tags(self) -> "frozenset[str]":
        """None, as ``user_tags``."""
        return frozenset()

    def _run_record(self) -> TaggedRun:
        raise TypeError("A flow is no run.")

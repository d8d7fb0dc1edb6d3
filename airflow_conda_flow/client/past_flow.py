"""``Flow``: all runs of one flow; ``Metaflow``: all flows."""

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

_FIRST_BATCH = 8  # runs that are read at once: most callers want the newest one only


class Metaflow:
    """All flows in the datastore. Iteration yields the flows that have a run in the namespace.

    ``Metaflow()["TrainFlow"]`` is a flow by name; ``"TrainFlow" in Metaflow()`` tells if it exists.
    """

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
        """Flows that have a run in the namespace."""
        return list(self)


class Flow(StoredObject):
    """All runs of one flow: ``Flow("TrainFlow")``. Iteration yields them, newest first.

    ``flow["1795547131171801"]`` is a run by its id, or by the id of its Airflow DAG run.
    """

    depth = 1

    if TYPE_CHECKING:

        @property
        def parent(self) -> None:
            """None: a flow has no parent."""

        def __iter__(self) -> "Iterator[Run]":
            """Iterate over the runs in the namespace, newest first."""

        def __getitem__(self, name: str) -> "Run":
            """Run with this id."""

    @property
    def latest_run(self) -> "Run | None":
        """Newest run in the namespace, finished or not; None if there is none."""
        return next(self.runs(), None)

    @property
    def latest_successful_run(self) -> "Run | None":
        """Newest successful run in the namespace; None if there is none."""
        return next((run for run in self.runs() if run.successful), None)

    @property
    def created_at(self) -> "datetime | None":
        """Time when the oldest run that can be read started, in any namespace; None if there is none.

        It is in this machine's time zone.
        """
        for run_id in reversed(self._run_ids()):
            (document,) = self._catalogue.call("runs", [self.id, [run_id]])
            if document is not None:
                return local_time(TaggedRun(document).created)
        return None

    @property
    def finished_at(self) -> "datetime | None":
        """Time when the newest run in the namespace finished; None if it has not finished."""
        latest = self.latest_run
        return None if latest is None else latest.finished_at

    def runs(self, *tags: str) -> "Iterator[Run]":
        """Runs in the namespace that have all the given tags, newest first."""
        return (run for run in iter(self) if run.tags.issuperset(tags))

    def is_in_namespace(self) -> bool:
        """True if at least one of the flow's runs is in the namespace."""
        return self._namespace is None or any(run.is_in_namespace() for run in self._children())

    def _load(self) -> None:
        if not self._run_ids():
            flows = self._catalogue.call("flows", [])
            raise ObjectNotFound("%s%s" % (self._missing(), nearest(self.id, flows)))

    def _run_ids(self) -> "list[str]":
        return self._catalogue.call("run_ids", [self.id])  # type: ignore[no-any-return]

    def _children(self) -> "Iterator[Run]":
        run_ids = self._run_ids()
        start, size = 0, _FIRST_BATCH
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
        """Always empty: tags belong to runs."""
        return frozenset()

    @property
    def system_tags(self) -> "frozenset[str]":
        """Always empty: tags belong to runs."""
        return frozenset()

    def _run_record(self) -> TaggedRun:
        raise TypeError("A flow is not a run.")

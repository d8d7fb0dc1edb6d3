"""``RunRecord``: reads a run manifest. Nothing else knows its keys."""

from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.names import TaskName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import (
        ArtifactRef,
        CodeRef,
        EnvironmentRef,
        RunManifest,
        TaggedRunDocument,
        UserDecoratorRecord,
    )


class RunRecord:
    """Record of a run, written before any of its tasks starts.

    Keys that the first versions did not write have the meaning here that their absence had then.

    Attributes:
        document: the manifest as it is stored.
    """

    __slots__ = ("_graph", "document")

    def __init__(self, document: "RunManifest") -> None:
        self.document = document
        self._graph: "FlowGraph | None" = None

    @property
    def version(self) -> int:
        """Version of the document."""
        return self.document["version"]

    @property
    def flow(self) -> str:
        """The flow's name."""
        return self.document["flow"]

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.document["run_id"]

    @property
    def created(self) -> str:
        """When the run was prepared, in ISO 8601 and UTC."""
        return self.document["created"]

    @property
    def origin(self) -> str:
        """Who runs the tasks: ``local`` or ``airflow``."""
        return self.document["origin"]

    @property
    def username(self) -> str:
        """Who started the run."""
        return self.document["username"]

    @property
    def tags(self) -> "list[str]":
        """Tags that the run was started with."""
        return self.document["tags"]

    @property
    def system_tags(self) -> "list[str] | None":
        """Tags that say where the run comes from; None in manifests that lack them."""
        return self.document.get("system_tags")

    @property
    def first_attempt(self) -> int:
        """Number of every task's first attempt."""
        return self.document.get("first_attempt", 0)

    @property
    def namespace(self) -> str:
        """Tag of the runs that the client shows in steps."""
        return self.document.get("namespace", "user:%s" % self.username)

    @property
    def origin_run_id(self) -> "str | None":
        """The run that was resumed, if this one resumes one."""
        return self.document.get("origin_run_id")

    @property
    def datatools_root(self) -> "str | None":
        """URL below which ``S3(run=...)`` works."""
        return self.document.get("datatools_root")

    @property
    def code(self) -> "CodeRef":
        """The code package."""
        return self.document["code"]

    @property
    def current(self) -> "dict[str, Any]":
        """Further values of ``current``: those of the DAG run and of the project."""
        return self.document.get("current", {})

    # The flow.

    @property
    def graph(self) -> FlowGraph:
        """The step graph, made once."""
        if self._graph is None:
            self._graph = FlowGraph.from_dict(self.document["graph"])
        return self._graph

    @property
    def decorators(self) -> "dict[str, dict[str, Any]]":
        """Attributes by decorator's name, by step."""
        return self.document.get("decorators", {})

    def decorators_of(self, step: str) -> "dict[str, Any]":
        """Attributes of a step's decorators, by name."""
        return self.decorators.get(step, {})

    def user_decorators_of(self, step: str) -> "list[UserDecoratorRecord]":
        """Decorators of a step that users wrote."""
        return self.document.get("user_decorators", {}).get(step, [])

    # Environments and values of steps.

    @property
    def environments(self) -> "dict[str, EnvironmentRef]":
        """Environments by step, of the steps that have one of their own."""
        return {step: each for step, each in self.document["environments"].items() if each}

    def environment_of(self, step: str) -> "EnvironmentRef | None":
        """The environment of a step; None if it has none of its own."""
        return self.document["environments"].get(step)

    def pickle_protocol(self, step: str) -> int:
        """The newest pickle protocol that the step and all later steps can read."""
        return self.document["pickle_protocols"][step]

    @property
    def parameters(self) -> "dict[str, ArtifactRef]":
        """Parameters and configs."""
        return self.document["parameters"]

    @property
    def constants(self) -> "dict[str, ArtifactRef]":
        """Values that the flow class assigns."""
        return self.document.get("constants", {})

    @property
    def first_namespace(self) -> "dict[str, ArtifactRef]":
        """Artifacts that the first step and every join begin with; a parameter hides a constant."""
        return dict(self.constants, **self.parameters)

    # Records made of it.

    def changed(self, **values: "Any") -> "RunRecord":
        """The record of a run that differs in these keys of its document."""
        document: "Any" = dict(self.document, **values)
        return RunRecord(document)

    # Names.

    def task(self, step: str, indices: "tuple[int, ...]") -> TaskName:
        """The name of a task of the run."""
        return TaskName.at(self.flow, self.run_id, step, indices)


class TaggedRun(RunRecord):
    """A run with the tags that it has now."""

    __slots__ = ()

    document: "TaggedRunDocument"

    @classmethod
    def of(cls, run: RunRecord, system_tags: "list[str]", user_tags: "list[str]") -> "TaggedRun":
        """A run with these tags.

        Args:
            run: the run as it was prepared.
            system_tags: tags that say where it comes from.
            user_tags: tags that people gave it, with all changes since.
        """
        document: "Any" = dict(run.document, system_tags=system_tags, user_tags=user_tags)
        return cls(document)

    @property
    def system_tags(self) -> "list[str]":
        """Tags that say where the run comes from."""
        return self.document["system_tags"]

    @property
    def user_tags(self) -> "list[str]":
        """Tags that people gave the run, sorted."""
        return self.document["user_tags"]

    def with_user_tags(self, tags: "list[str]") -> "TaggedRun":
        """The same run after a change of its tags."""
        return self.of(self, self.system_tags, tags)

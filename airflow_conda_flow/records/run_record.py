"""``RunRecord``: reads a run manifest. Nothing else knows its keys."""

import hashlib
import re

from airflow_conda_flow.records.document import canonical_json, stored_bytes
from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.kinds import (
    DIGEST,
    PART,
    PATH,
    Each,
    OrNull,
    Shape,
    is_attempt,
    is_count,
    is_time,
)
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.stored_graph import GRAPH, wrong_graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from airflow_conda_flow.records.shapes import (
        ArtifactRef,
        CodeRef,
        EnvironmentRef,
        RunManifest,
        RunRecordRef,
        TaggedRunDocument,
        UserDecoratorRecord,
    )


_NEWEST_PROTOCOL = 99  # of pickle; far above those of today


def _is_protocol(value: "Any") -> bool:
    return is_count(value) and value <= _NEWEST_PROTOCOL


ARTIFACT = {
    "sha256": DIGEST,
    "size": is_count,
    "type": str,
    "protocol": _is_protocol,
    "preview": OrNull(str),
}
CODE = {"sha256": DIGEST, "flow_file": PATH}
RUN_RECORD_REF = {"sha256": DIGEST, "created": is_time, "code": CODE}
PACKED = {"prefix": re.compile(r"/[^\x00]*"), "sha256": DIGEST, "size": is_count}
_ENVIRONMENT = {
    "python": PART,
    "id": PART,
    "platform": PART,
    "lock?": DIGEST,
    "packed?": OrNull(PACKED),
    "stated?": Each(str),
}
_USER_DECORATOR = {"module": str, "name": str, "arguments?": OrNull(list)}
# Early versions have not written the keys with a question mark.
_SHAPE = Shape(
    {
        "flow": str,
        "run_id": str,
        "created": is_time,
        "origin": re.compile("local|airflow"),
        "username": str,
        "tags": [str],
        "system_tags?": [str],
        "graph": GRAPH,
        "decorators?": Each(Each((dict, list))),
        "user_decorators?": Each([_USER_DECORATOR]),
        "mutated_with?": OrNull([str]),
        "current?": dict,
        "code": CODE,
        "environment?": str,
        "environments": Each(OrNull(_ENVIRONMENT)),
        "runner?": OrNull(DIGEST),
        "pickle_protocols": Each(_is_protocol),
        "first_attempt?": is_attempt,
        "parameters": Each(ARTIFACT),
        "constants?": Each(ARTIFACT),
        "call?": OrNull(ARTIFACT),
        "namespace?": str,
        "origin_run_id?": OrNull(str),
        "datatools_root?": OrNull(str),
        "revision_of?": RUN_RECORD_REF,
    }
)

# Keys that the flow file decides; the others are the run's. Parameters are of both kinds, see ``revised``.
_OF_THE_FLOW = (
    "graph",
    "decorators",
    "user_decorators",
    "mutated_with",
    "code",
    "environment",
    "environments",
    "runner",
    "pickle_protocols",
    "constants",
    "call",
)


def wrong_run_manifest(document: "dict[str, Any]") -> "str | None":
    """A few words about what no version has written like this; None if there is nothing."""
    fault = _SHAPE.fault(document) or wrong_graph(document["graph"])
    if fault:
        return fault
    for node in document["graph"]["steps"]:
        if node["name"] not in document["pickle_protocols"]:
            return "its pickle_protocols lack the step %r" % node["name"]
    return None


class RunRecord:
    """Record of a run, written before any of its tasks starts.

    Where a key is missing, because an early version wrote the manifest, the property has the value that this
    version acted by.

    Attributes:
        document: the manifest as it is stored.
    """

    __slots__ = ("_graph", "_sha256", "document")

    def __init__(self, document: "RunManifest") -> None:
        self.document = document
        self._graph: "FlowGraph | None" = None
        self._sha256: "str | None" = None

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of the bytes that are stored for this record.

        It is handed to every attempt by a way that the datastore cannot change, and compared before anything
        of the record is used. It is computed once: every attempt of the run names it in its manifest.
        """
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(stored_bytes(self.document)).hexdigest()
        return self._sha256

    @property
    def ref(self) -> "RunRecordRef":
        """Reference of this record."""
        return {"sha256": self.sha256, "created": self.created, "code": self.code}

    @property
    def revision_of(self) -> "RunRecordRef | None":
        """Reference of the record as the run was prepared; None if this is that record."""
        return self.document.get("revision_of")

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
        """Time at which the run was prepared, in ISO 8601 and UTC."""
        return self.document["created"]

    @property
    def origin(self) -> str:
        """Scheduler of the run's tasks: ``local`` or ``airflow``."""
        return self.document["origin"]

    @property
    def username(self) -> str:
        """Name of the user who started the run."""
        return self.document["username"]

    @property
    def tags(self) -> "list[str]":
        """User tags that the run was started with; later changes are not among them."""
        return self.document["tags"]

    @property
    def system_tags(self) -> "list[str] | None":
        """Tags that state where the run comes from; None in manifests that lack them."""
        return self.document.get("system_tags")

    @property
    def first_attempt(self) -> int:
        """Number of every task's first attempt; above 0 if a former run had the same id."""
        return self.document.get("first_attempt", 0)

    @property
    def namespace(self) -> str:
        """Tag of the runs that the client shows in steps."""
        return self.document.get("namespace", "user:%s" % self.username)

    @property
    def origin_run_id(self) -> "str | None":
        """Id of the run that this one resumes, or None."""
        return self.document.get("origin_run_id")

    @property
    def datatools_root(self) -> "str | None":
        """URL below which ``S3(run=...)`` works, or None."""
        return self.document.get("datatools_root")

    @property
    def code(self) -> "CodeRef":
        """Reference of the code package."""
        return self.document["code"]

    @property
    def current(self) -> "dict[str, Any]":
        """Values of ``current`` that come from the DAG run and the project."""
        return self.document.get("current", {})

    # The flow.

    @property
    def graph(self) -> FlowGraph:
        """Step graph, made at the first access."""
        if self._graph is None:
            self._graph = FlowGraph.from_dict(self.document["graph"])
        return self._graph

    @property
    def decorators(self) -> "dict[str, dict[str, Any]]":
        """Decorators by step: of each step the attributes by decorator's name."""
        return self.document.get("decorators", {})

    def decorators_of(self, step: str) -> "dict[str, Any]":
        """Attributes of a step's decorators, by name."""
        return self.decorators.get(step, {})

    def user_decorators_of(self, step: str) -> "list[UserDecoratorRecord]":
        """User-defined decorators of a step."""
        return self.document.get("user_decorators", {}).get(step, [])

    # Environments and values of steps.

    @property
    def environments(self) -> "dict[str, EnvironmentRef]":
        """Environments by step; a step without an environment of its own is absent."""
        return {step: each for step, each in self.document["environments"].items() if each}

    def environment_of(self, step: str) -> "EnvironmentRef | None":
        """Environment of a step; None if it has none of its own."""
        return self.document["environments"].get(step)

    @property
    def runner(self) -> "str | None":
        """SHA-256 of the runner's archive for jobs whose image may lack the runner; None if not recorded."""
        return self.document.get("runner")

    def pickle_protocol(self, step: str) -> int:
        """Newest pickle protocol that the step and all later steps can read."""
        return self.document["pickle_protocols"][step]

    @property
    def parameters(self) -> "dict[str, ArtifactRef]":
        """References of parameters and configs, by name."""
        return self.document["parameters"]

    @property
    def constants(self) -> "dict[str, ArtifactRef]":
        """References of the values that the flow class assigns, by name."""
        return self.document.get("constants", {})

    @property
    def mutated_with(self) -> "list[str] | None":
        """Texts of ``--with`` that the flow's mutators saw; None if it has no mutators."""
        return self.document.get("mutated_with")

    @property
    def call(self) -> "ArtifactRef | None":
        """Reference of the arguments that the flow object is made with; None without arguments."""
        return self.document.get("call")

    @property
    def first_namespace(self) -> "dict[str, ArtifactRef]":
        """Artifacts that the first step and every join begin with; a parameter replaces a constant."""
        return dict(self.constants, **self.parameters)

    # Records made of it.

    def revised(self, fresh: "RunRecord", own: "Collection[str]") -> "RunRecord":
        """The run's record with the flow as it is now.

        Args:
            fresh: what the run's record would be, were the run prepared now.
            own: names of the parameters whose values are the run's own; the others are configs.

        Returns:
            this record if the flow is the same, else a revision of it.
        """
        parameters = {
            name: self.parameters.get(name, ref) if name in own else ref
            for name, ref in fresh.parameters.items()
        }
        document: "Any" = dict(self.document, parameters=parameters)
        now: "Any" = fresh.document
        for key in _OF_THE_FLOW:
            document[key] = now.get(key)
        if canonical_json(document) == canonical_json(self.document):
            return self
        document.update(created=fresh.created, revision_of=self.ref)
        return RunRecord(document)

    def is_like(self, other: "RunRecord") -> bool:
        """True if both records say the same, whenever they were made."""
        return self.changed(created=other.created).sha256 == other.sha256

    def changed(self, **values: "Any") -> "RunRecord":
        """The record with these keys of its document replaced."""
        document: "Any" = dict(self.document, **values)
        return RunRecord(document)

    # Names.

    def task(self, step: str, indices: "tuple[int, ...]") -> TaskName:
        """Name of a task of the run."""
        return TaskName.at(self.flow, self.run_id, step, indices)


class TaggedRun(RunRecord):
    """Record of a run with its current tags."""

    __slots__ = ()

    document: "TaggedRunDocument"

    @classmethod
    def of(cls, run: RunRecord, system_tags: "list[str]", user_tags: "list[str]") -> "TaggedRun":
        """Record of a run with these tags.

        Args:
            run: the run as it was prepared.
            system_tags: tags that state where it comes from.
            user_tags: tags that people gave it, after all changes.
        """
        document: "Any" = dict(run.document, system_tags=system_tags, user_tags=user_tags)
        return cls(document)

    @property
    def system_tags(self) -> "list[str]":
        """Tags that state where the run comes from."""
        return self.document["system_tags"]

    @property
    def user_tags(self) -> "list[str]":
        """Tags that people gave the run, sorted."""
        return self.document["user_tags"]

    def with_user_tags(self, tags: "list[str]") -> "TaggedRun":
        """The record with these user tags in place of its own."""
        return self.of(self, self.system_tags, tags)

"""The documents that are stored and the messages that are sent, as types.

Only type checkers and the tests import this file: everywhere else it is imported under ``TYPE_CHECKING``,
because Python 3.6 to 3.7 have no ``TypedDict``. docs/architecture.md describes the same keys; a test
compares the two.

A class whose name begins with an underscore holds the keys that every document of its kind has; the
class derived from it adds those that older documents, or most of them, lack.
"""

from typing import Any, Literal, TypedDict

# Parts of documents.


class ArtifactRef(TypedDict):
    """A reference to a stored value."""

    sha256: str
    """Digest of the serialized bytes, in lower-case hex; also their name in the datastore."""
    size: int
    """Number of bytes."""
    type: str
    """Full name of the value's type, such as ``builtins.dict``."""
    protocol: int
    """Pickle protocol of the bytes."""
    preview: str | None
    """A short ``repr`` of plain values, for lists of artifacts."""


class ExceptionRecord(TypedDict):
    """A failure as texts; never a pickled exception."""

    type: str
    full_type: str
    message: str
    traceback: str


class CardRecord(TypedDict):
    """A card that an attempt has stored."""

    id: str
    type: str


class ClonedFrom(TypedDict):
    """The attempt that a clone stands for; its logs and cards stay where it ran."""

    run_id: str
    attempt: int


class _Transition(TypedDict):
    next: list[str]
    """Names of the steps that come next."""
    foreach: str | None
    """Attribute that a foreach runs over; ``num_parallel`` for nodes."""
    num_splits: int | None
    split_names: list[str] | None
    """Readable name of every split."""
    condition: str | None
    """Attribute that a switch reads."""
    chosen: str | None
    """Step that a switch chose."""


class Transition(_Transition, total=False):
    """The meaning of ``self.next``; the keys below are there for a foreach alone."""

    splits: ArtifactRef
    """The list of all values."""
    block_length: int
    """Number of values in a block, where long lists are stored in blocks too."""
    blocks: list[ArtifactRef]


class EnvironmentRef(TypedDict):
    """A step's environment."""

    python: str
    id: str
    """Spec id: digest of everything that was asked for."""
    platform: str
    """conda platform, such as ``linux-64``."""


class CodeRef(TypedDict):
    """A run's code package."""

    sha256: str
    flow_file: str
    """Path of the flow file inside the package."""


class UserDecoratorRecord(TypedDict):
    """A decorator that the flow's author wrote, by where it is defined."""

    module: str
    """Empty for the flow file itself."""
    name: str
    arguments: list[Any] | None
    """Positional and named arguments; None where the decorator is used without parentheses."""


class NodeDocument(TypedDict):
    """One step of a stored graph; ``records.graph.StepNode`` describes the keys."""

    name: str
    kind: str
    out_steps: list[str]
    in_steps: list[str]
    foreach: str | None
    condition: str | None
    switch_cases: list[list[Any]]
    is_join: bool
    num_parallel: bool
    conditional: bool
    split_parents: list[str]
    matching_join: str | None
    line: int
    doc: str


class GraphDocument(TypedDict):
    """A stored graph; ``records.graph.FlowGraph`` describes the keys."""

    name: str
    line: int
    doc: str
    start: str
    end: str
    steps: list[NodeDocument]


# Stored documents.


class RunManifest(TypedDict):
    """A run, written once before any of its tasks; ``records.run_record`` reads it."""

    version: int
    flow: str
    run_id: str
    created: str
    """ISO 8601, UTC, with microseconds."""
    origin: Literal["local", "airflow"]
    """Who runs the tasks."""
    username: str
    tags: list[str]
    system_tags: list[str]
    graph: GraphDocument
    decorators: dict[str, dict[str, Any]]
    """Attributes by decorator's name, by step."""
    user_decorators: dict[str, list[UserDecoratorRecord]]
    """Decorators that users wrote, by step."""
    current: dict[str, Any]
    """Further values of ``current``: those of the DAG run and of the project."""
    code: CodeRef
    environment: Literal["conda", "local"]
    environments: dict[str, EnvironmentRef]
    """By step; steps without an environment of their own are absent."""
    pickle_protocols: dict[str, int]
    """By step: the newest protocol that it and all later steps can read."""
    first_attempt: int
    """Number of every task's first attempt; above 0 where Airflow made a run again under its old id."""
    parameters: dict[str, ArtifactRef]
    """Parameters and configs."""
    constants: dict[str, ArtifactRef]
    """Values that the class assigns."""
    namespace: str
    """Tag of the runs that the client shows in steps."""
    origin_run_id: str | None
    """Run that was resumed."""
    datatools_root: str | None
    """URL below which ``S3(run=...)`` works."""


class TaggedRunDocument(RunManifest):
    """A run manifest with the tags of now, as the client is given it; never stored."""

    user_tags: list[str]


class _TaskManifest(TypedDict):
    version: int
    flow: str
    run_id: str
    step: str
    task_id: str
    attempt: int
    status: Literal["running", "done", "failed", "lost"]
    """``running`` is shown on cards alone and never stored; ``lost`` marks an attempt 0 that left nothing."""
    started: str
    """ISO 8601, UTC, with microseconds."""
    finished: str | None
    split_name: str | None
    """Readable names of the splits around the task, outermost first, joined by `` / ``."""
    artifacts: dict[str, ArtifactRef]
    """The whole namespace of the task: its own artifacts and the inherited ones."""
    transition: Transition | None
    """None for the last step, and where the attempt failed."""
    exception: ExceptionRecord | None
    """Why the attempt failed; also of a failure that ``@catch`` caught."""
    environment: str | None
    """Spec id."""
    python: str | None
    cards: list[CardRecord]


class TaskManifest(_TaskManifest, total=False):
    """One attempt of a task; written last, so it is the commit. ``task_record`` makes and reads it."""

    cloned_from: ClonedFrom
    """Of a clone alone: the attempt that ran."""
    superseded_by: int
    """In attempt 0 alone: the later attempt that is done."""


class TagChange(TypedDict):
    """One change of a run's tags."""

    version: int
    add: list[str]
    remove: list[str]


# Messages from the runner to its step process.


class _Frame(TypedDict):
    index: int
    num_splits: int
    splits: ArtifactRef
    name: str


class Frame(_Frame, total=False):
    """One foreach around a task, with the split that the task is in."""

    position: int
    """Place of the split's value in ``splits``, where that is a block and not the whole list."""


class InputDescription(TypedDict):
    """One input of a join."""

    step: str
    task_id: str
    artifacts: dict[str, ArtifactRef]
    frames: list[Frame]
    """The foreach that the join ends."""


class NodeSummary(TypedDict):
    """The part of a ``NodeDocument`` that the step process checks ``self.next`` against."""

    kind: str
    out_steps: list[str]
    foreach: str | None
    condition: str | None
    num_parallel: bool
    line: int


class S3Access(TypedDict):
    """How the S3 client of a step process reaches its runner."""

    socket: str | None
    """Path of a Unix socket; None where none could be made."""
    root: str | None
    """URL below which ``S3(run=...)`` works."""
    scratch: str
    """Directory for files on their way."""


class _TaskMessage(TypedDict):
    type: Literal["task"]
    version: int
    """Version of the protocol; a step process refuses another than its own."""
    flow: str
    flow_file: str
    code_dir: str
    step: str
    node: NodeSummary
    namespace: dict[str, ArtifactRef]
    """Artifacts that the step begins with."""
    inputs: list[InputDescription] | None
    """Of a join alone."""
    foreach_stack: list[Frame]
    """Outermost first."""
    pickle_protocol: int
    scratch: str
    """Directory for artifacts, which the runner publishes."""
    timeout: float | None
    """Seconds."""
    cards: list[dict[str, Any]]
    """Attributes of every ``@card`` of the step."""
    catch_var: str | None
    is_caught: bool
    """Whether a failure of this attempt is caught by ``@catch``."""
    current: dict[str, Any]
    """Values of ``current``."""
    s3: S3Access


class TaskMessage(_TaskMessage, total=False):
    """First and once: everything that the step process needs."""

    user_decorators: list[UserDecoratorRecord]
    is_copy: bool
    """Whether ``code_dir`` is a code package, in which bytecode may be kept."""


class ArtifactMessage(TypedDict):
    """Answers ``fetch``: a verified file that stays as it is."""

    type: Literal["artifact"]
    path: str


class AnswerMessage(TypedDict):
    """Answers ``ask``, and requests of the S3 client."""

    type: Literal["answer"]
    value: Any


class ErrorMessage(TypedDict):
    """Answers ``fetch``, ``ask`` and requests of the S3 client that failed."""

    type: Literal["error"]
    message: str
    error: str
    """Name of one of our error classes."""


# Messages from a step process to its runner.


class FetchMessage(TypedDict):
    """Asks for an artifact's file; answered by ``artifact`` or ``error``."""

    type: Literal["fetch"]
    sha256: str
    size: int


class AskMessage(TypedDict):
    """Asks about past runs; answered by ``answer`` or ``error``."""

    type: Literal["ask"]
    call: str
    """Method of ``datastore.catalogue.RunCatalogue``."""
    arguments: list[Any]


class PublishMessage(TypedDict):
    """Says that an artifact's file is complete, and gives it to the runner; not answered."""

    type: Literal["publish"]
    path: str
    sha256: str
    size: int


class ClockMessage(TypedDict):
    """Says that the step ends by itself within so many seconds; not answered."""

    type: Literal["clock"]
    seconds: float | None
    """None: there is no limit from now on."""


class CardContent(TypedDict, total=False):
    """Content of one card."""

    id: str | None
    parts: list[dict[str, Any]]
    html: str | None
    """A page that the step rendered itself."""
    is_none: bool
    """Whether no card is to be stored."""


class CardsMessage(TypedDict):
    """Says what the step's cards hold; not answered."""

    type: Literal["cards"]
    cards: list[CardContent]
    is_last: bool


class DoneMessage(TypedDict):
    """Says that the step returned; every artifact named was published, or stored before."""

    type: Literal["done"]
    artifacts: dict[str, ArtifactRef]
    transition: Transition | None
    python: str


class _FailedMessage(TypedDict):
    type: Literal["failed"]
    exception: ExceptionRecord
    python: str


class FailedMessage(_FailedMessage, total=False):
    """Says that the step raised."""

    artifacts: dict[str, ArtifactRef]
    """Under ``@catch``: what the step leaves to those that follow."""


class S3Request(TypedDict):
    """A request of a step's S3 client, on a socket of its own; answered by ``answer`` or ``error``."""

    call: str
    """Method of ``datastore.s3_objects.S3Objects``."""
    arguments: list[Any]


class TaskRequestDocument(TypedDict):
    """Which attempt a container runs: the argument of ``runner run``."""

    version: int
    """Version of this document; a runner refuses another than its own."""
    flow: str
    run_id: str
    step: str
    indices: list[int]
    attempt: int
    is_last: bool


Answer = ArtifactMessage | AnswerMessage | ErrorMessage
Question = FetchMessage | AskMessage
LastMessage = DoneMessage | FailedMessage
StepMessage = Question | PublishMessage | ClockMessage | CardsMessage | LastMessage

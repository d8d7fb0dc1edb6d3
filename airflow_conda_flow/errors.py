"""Every error that this package raises on purpose.

    CondaFlowError
    ├── FlowDefinitionError (ValueError)   the flow file is wrong; knows file and line
    ├── ParameterError (ValueError)        a parameter's value is missing or wrong
    ├── SettingError (ValueError)          a setting or command-line option is wrong
    ├── EnvironmentFailure                 an environment cannot be made
    │   ├── SolveError                     no set of packages satisfies the spec
    │   ├── ChannelError (OSError)         a channel cannot be read
    │   ├── PackageError (OSError)         a package is missing or its sha256 is wrong
    │   └── ResolverNotFound (FileNotFoundError)
    ├── DatastoreError
    │   ├── NotInDatastore (LookupError)   no such key, artifact, run or task
    │   ├── CorruptData (ValueError)       stored bytes do not match their sha256
    │   │   └── DamagedDocument            a stored JSON document is not what was written
    │   └── DatastoreUnavailable (OSError) the storage cannot be reached or refuses us
    ├── ComputeUnavailable (OSError)       what runs tasks elsewhere cannot be reached or refuses us
    ├── ArtifactError
    │   ├── UnpicklableArtifact (TypeError)
    │   └── MissingArtifact (AttributeError)
    ├── ClientError
    │   ├── ObjectNotFound (LookupError)   no such flow, run, step, task or artifact
    │   ├── NamespaceMismatch (LookupError) there is one, but in another namespace
    │   ├── InvalidPathspec (ValueError)   not the name of such an object
    │   └── TaggingError (ValueError)      a tag is malformed, or may not be changed
    ├── LaunchError (RuntimeError)         a program could not start the command of a flow file
    ├── TransitionError (ValueError)       self.next() was called with what the graph does not allow
    ├── MergeError (ValueError)            merge_artifacts() is called with what makes no sense
    │   ├── MergeConflict                  inputs differ in a name
    │   └── MissingInMerge (LookupError)   no input has a name
    ├── S3Error                            the S3 client cannot do what it was asked
    │   ├── S3InvalidURL (ValueError)      not an address in S3, or not one below the client's root
    │   ├── S3InvalidObject (TypeError)    a value that cannot be stored as an object
    │   ├── S3InvalidRange (ValueError)    a range that the object does not have
    │   ├── S3NotFound (LookupError)       no such object
    │   ├── S3AccessDenied (PermissionError)
    │   ├── S3NoSpace (OSError)            no room for the temporary files
    │   └── S3Failed (OSError)             S3 cannot be reached, or refuses the request
    ├── UnknownName (ModuleNotFoundError)  an imported name is not here
    ├── SecretError (LookupError)          a secret of @secrets cannot be had
    ├── TimeoutException (TimeoutError)    a step ran for longer than its @timeout
    └── TaskFailed (RuntimeError)          a task ended without its outputs

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""


class CondaFlowError(Exception):
    """A failure with a message that a person can act on.

    Args:
        message: what is wrong and what to write instead; may span lines.
        file: the flow file that the message is about, if any.
        line: the line in that file, counted from 1.
    """

    headline = "Flow failed"
    """What errors of this kind are called; flows that have errors of their own may set it."""

    def __init__(self, message: str = "", file: "str | None" = None, line: "int | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line

    def __str__(self) -> str:
        if self.file is None:
            return self.message
        place = self.file if self.line is None else "%s:%d" % (self.file, self.line)
        return "%s: %s" % (place, self.message)


class FlowDefinitionError(CondaFlowError, ValueError):
    """The flow file is wrong: a decorator, a step, a parameter or the graph."""


class ParameterError(CondaFlowError, ValueError):
    """A parameter's value is missing, of another type, or not allowed."""


class SettingError(CondaFlowError, ValueError):
    """A setting, environment variable or command-line option is wrong."""


class EnvironmentFailure(CondaFlowError):
    """A step's conda environment cannot be made."""


class SolveError(EnvironmentFailure):
    """No set of packages of the channels satisfies the spec."""


class ChannelError(EnvironmentFailure, OSError):
    """A conda channel cannot be read."""


class PackageError(EnvironmentFailure, OSError):
    """A conda package is missing, or its bytes do not match its sha256."""


class ResolverNotFound(EnvironmentFailure, FileNotFoundError):
    """The dependency resolver that a setting names is not installed."""


class DatastoreError(CondaFlowError):
    """The datastore cannot give or take what was asked."""


class NotInDatastore(DatastoreError, LookupError):
    """The datastore holds nothing of that name."""


class CorruptData(DatastoreError, ValueError):
    """Stored bytes do not match the sha256 that they are stored under.

    Args:
        fault: a sentence that says which bytes, where they are, and what is wrong with them.
        advice: a sentence that says what to do.

    Attributes:
        fault: the first sentence.
    """

    def __init__(self, fault: str = "", advice: str = "") -> None:
        super().__init__("%s %s" % (fault, advice) if advice else fault)
        self.fault = fault


class DamagedDocument(CorruptData):
    """A stored JSON document is not the one that was written: a manifest, a lock, a change of tags."""


class DatastoreUnavailable(DatastoreError, OSError):
    """The storage behind the datastore cannot be reached, or refuses the request."""


class ComputeUnavailable(CondaFlowError, OSError):
    """The service that runs tasks elsewhere cannot be reached, or refuses the request."""


class ArtifactError(CondaFlowError):
    """An artifact cannot be passed between steps."""


class UnpicklableArtifact(ArtifactError, TypeError):
    """A value assigned to ``self`` cannot be pickled."""


class MissingArtifact(ArtifactError, AttributeError):
    """A step reads an artifact that no earlier step assigned."""


class ClientError(CondaFlowError):
    """A past run cannot be read as asked."""


class ObjectNotFound(ClientError, LookupError):
    """There is no such flow, run, step, task or artifact."""


class NamespaceMismatch(ClientError, LookupError):
    """The object exists, but not in the namespace that is selected."""


class InvalidPathspec(ClientError, ValueError):
    """A text does not name an object of that kind."""


class TaggingError(ClientError, ValueError):
    """A tag is malformed, or may not be changed."""


class LaunchError(CondaFlowError, RuntimeError):
    """The command of a flow file that a program started came to no run."""


class TransitionError(CondaFlowError, ValueError):
    """``self.next()`` was called with what the graph does not allow."""


class MergeError(CondaFlowError, ValueError):
    """``merge_artifacts()`` cannot do what it was asked."""


class MergeConflict(MergeError):
    """``merge_artifacts()`` found inputs that differ in a name."""


class MissingInMerge(MergeError, LookupError):
    """``merge_artifacts(include=...)`` names what no input has."""


class S3Error(CondaFlowError):
    """The S3 client cannot do what it was asked."""


class S3InvalidURL(S3Error, ValueError):
    """A text is no address in S3, or none below the root of the client."""


class S3InvalidObject(S3Error, TypeError):
    """A value is neither text nor bytes nor a binary file, so it cannot be stored as an object."""


class S3InvalidRange(S3Error, ValueError):
    """The object has no bytes in the range that was asked for."""


class S3NotFound(S3Error, LookupError):
    """There is no such object, or no such file to store."""


class S3AccessDenied(S3Error, PermissionError):
    """The credentials do not allow the request."""


class S3NoSpace(S3Error, OSError):
    """The disk has no room for the temporary files."""


class S3Failed(S3Error, OSError):
    """S3 cannot be reached, or refuses the request for another reason."""


class UnknownName(CondaFlowError, ModuleNotFoundError):
    """A flow file imports a name that this package does not have."""


class SecretError(CondaFlowError, LookupError):
    """A secret that a step asks for cannot be had, or its name is taken."""


class TimeoutException(CondaFlowError, TimeoutError):
    """A step ran for longer than its ``@timeout`` allows."""


class TaskFailed(CondaFlowError, RuntimeError):
    """A task ended without publishing its outputs."""


class TaskLost(TaskFailed):
    """The machine, pod or job that ran an attempt was taken away; the step itself did nothing wrong."""

"""Error classes of this package: every error that it raises on purpose.

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
    │   │   ├── DamagedDocument            a stored JSON document differs from what was written
    │   │   └── NotAsPrepared              something stored is not what the run was prepared with
    │   └── DatastoreUnavailable (OSError) the storage cannot be reached or refuses the request
    ├── ComputeUnavailable (OSError)       the service that runs tasks cannot be reached or refuses
    │   └── ComputeForbidden               a right is missing there
    ├── ArtifactError
    │   ├── UnpicklableArtifact (TypeError)
    │   └── MissingArtifact (AttributeError)
    ├── ClientError
    │   ├── ObjectNotFound (LookupError)   no such flow, run, step, task or artifact
    │   ├── NamespaceMismatch (LookupError) the object exists in another namespace
    │   ├── InvalidPathspec (ValueError)   not a valid name of such an object
    │   └── TaggingError (ValueError)      a tag is malformed or may not be changed
    ├── LaunchError (RuntimeError)         a program could not start a run, on this machine or in Airflow
    │   └── LaunchTimeout (TimeoutError)   what a program waits for has not come in time
    ├── TransitionError (ValueError)       self.next() was called with targets that the graph does not allow
    ├── MergeError (ValueError)            merge_artifacts() was called with invalid arguments
    │   ├── MergeConflict                  inputs have different values of an artifact
    │   └── MissingInMerge (LookupError)   no input has the artifact
    ├── S3Error                            base of the errors of the S3 client
    │   ├── S3InvalidURL (ValueError)      not an S3 address, or not below the client's root
    │   ├── S3InvalidObject (TypeError)    a value that cannot be stored as an object
    │   ├── S3InvalidRange (ValueError)    a range that the object does not have
    │   ├── S3NotFound (LookupError)       no such object
    │   ├── S3AccessDenied (PermissionError)
    │   ├── S3NoSpace (OSError)            no room for the temporary files
    │   └── S3Failed (OSError)             S3 cannot be reached, or refuses the request
    ├── UnknownName (ModuleNotFoundError)  an imported name does not exist in this package
    ├── MissingRequirement (ImportError)   a library is missing, or its version does not work
    ├── SecretError (LookupError)          a secret of @secrets cannot be read
    ├── TimeoutException (TimeoutError)    a step ran for longer than its @timeout
    └── TaskFailed (RuntimeError)          a task ended without publishing its outputs

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""


class CondaFlowError(Exception):
    """Base of all errors of this package; the message says what to do about the failure.

    Args:
        message: what is wrong and what to write instead; may have several lines.
        file: the flow file that the message is about, if any.
        line: the line in that file, counted from 1.
    """

    headline = "Flow failed"
    """Title of this kind of error, as in Metaflow; error classes that a flow defines may set their own."""

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
    """The datastore cannot read or write something."""


class NotInDatastore(DatastoreError, LookupError):
    """The datastore has no key, artifact, run or task of that name."""


class CorruptData(DatastoreError, ValueError):
    """Stored bytes do not match the sha256 under which they are stored.

    Args:
        fault: a sentence that states which bytes are wrong, where they are stored, and what is wrong.
        advice: a sentence that states what to do.

    Attributes:
        fault: the sentence about the bytes, without the advice.
    """

    def __init__(self, fault: str = "", advice: str = "") -> None:
        super().__init__("%s %s" % (fault, advice) if advice else fault)
        self.fault = fault


class DamagedDocument(CorruptData):
    """A stored JSON document (manifest, lock or tag change) differs from the one that was written."""


class NotAsPrepared(CorruptData):
    """Something that decides what a run executes is not what the run was prepared with, or has written.

    It is never tried again and never caught by ``@catch``: somebody has to look who wrote it.
    """


class DatastoreUnavailable(DatastoreError, OSError):
    """The storage behind the datastore cannot be reached, or refuses the request."""


class ComputeUnavailable(CondaFlowError, OSError):
    """The service that runs tasks elsewhere cannot be reached, or refuses the request."""


class ComputeForbidden(ComputeUnavailable):
    """A right is missing at the service that runs tasks elsewhere; retries do not help."""


class ArtifactError(CondaFlowError):
    """An artifact cannot be passed between steps."""


class UnpicklableArtifact(ArtifactError, TypeError):
    """A value assigned to ``self`` cannot be pickled."""


class MissingArtifact(ArtifactError, AttributeError):
    """A step reads an artifact that no earlier step assigned."""


class ClientError(CondaFlowError):
    """The client cannot read or change a past run."""


class ObjectNotFound(ClientError, LookupError):
    """No flow, run, step, task or artifact has that name."""


class NamespaceMismatch(ClientError, LookupError):
    """The object exists, but not in the selected namespace."""


class InvalidPathspec(ClientError, ValueError):
    """The text is not a valid pathspec of an object of that kind."""


class TaggingError(ClientError, ValueError):
    """A tag is malformed or may not be changed."""


class LaunchError(CondaFlowError, RuntimeError):
    """A program could not start a run: the flow file's command failed, or Airflow refuses it."""


class LaunchTimeout(LaunchError, TimeoutError):
    """A run that a program started in Airflow has not begun, or not ended, within the given seconds."""


class TransitionError(CondaFlowError, ValueError):
    """``self.next()`` was called with targets that the graph does not allow."""


class MergeError(CondaFlowError, ValueError):
    """``merge_artifacts()`` cannot merge the inputs with these arguments."""


class MergeConflict(MergeError):
    """The inputs of ``merge_artifacts()`` have different values of an artifact."""


class MissingInMerge(MergeError, LookupError):
    """``merge_artifacts(include=...)`` names an artifact that no input has."""


class S3Error(CondaFlowError):
    """Base of the errors of the S3 client."""


class S3InvalidURL(S3Error, ValueError):
    """The text is not an S3 address, or not one below the client's root."""


class S3InvalidObject(S3Error, TypeError):
    """The value cannot be stored as an object: it is not text, bytes or a binary file."""


class S3InvalidRange(S3Error, ValueError):
    """The object has no bytes in the requested range."""


class S3NotFound(S3Error, LookupError):
    """The object, or the file to be stored, does not exist."""


class S3AccessDenied(S3Error, PermissionError):
    """The credentials do not allow the request."""


class S3NoSpace(S3Error, OSError):
    """The disk has no room for the temporary files."""


class S3Failed(S3Error, OSError):
    """S3 cannot be reached, or refuses the request for another reason."""


class UnknownName(CondaFlowError, ModuleNotFoundError):
    """A flow file imports a name that this package does not have.

    It is a ``ModuleNotFoundError``, because that is what Python raises for a module that does not exist.
    """


class MissingRequirement(CondaFlowError, ImportError):
    """A library that only a part of this package needs is missing, or has a version that does not work."""


class SecretError(CondaFlowError, LookupError):
    """A secret that a step asks for cannot be read, or its variable name is already taken."""


class TimeoutException(CondaFlowError, TimeoutError):
    """A step ran for longer than its ``@timeout`` allows."""


class TaskFailed(CondaFlowError, RuntimeError):
    """A task ended without publishing its outputs."""


class TaskLost(TaskFailed):
    """The machine, pod or job that ran an attempt was taken away; the step itself did nothing wrong."""

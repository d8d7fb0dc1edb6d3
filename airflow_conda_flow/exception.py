"""Aliases of the errors in ``errors`` under the names of ``metaflow.exception``.

With them ``except MetaflowNotFound`` keeps working in flows written for Metaflow. Standard library only,
Python 3.6 and later: it is shipped into step environments.
"""

from airflow_conda_flow.errors import (
    CondaFlowError,
    FlowDefinitionError,
    InvalidPathspec,
    MergeConflict,
    MissingInMerge,
    NamespaceMismatch,
    ObjectNotFound,
    ParameterError,
    S3AccessDenied,
    S3Failed,
    S3InvalidObject,
    S3InvalidRange,
    S3InvalidURL,
    S3NoSpace,
    S3NotFound,
    SettingError,
    TaggingError,
)
from airflow_conda_flow.flow.caught_exception import CaughtException

MetaflowException = CondaFlowError
MetaflowNotFound = ObjectNotFound
MetaflowNamespaceMismatch = NamespaceMismatch
MetaflowInvalidPathspec = InvalidPathspec
MetaflowTaggingError = TaggingError
MetaflowDataMissing = ObjectNotFound
MetaflowUnknownUser = SettingError
CommandException = SettingError
InvalidDecoratorAttribute = FlowDefinitionError
ParameterFieldFailed = ParameterError
ParameterFieldTypeMismatch = ParameterError
UnhandledInMergeArtifactsException = MergeConflict
MissingInMergeArtifactsException = MissingInMerge
MetaflowExceptionWrapper = CaughtException
MetaflowS3AccessDenied = S3AccessDenied
MetaflowS3Exception = S3Failed
MetaflowS3InsufficientDiskSpace = S3NoSpace
MetaflowS3InvalidObject = S3InvalidObject
MetaflowS3InvalidRange = S3InvalidRange
MetaflowS3NotFound = S3NotFound
MetaflowS3URLException = S3InvalidURL


class MetaflowInternalError(CondaFlowError):
    """Internal error; this package never raises it, but flows may."""


class ExternalCommandFailed(CondaFlowError):
    """A program that a step started failed; this package never raises it, but flows may."""


__all__ = [
    "CommandException",
    "ExternalCommandFailed",
    "InvalidDecoratorAttribute",
    "MetaflowDataMissing",
    "MetaflowException",
    "MetaflowExceptionWrapper",
    "MetaflowInternalError",
    "MetaflowInvalidPathspec",
    "MetaflowNamespaceMismatch",
    "MetaflowNotFound",
    "MetaflowS3AccessDenied",
    "MetaflowS3Exception",
    "MetaflowS3InsufficientDiskSpace",
    "MetaflowS3InvalidObject",
    "MetaflowS3InvalidRange",
    "MetaflowS3NotFound",
    "MetaflowS3URLException",
    "MetaflowTaggingError",
    "MetaflowUnknownUser",
    "MissingInMergeArtifactsException",
    "ParameterFieldFailed",
    "ParameterFieldTypeMismatch",
    "UnhandledInMergeArtifactsException",
]


TYPE_CHECKING = False
if not TYPE_CHECKING:  # otherwise a type checker would accept any name

    def __getattr__(name: str) -> object:
        from airflow_conda_flow.flow.unknown_names import missing_attribute  # noqa: PLC0415 - only for an unknown name

        raise missing_attribute(__name__, name, __all__)

"""The errors of ``errors`` under the names that Metaflow's have in ``metaflow.exception``.

So that ``except MetaflowNotFound`` goes on catching what it caught. Standard library only, Python 3.6
and later: it is shipped into step environments.
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


class MetaflowInternalError(CondaFlowError):
    """Something that must not happen; for flows that raise it."""


class ExternalCommandFailed(CondaFlowError):
    """A program that a step started failed; for flows that raise it."""


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
    "MetaflowTaggingError",
    "MetaflowUnknownUser",
    "MissingInMergeArtifactsException",
    "ParameterFieldFailed",
    "ParameterFieldTypeMismatch",
    "UnhandledInMergeArtifactsException",
]

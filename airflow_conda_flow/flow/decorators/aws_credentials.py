"""``@aws_credentials``: gives a step's process the credentials that its runner reaches the datastore with."""

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method


class AwsCredentialsDecorator(StepDecorator):
    """Give a step the environment variables with which boto3 finds the runner's credentials.

    Where the datastore is in S3, a step does not get them otherwise: with them its code may write whatever
    its runner may. ``S3(run=self)`` and the client need none. A step that reads other buckets with boto3,
    s3fs or pandas asks for them here, or brings its own by ``@secrets``.
    """

    name = "aws_credentials"
    defaults: "dict[str, Any]" = {}


if TYPE_CHECKING:

    def aws_credentials(__method: "Method | None" = None) -> "Method":
        """Give a step the runner's credentials for AWS; see ``AwsCredentialsDecorator``."""

else:
    aws_credentials = decorator_function(AwsCredentialsDecorator)

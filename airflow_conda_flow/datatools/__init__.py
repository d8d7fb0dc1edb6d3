"""Access to data outside of artifacts: ``S3``, a client for objects.

Uses only the standard library and runs on Python 3.6 and later, because it is shipped into step
environments. A step process has neither boto3 nor credentials; its runner has both.
"""

from airflow_conda_flow.datatools.s3 import S3

__all__ = ["S3"]

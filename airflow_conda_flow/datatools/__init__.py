"""Data outside of artifacts: ``S3``, a client for objects.

Standard library only, Python 3.6 and later: it is shipped into step environments. A step's process has
neither boto3 nor credentials; its runner has.
"""

from airflow_conda_flow.datatools.s3 import S3

__all__ = ["S3"]

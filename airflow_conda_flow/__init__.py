"""Write a flow once; run every step in its own conda environment, locally or as an Airflow DAG.

Standard library only, Python 3.6 and later: this file is shipped into step environments.
"""

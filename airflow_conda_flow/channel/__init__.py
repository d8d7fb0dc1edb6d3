"""Builds a conda channel from PyPI's wheels and the interpreters at hand, where no channel can be reached.

Runs in the ``airflow-conda-flow channel`` command; nothing at run time depends on it.
"""

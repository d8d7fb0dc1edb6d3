"""Builds a conda channel from PyPI's wheels and the interpreters at hand.

For places that reach no channel.

It runs in the ``airflow-conda-flow channel`` command; nothing at run time depends on it.
"""

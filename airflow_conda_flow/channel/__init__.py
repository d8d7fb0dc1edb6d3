"""Builder of conda channels, from PyPI's wheels and the interpreters of this machine.

It is meant for places where no public channel can be reached. It runs in the command
``airflow-conda-flow channel``, on Linux only; nothing depends on it when flows run.
"""

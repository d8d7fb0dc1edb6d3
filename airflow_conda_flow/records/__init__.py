"""Records: everything that is stored about runs or sent between processes, each fact in one place.

``shapes`` defines the documents and messages as types, ``names`` the names of tasks and attempts, ``graph``
the step graph, ``lineage`` which task leads to which. ``run_record`` and ``task_record`` read the two
manifests, and only ``task_record`` makes a task manifest. Step processes use this package too, so it must run
on Python 3.6 with the standard library alone.
"""

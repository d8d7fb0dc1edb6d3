"""A whole kind of place in one folder and one row: processes that know the datastore and nothing else.

It shows what a new compute costs, and replaces a cluster where a test needs none: the course of a remote
step is the same for pods and jobs. A test copies this folder beside a flow file, which imports ``toy``.
"""

from airflow_conda_flow.flow.places import Place, add_place

from .decorator import toy as toy

add_place(
    Place(
        "toy",
        compute="toy_place.process:ToyCompute",
        operator="toy_place.operators:ToyStepOperator",
        gang_operator="toy_place.operators:ToyGangOperator",
        decorator="toy_place.decorator:ToyDecorator",
        options="toy_place.options:TOY_OPTIONS",
        unfinished="toy_place.process:unfinished",
        things="toys",
    )
)

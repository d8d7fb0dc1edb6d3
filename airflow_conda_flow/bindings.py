"""Late bindings and the table of places: the only file in which lower packages learn of higher ones.

Everything is given by name, as ``module:attribute``, and imported when it is used. Standard library only,
Python 3.6 and later: it is shipped into step environments.
"""

from airflow_conda_flow.flow.late_bindings import bind
from airflow_conda_flow.flow.places import LOCAL, Place, add_place

bind(
    {
        "airflow_datastore": "airflow_conda_flow.airflow.configuration:airflow_datastore",
        "card_page": "airflow_conda_flow.runner.card_page:card_page",
        "compile_dag": "airflow_conda_flow.airflow.dag.compiler:compile_dag",
        "past_run": "airflow_conda_flow.client.running:run",
        "past_task": "airflow_conda_flow.client.running:task",
        "run_as_program": "airflow_conda_flow.cli.main:run_as_program",
        "scratch_dag": "airflow_conda_flow.airflow.dag.scratch:scratch_dag",
        "running_task": "airflow_conda_flow.client.running_task:running_task",
    }
)
add_place(
    Place(
        LOCAL,
        compute="airflow_conda_flow.compute.local.process:LocalProcess",
        operator="airflow_conda_flow.airflow.operators.step:StepOperator",
        gang_operator="airflow_conda_flow.airflow.operators.gang:GangOperator",
    )
)
add_place(
    Place(
        "kubernetes",
        compute="airflow_conda_flow.compute.kubernetes.pods:Kubernetes",
        operator="airflow_conda_flow.airflow.operators.kubernetes:KubernetesStepOperator",
        gang_operator="airflow_conda_flow.airflow.operators.kubernetes_gang:KubernetesGangOperator",
        decorator="airflow_conda_flow.flow.decorators.kubernetes:KubernetesDecorator",
        options="airflow_conda_flow.settings.kubernetes:KUBERNETES_OPTIONS",
        unfinished="airflow_conda_flow.compute.kubernetes.unfinished:unfinished_pods",
        things="pods",
        needs=("kubernetes",),
    )
)
add_place(
    Place(
        "batch",
        compute="airflow_conda_flow.compute.batch.jobs:Batch",
        operator="airflow_conda_flow.airflow.operators.batch:BatchStepOperator",
        gang_operator="airflow_conda_flow.airflow.operators.batch_gang:BatchGangOperator",
        decorator="airflow_conda_flow.flow.decorators.batch:BatchDecorator",
        options="airflow_conda_flow.settings.batch:BATCH_OPTIONS",
        prepare="airflow_conda_flow.airflow.operators.batch_prepare:prepare_batch",
        runner="airflow_conda_flow.compute.batch.command:archived_runner",
        unfinished="airflow_conda_flow.compute.batch.unfinished:unfinished_jobs",
        things="jobs",
    )
)

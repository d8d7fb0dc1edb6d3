"""@environment and @secrets: variables of the step's process, and values that are nowhere else."""

from __future__ import annotations

import contextlib
import json

import pytest

HEAD = "from airflow_conda_flow import environment, kubernetes, secrets\n"
FLOW = """
import os
class AFlow(FlowSpec):
    {decorators}
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        print("later", os.environ.get("MODE"))
"""


def flow_text(decorators: str, body: str) -> str:
    return HEAD + FLOW.format(decorators=decorators, body=body)


def test_variables_are_those_of_the_step_alone(machine):
    """A number becomes text, a value arrives byte for byte, and the next step has none of them."""
    value = 'it\'s "$HOME" `id`\n😀'
    flow = machine.flow(
        flow_text(
            f"@environment(vars={{'MODE': 1, 'WORD': {value!r}, 'FLAG': True}})",
            "print(ascii([os.environ['MODE'], os.environ['WORD'], os.environ['FLAG']]))",
        )
    )
    done = machine.run(flow, "run")
    assert f"] {ascii(['1', value, 'True'])}" in done.stdout
    assert "] later None" in done.stdout


@pytest.mark.parametrize(
    ("value", "environ", "said", "warns"),
    [
        ("os.getenv('NOT_SET')", {}, "GOT None 1", True),
        ("os.environ.get('NOT_SET')", {}, "GOT None 1", True),
        ("None", {}, "GOT None 1", True),
        ("os.getenv('NOT_SET')", {"NOT_SET": "x"}, "GOT x 1", False),
        ("os.getenv('NOT_SET', '')", {}, "GOT  1", False),
        ("None", {"TOKEN": "own"}, "GOT own 1", False),
    ],
)
def test_a_variable_that_this_machine_does_not_have(machine, value, environ, said, warns):
    """It stays unset, and the step's log says so."""
    decorators = f"@environment(vars={{'TOKEN': {value}, 'MODE': 1}})"
    flow = machine.flow(flow_text(decorators, "print('GOT', os.environ.get('TOKEN'), os.environ['MODE'])"))
    done = machine.run(flow, "run", **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"] {said}\n" in done.stdout
    warning = "] @environment: TOKEN is None, and not set where the step runs. It stays unset.\n"
    assert (warning in done.stdout) == warns


@pytest.fixture
def aws(moto_s3):
    """AWS Secrets Manager with secrets: the environment variables with which a flow finds it."""
    environ = {**moto_s3.environment, "AWS_DEFAULT_REGION": "us-east-1"}
    client = client_of("secretsmanager", environ)
    secrets = {
        "prod/db": json.dumps({"db-user": "alice", "db-password": 'hunter-2 "quoted"'}),
        "token": "s3cr3t-token",
    }
    for name, text in secrets.items():
        try:
            client.create_secret(Name=name, SecretString=text)
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=text)
    return environ


def client_of(service: str, environ: dict[str, str], **credentials: str):
    import boto3

    credentials = credentials or {
        "aws_access_key_id": environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
    }
    endpoint = environ["AWS_ENDPOINT_URL"]
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **credentials)


@pytest.mark.parametrize(
    ("decorators", "expected"),
    [
        ('@secrets(sources=["theirs"], role="ROLE")', "the role's own"),
        ('@secrets(sources=[{"id": "theirs", "role": "ROLE"}])', "the role's own"),
        ('@secrets(sources=["theirs"])', None),
    ],
)
def test_a_role_reads_what_its_account_has(machine, aws, decorators, expected):
    """The role is another account's; who has it reads a secret there that nobody else sees."""
    role = "arn:aws:iam::210987654321:role/reader"
    assumed = client_of("sts", aws).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    theirs = client_of(
        "secretsmanager",
        aws,
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )
    with contextlib.suppress(theirs.exceptions.ResourceExistsException):
        theirs.create_secret(Name="theirs", SecretString=json.dumps({"WORD": "the role's own"}))
    body = "print('WORD', os.environ['WORD'].split())"
    done = machine.run(machine.flow(flow_text(decorators.replace("ROLE", role), body)), "run", **aws)
    if expected is None:
        assert "theirs cannot be read from AWS" in done.stdout
    else:
        assert f"WORD {expected.split()}" in done.stdout


def test_secrets_of_aws_are_variables_and_never_printed_or_stored(machine, aws):
    """The step has the values; its lines, its log, its failure and the run's manifests do not."""
    flow = machine.flow(
        flow_text(
            '@secrets(sources=["prod/db", {"id": "token", "options": {"json": False, "env_var_name": "TOKEN"}}])',
            "print(len(os.environ['db_password']), os.environ['db_password'], os.environ['TOKEN']); "
            "raise ValueError('bad ' + os.environ['TOKEN'])",
        )
    )
    done = machine.run(flow, "run", **aws)
    assert done.returncode == 1
    assert "] 17 *** ***\n" in done.stdout
    assert "ValueError: bad ***" in done.stdout
    stored = b"".join(path.read_bytes() for path in machine.datastore.rglob("*") if path.is_file())
    for value in ("hunter-2", "s3cr3t-token"):
        assert value not in done.stdout + done.stderr
        assert value.encode() not in stored
    assert b"prod/db" in stored


def test_secrets_are_masked_on_cards(machine, aws):
    """A page is stored beside the task, so what a step shows of its secrets is *** there too."""
    flow = machine.flow(
        "from airflow_conda_flow import card\nfrom airflow_conda_flow.cards import Markdown\n"
        + flow_text(
            '@card\n    @secrets(sources=["prod/db"])',
            "current.card.append(Markdown('<' + os.environ['db_password'] + '>'))",
        )
    )
    done = machine.run(flow, "run", **aws)
    assert done.returncode == 0, done.stdout
    (page,) = machine.datastore.rglob("*.html")
    assert "&lt;***&gt;" in page.read_text()
    assert "hunter-2" not in page.read_text()


@pytest.mark.parametrize(
    ("decorators", "message"),
    [
        ('@secrets(sources=["nothing-there"])', "nothing-there cannot be read from AWS"),
        (
            '@secrets(sources=["token"])',
            "@secrets: token is not a JSON object. To have it as one variable, write",
        ),
        (
            '@environment(vars={"db_user": "me"})\n    @secrets(sources=["prod/db"])',
            "db_user of prod/db is an environment variable already",
        ),
        ('@secrets(sources=["prod/db", "prod/db"])', "two sources give the variable db_user"),
        ('@secrets(sources=["airflow.variable:key"])', "set the environment variable AIRFLOW_VAR_KEY"),
    ],
)
def test_a_secret_that_cannot_be_had_fails_the_step(machine, aws, decorators, message):
    """The step's code does not start, and the message says why."""
    done = machine.run(machine.flow(flow_text(decorators, "print('STARTED')")), "run", **aws)
    assert done.returncode == 1
    assert message in done.stdout
    assert "STARTED" not in done.stdout


def test_connections_and_variables_of_airflow(airflow_machine):
    """A DAG run reads them from Airflow's database; the task log shows neither."""
    airflow_machine.airflow(
        "connections", "add", "my_db", "--conn-uri", "postgres://bob:pa55word@db.example/x"
    )
    airflow_machine.airflow("variables", "set", "api_key", "key-of-the-api")
    airflow_machine.flow(
        flow_text(
            '@secrets(sources=["airflow.connection:my_db", "airflow.variable:api_key"])',
            "print('SEEN', os.environ['AIRFLOW_CONN_MY_DB'] == 'postgres://bob:pa55word@db.example/x', os.environ['api_key'][::-1], os.environ['api_key'])",
        )
        + 'dag = AFlow.dag(schedule=None, environment="local")\n',
        folder=airflow_machine.dags,
    )
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert f"SEEN True {'key-of-the-api'[::-1]} ***" in done.stdout
    assert "pa55word" not in done.stdout
    assert "key-of-the-api" not in done.stdout


MISTAKES = [
    ('@environment(vars={"A-B": "x"})', "'A-B' is not a name of an environment variable"),
    ('@environment(vars={"A": [1]})', 'A is [1]; write a text, such as "1".'),
    ("@environment(vars=['A'])", "vars is ['A']; write a dict"),
    ("@secrets", "sources is []; write a list"),
    (
        "@secrets(sources=[{'type': 'vault', 'id': 'x'}])",
        "there is no type 'vault'. There is: aws-secrets-manager",
    ),
    ("@secrets(sources=['airflow.conn:x'])", "write airflow.connection:ID or airflow.variable:KEY"),
    ("@secrets(sources=[{'id': 'x', 'options': {'jsn': False}}])", "Did you mean 'json'?"),
    ("@secrets(sources=[{'type': 'aws-secrets-manager'}])", "has no id, the secret's name"),
    (
        "@secrets(sources=[{'type': 'inline', 'id': '1', 'options': {'env_vars': {'A': 1}}}])",
        "env_vars is {'A': 1}; write a dict of names and texts",
    ),
    (
        "@kubernetes\n    @secrets(sources=['airflow.variable:x'])",
        "known only to Airflow's workers, and @kubernetes",
    ),
]


@pytest.mark.parametrize(("decorators", "message"), MISTAKES)
def test_mistakes_are_found_before_anything_runs(machine, decorators, message):
    """One message with file and line, exit code 1."""
    flow = machine.flow(flow_text(decorators, "pass"))
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{flow}:{6 if '@kubernetes' not in decorators else 7}: ")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("sources", "backend"),
    [
        ('["gcp-secret-manager.projects/1/secrets/a"]', "CloudSecretManagerBackend"),
        ('[{"type": "az-key-vault", "id": "a"}]', "AzureKeyVaultBackend"),
    ],
)
def test_secrets_of_other_clouds(machine, sources, backend):
    """The message says what to write and which backend Airflow needs; it is not taken as a name in AWS."""
    flow = machine.flow(f"""
        from airflow_conda_flow import secrets
        class AFlow(FlowSpec):
            @secrets(sources={sources})
            @step(start=True, end=True)
            def only(self):
                pass
    """)
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert "is read through Airflow: write airflow.variable:KEY or airflow.connection:ID" in done.stderr
    assert backend in done.stderr
    assert done.stderr.count("\n") == 1

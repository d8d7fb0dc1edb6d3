"""Where a setting comes from: the caller, our variables, Metaflow's, Metaflow's file, Airflow, the default."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow.environments.virtual_packages import declared_virtual_packages
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import load_settings, metaflow_setting, options, unknown_variables

S3 = "METAFLOW_DATASTORE_SYSROOT_S3"
CHOSEN = {"METAFLOW_DEFAULT_DATASTORE": "s3", S3: "s3://from-metaflow/root/"}


def test_the_first_place_counts(tmp_path):
    """Each place in turn, the later ones still there."""
    (tmp_path / "config.json").write_text(json.dumps({"METAFLOW_CONDA_CHANNELS": "of-the-file"}))
    home = {"METAFLOW_HOME": str(tmp_path)}
    aliased = {**home, "METAFLOW_CONDA_CHANNELS": "of-metaflow"}
    ours = {**aliased, "CONDA_FLOW_CHANNELS": "ours, too"}
    fallbacks = {"channels": "of-airflow"}
    assert load_settings({"channels": "given"}, fallbacks, ours).channels == ("given",)
    assert load_settings({}, fallbacks, ours).channels == ("ours", "too")
    assert load_settings({}, fallbacks, aliased).channels == ("of-metaflow",)
    assert load_settings({}, fallbacks, home).channels == ("of-the-file",)
    none = {"METAFLOW_HOME": str(tmp_path / "none")}
    assert load_settings({}, fallbacks, none).channels == ("of-airflow",)
    assert load_settings({}, {}, none).channels == ("conda-forge",)


def test_metaflows_datastore(tmp_path):
    """Its kind and its root, in variables or in the file of a profile."""
    assert load_settings({}, {}, CHOSEN).datastore_root == "s3://from-metaflow/root"
    local = {**CHOSEN, "METAFLOW_DEFAULT_DATASTORE": "local", "METAFLOW_DATASTORE_SYSROOT_LOCAL": "/here"}
    assert load_settings({}, {}, local).datastore_root == "/here"
    (tmp_path / "config_team.json").write_text(json.dumps(CHOSEN))
    found = load_settings({}, {}, {"METAFLOW_HOME": str(tmp_path), "METAFLOW_PROFILE": "team"})
    assert (found.datastore, found.datastore_root) == ("s3", "s3://from-metaflow/root")


def test_metaflows_image_for_all_computes():
    """It stands for both, and the variable of one of them wins there."""
    environ = {"METAFLOW_DEFAULT_CONTAINER_IMAGE": "all:1", "METAFLOW_BATCH_CONTAINER_IMAGE": "batch:1"}
    texts = load_settings({}, {}, environ).texts
    assert [texts[name].text for name in ("kubernetes_image", "batch_image")] == ["all:1", "batch:1"]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({**CHOSEN, S3: "/x"}, f"The environment variable {S3} is '/x'; an S3 datastore takes s3://bucket"),
        (
            {"METAFLOW_DEFAULT_DATASTORE": "azure"},
            "METAFLOW_DEFAULT_DATASTORE is 'azure'; it takes one of: local",
        ),
        ({"METAFLOW_HOME": "HERE"}, "config.json is not valid JSON: "),
        (
            {"METAFLOW_HOME": "HERE", "METAFLOW_PROFILE": "l"},
            "config_l.json holds list; it takes a JSON object.",
        ),
        (
            {"METAFLOW_HOME": "HERE", "METAFLOW_PROFILE": "b"},
            "config_b.json is not valid JSON: 'utf-8' codec",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, environ, message):
    """The place, what stands there, and what it takes."""
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "config_l.json").write_text("[]")
    (tmp_path / "config_b.json").write_bytes(b"\xff\xfe{}")
    given = {name: value.replace("HERE", str(tmp_path)) for name, value in environ.items()}
    with pytest.raises(SettingError) as raised:
        load_settings({}, {}, given)
    assert message in str(raised.value)


def test_a_setting_of_metaflows_that_is_no_text(tmp_path):
    """Its file may hold any JSON."""
    (tmp_path / "config.json").write_text('{"METAFLOW_S3_ENDPOINT_URL": 9000}')
    with pytest.raises(
        SettingError, match=r"METAFLOW_S3_ENDPOINT_URL in .*config\.json is 9000; it takes a text"
    ):
        metaflow_setting("METAFLOW_S3_ENDPOINT_URL", {"METAFLOW_HOME": str(tmp_path)})


LONG = "a" * 300


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("CONDA_FLOW_CACHE_DIR", "~nosuchuser/cache", "there is no user nosuchuser"),
        ("CONDA_FLOW_CACHE_DIR", f"/tmp/{LONG}", "too long for a directory"),
        ("CONDA_FLOW_CACHE_DIR", "/tmp/" + "a/" * 4000, "too long for a directory"),
        ("CONDA_FLOW_CACHE_DIR", "/tmp/a\nb", "no control characters"),
        ("CONDA_FLOW_DATASTORE_ROOT", "~nosuchuser", "there is no user nosuchuser"),
        ("CONDA_FLOW_DATASTORE_ROOT", f"/tmp/{LONG}", "too long for a directory"),
        ("METAFLOW_DATASTORE_SYSROOT_LOCAL", f"/tmp/{LONG}", "too long for a directory"),
        ("METAFLOW_HOME", "~nosuchuser", "there is no user nosuchuser"),
        ("CONDA_FLOW_DATASTORE_ROOT", "s3:/bucket/prefix", "set --datastore s3 and a root"),
        ("CONDA_FLOW_DATASTORE_ROOT", "gs:/bucket", "takes a directory"),
        ("CONDA_FLOW_DATASTORE_ROOT", "/tmp/\udcff", "has to be UTF-8"),
        ("CONDA_FLOW_CACHE_DIR", '{"a": 1}', "it takes a directory"),
        ("CONDA_FLOW_DATATOOLS_S3ROOT", "s3://[x", "it takes s3://bucket"),
    ],
)
def test_a_value_that_can_be_no_place(name, value, fault):
    """One line that names where the value comes from, and never more of it than a person reads."""
    with pytest.raises(SettingError) as caught:
        load_settings(environ={name: value})
    assert str(caught.value).startswith(f"The environment variable {name} is ")
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_root_in_s3_that_is_no_url():
    """A bracket in it is no IPv6 address."""
    with pytest.raises(
        SettingError, match=r"^--datastore-root is 's3://\[x'; an S3 datastore takes s3://bucket"
    ):
        load_settings({"datastore": "s3", "datastore_root": "s3://[x"}, environ={})


def test_a_user_without_a_home(monkeypatch):
    """Only what lies in the home directory is a fault then, and the message says what to set."""
    monkeypatch.setattr(
        "os.path.expanduser", lambda path: path
    )  # as for a user that the system does not know
    with pytest.raises(SettingError, match="this user has no home directory; set HOME"):
        load_settings(environ={})
    settings = load_settings({"cache_dir": "/a", "datastore_root": "/b"}, environ={})
    assert str(settings.cache_dir) == "/a"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CONDA_FLOW_DATSTORE", "CONDA_FLOW_DATASTORE"),
        ("CONDA_FLOW_CACHEDIR", "CONDA_FLOW_CACHE_DIR"),
        ("CONDA_FLOW_BATCH_QUEU", "CONDA_FLOW_BATCH_QUEUE"),
        ("CONDA_FLOW_cache_dir", "CONDA_FLOW_CACHE_DIR"),
        ("CONDA_FLOW_XYZZY", None),
    ],
)
def test_a_variable_that_is_no_setting(name, near):
    """It is found, with the nearest name; variables that are ours are not."""
    known = {option.environment_variable: "x" for option in options()}
    others = {
        "CONDA_FLOW_RUN_ALPHA": "1",
        "CONDA_FLOW_TEMPDIR": "/",
        "CONDA_FLOW_RUNNER": "s3://x",
        "HOME": "/",
    }
    assert unknown_variables({**known, **others}) == {}
    found = unknown_variables({**known, **others, name: "x"})
    assert list(found) == [name]
    if near is not None:
        assert found[name] == near


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "ten", "1" * 20])
def test_a_time_that_is_no_number_of_seconds(value):
    """It is named with its place, and an example of a number that it takes."""
    with pytest.raises(
        SettingError, match=r"CONDA_FLOW_RESOLVER_SECONDS is .* number of seconds, such as 600"
    ):
        load_settings(environ={"CONDA_FLOW_RESOLVER_SECONDS": value})


def test_a_microarchitecture_is_declared_where_it_can_be():
    """Only of platforms of its kind, and never if it is not set: the ids of specs would change."""
    plain = load_settings(environ={})
    newer = load_settings(environ={"CONDA_OVERRIDE_ARCHSPEC": "x86_64_v3"})
    assert "__archspec" not in declared_virtual_packages("linux-64", plain)
    assert declared_virtual_packages("linux-64", newer)["__archspec"] == "1=x86_64_v3"
    assert "__archspec" not in declared_virtual_packages("osx-arm64", newer)
    with pytest.raises(SettingError, match="it takes a microarchitecture, such as x86_64_v3"):
        load_settings(environ={"CONDA_FLOW_ARCHSPEC": "x86-64 v3"})

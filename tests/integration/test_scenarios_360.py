"""Scenario file 360: settings from flag, environment and file, checked, and changed by SIGHUP."""

import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import BIN, ROOT, TOKEN, Program, make_model, wait_for

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PROGRAMS = {"queen": "queen-rbee", "hive": "rbee-hive"}


def run(home, program, *arguments, env=None):
    """Runs a program that ends by itself."""
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "RBEE_HOME": str(home)}
    return subprocess.run(
        [BIN / program, *map(str, arguments)],
        env={**base, **(env or {})},
        capture_output=True,
        text=True,
        timeout=30,
    )


def validate(home, text, program="queen-rbee", **more):
    path = pathlib.Path(home) / "settings.toml"
    path.write_text(text)
    return path, run(home, program, "--config", path, "--validate-config", **more)


def events(program, name):
    return [event for event in program.log_events() if event.get("event") == name]


def wait_events(program, name, count=1):
    return wait_for(
        lambda: found if len(found := events(program, name)) >= count else None, 10, name
    )


def hup(program, name, count=1):
    program.process.send_signal(signal.SIGHUP)
    return wait_events(program, name, count)[-1]


@pytest.fixture
def queen(tmp_path):
    """A queen with a settings file, ready to be changed."""
    path = tmp_path / "queen.toml"
    path.write_text("[server]\nport = 0\n[local_hive]\nmode = \"never\"\n[queue]\ncapacity = 5\n")
    program = Program([BIN / "queen-rbee", "--config", path], tmp_path)
    program.config = path
    yield program
    program.stop()


@pytest.fixture
def hive(tmp_path):
    path = tmp_path / "hive.toml"
    path.write_text("[hive]\nport = 0\nmax_workers = 5\n")
    program = Program([BIN / "rbee-hive", "--config", path], tmp_path)
    program.config = path
    yield program
    program.stop()


@pytest.mark.parametrize("which", ["queen", "hive"])
def test_CFG_001_the_file_is_loaded_and_told_with_source_and_correlation_id(which, request):
    program = request.getfixturevalue(which)
    told = wait_events(program, "config_loaded")
    assert len(told) == 1
    assert told[0]["path"] == str(program.config)
    assert UUID.fullmatch(told[0]["correlation_id"])
    assert told[0]["component"] == PROGRAMS[which]


def test_CFG_001_the_usual_places_need_no_flag(tmp_path):
    place = tmp_path / ".config/rbee/queen.toml"
    place.parent.mkdir(parents=True)
    place.write_text("[queue]\ncapacity = 0\nwait_s = 0\n")
    answer = run(tmp_path, "queen-rbee", "--validate-config")
    assert answer.returncode == 1 and "queue.wait_s" in answer.stderr, answer
    place.write_text("[queue]\ncapacity = 0\n")
    assert str(place) in run(tmp_path, "queen-rbee", "--validate-config").stdout
    other = tmp_path / "other.toml"
    answer = run(tmp_path, "queen-rbee", "--validate-config", env={"RBEE_QUEEN_CONFIG": str(other)})
    assert answer.returncode == 1 and str(other) in answer.stderr
    # Those of another program: the command line starts the queen, and she a hive.
    others = {"RBEE_HIVE_CONFIG": str(other), "RBEE_CONFIG": str(other)}
    assert run(tmp_path, "queen-rbee", "--validate-config", env=others).returncode == 0


def test_CFG_002_a_valid_file_passes_and_says_how_long_it_took(tmp_path):
    path, answer = validate(tmp_path, "[server]\nhost = \"127.0.0.1\"\nport = 9999\n")
    assert answer.returncode == 0 and answer.stderr == "", answer
    assert answer.stdout == f"queen-rbee: valid: {path}\n"
    text = "[hive]\nport = 9998\nmax_workers = 5\nhealth_interval = 15\n"
    path, answer = validate(tmp_path, text, "rbee-hive")
    assert (answer.returncode, answer.stdout) == (0, f"rbee-hive: valid: {path}\n"), answer
    assert not (tmp_path / "beehives.db").exists(), "nothing is started"


def test_CFG_002_the_duration_is_in_the_log(queen):
    told = wait_events(queen, "config_loaded")[0]
    assert 0 < told["duration_ms"] < 5000
    assert TOKEN not in queen.log_text()


def test_CFG_003_sighup_changes_max_workers_without_a_restart(hive):
    pid = hive.pid()
    hive.config.write_text("[hive]\nport = 0\nmax_workers = 10\nhealth_interval = 7\n")
    told = hup(hive, "config_reloaded")
    assert told["changed"] == "hive.max_workers,hive.health_interval"
    assert "hive.max_workers: 5 -> 10" in told["changes"]
    assert told["restart_needed"] == ""
    assert hive.pid() == pid and hive.api.get("/health").status == 200


def test_CFG_003_rules_for_restarts_change_for_all_models_and_for_single_ones(hive):
    good = hive.config.read_text()
    hive.config.write_text(good + '[restart]\nmax_attempts = 7\n[restart.models."a.b"]\njitter = 1\n')
    told = hup(hive, "config_reloaded")
    assert told["changed"] == 'restart.max_attempts,restart.models."a.b".jitter'
    assert "restart.max_attempts: 3 -> 7" in told["changes"]
    assert told["restart_needed"] == ""
    hive.config.write_text(good + '[restart.models."a.b"]\njiter = 1\n')
    told = hup(hive, "config_validation_failed")
    assert "restart.models.a.b.jiter (line 5)" in told["message"]


def test_CFG_003_a_shorter_keep_alive_ends_a_worker_that_waits(tmp_path):
    path = tmp_path / "hive.toml"
    path.write_text("[hive]\nport = 0\nkeep_alive = \"1h\"\n")
    (tmp_path / "models").mkdir()
    make_model(tmp_path / "models", "tiny")
    program = Program([BIN / "rbee-hive", "--config", path, "--ram-reserve", "0"], tmp_path)
    try:
        body = {"model_ref": "tiny", "backend": "cpu"}
        assert program.api.post("/v1/workers/spawn", body).status in (200, 201, 202)
        wait_for(lambda: program.api.get("/v1/workers").json()["workers"][0]["state"] == "idle", 30)
        path.write_text("[hive]\nport = 0\nkeep_alive = \"1s\"\n")
        assert hup(program, "config_reloaded")["changed"] == "hive.keep_alive"
        wait_events(program, "worker_idle_stop")
    finally:
        program.stop()


def test_CFG_003_the_new_limit_of_workers_holds(tmp_path):
    path = tmp_path / "hive.toml"
    path.write_text("[hive]\nport = 0\nmax_workers = 1\n")
    (tmp_path / "models").mkdir()
    for name in ("a", "b"):
        (tmp_path / "models" / f"{name}.gguf").write_bytes(b"GGUF but not really" * 100)
    sleeper = tmp_path / "worker.sh"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    program = Program(
        [BIN / "rbee-hive", "--config", path, "--worker-binary", sleeper, "--ram-reserve", "0"],
        tmp_path,
    )
    try:
        def spawn(model):
            body = {"model_ref": model, "backend": "cpu"}
            return program.api.post("/v1/workers/spawn", body).status

        assert spawn("a") in (200, 201, 202)
        refused = spawn("b")
        assert refused >= 400
        path.write_text("[hive]\nport = 0\nmax_workers = 2\n")
        hup(program, "config_reloaded")
        assert spawn("b") in (200, 201, 202)
    finally:
        program.kill()


def test_CFG_003_the_queue_of_the_queen_changes_and_the_port_waits_for_a_restart(queen):
    def capacity():
        return queen.api.get("/v1/status").json()["queue_capacity"]

    text = queen.config.read_text()
    assert capacity() == 5
    other = text.replace("capacity = 5", "capacity = 6").replace("port = 0", "port = 4321")
    queen.config.write_text(other)
    told = hup(queen, "config_reloaded")
    assert told["changed"] == "queue.capacity" and capacity() == 6
    assert told["restart_needed"] == "server.port"
    queen.config.write_text(text + "[log]\nlevel = \"debug\"\n[http]\nallowed_hosts = [\"q.lan\"]\n")
    told = hup(queen, "config_reloaded", 2)
    assert told["changed"] == "queue.capacity,log.level,http.allowed_hosts"
    assert told["restart_needed"] == ""
    assert queen.api.get("/health", headers={"Host": "q.lan"}).status == 200
    queen.config.write_text(text)
    hup(queen, "config_reloaded", 3)
    assert queen.api.get("/health", headers={"Host": "q.lan"}).status >= 400


@pytest.mark.parametrize("which", ["queen", "hive"])
def test_a_bad_file_keeps_the_old_settings_and_says_why(which, request):
    program = request.getfixturevalue(which)
    good = program.config.read_text()
    program.config.write_text(good.replace("= 5", "= \"many\""))
    told = hup(program, "config_validation_failed")
    assert "must be an integer" in told["message"] and str(program.config) in told["message"]
    program.config.unlink()
    assert str(program.config) in hup(program, "config_validation_failed", 2)["message"]
    assert not events(program, "config_reloaded")
    program.config.write_text(good)
    assert hup(program, "config_reloaded")["changed"] == "", "nothing of the bad ones was taken"


def test_CFG_004_the_environment_overrides_the_port_and_both_values_are_told(tmp_path):
    path = tmp_path / "queen.toml"
    path.write_text("[server]\nport = 9123\n[local_hive]\nmode = \"never\"\n")
    arguments = [BIN / "queen-rbee", "--config", path]
    program = Program(arguments, tmp_path, {"RBEE_QUEEN_PORT": "0"})
    try:
        assert not program.url.endswith(":9123")
        told = wait_events(program, "config_override")[0]
        assert (told["setting"], told["variable"]) == ("server.port", "RBEE_QUEEN_PORT")
        assert (told["file_value"], told["environment_value"]) == ("9123", "0")
        assert told["correlation_id"] == events(program, "config_loaded")[0]["correlation_id"]
    finally:
        program.stop()


def test_CFG_004_secrets_are_redacted(tmp_path):
    path = tmp_path / "hive.toml"
    path.write_text("[hive]\nport = 0\njoin_token = \"hidden-in-the-file\"\n")
    arguments = [BIN / "rbee-hive", "--config", path]
    program = Program(arguments, tmp_path, {"RBEE_JOIN_TOKEN": "hidden-in-the-variable"})
    try:
        told = wait_events(program, "config_override")[0]
        assert told["setting"] == "hive.join_token"
        assert told["file_value"] == told["environment_value"] == "[REDACTED]"
        path.write_text("[hive]\nport = 0\njoin_token = \"hidden-too\"\nslots = 3\n")
        hup(program, "config_reloaded")
        assert "hidden-" not in program.log_text()
    finally:
        program.stop()


def test_CFG_005_a_wrong_type_names_field_and_expected_type(tmp_path):
    path, answer = validate(tmp_path, "[server]\nport = \"eighty\"\n")
    assert answer.returncode == 1
    assert answer.stderr == f"queen-rbee: {path}:2: server.port must be an integer\n"
    path, answer = validate(tmp_path, "[hive]\nmax_workers = 2.5\n", "rbee-hive")
    assert answer.stderr == f"rbee-hive: {path}:2: hive.max_workers must be an integer\n"
    path, answer = validate(tmp_path, "\n[queue]\nwait_s = 0\n")
    assert f"{path}:3: queue.wait_s" in answer.stderr and "from 1 to" in answer.stderr
    for program in PROGRAMS.values():
        path, answer = validate(tmp_path, "[server]\nprot = 1\n", program)
        assert answer.returncode == 1
        assert f"{path}: unknown setting: server.prot (line 2)" in answer.stderr


def test_CFG_006_what_is_missing_has_a_default_but_a_missing_file_is_an_error(tmp_path):
    _, answer = validate(tmp_path, "[server]\nport = 9999\n")
    assert answer.returncode == 0
    for program in PROGRAMS.values():
        gone = tmp_path / "gone.toml"
        answer = run(tmp_path, program, "--config", gone)
        assert answer.returncode == 1
        assert str(gone) in answer.stderr and "No such file" in answer.stderr
    named = "[server]\nhost = \"0.0.0.0\"\n"
    _, answer = validate(tmp_path, named)
    assert answer.returncode == 1 and "API token required" in answer.stderr


def test_validation_reads_the_files_that_settings_name(tmp_path):
    bad = tmp_path / "tokens.toml"
    bad.write_text("nonsense")
    bad.chmod(0o600)
    for program, table in (("queen-rbee", "auth"), ("rbee-hive", "hive")):
        _, answer = validate(tmp_path, f"[{table}]\ntokens_file = \"{bad}\"\n", program)
        assert answer.returncode == 1 and "tokens.toml" in answer.stderr, answer
    text = "[tls]\ncertificate = \"/nowhere.pem\"\nkey = \"/nowhere.key\"\n"
    _, answer = validate(tmp_path, text)
    assert answer.returncode == 1 and "/nowhere" in answer.stderr, answer


@pytest.mark.parametrize("which", ["queen", "hive"])
def test_CFG_007_the_shipped_example_is_complete_and_valid(tmp_path, which):
    program = PROGRAMS[which]
    shipped = ROOT / f"deploy/config/{which}.toml"
    assert run(tmp_path, program, "--print-config").stdout == shipped.read_text()
    answer = run(tmp_path, program, "--config", shipped, "--validate-config")
    assert answer.returncode == 0, answer
    used = re.sub(r"(?m)^#(?! )", "", shipped.read_text())
    assert used.count(" = ") > 25
    _, answer = validate(tmp_path, used, program)
    assert answer.returncode == 0, answer
    flags = set(re.findall(r"--[a-z][\w-]+", run(tmp_path, program, "--help").stdout))
    inner = {"--help", "--version", "--config", "--validate-config", "--print-config"}
    inner |= {"--token-fd", "--queen-token-fd", "--lifeline-fd"}
    described = set(re.findall(r"--[a-z][\w-]+", shipped.read_text()))
    assert flags - inner <= described


@pytest.mark.parametrize("which", ["queen", "hive"])
def test_CFG_007_the_documentation_has_every_setting(tmp_path, which):
    table = run(tmp_path, PROGRAMS[which], "--print-config=markdown").stdout
    assert table.count("\n") > 25
    assert table in (ROOT / "docs/configuration.md").read_text()


def test_CFG_008_loads_and_reloads_are_linked(queen):
    first = wait_events(queen, "config_loaded")[0]
    queen.config.write_text(queen.config.read_text().replace("= 5", "= 6"))
    second = hup(queen, "config_reloaded")
    good = queen.config.read_text()
    queen.config.write_text("[server]\nport = true\n")
    third = hup(queen, "config_validation_failed")
    queen.config.write_text(good)
    last = hup(queen, "config_reloaded", 2)
    assert second["previous_correlation_id"] == first["correlation_id"]
    assert third["previous_correlation_id"] == second["correlation_id"]
    assert last["previous_correlation_id"] == second["correlation_id"], "the bad one never counted"
    for told, action in ((first, "load"), (second, "reload"), (third, "reload"), (last, "reload")):
        assert told["component"] == "queen-rbee" and told["action"] == f"config_{action}"
        assert told["path"] == str(queen.config)
    assert len({told["correlation_id"] for told in (first, second, third, last)}) == 4


def test_CFG_009_keys_and_tokens_are_never_told(queen):
    secret = "sk-4f9d3c2b1a0987654321"
    good = queen.config.read_text()
    for bad in (
        f"[auth]\napi_key = \"{secret}\"\n",
        f"[auth]\nbearer_token = \"{secret}\"\n",
        f"[auth]\napi_token_file = [\"{secret}\"]\n",
        f"[auth]\nmetrics = \"{secret}\"\n",
        f"[auth]\nbearer_token = {secret}\n",
    ):
        queen.config.write_text(good + bad)
        hup(queen, "config_validation_failed", len(events(queen, "config_validation_failed")) + 1)
        answer = run(queen.config.parent, "queen-rbee", "-c", queen.config, "--validate-config")
        assert answer.returncode == 1 and secret not in answer.stderr, answer
    queen.config.write_text(good)
    hup(queen, "config_reloaded")
    assert secret not in "\n".join(queen.log) and TOKEN not in "\n".join(queen.log)


def test_CFG_010_validation_errors_are_one_plain_line_that_fits(tmp_path):
    """Without emoji; the length of the row is kept, file name aside."""
    for text in ("[server]\nport = \"x\"\n", "[queue]\nwait_s = 0\n", "[server]\nprot = 1\n"):
        path, answer = validate(tmp_path, text)
        assert answer.stderr.count("\n") == 1 and answer.stderr.isascii()
        assert len(answer.stderr.replace(str(path), "queen.toml")) <= 150

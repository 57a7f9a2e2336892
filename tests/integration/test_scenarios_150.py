"""Scenario file 150, commands: settings, infer with all options, workers, logs."""

import json
import signal

import pytest

from cli import Cli
from conftest import HELLO
from harness import wait_for


@pytest.fixture
def rbee(cluster):
    return Cli(cluster.home, cluster.queen.url)


def test_CLI_03_config_comes_from_RBEE_CONFIG_else_the_users_file(tmp_path):
    """The file of the system, third in line, is out of reach of a test."""
    user = tmp_path / ".config" / "rbee"
    user.mkdir(parents=True)
    named = tmp_path / "named.toml"
    named.write_text('[queen]\nurl = "http://127.0.0.1:1111"\n')
    rbee = Cli(tmp_path)

    def url(**env):
        outcome = rbee.run("--json", "version", env=env)
        assert outcome.code == 0, outcome
        return json.loads(outcome.out)["queen_url"]

    assert url() == "http://127.0.0.1:8080"  # no file at all
    (user / "config.toml").write_text('[queen]\nurl = "http://127.0.0.1:2222"\n')
    assert url() == "http://127.0.0.1:2222"
    assert url(RBEE_CONFIG=str(named)) == "http://127.0.0.1:1111"
    assert url(RBEE_CONFIG=str(named), RBEE_QUEEN_URL="http://127.0.0.1:3333").endswith(":3333")
    missing = rbee.run("version", env={"RBEE_CONFIG": str(tmp_path / "none.toml")})
    assert missing.code == 1 and "none.toml" in missing.err  # named, so never passed over
    named.write_text("[queen\n")
    broken = rbee.run("version", env={"RBEE_CONFIG": str(named)})
    assert broken.code == 1 and "named.toml, line 1" in broken.err


def test_CLI_05_infer_with_all_options_runs_the_whole_flow(cluster, rbee):
    arguments = (
        "infer", "--node", "localhost", "--model", "hello", "--prompt", "hi",
        "--max-tokens", 20, "--temperature", 0.7, "--backend", "cpu", "--device", 0,
    )
    cold = rbee.run(*arguments)  # starts the worker, too
    assert cold.code == 0 and cold.out == HELLO[:20] + "\n", cold
    warm = rbee.run(*arguments, "--seed", 1, "--top-p", 0.9, "--top-k", 40, "--stop", "scripted")
    assert warm.code == 0 and warm.out.startswith("Hello"), warm
    assert "scripted" not in warm.out
    assert len(cluster.workers()) == 1
    elsewhere = rbee.run("infer", "--node", "attic", "--model", "hello", "hi")
    assert elsewhere.code == 1 and elsewhere.out == "" and "hives list" in elsewhere.err, elsewhere


def test_CLI_06_workers_list_shows_each_worker_with_its_state(cluster, rbee):
    assert "No workers" in rbee.run("workers", "list").out
    workers = [cluster.spawn(model) for model in ("hello", "tiny")]
    outcome = rbee.run("workers", "list")
    assert outcome.code == 0, outcome
    rows = outcome.out.splitlines()
    assert rows[0].split()[:5] == ["WORKER", "NODE", "MODEL", "DEVICE", "STATE"]
    shown = {row.split()[0]: row.split()[1:6] for row in rows[1:]}
    assert shown == {
        w["id"]: ["localhost", model, "cpu", "idle", "0/4"]
        for w, model in zip(workers, ("hello", "tiny"))
    }
    listed = json.loads(rbee.run("--json", "workers", "list").out)["workers"]
    assert {w["id"] for w in listed} == {w["id"] for w in workers}


def test_CLI_07_workers_health_shows_the_workers_of_one_node(cluster, rbee):
    worker = cluster.spawn("hello")
    outcome = rbee.run("workers", "health", "--node", "localhost")
    assert outcome.code == 0, outcome
    heading, row = outcome.out.splitlines()
    assert heading.split() == ["WORKER", "NODE", "STATE", "READY", "NOTE"]
    assert row.split() == [worker["id"], "localhost", "idle", "yes"]
    elsewhere = rbee.run("workers", "health", "--node", "attic")
    assert elsewhere.code == 0 and worker["id"] not in elsewhere.out


def test_CLI_08_workers_shutdown_stops_that_worker(cluster, rbee):
    doomed, other = cluster.spawn("hello"), cluster.spawn("tiny")
    outcome = rbee.run("workers", "shutdown", "--id", doomed["id"])
    assert outcome.code == 0 and outcome.out == f"worker {doomed['id']} stopped\n", outcome
    wait_for(lambda: not cluster.find(doomed["id"], {"idle", "busy"}), what="worker gone")
    assert cluster.find(other["id"])["state"] == "idle"
    unknown = rbee.run("workers", "shutdown", "--id", "worker-nobody")
    assert unknown.code == 1 and "workers list" in unknown.err, unknown


@pytest.mark.parametrize("how", ["pipe", "terminal"])
def test_CLI_09_logs_follow_streams_until_ctrl_c(cluster, rbee, how):
    worker = cluster.spawn("hello")
    arguments = ("workers", "logs", worker["id"], "--follow")
    request_id = "22222222-3333-4444-8555-666666666666"

    def one_request():
        body = {"prompt": "x", "max_tokens": 1}
        headers = {"X-Correlation-Id": request_id}
        assert cluster.worker_api(worker).post("/v1/completions", body, headers=headers).status == 200

    if how == "terminal":
        terminal = rbee.terminal(*arguments)
        seen = terminal.expect("server_start")
        one_request()
        terminal.expect(request_id, 5, after=seen)
        terminal.ctrl_c()
        assert terminal.wait(5) in (0, 130)
        return
    command = rbee.start(*arguments)
    wait_for(lambda: "server_start" in command.out, what="the log so far")
    one_request()
    wait_for(lambda: request_id in command.out, 5, "new lines")
    assert command.running()
    command.signal(signal.SIGINT)
    assert command.wait(5).code in (0, 130)

"""Scenario file 060: the hive's worker list, and what the command line makes of a hive's answers."""

import json
import re
import time

import pytest

from cli import Cli, free_port
from conftest import HELLO
from harness import Api, Cluster, FakeHive, wait_for


@pytest.fixture
def rbee(shared, tmp_path):
    return Cli(tmp_path, shared.queen.url)


@pytest.fixture
def fake():
    made = []

    def make(**settings):
        made.append(FakeHive(**settings))
        return made[-1]

    yield make
    for hive in made:
        hive.close()


def hive_names(cluster):
    return {hive["name"] for hive in cluster.hives()}


def test_HREG_01_health_is_open_and_says_alive_version_and_api_version(shared):
    stranger = Api(shared.hive_api().url, token=None)
    for path in ("/v1/health", "/health"):
        answer = stranger.get(path)
        assert answer.status == 200
        assert answer.json() == {"status": "alive", "version": "0.1.0", "api_version": "v1"}
    assert Api(stranger.url).get("/v1/models").status == 200  # and the flow goes on to models


def test_HREG_02_without_workers_the_list_is_empty_and_a_spawn_follows(cluster):
    answer = cluster.hive_api().get("/v1/workers/list")
    assert answer.status == 200 and answer.json() == {"workers": []}
    assert cluster.api.get("/v2/workers/list").json() == {"workers": []}
    assert cluster.api.chat_text("hello", max_tokens=1) == HELLO[0]
    assert [worker["model"] for worker in cluster.workers()] == ["hello"]


def test_HREG_03_an_idle_worker_with_the_model_is_used_at_once(cluster):
    worker = cluster.spawn("hello")
    spawns = len([e for e in cluster.queen.log_events() if e["event"] == "worker_spawn"])
    begin = time.monotonic()
    asked = Cli(cluster.home, cluster.queen.url).run("infer", "--model", "hello", "hi")
    assert asked.code == 0 and asked.out.strip() == HELLO, asked
    assert time.monotonic() - begin < 5
    assert [w["worker_id"] for w in cluster.workers()] == [worker["worker_id"]]
    assert cluster.workers()[0]["pid"] == worker["pid"]
    after = len([e for e in cluster.queen.log_events() if e["event"] == "worker_spawn"])
    assert after == spawns, "a second worker was started"


def test_HREG_04_a_busy_worker_is_tried_and_its_503_is_shown(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, queen_args=["--queue-capacity", "0"])
    try:
        worker = cluster.spawn("endless", slots=1)
        body = {"model": "endless", "prompt": "x", "stream": True, "max_tokens": 100000}
        with cluster.api.stream("/v1/completions", body) as (status, _, events):
            assert status == 200
            next(events)
            wait_for(lambda: cluster.find(worker["id"], {"busy"}), what="worker busy")
            rbee = Cli(tmp_path, cluster.queen.url, RBEE_NO_RETRY="1")
            refused = rbee.run("--json", "infer", "--model", "endless", "hi")
            assert refused.code == 1, refused
            assert json.loads(refused.err)["error"]["code"] == "QUEUE_FULL"
            direct = cluster.worker_api(worker).post("/v1/completions", {"prompt": "x", "max_tokens": 1})
            assert direct.status == 503 and direct.error()["code"] == "ALL_SLOTS_BUSY"
        assert [w["id"] for w in cluster.workers()] == [worker["id"]]
    finally:
        assert cluster.stop() == 0


def test_EH_002a_a_hive_that_cannot_be_reached_is_tried_three_times(shared, rbee):
    begin = time.monotonic()
    failed = rbee.run("hives", "add", "attic", f"http://127.0.0.1:{free_port()}")
    took = time.monotonic() - begin
    assert failed.code == 1 and failed.out == ""
    assert "cannot be reached" in failed.err and "3 attempts" in failed.err
    assert "200 and 400 ms" in failed.err
    assert 0.6 <= took < 5, took

    def tries():
        events = shared.queen.log_events()
        return [e["attempt"] for e in events if e["event"] == "hive_unreached"]

    wait_for(lambda: tries()[-3:] == [1, 2, 3], 5, "three attempts in the log")
    assert "attic" not in hive_names(shared)


@pytest.mark.parametrize("path", ["/v1/health", "/v1/report"])
def test_EH_002b_broken_json_is_reported_with_its_position_and_a_hint(shared, rbee, fake, path):
    hive = fake()
    hive.paths[path] = b'{"status": "alive", "version": oops}'
    failed = rbee.run("hives", "add", "attic", hive.url)
    assert failed.code == 1, failed
    assert "JSON" in failed.err and re.search(r"at byte 3\d", failed.err), failed.err
    assert "restart" in failed.err
    assert hive.url not in failed.err
    assert "attic" not in hive_names(shared)


def test_EH_002b_a_report_of_another_shape_is_the_hives_fault(shared, fake):
    hive = fake()
    hive.paths["/v1/report"] = b'{"workers": "none"}'
    answer = shared.api.post("/v1/hives", {"name": "attic", "url": hive.url})
    assert answer.status == 502, answer.body
    assert answer.error()["code"] == "INVALID_RESPONSE"


def test_HREG_05_an_unreachable_service_is_tried_three_times_and_named(tmp_path):
    port = free_port()
    rbee = Cli(tmp_path, f"http://127.0.0.1:{port}")
    for arguments in (["models", "list"], ["infer", "--model", "m", "hi"]):
        begin = time.monotonic()
        failed = rbee.run(*arguments)
        assert failed.code == 1 and failed.out == "", failed
        assert 0.6 <= time.monotonic() - begin < 5
        lines = failed.err.splitlines()
        assert [n for n in (1, 2, 3) if any(f"attempt {n} of 3" in line for line in lines)] == [
            1, 2, 3,
        ]
        assert "200 ms" in lines[0] and "400 ms" in lines[1], failed.err
        assert "rbee up" in lines[-1]  # the hint
    failed = rbee.run("--json", "models", "list")
    assert json.loads(failed.err.splitlines()[-1])["error"]["code"] == "CONNECTION_TIMEOUT"


@pytest.mark.parametrize("version, upgrade", [("0.2.0", "the queen"), ("0.0.9", "the hive")])
def test_HREG_06_another_version_is_a_mismatch_that_names_both(
    shared, rbee, fake, version, upgrade
):
    hive = fake(version=version)
    failed = rbee.run("--json", "hives", "add", "attic", hive.url)
    assert failed.code == 1
    error = json.loads(failed.err.splitlines()[-1])["error"]
    assert error["code"] == "VERSION_MISMATCH"
    assert version in error["message"] and "0.1.0" in error["message"]
    assert f"upgrade {upgrade}" in error["message"]
    assert "attic" not in hive_names(shared)
    report = {**hive.report, "hive_id": "attic", "url": hive.url}
    beat = shared.api.post("/v1/hives/heartbeat", report)
    assert beat.status == 409 and beat.error()["code"] == "VERSION_MISMATCH"
    assert "attic" not in hive_names(shared)


def test_EC8_the_mismatch_on_the_console_shows_the_upgrade_command(rbee, fake):
    failed = rbee.run("hives", "add", "attic", fake(version="0.2.0").url)
    assert failed.code == 1 and failed.out == ""
    assert "0.1.0" in failed.err and "0.2.0" in failed.err
    assert "git pull && ./quickstart.sh" in failed.err
    assert len(failed.err.splitlines()) == 1

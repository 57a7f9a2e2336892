"""Scenario file 110, hive lifecycle: idle workers, health checks, and how workers are stopped.

The rows LIFE-… are about processes and signals and have a file of their own.
"""

import os
import pathlib
import signal
import threading
import time

import pytest

from conftest import HELLO
from harness import (
    ENGINE_ARGS, Api, Cluster, alive, children_of, known_worker_tokens, start_hive, wait_for,
    worker_token,
)


@pytest.fixture
def make_hive(tmp_path, models_dir):
    """Starts a hive of the test's own; it must stop in order."""
    made = []

    def make(*arguments, **env):
        variables = {**known_worker_tokens(tmp_path), **env}
        hive = start_hive(tmp_path, "--models-dir", models_dir, *arguments, extra_env=variables)
        hive.home = tmp_path
        made.append(hive)
        return hive

    yield make
    for hive in made:
        assert hive.stop() == 0, hive.log_text()


def entry(hive, worker_id):
    listed = hive.api.get("/v1/workers/list").json()["workers"]
    return next((w for w in listed if w["id"] == worker_id), None)


def in_state(hive, worker_id, *states):
    worker = entry(hive, worker_id)
    return worker if worker and worker["state"] in states else None


def spawn(hive, model="hello", **body):
    """A worker that is ready."""
    body = {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS, **body}
    answer = hive.api.post("/v1/workers/spawn", body)
    assert answer.status == 200, answer.body
    worker_id = answer.json()["worker_id"]
    return wait_for(lambda: in_state(hive, worker_id, "idle"), 60, "worker ready")


def events(hive, name, worker_id=None):
    return [
        e for e in hive.log_events()
        if e["event"] == name and worker_id in (None, e.get("worker_id"))
    ]


def ask(hive, model="hello", **body):
    message = [{"role": "user", "content": "hi"}]
    return hive.api.post("/v1/chat/completions", {"model": model, "messages": message, **body})


def metric(api, name):
    for line in api.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def wait_gone(hive, worker, seconds=15):
    wait_for(lambda: entry(hive, worker["id"]) is None, seconds, "worker removed")
    wait_for(lambda: not alive(worker["pid"]), 5, "its process gone")


def test_HLIF_01_the_hive_stays_checks_its_workers_and_has_an_idle_limit(make_hive):
    hive = make_hive(RBEE_HEALTH_INTERVAL_S="1", RBEE_KEEP_ALIVE="5m")
    worker = spawn(hive)
    pid = hive.pid()
    passed = 'rbee_hive_health_checks_total{result="success"}'
    before = metric(hive.api, passed)
    wait_for(lambda: metric(hive.api, passed) >= before + 2, 10, "two more health checks")
    assert alive(pid) and hive.api.get("/v1/health").status == 200
    kept = entry(hive, worker["id"])
    assert kept["state"] == "idle" and kept["pid"] == worker["pid"]
    assert kept["failed_health_checks"] == 0
    assert ask(hive).status == 200


def test_HLIF_02_three_failed_checks_take_a_worker_out_of_service_and_the_hive_goes_on(make_hive):
    hive = make_hive(RBEE_HEALTH_INTERVAL_S="1")
    doomed, other = spawn(hive), spawn(hive, "count-a")
    os.kill(doomed["pid"], signal.SIGSTOP)
    try:
        one = wait_for(
            lambda: (entry(hive, doomed["id"]) or {}).get("failed_health_checks", 0) >= 1
            and entry(hive, doomed["id"]), 8, "first failed check",
        )
        assert one["state"] == "idle" and one["failed_health_checks"] < 3
        out = wait_for(
            lambda: in_state(hive, doomed["id"], "unhealthy", "dying", "backoff", "loading"),
            12, "out of service",
        )
        assert out["slots_available"] == 0
        refused = ask(hive)
        assert refused.status == 503 and refused.error()["code"] == "WORKER_NOT_READY"
        assert hive.api.get("/v1/health").status == 200
        assert ask(hive, "count-a", max_tokens=3).status == 200
        assert entry(hive, other["id"])["failed_health_checks"] == 0
        failed = events(hive, "health_check_failed", doomed["id"])
        assert [e["failures"] for e in failed][:3] == [1, 2, 3]
    finally:
        if alive(doomed["pid"]):
            os.kill(doomed["pid"], signal.SIGCONT)
    # Success refreshes it: it serves again, by itself or by its replacement.
    wait_for(lambda: in_state(hive, doomed["id"], "idle"), 30, "back in service")
    assert entry(hive, doomed["id"])["failed_health_checks"] == 0


def test_HLIF_03_an_idle_worker_is_told_to_stop_and_removed_and_the_hive_lives(make_hive):
    hive = make_hive("--keep-alive", "2s")
    worker = spawn(hive)
    assert ask(hive).status == 200
    used = time.monotonic()
    while time.monotonic() < used + 1.5:  # nothing but requests counts: looking is not using
        assert in_state(hive, worker["id"], "idle")
        time.sleep(0.1)
    wait_gone(hive, worker)
    assert 1.9 < time.monotonic() - used < 8
    assert children_of(hive.pid()) == []
    stopped = events(hive, "worker_idle_stop", worker["id"])
    assert len(stopped) == 1 and stopped[0]["idle_s"] >= 2 and stopped[0]["model"] == "hello"
    (ended,) = events(hive, "worker_exited", worker["id"])
    assert ended["level"] == "info" and "exit code 0" in ended["cause"]
    assert events(hive, "worker_force_killed") == []
    assert hive.api.get("/v1/health").status == 200
    assert ask(hive).status == 404  # this hive has it no more, until somebody starts it again
    assert spawn(hive)["id"] != worker["id"]


def test_HLIF_03_the_next_request_for_the_model_starts_a_worker_again(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, extra_env={"RBEE_KEEP_ALIVE": "1s"})
    try:
        worker = cluster.spawn("hello")
        wait_for(lambda: cluster.find(worker["id"]) is None, 15, "idle worker removed")
        assert cluster.api.chat_text("hello") == HELLO
    finally:
        assert cluster.stop() == 0


def test_HLIF_03_no_request_is_lost_to_a_worker_that_is_just_being_stopped(cluster):
    """Each request lets go of its worker, and the next one comes at once."""
    message = [{"role": "user", "content": "hi"}]
    body = {"model": "hello", "messages": message, "keep_alive": 0}
    answers = [cluster.api.post("/v1/chat/completions", body) for _ in range(12)]
    assert [a.status for a in answers] == [200] * 12, [a.body for a in answers]
    started = [e for e in cluster.hive_log() if e["event"] == "worker_started"]
    assert len(started) > 3  # it did happen


def test_HLIF_03_a_worker_at_work_is_not_idle(make_hive):
    hive = make_hive("--keep-alive", "1s")
    worker = spawn(hive, "endless")
    body = {"model": "endless", "prompt": "go", "stream": True, "max_tokens": 100000}
    with hive.api.stream("/v1/completions", body) as (status, _, stream):
        assert status == 200
        begun = time.monotonic()
        for _ in stream:
            if time.monotonic() > begun + 4:
                break
        assert in_state(hive, worker["id"], "idle", "busy")
    wait_gone(hive, worker)


def test_EC10_the_idle_time_can_be_set_for_the_hive_and_for_a_model(make_hive):
    """The row's 30 minutes in simulated time: idle_stop_test.cpp."""
    hive = make_hive(
        "--keep-alive", "30m", "--keep-alive-models", "hello=2s", "--pinned", "count-a"
    )
    short, long, pinned = spawn(hive), spawn(hive, "tiny"), spawn(hive, "count-a")
    wait_gone(hive, short)
    assert [e["model"] for e in events(hive, "worker_idle_stop")] == ["hello"]
    # A request may say otherwise, but not of a pinned model.
    assert ask(hive, "tiny", max_tokens=2, keep_alive="1s").status == 200
    assert ask(hive, "count-a", max_tokens=2, keep_alive=0).status == 200
    wait_gone(hive, long)
    time.sleep(1)
    assert in_state(hive, pinned["id"], "idle")
    wrong = ask(hive, "count-a", keep_alive="soon")
    assert wrong.status == 400 and "keep_alive must be" in wrong.error()["message"], wrong.body


def test_EC10_a_request_may_keep_its_worker_for_ever(make_hive):
    hive = make_hive("--keep-alive", "1s")
    worker = spawn(hive)
    assert ask(hive, keep_alive=-1).status == 200
    time.sleep(3)
    assert in_state(hive, worker["id"], "idle")
    assert ask(hive, keep_alive=0).status == 200  # and let go of it
    wait_gone(hive, worker)


def test_HLIF_04_sigterm_stops_three_workers_in_order_and_leaves_the_models(
    make_hive, models_dir
):
    files = sorted(path.name for path in pathlib.Path(models_dir).iterdir())
    hive = make_hive()
    workers = [spawn(hive), spawn(hive, "tiny"), spawn(hive, "count-a")]
    begun = time.monotonic()
    assert hive.stop() == 0
    assert time.monotonic() - begun < 5
    assert [w["pid"] for w in workers if alive(w["pid"])] == []
    exits = {e["worker_id"]: e for e in events(hive, "worker_exited")}
    assert set(exits) == {w["id"] for w in workers}
    assert all("exit code 0" in e["cause"] and e["state"] == "stopped" for e in exits.values())
    assert events(hive, "worker_force_killed") == []
    assert any("3/3 workers stopped" in e["message"] for e in hive.log_events())
    assert sorted(path.name for path in pathlib.Path(models_dir).iterdir()) == files


def test_EH_014a_a_worker_that_is_silent_after_a_stop_request_is_force_killed(make_hive):
    hive = make_hive()
    worker = spawn(hive)
    os.kill(worker["pid"], signal.SIGSTOP)
    begun = time.monotonic()
    answer = hive.api.delete(f"/v1/workers/{worker['id']}", timeout=60)
    took = time.monotonic() - begun
    assert answer.status == 204, answer.body
    assert 5 < took < 31, took
    assert not alive(worker["pid"]) and entry(hive, worker["id"]) is None
    (killed,) = events(hive, "worker_force_killed", worker["id"])
    assert killed["pid"] == worker["pid"] and killed["signal"] == "SIGKILL" and killed["reason"]
    assert events(hive, "worker_stop_unanswered", worker["id"])
    assert metric(hive.api, 'rbee_hive_worker_exits_total{class="forced"}') == 1


def test_EH_014b_a_stop_during_inference_drains_refuses_new_work_and_ends_with_0(make_hive):
    hive = make_hive()
    worker = spawn(hive, "endless", slots=2)
    body = {"model": "endless", "prompt": "go", "stream": True, "max_tokens": 600}
    stopped = {}

    def stop():
        stopped["status"] = hive.api.delete(f"/v1/workers/{worker['id']}", timeout=60).status

    with hive.api.stream("/v1/completions", body) as (status, _, stream):
        assert status == 200
        next(stream)
        stopper = threading.Thread(target=stop)
        stopper.start()
        wait_for(lambda: in_state(hive, worker["id"], "draining"), what="draining")
        refused = hive.api.post("/v1/completions", {"model": "endless", "prompt": "more"})
        assert refused.status == 503 and refused.error()["code"] == "WORKER_NOT_READY"
        direct = Api(worker["url"], worker_token(hive.home, worker["id"]))
        mine = direct.post("/v1/completions", {"model": "endless", "prompt": "more"})
        assert mine.status == 503, mine.body
        rest = [data for _, data in stream]
    assert rest[-1] == "[DONE]" and not any('"error"' in data for data in rest)
    stopper.join(40)
    assert stopped["status"] == 204
    (ended,) = events(hive, "worker_exited", worker["id"])
    assert "exit code 0" in ended["cause"]
    assert events(hive, "worker_force_killed") == []
    assert not alive(worker["pid"])

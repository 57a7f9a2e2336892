"""Restarts and the circuit breaker of a real hive with real processes, and delays made small. The
workers are rbee-bad-worker (tools/bad-worker/README.md)."""

import os
import pathlib
import signal
import time

import pytest

from harness import BIN, Cluster, alive, start_hive, wait_for
from test_postmortem import metric

BASE_S = 0.4
COOLDOWN_S = 3


def settings(**more):
    return {
        "RBEE_WORKER_BINARY": str(BIN / "rbee-bad-worker"),
        "RBEE_RESTART_BASE_MS": str(int(BASE_S * 1000)),
        "RBEE_BREAKER_COOLDOWN_S": str(COOLDOWN_S),
        "RBEE_BREAKER_PROOF_S": "1",
        **more,
    }


@pytest.fixture
def hive(tmp_path, models_dir):
    made = start_hive(tmp_path, "--models-dir", str(models_dir), extra_env=settings())
    yield made
    assert made.stop() == 0, made.log_text()


def spawn(hive, *engine_args, model="tiny"):
    return hive.api.post(
        "/v1/workers/spawn",
        {"model_ref": model, "backend": "cpu", "engine_args": list(engine_args)},
    )


def worker(hive, worker_id):
    answer = hive.api.get(f"/v1/workers/{worker_id}")
    return answer.json() if answer.status == 200 else None


def in_state(hive, worker_id, *states, seconds=20, count=None):
    def there():
        seen = worker(hive, worker_id)
        right = seen and seen["state"] in states
        return seen if right and (count is None or seen["restart_count"] == count) else None

    return wait_for(there, seconds, f"{worker_id} in {states}")


def crash(hive, worker_id):
    """Kills the process of a worker that serves; returns when that was."""
    seen = in_state(hive, worker_id, "idle", "busy")
    os.kill(seen["pid"], signal.SIGKILL)
    return time.monotonic(), seen["pid"]


def events(hive, name):
    return [event for event in hive.log_events() if event.get("event") == name]


def test_restart_after_crash_under_the_same_id_and_counts_are_right(hive):
    worker_id = spawn(hive).json()["worker_id"]
    _, pid = crash(hive, worker_id)
    waiting = in_state(hive, worker_id, "backoff")
    assert waiting["pid"] is None and waiting["next_restart"]
    assert "SIGKILL" in waiting["last_exit"] and "restart 1 of 3" in waiting["reason"]
    back = in_state(hive, worker_id, "idle", count=1)
    assert back["pid"] != pid and back["last_restart"] and back["next_restart"] is None
    assert metric(hive.api, "rbee_hive_worker_restarts_total") == 1
    _, pid = crash(hive, worker_id)
    assert in_state(hive, worker_id, "idle", count=2)["pid"] != pid
    assert metric(hive.api, "rbee_hive_worker_restarts_total") == 2
    assert len(hive.api.get("/v1/workers").json()["workers"]) == 1


def test_backoff_doubles_within_its_jitter_and_attempts_are_limited(hive):
    worker_id = spawn(hive).json()["worker_id"]
    for attempt in range(3):
        died, _ = crash(hive, worker_id)
        in_state(hive, worker_id, "loading", "idle", count=attempt + 1)
        took = time.monotonic() - died
        nominal = BASE_S * 2**attempt
        assert took >= nominal * 0.8 - 0.02, (attempt, took)
        assert took <= nominal * 1.2 + 1.0, (attempt, took)  # the machine may be busy
    for attempt, event in enumerate(events(hive, "worker_restart_scheduled")):
        nominal = BASE_S * 1000 * 2**attempt
        assert nominal * 0.8 - 1 <= event["delay_ms"] <= nominal * 1.2 + 1, event
    crash(hive, worker_id)
    gone = in_state(hive, worker_id, "backoff", count=3)
    assert "all 3 restarts are used up" in gone["reason"], gone
    assert len(events(hive, "worker_restarted")) == 3


def test_breaker_opens_refuses_tries_once_and_closes(hive):
    worker_id = spawn(hive).json()["worker_id"]
    for attempt in range(4):
        crash(hive, worker_id)
        if attempt < 3:
            in_state(hive, worker_id, "idle", count=attempt + 1)
    in_state(hive, worker_id, "backoff", count=3)
    assert metric(hive.api, "rbee_hive_circuit_breaker_activations_total") == 1
    refused = spawn(hive)
    assert refused.status == 503, refused.body
    assert refused.error()["code"] == "MODEL_UNAVAILABLE"
    assert "SIGKILL" in refused.error()["message"]
    assert 1 <= int(refused.headers["Retry-After"]) <= COOLDOWN_S * 1.2 + 1
    assert spawn(hive, model="hello").status == 200, "another model is not its business"
    back = in_state(hive, worker_id, "idle", count=4, seconds=15)
    assert events(hive, "circuit_breaker_half_open")
    wait_for(lambda: events(hive, "circuit_breaker_closed"), 15, "closed after its proof")
    assert spawn(hive).status == 200
    assert alive(back["pid"])


def test_crash_during_the_load_is_retried_and_opens_the_breaker(hive):
    answer = spawn(hive, "--load", "crash")
    if answer.status == 200:
        worker_id = answer.json()["worker_id"]
        in_state(hive, worker_id, "backoff", count=3)
        assert len(events(hive, "worker_started")) == 4
    else:  # it died before the hive had answered: whoever asks again makes another try
        for _ in range(4):
            assert answer.status == 500 and answer.error()["code"] == "WORKER_FAILED"
            answer = spawn(hive, "--load", "crash")
        assert len(events(hive, "worker_started")) == 5
    refused = spawn(hive, "--load", "crash")
    assert refused.status == 503 and refused.error()["code"] == "MODEL_UNAVAILABLE"


def test_corrupt_model_is_started_once_for_five_requests(tmp_path, models_dir):
    hive = start_hive(tmp_path, "--models-dir", str(models_dir))
    try:
        for _ in range(5):
            answer = spawn(hive, model="corrupt")
            assert answer.status in (200, 500, 503), answer.body
            wait_for(
                lambda: all(
                    one["state"] == "failed" and one["pid"] is None
                    for one in hive.api.get("/v1/workers").json()["workers"]
                ),
                what="its failure",
            )
        assert len(events(hive, "worker_started")) == 1
        assert answer.status == 503 and answer.error()["code"] == "MODEL_UNAVAILABLE"
        assert not events(hive, "worker_restart_scheduled")
    finally:
        assert hive.stop() == 0


def test_restart_by_hand_replaces_one_that_serves_and_brings_back_one_that_waits(hive):
    old = spawn(hive).json()["worker_id"]
    in_state(hive, old, "idle")
    begun = hive.api.post(f"/v1/workers/{old}/restart")
    assert begun.status == 202, begun.body
    new = begun.json()["worker_id"]
    assert begun.json()["replaces"] == old and new != old
    assert in_state(hive, new, "idle")
    wait_for(lambda: worker(hive, old) is None, what="the old one gone")
    for attempt in range(4):
        crash(hive, new)
        if attempt < 3:
            in_state(hive, new, "idle", count=attempt + 1)
    in_state(hive, new, "backoff", count=3)
    assert spawn(hive).status == 503
    assert hive.api.post(f"/v1/workers/{new}/restart").status == 202
    in_state(hive, new, "idle", count=0)
    assert spawn(hive).status == 200, "by hand the breaker closes too"
    assert hive.api.post("/v1/workers/worker-none/restart").status == 404


def test_restart_in_place_where_there_is_no_room_for_two(tmp_path, models_dir):
    hive = start_hive(
        tmp_path, "--models-dir", str(models_dir), "--max-workers", "1", extra_env=settings()
    )
    try:
        worker_id = spawn(hive).json()["worker_id"]
        pid = in_state(hive, worker_id, "idle")["pid"]
        begun = hive.api.post(f"/v1/workers/{worker_id}/restart")
        assert begun.status == 202 and begun.json()["replaces"] is None, begun.body
        assert begun.json()["worker_id"] == worker_id
        wait_for(lambda: not alive(pid), what="the old process gone")
        assert in_state(hive, worker_id, "idle")["pid"] != pid
    finally:
        assert hive.stop() == 0


def test_stopping_one_that_waits_cancels_its_restart(hive):
    worker_id = spawn(hive).json()["worker_id"]
    crash(hive, worker_id)
    in_state(hive, worker_id, "backoff")
    assert hive.api.delete(f"/v1/workers/{worker_id}").status == 204
    time.sleep(BASE_S * 2)
    assert worker(hive, worker_id) is None
    assert len(events(hive, "worker_started")) == 1


def test_settings_for_one_model_come_from_the_file(tmp_path, models_dir):
    file = pathlib.Path(tmp_path) / "rbee.toml"
    file.write_text('[restart]\nbase_ms = 300\n[restart.models."tiny"]\nenabled = "off"\n')
    hive = start_hive(
        tmp_path,
        "--models-dir", str(models_dir),
        "--config", str(file),
        extra_env={"RBEE_WORKER_BINARY": str(BIN / "rbee-bad-worker")},
    )
    try:
        off, on = (spawn(hive, model=name).json()["worker_id"] for name in ("tiny", "hello"))
        crash(hive, off)
        crash(hive, on)
        in_state(hive, on, "idle", count=1)
        assert in_state(hive, off, "crashed")["restart_count"] == 0
    finally:
        assert hive.stop() == 0


def test_queen_passes_a_restart_on(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, spy=False, extra_env=settings())
    try:
        answer = cluster.api.post("/v1/workers/spawn", {"model_ref": "tiny", "backend": "cpu"})
        old = answer.json()["worker_id"]
        wait_for(lambda: cluster.find(old, {"idle"}), 30, "ready")
        begun = cluster.api.post(f"/v1/workers/{old}/restart")
        assert begun.status == 202, begun.body
        wait_for(lambda: cluster.find(begun.json()["worker_id"], {"idle"}), 30, "the new one")
        wait_for(lambda: cluster.find(old) is None, 30, "the old one gone")
    finally:
        assert cluster.stop() == 0

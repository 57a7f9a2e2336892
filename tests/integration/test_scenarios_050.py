"""Scenario file 050, the queen's worker registry: register, list, filter, change, remove, sweep."""

import time
import uuid

import pytest

from harness import Api, Cluster, wait_for

FOUR_FIELDS = ("worker_id", "rbee_hive_url", "capabilities", "models_loaded")


def registration(worker_id, capabilities=("cuda:0", "cpu"), models=("tiny-llama",)):
    return {
        "worker_id": worker_id,
        "rbee_hive_url": "http://192.0.2.7:9200",
        "capabilities": list(capabilities),
        "models_loaded": list(models),
    }


@pytest.fixture
def register(shared):
    """Registers a worker under a fresh id and removes it afterwards."""
    made = []

    def make(**fields):
        worker_id = f"worker-{uuid.uuid4()}"
        made.append(worker_id)
        answer = shared.api.post("/v1/workers/register", registration(worker_id, **fields))
        assert answer.status == 201, answer.body
        return worker_id

    yield make
    for worker_id in made:
        shared.api.delete(f"/v1/workers/{worker_id}")


def test_QREG_01_a_registered_worker_is_201_and_kept_in_memory_only(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir)
    answer = cluster.api.post("/v1/workers/register", registration("worker-1"))
    assert answer.status == 201, answer.body
    assert answer.json()["worker_id"] == "worker-1"
    assert cluster.api.post("/v1/workers/register", registration("worker-1")).status == 200
    worker = cluster.find("worker-1")
    assert {f: worker[f] for f in FOUR_FIELDS} == registration("worker-1")
    assert abs(worker["last_heartbeat_unix"] - time.time()) < 10
    assert cluster.stop() == 0
    again = Cluster(tmp_path, models_dir)  # the same home and so the same database
    assert again.find("worker-1") is None
    assert again.stop() == 0


def test_QREG_01_a_hive_reports_its_worker_by_itself(cluster):
    spawned = cluster.spawn("hello")
    assert spawned["rbee_hive_url"] == cluster.hive_api().url
    assert spawned["capabilities"] == ["cpu:0"]
    assert "hello" in spawned["models_loaded"]


def test_QREG_02_list_shows_all_workers_with_their_four_fields(shared, register):
    ids = [register(models=(f"model-{n}",)) for n in range(3)]
    for path in ("/v1/workers", "/v2/workers", "/v2/workers/list"):
        answer = shared.api.get(path)
        assert answer.status == 200
        listed = {worker["worker_id"]: worker for worker in answer.json()["workers"]}
        for n, worker_id in enumerate(ids):
            worker = {field: listed[worker_id][field] for field in FOUR_FIELDS}
            assert worker == registration(worker_id, models=(f"model-{n}",))


def test_QREG_03_list_by_capability_returns_only_that_worker(shared, register):
    with_gpu = register(capabilities=("cuda:0",))
    register(capabilities=("cpu",))
    register(capabilities=("cuda:1",))
    answer = shared.api.get("/v1/workers?capability=cuda:0")
    assert answer.status == 200
    assert [worker["worker_id"] for worker in answer.json()["workers"]] == [with_gpu]
    assert shared.api.get("/v1/workers?capability=metal:0").json()["workers"] == []


def test_QREG_04_patch_changes_the_state(shared, register):
    worker_id = register()
    assert shared.find(worker_id)["state"] == "idle"
    for state in ("busy", "idle", "draining"):
        answer = shared.api.request("PATCH", f"/v1/workers/{worker_id}", {"state": state})
        assert answer.status == 200, answer.body
        assert shared.find(worker_id)["state"] == state
    wrong = shared.api.request("PATCH", f"/v1/workers/{worker_id}", {"state": "asleep"})
    assert wrong.status == 400
    assert shared.find(worker_id)["state"] == "draining"
    missing = shared.api.request("PATCH", "/v1/workers/worker-none", {"state": "idle"})
    assert missing.status == 404 and missing.error()["code"] == "WORKER_NOT_FOUND"


def test_QREG_05_delete_removes_the_worker(shared, register):
    worker_id, other = register(), register()
    answer = shared.api.delete(f"/v1/workers/{worker_id}")
    assert answer.status == 204 and answer.body == b""
    assert shared.find(worker_id) is None
    assert shared.find(other) is not None
    assert shared.api.delete(f"/v1/workers/{worker_id}").status == 404


def test_QREG_06_the_sweep_removes_the_silent_worker_and_keeps_the_fresh_one(
    tmp_path, models_dir
):
    cluster = Cluster(tmp_path, models_dir, queen_args=["--worker-silence-s", "2"])
    try:
        begin = time.monotonic()
        for worker_id in ("worker-silent", "worker-fresh"):
            answer = cluster.api.post("/v1/workers/register", registration(worker_id))
            assert answer.status == 201

        def swept():
            beat = cluster.api.post("/v1/workers/worker-fresh/heartbeat")
            assert beat.status == 200
            return cluster.find("worker-silent") is None

        wait_for(swept, 10, "silent worker removed")
        assert time.monotonic() - begin >= 2
        assert cluster.find("worker-fresh") is not None

        def said():
            lines = [e["message"] for e in cluster.queen.log_events() if e["event"] == "sweep"]
            return any("worker-silent" in line for line in lines)

        wait_for(said, 5, "line of the sweep")
        assert Api(cluster.api.url).post("/v1/workers/worker-silent/heartbeat").status == 404
    finally:
        assert cluster.stop() == 0

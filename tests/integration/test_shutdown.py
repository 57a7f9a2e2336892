"""Orderly stops with workers that are idle, busy and hung: how long they take, what is told, and that
nothing is left. Rows LIFE-* of scenario file 110 and the cascade of file 120."""

import json
import os
import re
import signal
import threading
import time

import pytest

from cli import Cli, free_port
from harness import ENGINE_ARGS, Api, Cluster, alive, start_hive, wait_for
from test_scenarios_120 import ONE_THREAD, service_processes


def spawn(api, model, count=1):
    """Workers at a hive or queen, ready."""
    ids = set()
    for _ in range(count):
        body = {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS}
        answer = api.post("/v1/workers/spawn", body)
        assert answer.status in (200, 201, 202), answer.body
        ids.add(answer.json()["worker_id"])

    def ready():
        found = [w for w in api.get("/v1/workers").json()["workers"] if w["id"] in ids]
        return len(found) == count and all(w["state"] == "idle" for w in found) and found

    return wait_for(ready, 60, f"{count} x {model} ready")


@pytest.fixture
def hive(tmp_path, models_dir):
    """A hive without a queen, and a net for what it should not have left."""
    made = start_hive(tmp_path, "--models-dir", str(models_dir))
    made.home = tmp_path
    yield made
    if made.process.poll() is None:
        made.kill()
    left = service_processes(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "left behind"


def events(hive, name):
    return [e for e in hive.log_events() if e.get("event") == name]


def stop(hive, *signals):
    """Sends the signals a second apart; how long the hive took."""
    begun = time.monotonic()
    for turn, number in enumerate(signals):
        if turn:
            time.sleep(1)
        hive.process.send_signal(number)
    assert hive.process.wait(60) == 0, hive.log_text()
    return time.monotonic() - begun


class Stream(threading.Thread):
    """A long answer, and how it ended."""

    def __init__(self, api, model="endless", tokens=100000):
        super().__init__(daemon=True)
        self.api, self.body = api, {
            "model": model,
            "stream": True,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": "go"}],
        }
        self.data = []
        self.start()
        wait_for(lambda: len(self.data) > 2, what="stream going")

    def run(self):
        try:
            with self.api.stream("/v1/chat/completions", self.body) as (_, _, found):
                for _, data in found:
                    self.data.append(data)
        except OSError:
            pass


def test_LIFE_001_002_010_the_process_is_known_from_start_to_end(hive):
    body = {"model_ref": "endless", "backend": "cpu", "engine_args": ENGINE_ARGS}
    assert hive.api.post("/v1/workers/spawn", body).status in (200, 201, 202)
    first = hive.api.get("/v1/workers").json()["workers"][0]
    assert first["pid"] > 0 and alive(first["pid"])

    def ready():
        worker = hive.api.get("/v1/workers").json()["workers"][0]
        return worker["state"] == "idle" and worker

    assert wait_for(ready, 60, "worker ready")["pid"] == first["pid"]
    assert hive.api.delete(f"/v1/workers/{first['id']}").status in (200, 202, 204)
    wait_for(lambda: hive.api.get("/v1/workers").json()["workers"] == [], what="worker dropped")
    assert not alive(first["pid"])
    assert stop(hive, signal.SIGTERM) < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_LIFE_007_009_015_five_workers_stop_at_the_same_time(hive, number):
    spawn(hive.api, "hello", 5)
    took = stop(hive, number)
    assert took < 15, took
    assert events(hive, "shutdown_workers")[0]["workers"] == 5
    told = [e["message"] for e in events(hive, "shutdown_progress")]
    assert told == [f"{n}/5 workers stopped" for n in range(1, 6)], told
    assert events(hive, "shutdown_workers_done")
    assert not events(hive, "worker_force_killed")
    print(f"five idle workers: {took:.2f} s")


def test_LIFE_003_004_008_013_014_hung_busy_and_idle_workers_stop_together(hive):
    """Hung is SIGSTOP: neither HTTP nor SIGTERM is heard. Three of them are killed together."""
    idle = spawn(hive.api, "hello")
    busy = spawn(hive.api, "count-a")
    hung = spawn(hive.api, "tiny", 3)
    stream = Stream(hive.api, "count-a", tokens=1900)
    for worker in hung:
        os.kill(worker["pid"], signal.SIGSTOP)
    took = stop(hive, signal.SIGTERM)
    assert 19 < took < 30, took
    killed = events(hive, "worker_force_killed")
    assert {e["worker_id"] for e in killed} == {w["id"] for w in hung}
    assert {e["pid"] for e in killed} == {w["pid"] for w in hung}
    for record in killed:
        assert record["signal"] == "SIGKILL" and record["reason"] and record["timestamp"], record
    assert not [w["pid"] for w in idle + busy + hung if alive(w["pid"])]
    stream.join(10)
    assert stream.data[-1] == "[DONE]", "what runs may end"
    print(f"hung, busy and idle workers: {took:.2f} s")


def test_a_second_signal_hurries(hive):
    hung = spawn(hive.api, "tiny")[0]
    busy = spawn(hive.api, "endless")[0]
    stream = Stream(hive.api)
    os.kill(hung["pid"], signal.SIGSTOP)
    took = stop(hive, signal.SIGTERM, signal.SIGTERM)
    assert took < 4, took
    assert not alive(hung["pid"]) and not alive(busy["pid"])
    stream.join(10)
    assert "[DONE]" not in stream.data
    print(f"hurried: {took:.2f} s")


def mixed(cluster):
    """Idle, busy and hung workers of a cluster."""
    idle = cluster.spawn("hello")
    busy = cluster.spawn("endless")
    hung = cluster.spawn("tiny")
    stream = Stream(cluster.api)
    os.kill(hung["pid"], signal.SIGSTOP)
    return [idle, busy, hung], stream


def test_sigterm_to_the_queen_takes_hive_and_workers_down_whatever_they_do(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir)
    workers, stream = mixed(cluster)
    begun = time.monotonic()
    assert cluster.stop() == 0
    took = time.monotonic() - begun
    assert took < 42, took  # 18 s for the stream that does not end, then the hung worker
    assert not [w for w in workers if alive(w["pid"])]
    assert service_processes(tmp_path) == set()
    stream.join(10)
    print(f"cascade with hung, busy and idle workers: {took:.2f} s")


def test_rbee_down_with_hung_busy_and_idle_workers_leaves_nothing(tmp_path, models_dir):
    port = free_port()
    rbee = Cli(tmp_path, f"http://127.0.0.1:{port}", **ONE_THREAD)
    up = rbee.run("up", "--port", str(port), "--models-dir", str(models_dir))
    assert up.code == 0, up
    api = Api(f"http://127.0.0.1:{port}")
    try:
        wait_for(
            lambda: [h for h in api.get("/v1/hives").json()["hives"] if h["available"]],
            what="hive there",
        )
        spawn(api, "hello")
        hung = spawn(api, "tiny")[0]
        spawn(api, "endless")
        stream = Stream(api)
        os.kill(hung["pid"], signal.SIGSTOP)
        everyone = service_processes(tmp_path)
        assert len(everyone) == 5, everyone
        begun = time.monotonic()
        down = rbee.run("down", "--timeout", "60", seconds=90)
        took = time.monotonic() - begun
        assert down.code == 0, down
        wait_for(lambda: not service_processes(tmp_path), 5, "everything gone")
        stream.join(10)
        print(f"rbee down with hung, busy and idle workers: {took:.2f} s")
    finally:
        for pid in service_processes(tmp_path):
            os.kill(pid, signal.SIGKILL)


def test_the_hive_goes_with_a_queen_that_is_killed_and_takes_its_workers_along(
    tmp_path, models_dir
):
    cluster = Cluster(tmp_path, models_dir)
    worker = cluster.spawn("hello")
    cluster.queen.kill()
    wait_for(lambda: service_processes(tmp_path) == set(), 15, "hive and worker gone")
    assert not alive(worker["pid"])
    assert re.search("the queen has gone", (tmp_path / "logs" / "hive-localhost.log").read_text())
    assert json.loads((tmp_path / "run" / "hive-localhost" / "workers.json").read_text())[
        "workers"
    ] == []

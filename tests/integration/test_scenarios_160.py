"""Scenario file 160: one prompt through all four programs, cold and warm.

The cold row's remote part (SSH, download) needs those features; here the node is this machine.
"""

import json
import time

from cli import Cli
from conftest import HELLO
from harness import Cluster, wait_for

ONE_THREAD = {"LLAMA_ARG_THREADS": "1", "LLAMA_ARG_THREADS_BATCH": "1"}


def log_of(cluster):
    """Log lines of all programs of a cluster, as dictionaries."""
    lines = list(cluster.queen.log)
    for path in (cluster.home / "logs").glob("*.log"):
        lines += path.read_text().splitlines()
    events = []
    for line in lines:
        if line.startswith("{"):
            events.append(json.loads(line))
    return events


def test_E2E_01_cold_start_on_this_node(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, extra_env=ONE_THREAD)
    try:
        assert cluster.workers() == []
        done = Cli(tmp_path, cluster.queen.url).run(
            "--json", "infer", "--node", "localhost", "--model", "hello",
            "--max-tokens", "20", "hi",
        )
        assert done.code == 0, done
        answer = json.loads(done.out)
        assert answer["text"] == HELLO[:20]
        assert answer["usage"]["completion_tokens"] == 20
        wait_for(lambda: [w["state"] for w in cluster.workers()] == ["idle"], what="worker idle")
        worker = cluster.workers()[0]
        assert worker["node"] == "localhost" and worker["backend"] == "cpu"

        wanted = {"worker_spawn", "worker_spawned", "worker_assigned", "inference_dispatched"}

        def of_this_request():
            ours = [e for e in log_of(cluster) if e.get("correlation_id") == answer["request_id"]]
            return ours if wanted <= {event["event"] for event in ours} else None

        of_request = wait_for(of_this_request, 5, f"all of {wanted} in the logs")
        events = log_of(cluster)
        assert {e["component"] for e in of_request} == {
            "queen-rbee", "rbee-hive", "llm-worker-rbee",
        }
        loaded = [e for e in events if e["event"] == "model_loaded"]
        callbacks = [e for e in events if e.get("message") == "POST /v1/workers/ready"]
        assert len(loaded) == 1 and len(callbacks) >= 1
    finally:
        assert cluster.stop() == 0


def test_E2E_02_warm_start_uses_the_idle_worker_and_takes_less_than_5_s(cluster):
    worker = cluster.spawn("hello")
    begin = time.monotonic()
    done = Cli(cluster.home, cluster.queen.url).run(
        "infer", "--node", "localhost", "--model", "hello", "--max-tokens", "20", "hi"
    )
    assert done.code == 0 and done.out.rstrip("\n") == HELLO[:20], done
    assert time.monotonic() - begin < 5
    assert [(w["id"], w["pid"]) for w in cluster.workers()] == [(worker["id"], worker["pid"])]

    def names():
        return [event["event"] for event in cluster.queen.log_events()]

    wait_for(lambda: "worker_assigned" in names(), 5, "assignment in the log")
    assert "worker_spawn" not in names()
    wait_for(lambda: cluster.find(worker["id"], {"idle"}), what="worker idle again")

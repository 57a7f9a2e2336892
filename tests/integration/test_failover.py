"""What clients see when the worker or the hive that has their request dies."""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import threading
import time

from harness import CRASH, wait_for

# Its answer comes as a whole after a second or two: until then the client has seen nothing.
WHOLE = {"model": "count-a", "prompt": "go", "max_tokens": 1900, "temperature": 0}


def metric(api, line):
    found = re.search(rf"^{re.escape(line)} (\S+)$", api.get("/metrics").body.decode(), re.M)
    return float(found.group(1)) if found else 0.0


def in_background(call):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return future


def busy_worker(cluster):
    return wait_for(
        lambda: next((w for w in cluster.workers() if w["in_flight"] > 0), None), what="busy worker"
    )


def test_request_without_a_byte_is_served_by_another_worker(cluster):
    ids = {cluster.spawn("count-a")["id"], cluster.spawn("count-a")["id"]}
    assert len(ids) == 2
    request = in_background(lambda: cluster.api.post("/v1/completions", WHOLE))
    doomed = busy_worker(cluster)
    os.kill(doomed["pid"], signal.SIGKILL)
    answer = request.result(60)
    assert answer.status == 200, answer.body
    assert {answer.headers["X-Rbee-Worker"]} == ids - {doomed["id"]}
    assert metric(cluster.api, "rbee_queen_retries_total") == 1


def test_request_waits_for_the_restart_of_the_only_worker(cluster):
    worker = cluster.spawn("count-a")
    request = in_background(lambda: cluster.api.post("/v1/completions", WHOLE))
    busy_worker(cluster)
    os.kill(worker["pid"], signal.SIGKILL)
    answer = request.result(60)
    assert answer.status == 200, answer.body
    assert answer.headers["X-Rbee-Worker"] == worker["id"]
    back = wait_for(lambda: cluster.find(worker["id"], {"idle", "busy"}), what="worker back")
    assert back["pid"] != worker["pid"]
    assert back["restart_count"] == 1
    assert len(cluster.workers()) == 1, "it is restarted, not replaced"


def test_restart_after_the_deadline_is_refused_with_its_time_and_cause(cluster):
    worker = cluster.spawn("count-a")
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: cluster.find(worker["id"], {"backoff"}), what="backoff")
    begun = time.monotonic()
    answer = cluster.api.post("/v1/completions", WHOLE, headers={"X-Request-Timeout-Ms": "250"})
    assert time.monotonic() - begun < 0.25, "it does not wait in vain"
    assert answer.status == 503, answer.body
    assert answer.error()["code"] == "MODEL_UNAVAILABLE"
    assert "SIGKILL" in answer.error()["message"], answer.error()
    assert answer.headers["Retry-After"] in ("1", "2")
    # Who has the time waits.
    assert cluster.api.post("/v1/completions", {**WHOLE, "max_tokens": 3}).status == 200


def test_request_that_came_during_the_restart_is_served(cluster):
    worker = cluster.spawn("count-a")
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: cluster.find(worker["id"], {"dying", "backoff"}), what="worker down")
    answers = [
        in_background(lambda: cluster.api.post("/v1/completions", {**WHOLE, "max_tokens": 5}))
        for _ in range(8)
    ]
    assert [one.result(60).status for one in answers] == [200] * 8
    assert len(cluster.workers()) == 1


def test_EH_013a_started_stream_names_the_cause_and_is_not_repeated(cluster):
    ids = {cluster.spawn("endless")["id"], cluster.spawn("endless")["id"]}
    body = {"model": "endless", "prompt": "go", "stream": True, "max_tokens": 100000}
    with cluster.api.stream("/v1/completions", body) as (status, headers, events):
        assert status == 200
        next(events)
        doomed = cluster.find(headers["X-Rbee-Worker"])
        assert doomed["id"] in ids
        os.kill(doomed["pid"], CRASH)
        rest = [data for _, data in events]
    assert "[DONE]" not in rest
    error = json.loads(rest[-1])["error"]
    assert error["code"] == "WORKER_FAILED"
    assert CRASH.name in error["message"], error
    assert metric(cluster.api, "rbee_queen_retries_total") == 0


def hive_pid(cluster):
    children = pathlib.Path(f"/proc/{cluster.queen.pid()}/task/{cluster.queen.pid()}/children")
    for pid in children.read_text().split():
        if "rbee-hive" in pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]:
            return int(pid)
    return None


def test_requests_survive_the_death_of_their_hive(cluster):
    cluster.spawn("count-a")
    request = in_background(lambda: cluster.api.post("/v1/completions", WHOLE))
    busy_worker(cluster)
    killed = hive_pid(cluster)
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: hive_pid(cluster) != killed, what="hive gone")
    during = cluster.api.post("/v1/completions", {**WHOLE, "max_tokens": 3})
    assert during.status == 200, during.body
    answer = request.result(60)
    assert answer.status == 200, answer.body
    assert hive_pid(cluster) not in (None, killed)


def test_load_over_three_crashes_loses_nothing_that_had_not_begun(cluster):
    """Two workers, four clients; now and then the worker that is busy is killed."""
    for _ in range(2):
        cluster.spawn("count-a", slots=2)
    body = {**WHOLE, "max_tokens": 300}
    stop = threading.Event()
    failures, served = [], []

    def client():
        while not stop.is_set():
            answer = cluster.api.post("/v1/completions", body)
            (served if answer.status == 200 else failures).append(answer.body)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    for _ in range(3):
        victim = busy_worker(cluster)
        os.kill(victim["pid"], signal.SIGKILL)
        wait_for(
            lambda: (w := cluster.find(victim["id"], {"idle", "busy"}))
            and w["pid"] != victim["pid"],
            30,
            "worker back",
        )
    stop.set()
    for one in clients:
        one.join(60)
    assert not failures, failures
    assert len(served) >= 10
    assert metric(cluster.api, "rbee_queen_retries_total") >= 1
    assert len(cluster.workers()) == 2

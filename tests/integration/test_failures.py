"""What clients see when something goes wrong."""

import json
import os
import signal
import threading
import time

import pytest

from harness import Api, BIN, Program, alive, children_of, wait_for


def start_endless(api, model="endless", path="/v1/chat/completions", headers=None):
    """Opens a stream that never ends by itself; returns (context, status, headers, events)."""
    body = {"model": model, "stream": True, "max_tokens": 100000}
    if path == "/v1/chat/completions":
        body["messages"] = [{"role": "user", "content": "go"}]
    else:
        body["prompt"] = "go"
        body["max_tokens"] = 2048
    context = api.stream(path, body, headers=headers)
    status, fields, events = context.__enter__()
    assert status == 200
    next(events)
    return context, fields, events


def test_EH_013a_worker_killed_mid_stream_is_an_error_never_a_finished_answer(cluster):
    doomed = cluster.spawn("endless")
    other = cluster.spawn("count-a")
    bystander = {}

    def stand_by():
        bystander["text"] = cluster.api.chat_text("count-a", max_tokens=1500, temperature=0)

    context, _, events = start_endless(cluster.api)
    thread = threading.Thread(target=stand_by)
    thread.start()
    os.kill(doomed["pid"], signal.SIGKILL)
    rest = [data for _, data in events]
    context.__exit__(None, None, None)
    assert "[DONE]" not in rest
    error = json.loads(rest[-1])["error"]
    assert error["code"] == "WORKER_FAILED"
    assert "SIGKILL" in error["message"], error
    assert error["correlation_id"]
    thread.join(60)
    assert len(bystander["text"].split()) == 1500
    assert alive(other["pid"])
    wait_for(lambda: (cluster.find(doomed["id"]) or {}).get("pid") != doomed["pid"], what="it is gone")


def test_Gap_G12b_client_that_leaves_frees_the_slot(cluster):
    worker = cluster.spawn("endless", slots=1)
    context, _, _ = start_endless(cluster.api)
    wait_for(lambda: cluster.find(worker["id"])["slots_available"] == 0, what="slot taken")
    context.__exit__(None, None, None)
    left = time.monotonic()
    direct = cluster.worker_api(worker)
    wait_for(
        lambda: direct.post("/v1/completions", {"prompt": "x", "max_tokens": 1}).status == 200,
        what="worker slot free",
    )
    assert time.monotonic() - left < 5
    wait_for(lambda: cluster.find(worker["id"])["slots_available"] == 1, what="slot given back")


def test_Gap_G12c_delete_stops_a_request_and_repeats_are_204(cluster):
    worker = cluster.spawn("endless", slots=1)
    request_id = "3d9f0d5e-54d5-4e0e-9f0a-7a2f6f3f8c11"
    context, fields, events = start_endless(
        cluster.api, path="/v1/inference", headers={"X-Correlation-Id": request_id}
    )
    assert fields["X-Request-Id"] == request_id
    assert cluster.api.delete(f"/v1/inference/{request_id}").status == 204
    rest = [data for _, data in events]
    context.__exit__(None, None, None)
    assert rest[-1] == "[DONE]"
    terminal = [json.loads(d) for d in rest[:-1] if json.loads(d)["type"] in ("end", "error")]
    assert len(terminal) == 1 and terminal[0]["type"] == "error", terminal
    assert cluster.api.delete(f"/v1/inference/{request_id}").status == 204
    assert cluster.api.delete("/v1/inference/never-existed").status == 204
    wait_for(lambda: cluster.find(worker["id"])["slots_available"] == 1, what="slot given back")


def test_EH_018a_a_full_worker_says_503_with_its_counts(cluster):
    worker = cluster.spawn("endless", slots=1)
    context, _, _ = start_endless(cluster.api)
    answer = cluster.worker_api(worker).post("/v1/completions", {"prompt": "x", "max_tokens": 1})
    assert answer.status == 503
    error = answer.error()
    assert error["code"] == "ALL_SLOTS_BUSY"
    assert error["details"] == {"slots_total": 1, "slots_busy": 1}
    context.__exit__(None, None, None)


def test_D_18_a_full_queue_says_QUEUE_FULL_and_a_queued_request_is_served(tmp_path, models_dir):
    from harness import Cluster

    cluster = Cluster(tmp_path, models_dir, queen_args=["--queue-capacity", "1"])
    try:
        cluster.spawn("endless", slots=1)
        context, _, _ = start_endless(cluster.api)
        result = {}
        body = {"model": "endless", "prompt": "x", "max_tokens": 1}

        def queued():
            result["answer"] = cluster.api.post("/v1/completions", body)

        thread = threading.Thread(target=queued)
        thread.start()
        wait_for(
            lambda: cluster.api.get("/v1/status").json()["queue_depth"] == 1, what="one queued"
        )
        refused = cluster.api.post("/v1/completions", body)
        assert refused.status == 503
        assert refused.error()["code"] == "QUEUE_FULL"
        assert refused.headers["Retry-After"]
        context.__exit__(None, None, None)
        thread.join(30)
        assert result["answer"].status == 200
    finally:
        assert cluster.stop() == 0


def test_unknown_model_names_the_known_ones(shared):
    answer = shared.api.post(
        "/v1/chat/completions", {"model": "nope", "messages": [{"role": "user", "content": "x"}]}
    )
    assert answer.status == 404
    assert answer.error()["code"] == "MODEL_NOT_FOUND"
    assert "hello" in answer.error()["message"]


def test_corrupt_model_has_a_readable_cause_and_the_hive_goes_on(cluster):
    answer = cluster.api.post("/v1/chat/completions", {
        "model": "corrupt", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status >= 500, answer.body
    assert "corrupt" in answer.error()["message"] or "GGUF" in answer.error()["message"]
    assert cluster.api.chat_text("hello")


@pytest.mark.parametrize(("kind", "code"), [("missing", 66), ("corrupt", 65)])
def test_worker_alone_with_a_bad_file_says_so_and_in_its_exit_code(tmp_path, models_dir, kind, code):
    """EX_NOINPUT and EX_DATAERR of sysexits.h: a hive tries neither again."""
    path = models_dir / f"{kind}.gguf"
    worker = Program(
        [BIN / "llm-worker-rbee", "--worker-id", "w-1", "--model", path, "--port", "0"],
        tmp_path,
        ready=False,
    )
    assert worker.process.wait(30) == code
    wait_for(lambda: any("gguf" in line.lower() for line in worker.log), what="cause on stderr")


def test_ERR_003_errors_carry_correlation_ids_and_ERR_004_they_are_in_the_logs(cluster):
    seen = set()
    for _ in range(5):
        answer = cluster.api.get("/v1/nothing-here")
        assert answer.status == 404
        seen.add(answer.error()["correlation_id"])
        assert answer.headers["X-Correlation-Id"] == answer.error()["correlation_id"]
    assert len(seen) == 5
    chosen = "11111111-2222-4333-8444-555555555555"
    answer = cluster.api.post(
        "/v1/completions",
        {"model": "hello", "prompt": "x", "max_tokens": 3},
        headers={"X-Correlation-Id": chosen},
    )
    assert answer.status == 200 and answer.headers["X-Request-Id"] == chosen
    logs = cluster.queen.log_text() + "".join(
        p.read_text() for p in (cluster.home / "logs").glob("*.log")
    )
    for component in ("queen-rbee", "rbee-hive", "llm-worker-rbee"):
        lines = [l for l in logs.splitlines() if chosen in l and component in l]
        assert lines, f"no line of {component} has the correlation id"


def test_ERR_011_hundred_requests_half_of_them_bad(shared):
    import concurrent.futures

    shared.api.chat_text("hello")

    def one(i):
        if i % 2:
            return shared.api.request("POST", "/v1/chat/completions", b"{not json").status
        return shared.api.post(
            "/v1/completions", {"model": "hello", "prompt": "x", "max_tokens": 2}
        ).status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(one, range(100)))
    assert statuses == [200, 400] * 50


def test_QLIF_02_queen_stop_takes_hive_and_workers_along(tmp_path, models_dir):
    from harness import Cluster

    cluster = Cluster(tmp_path, models_dir)
    cluster.spawn("hello")
    cluster.spawn("tiny")
    family = children_of(cluster.queen.pid())
    assert len(family) >= 3
    begin = time.monotonic()
    assert cluster.stop() == 0
    assert time.monotonic() - begin < 30
    assert not [pid for pid in family if alive(pid)]


def test_no_token_no_entry(shared):
    for url in (shared.api.url, shared.hive_api().url):
        stranger = Api(url, token=None)
        answer = stranger.get("/v1/models")
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert Api(url, token="wrong").get("/v1/anything").status == 401
        assert stranger.get("/health").status == 200
        assert stranger.get("/metrics").status == 200

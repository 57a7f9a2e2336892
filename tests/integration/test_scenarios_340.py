"""Scenario file 340: a deadline travels with the request, and the work stops when it passes.

Where a row says 408 the answer is 504.
"""

import datetime
import json
import pathlib
import subprocess
import time
import uuid

import pytest

from harness import TOKEN, Cluster, make_model, wait_for
from test_client_libraries import installed


@pytest.fixture(scope="module")
def slow_dir(tmp_path_factory):
    """Models that talk for ever: one fast, one not."""
    directory = tmp_path_factory.mktemp("slow")
    make_model(directory, "slow", "--preset", "slow", "--eos", "never")
    make_model(directory, "endless", "--eos", "never")
    return directory


@pytest.fixture(scope="module")
def chain(tmp_path_factory, slow_dir):
    cluster = Cluster(tmp_path_factory.mktemp("home"), slow_dir, slots=1)
    try:
        cluster.worker = cluster.spawn("endless", slots=1)
        yield cluster
    finally:
        cluster.stop()


def rfc3339(seconds_from_now):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def endless(stream=False, **more):
    return {"model": "endless", "prompt": "go", "max_tokens": 1000000, "stream": stream, **more}


def events_of(cluster, correlation_id, name):
    """Log lines of that event and request, of queen, hive and worker."""
    logs = [cluster.queen.log_events(), cluster.hive_log()]
    for path in pathlib.Path(cluster.home, "logs").glob("worker-*.log"):
        lines = path.read_text(errors="replace").splitlines()
        logs.append([json.loads(line) for line in lines if line.startswith("{")])
    return [
        line
        for log in logs
        for line in log
        if line.get("event") == name and line.get("correlation_id") == correlation_id
    ]


def posts(cluster, correlation_id):
    """Access log lines at the queen of a request and its repetitions."""
    lines = [line for line in cluster.queen.log_events() if line["event"] == "request"]
    return [line for line in lines if line["correlation_id"] == correlation_id]


def slot_is_free(cluster):
    worker = cluster.find(cluster.worker["id"])
    return worker["slots_available"] == worker["slots_total"]


def assert_expired(answer, stage=None):
    assert answer.status == 504, answer.body
    assert answer.headers["X-Deadline-Exceeded"] == "1"
    assert answer.headers["x-should-retry"] == "false"
    error = answer.error()
    assert error["code"] == "REQUEST_TIMEOUT"
    assert error["message"] == "Request exceeded deadline"
    assert error["retriable"] is False
    details = error["details"]
    assert details["exceeded_by_ms"] >= 0 and details["elapsed_ms"] >= 0
    if stage:
        assert details["stage"] in stage, details
    return details


def test_DEAD_002_the_whole_chain_stops_at_the_limit(chain):
    begin = time.monotonic()
    answer = chain.api.post(
        "/v1/completions", endless(), headers={"X-Request-Timeout-Ms": "700"}
    )
    took = time.monotonic() - begin
    assert_expired(answer, {"inference"})
    assert 0.68 <= took <= 1.2, took
    wait_for(lambda: slot_is_free(chain), 2, "slot free")
    correlation_id = answer.headers["X-Correlation-Id"]
    assert events_of(chain, correlation_id, "inference_cancelled")[0]["reason"] == "deadline"


@pytest.mark.parametrize("form", ["rfc3339", "epoch"])
def test_DEAD_001_and_004_one_absolute_deadline_unchanged_on_every_hop(chain, form):
    at = rfc3339(0.8) if form == "rfc3339" else str(int((time.time() + 0.8) * 1000))
    answer = chain.api.post("/v1/completions", endless(), headers={"X-Request-Deadline": at})
    assert assert_expired(answer)["deadline"] == at
    correlation_id = answer.headers["X-Correlation-Id"]
    begun = events_of(chain, correlation_id, "inference_start")  # queen and worker
    begun += events_of(chain, correlation_id, "inference_dispatched")  # hive
    assert [line.get("deadline") for line in begun] == [at, at, at], begun


def test_DEAD_003_a_worker_that_is_started_inherits_the_deadline(tmp_path, slow_dir):
    cluster = Cluster(tmp_path, slow_dir, slots=1)
    try:
        answer = cluster.api.post(
            "/v1/completions", endless(), headers={"X-Request-Timeout-Ms": "1500"}
        )
        details = assert_expired(answer)
        assert details["deadline_ms"] <= 1500
        assert details["elapsed_ms"] < 2500
    finally:
        cluster.stop()


def test_DEAD_005_the_answer_names_the_original_deadline(chain):
    at = rfc3339(-5)
    answer = chain.api.post("/v1/completions", endless(), headers={"X-Request-Deadline": at})
    details = assert_expired(answer, {"arrived"})
    assert details["deadline"] == at
    assert details["exceeded_by_ms"] >= 5000


def test_DEAD_006_a_stream_ends_with_one_error_and_the_slot_is_free(chain):
    headers = {"X-Request-Timeout-Ms": "600"}
    with chain.api.stream("/v1/chat/completions", {
        "model": "endless", "messages": [{"role": "user", "content": "go"}],
        "max_tokens": 1000000, "stream": True,
    }, headers=headers) as (status, _, events):  # fmt: skip
        assert status == 200
        data = [text for _, text in events]
    assert len(data) > 2
    error = json.loads(data[-1])["error"]
    assert error["code"] == "REQUEST_TIMEOUT" and error["details"]["stage"] == "decode"
    assert "[DONE]" not in data
    wait_for(lambda: slot_is_free(chain), 2, "slot free")


def test_DEAD_006_anthropic_streams_end_with_their_error_event(chain):
    body = {
        "model": "endless", "messages": [{"role": "user", "content": "go"}],
        "max_tokens": 1000000, "stream": True,
    }  # fmt: skip
    with chain.api.stream("/v1/messages", body, headers={"X-Request-Timeout-Ms": "600"}) as (
        status,
        _,
        events,
    ):
        assert status == 200
        seen = list(events)
    assert seen[-1][0] == "error"
    assert "message_stop" not in [name for name, _ in seen]


def test_DEAD_007_a_header_does_not_extend_the_timeout_of_the_body(chain):
    begin = time.monotonic()
    answer = chain.api.post(
        "/v1/completions",
        endless(deadline_ms=500),
        headers={"X-Request-Deadline": rfc3339(60)},
    )
    assert_expired(answer)
    assert time.monotonic() - begin < 1.5
    warned = events_of(chain, answer.headers["X-Correlation-Id"], "deadline_extension_refused")
    assert warned and warned[0]["level"] == "warn"
    assert "rbee_queen_deadline_extensions_refused_total 1" in chain.api.get("/metrics").body.decode()


def test_DEAD_008_without_a_timeout_the_default_holds(tmp_path, slow_dir):
    cluster = Cluster(tmp_path, slow_dir, slots=1, queen_args=["--deadline-s", "1"])
    try:
        cluster.worker = cluster.spawn("endless", slots=1)
        begin = time.monotonic()
        answer = cluster.api.post("/v1/completions", endless())
        details = assert_expired(answer)
        assert 0.9 < time.monotonic() - begin < 2.5
        assert details["deadline"] and 900 <= details["deadline_ms"]
        wait_for(lambda: slot_is_free(cluster), 2, "slot free")
    finally:
        cluster.stop()


def test_a_request_that_waits_in_line_ends_in_the_line(chain):
    with chain.api.stream("/v1/completions", endless(stream=True)) as (status, _, events):
        assert status == 200
        next(events)
        answer = chain.api.post(
            "/v1/completions", endless(), headers={"X-Request-Timeout-Ms": "300"}
        )
        details = assert_expired(answer, {"queued"})
        assert details["elapsed_ms"] < 800
        next(events)  # the other one is not disturbed
    wait_for(lambda: slot_is_free(chain), 3, "slot free")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-Deadline": "soon"},
        {"X-Request-Deadline": "12345"},
        {"X-Request-Timeout-Ms": "-1"},
        {"X-Request-Timeout-Ms": "1.5"},
        {"X-Stainless-Timeout": "NaN"},
    ],
)
def test_malformed_deadlines_are_refused(chain, headers):
    answer = chain.api.post("/v1/completions", endless(), headers=headers)
    assert answer.status == 400 and answer.error()["code"] == "INVALID_DEADLINE", answer.body


def test_the_official_client_throws_and_sends_one_request(chain):
    script = """
        import OpenAI from "openai";
        const client = new OpenAI({
            apiKey: process.env.TOKEN, baseURL: process.env.URL + "/v1",
            defaultHeaders: { "X-Request-Timeout-Ms": "400", "X-Correlation-Id": process.env.ID },
        });
        try {
            await client.completions.create({ model: "endless", prompt: "go", max_tokens: 1000000 });
            console.log("answered");
        } catch (error) { console.log(error.status, error.code); }
    """
    correlation_id = str(uuid.uuid4())
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        cwd=installed(),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": TOKEN, "URL": chain.queen.url, "ID": correlation_id},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["504", "REQUEST_TIMEOUT"], done.stderr
    time.sleep(1.5)  # the client would try again within this
    assert len(posts(chain, correlation_id)) == 1


PARTIAL = {"X-Deadline-Policy": "partial", "X-Request-Timeout-Ms": "700"}


def chat_body(**more):
    messages = [{"role": "user", "content": "go"}]
    return {"model": "endless", "messages": messages, "max_tokens": 1000000, **more}


def partial_stream(chain, path, body):
    """The events of a stream that its deadline cuts; nothing may be left behind."""
    with chain.api.stream(path, body, headers=PARTIAL) as (status, _, events):
        assert status == 200
        seen = list(events)
    wait_for(lambda: slot_is_free(chain), 2, "slot free")
    return seen


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", chat_body(stream=True)), ("/v1/completions", endless(stream=True))],
)
def test_partial_streams_finish_normally_and_say_why(chain, path, body):
    data = [text for _, text in partial_stream(chain, path, body)]
    assert len(data) > 3 and data[-1] == "[DONE]"
    before, last = json.loads(data[-3]), json.loads(data[-2])
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["rbee"] == {"truncated_by": "deadline"}
    for name in ("id", "model", "object"):
        assert last[name] == before[name]


def test_partial_messages_and_own_streams_finish_normally(chain):
    seen = partial_stream(chain, "/v1/messages", chat_body(stream=True))
    assert [name for name, _ in seen[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert json.loads(seen[-2][1])["delta"]["stop_reason"] == "max_tokens"
    own = partial_stream(chain, "/v1/inference", {"model": "endless", "prompt": "go", "max_tokens": 2048})
    end = json.loads(own[-2][1])
    assert end["type"] == "end", end
    # A fast machine may be through with its 2048 tokens.
    assert end["stop_reason"] == "MAX_TOKENS"
    assert end.get("truncated_by") == "deadline" or end["tokens_out"] == 2048


@pytest.mark.parametrize(
    ("path", "body", "text_of"),
    [
        ("/v1/chat/completions", chat_body(), lambda a: a["choices"][0]["message"]["content"]),
        ("/v1/completions", endless(), lambda a: a["choices"][0]["text"]),
        ("/v1/messages", chat_body(), lambda a: a["content"][0]["text"]),
    ],
)
def test_a_partial_answer_in_one_piece_has_the_text_so_far(chain, path, body, text_of):
    begin = time.monotonic()
    answer = chain.api.post(path, body, headers=PARTIAL)
    assert answer.status == 200, answer.body
    assert 0.66 <= time.monotonic() - begin <= 1.2
    document = answer.json()
    assert text_of(document)
    assert document["rbee"] == {"truncated_by": "deadline"}
    usage = document["usage"]
    assert usage.get("completion_tokens", usage.get("output_tokens")) > 1
    wait_for(lambda: slot_is_free(chain), 2, "slot free")


def test_a_partial_answer_that_is_in_time_is_like_any_other(chain):
    body = {"model": "endless", "prompt": "go", "max_tokens": 5, "seed": 1, "temperature": 0}
    plain = chain.api.post("/v1/completions", body).json()
    partial = chain.api.post(
        "/v1/completions", body, headers={"X-Deadline-Policy": "partial"}
    ).json()
    for name in ("object", "model", "choices"):
        assert partial[name] == plain[name]
    assert partial["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]
    assert "rbee" not in partial


def test_the_policy_is_checked_and_does_not_help_before_the_first_token(chain):
    for headers, path in (
        ({"X-Deadline-Policy": "maybe"}, "/v1/completions"),
        ({"X-Deadline-Policy": "partial"}, "/v1/responses"),
    ):
        answer = chain.api.post(path, {**endless(), "input": "go"}, headers=headers)
        assert answer.status == 400 and answer.error()["code"] == "INVALID_DEADLINE", answer.body
    with chain.api.stream("/v1/completions", endless(stream=True)) as (status, _, events):
        assert status == 200
        next(events)
        headers = {"X-Deadline-Policy": "partial", "X-Request-Timeout-Ms": "300"}
        assert_expired(chain.api.post("/v1/completions", endless(), headers=headers), {"queued"})
    wait_for(lambda: slot_is_free(chain), 3, "slot free")


def test_a_hive_shows_the_requests_of_a_worker_and_their_earliest_deadline(chain):
    hive = chain.hive_api()

    def seen():
        return hive.get("/v1/workers/" + chain.worker["id"]).json()

    at = rfc3339(20)
    with chain.api.stream(
        "/v1/completions", endless(stream=True), headers={"X-Request-Deadline": at}
    ) as (status, _, events):
        assert status == 200
        next(events)
        assert seen()["active_requests"] == 1
        shown = datetime.datetime.fromisoformat(seen()["deadline"].replace("Z", "+00:00"))
        meant = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
        assert abs((shown - meant).total_seconds()) < 0.1
    wait_for(lambda: seen()["active_requests"] == 0, 3, "no active requests")
    assert seen()["deadline"] is None
    listed = hive.get("/v1/workers/list").json()["workers"]
    assert [w["active_requests"] for w in listed if w["id"] == chain.worker["id"]] == [0]

"""Scenario file 320: what errors look like, what they may say, and what the log says of them."""

import concurrent.futures
import os
import re
import signal
import uuid

import pytest

from harness import ROOT, TOKEN, Api, Cluster, FakeHive, start_hive, wait_for, write_fake_gpu

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.-]+/)+[\w.-]*|/root|/home/|~/")
ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b|localhost:|\[::1?\]")


def spawn(api, model="hello", **body):
    return api.post("/v1/workers/spawn", {"model_ref": model, "backend": "cpu", **body})


def check_shape(answer):
    """The one shape of errors; returns the inner object."""
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json()) == {"error"}
    error = answer.error()
    assert CODE.fullmatch(error["code"]), error
    assert isinstance(error["message"], str) and error["message"]
    assert isinstance(error["type"], str) and isinstance(error["retriable"], bool)
    assert UUID.fullmatch(error["correlation_id"]), error
    return error


@pytest.fixture
def home_logs(cluster):
    def read():
        logs = "\n".join(p.read_text() for p in (cluster.home / "logs").glob("*.log"))
        return logs + "\n" + "\n".join(cluster.queen.log)

    return read


def production_sources():
    for path in sorted((ROOT / "src").rglob("*.cpp")) + sorted((ROOT / "apps").rglob("*.cpp")):
        if not path.name.endswith("_test.cpp"):
            yield path


def test_ERR_001_no_result_is_taken_unchecked_in_production_sources():
    """To drop a result is a warning, and so an error; value() would throw past the check."""
    result = (ROOT / "src/rbee/base/result.hpp").read_text()
    assert "class [[nodiscard]] Result" in result
    unchecked = []
    for path in production_sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//")[0]
            calls = re.findall(r"(\w+)\)?\.value\(\)", code)
            # Members of JSON objects have a value() that cannot fail.
            if [name for name in calls if name not in ("field", "member")]:
                unchecked.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert unchecked == []


def test_ERR_002_a_spawn_error_is_json_with_code_message_and_details(shared):
    for api in (shared.api, shared.hive_api()):
        answer = spawn(api, backend="metal")
        assert answer.status == 400
        error = check_shape(answer)
        assert error["code"] == "BACKEND_UNAVAILABLE"
        assert error["details"] == {"backend": "metal", "available": ["cpu"]}


def test_ERR_003_each_error_has_a_correlation_id_of_its_own(shared):
    hive = shared.hive_api()
    seen = set()
    for _ in range(20):
        answer = spawn(hive, backend="metal")
        error = check_shape(answer)
        assert answer.headers["X-Correlation-Id"] == error["correlation_id"]
        seen.add(error["correlation_id"])
    assert len(seen) == 20
    chosen = str(uuid.uuid4())
    answer = hive.get("/v1/workers/none", headers={"X-Correlation-Id": chosen})
    assert answer.error()["correlation_id"] == chosen
    answer = hive.get("/v1/workers/none", headers={"X-Correlation-Id": "not a uuid"})
    assert UUID.fullmatch(answer.error()["correlation_id"])


def test_ERR_004_the_correlation_id_is_in_every_related_line(cluster):
    chosen = str(uuid.uuid4())
    answer = cluster.api.post(
        "/v1/completions",
        {"model": "corrupt", "prompt": "x"},
        headers={"X-Correlation-Id": chosen},
    )
    assert answer.status == 503 and answer.error()["correlation_id"] == chosen

    def names():
        events = cluster.queen.log_events()
        return {e["event"] for e in events if e.get("correlation_id") == chosen}

    wanted = {"inference_start", "worker_spawn", "worker_spawn_failed", "inference_refused"}
    wait_for(lambda: wanted <= names(), 5, f"all of {wanted} in the log")
    hive_log = (cluster.home / "logs/hive-localhost.log").read_text()
    spawned = [line for line in hive_log.splitlines() if chosen in line]
    assert any("/v1/workers/spawn" in line for line in spawned), hive_log


@pytest.mark.parametrize(
    "header",
    [
        "Bearer s3cret-password-of-somebody",
        "Basic czNjcmV0LXBhc3N3b3JkOmtleQ==",
        "s3cret-password-of-somebody",
        f"Bearer {TOKEN}x",
    ],
)
def test_ERR_006_an_auth_error_repeats_nothing_of_what_was_sent(shared, header):
    secrets = [header, header.split()[-1], TOKEN]
    for api in (shared.api, shared.hive_api()):
        answer = Api(api.url, token=None).get("/v1/workers", headers={"Authorization": header})
        assert answer.status == 401
        check_shape(answer)
        text = answer.body.decode() + str(answer.headers)
        assert not [secret for secret in secrets if secret in text]


def test_ERR_007_a_wrong_token_shows_as_a_fingerprint_of_six_only(cluster, home_logs):
    wrong = "wrong-token-abcdefghijklmnop"
    for api in (cluster.api, cluster.hive_api()):
        answer = Api(api.url, token=wrong).get("/v1/workers")
        assert answer.status == 401
        for length in range(4, len(wrong)):  # not even a prefix
            assert wrong[:length] not in answer.body.decode()
    wait_for(lambda: home_logs().count('"auth_failed"') >= 2, what="both failures logged")
    lines = [line for line in home_logs().splitlines() if '"auth_failed"' in line]
    for line in lines:
        assert re.search(r'"identity":"token:[0-9a-f]{6}"', line), line
        assert wrong[:8] not in line and TOKEN[:8] not in line


def test_ERR_008_file_errors_show_no_absolute_path(cluster, tmp_path):
    folder = tmp_path / "private.gguf"
    folder.mkdir()
    empty = tmp_path / "empty.gguf"
    empty.touch()
    text = tmp_path / "notes.txt"
    text.write_text("x")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really" * 100)
    answers = [
        spawn(api, f"file:{path}")
        for api in (cluster.api, cluster.hive_api())
        for path in (tmp_path / "missing.gguf", folder, empty, text)
    ]
    for model in ("corrupt", f"file:{broken}"):
        body = {"model": model, "prompt": "x"}
        answers.append(cluster.api.post("/v1/completions", body))
        answers.append(cluster.api.post("/v1/chat/completions", {**body, "stream": True}))
    answers.append(cluster.api.get("/v1/workers/worker-none/logs"))
    answers.append(cluster.hive_api().get("/v1/workers/worker-none/logs"))
    for answer in answers:
        assert answer.status >= 400, answer.body
        message = check_shape(answer)["message"]
        assert not ABSOLUTE_PATH.search(message), message
        assert str(tmp_path) not in answer.body.decode(), answer.body
    reasons = [w["reason"] for w in cluster.workers() if w["state"] == "failed"]
    assert reasons and not [r for r in reasons if ABSOLUTE_PATH.search(r)], reasons


def test_ERR_008_a_missing_worker_program_is_named_without_its_directories(tmp_path, models_dir):
    missing = tmp_path / "deep/inside/bin/llm-worker-rbee"
    hive = start_hive(tmp_path, "--models-dir", models_dir, "--worker-binary", missing)
    try:
        answer = spawn(hive.api)
        assert answer.status == 500
        message = check_shape(answer)["message"]
        assert ".../bin/llm-worker-rbee" in message
        assert str(tmp_path) not in answer.body.decode()
    finally:
        assert hive.stop() == 0


def test_ERR_009_network_errors_show_no_address(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir)
    hive = FakeHive()
    try:
        dead = cluster.api.post("/v1/hives", {"name": "x", "url": "http://127.0.0.1:9"})
        assert dead.status == 503
        answers = [dead]
        worker = {
            "id": "worker-far", "worker_id": "worker-far", "url": "http://127.0.0.1:9",
            "model_ref": "far", "model": "far", "backend": "cpu", "device": 0, "state": "idle",
            "slots_total": 1, "slots_available": 1,
        }
        hive.report["workers"] = [worker]
        assert cluster.api.post("/v1/hives", {"name": "far", "url": hive.url}).status == 201
        hive.close()  # a hive that has a worker, and then is gone
        answers.append(cluster.api.post("/v1/completions", {"model": "far", "prompt": "x"}))
        answers.append(cluster.api.get("/v1/workers/worker-far/logs"))
        answers.append(cluster.api.delete("/v1/workers/worker-far"))
        node = {"model_ref": "hello", "backend": "cpu", "node": "far"}
        answers.append(cluster.api.post("/v1/workers/spawn", node))
        # A worker that is gone, asked through its hive, before the hive has noticed.
        local = cluster.spawn("hello")
        os.kill(local["pid"], signal.SIGKILL)
        answers.append(Api(local["rbee_hive_url"]).get(f"/v1/workers/{local['id']}/progress"))
        for answer in answers:
            assert answer.status >= 500, answer.body
            message = check_shape(answer)["message"]
            assert not ADDRESS.search(message), message
    finally:
        assert cluster.stop() == 0


def test_ERR_010_one_failed_health_check_counts_and_three_take_a_worker_out(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, extra_env={"RBEE_HEALTH_INTERVAL_S": "1"})
    worker = cluster.spawn("hello")
    hive = cluster.hive_api()

    def entry():
        listed = hive.get("/v1/workers/list").json()["workers"]
        return [w for w in listed if w["id"] == worker["id"]][0]

    os.kill(worker["pid"], signal.SIGSTOP)
    try:
        one = wait_for(
            lambda: entry()["failed_health_checks"] >= 1 and entry(), 8, "first failed check"
        )
        assert one["failed_health_checks"] < 3 and one["state"] == "idle"
        three = wait_for(lambda: entry()["state"] == "unhealthy" and entry(), 8, "out of service")
        assert three["failed_health_checks"] >= 3 and three["slots_available"] == 0
        assert hive.get("/v1/health").status == 200  # the hive goes on
        wait_for(lambda: cluster.find(worker["id"], {"unhealthy"}), what="queen heard of it")
    finally:
        os.kill(worker["pid"], signal.SIGCONT)
    wait_for(lambda: entry()["state"] == "idle" and entry()["failed_health_checks"] == 0, 8, "back")
    assert cluster.stop() == 0


def test_ERR_011_a_hundred_at_once_half_of_them_wrong_are_each_answered_properly(shared):
    hive = shared.hive_api()
    wrong = [
        lambda: hive.request("POST", "/v1/workers/spawn", b"{not json"),
        lambda: spawn(hive, "../../etc/passwd"),
        lambda: spawn(hive, backend="quantum"),
        lambda: spawn(hive, slots=100000),
        lambda: hive.post("/v1/heartbeat", {"worker_id": 7}),
    ]

    def one(i):
        return wrong[i // 2 % len(wrong)]() if i % 2 else hive.get("/v1/workers/list")

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, range(100)))
    assert [a.status for a in answers] == [200, 400] * 50
    for answer in answers[1::2]:
        check_shape(answer)
    assert hive.get("/v1/health").status == 200


def test_ERR_012_a_shortage_is_INSUFFICIENT_RESOURCES(tmp_path, models_dir):
    hive = start_hive(tmp_path, "--models-dir", models_dir, "--max-workers", "1")
    try:
        assert spawn(hive.api, engine_args=["-t", "1"]).status == 200
        answer = spawn(hive.api)
        assert answer.status == 503 and answer.headers["Retry-After"]
        assert check_shape(answer)["code"] == "INSUFFICIENT_RESOURCES"
    finally:
        assert hive.stop() == 0


def test_ERR_013_a_vram_shortage_has_both_numbers_and_the_model(tmp_path, models_dir):
    hive = start_hive(
        tmp_path, "--models-dir", models_dir, "--worker-backends", "cuda,cpu",
        extra_env=write_fake_gpu(tmp_path / "gpu", 1024, 512),  # less than the reserve
    )
    try:
        error = check_shape(spawn(hive.api, backend="cuda"))
        assert error["code"] == "INSUFFICIENT_VRAM"
        assert error["details"]["model_ref"] == "hello"
        size = (models_dir / "hello.gguf").stat().st_size
        assert error["details"]["required_vram_mb"] == -(-size * 12 // 10 // 10**6)
        assert error["details"]["available_vram_mb"] == 0
    finally:
        assert hive.stop() == 0


def test_ERR_014_classes_of_errors_have_their_status(shared, tmp_path, models_dir):
    hive = shared.hive_api()
    assert Api(hive.url, token=None).get("/v1/workers/list").status == 401
    assert hive.get("/v1/workers/worker-none").status == 404
    assert spawn(hive, backend="quantum").status == 400
    assert hive.request("PUT", "/v1/workers/list").status == 405
    with open(tmp_path / "huge.gguf", "wb") as file:
        file.truncate(2 * 10**12)
    assert spawn(hive, f"file:{tmp_path}/huge.gguf").status == 503
    broken = start_hive(
        tmp_path, "--models-dir", models_dir, "--worker-binary", tmp_path / "no/such"
    )
    try:
        assert spawn(broken.api).status == 500
    finally:
        assert broken.stop() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_ERR_014_what_may_not_be_read_is_403(shared, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "m.gguf").touch()
    closed.chmod(0)
    try:
        assert spawn(shared.hive_api(), f"file:{closed}/m.gguf").status == 403
    finally:
        closed.chmod(0o700)


def test_ERR_015_the_log_line_of_an_error_says_when_who_what_and_for_whom(tmp_path, models_dir):
    hive = start_hive(
        tmp_path, "--models-dir", models_dir, "--worker-binary", tmp_path / "no/such"
    )
    error = check_shape(spawn(hive.api))
    assert hive.stop() == 0
    lines = [e for e in hive.log_events() if e.get("correlation_id") == error["correlation_id"]]
    line = [e for e in lines if e["event"] == "spawn_refused"][0]
    assert line["level"] == "error" and line["component"] == "rbee-hive"
    assert line["code"] == error["code"] == "WORKER_BINARY_NOT_FOUND" and line["status"] == 500
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])
    assert line["message"] == error["message"]


def test_ERR_015_a_failed_request_is_an_error_line_in_the_queens_log(cluster):
    answer = cluster.api.post("/v1/completions", {"model": "corrupt", "prompt": "x"})
    error = check_shape(answer)

    def lines():
        ours = [
            e for e in cluster.queen.log_events()
            if e.get("correlation_id") == error["correlation_id"] and e["level"] == "error"
        ]
        return [e["code"] for e in ours if e["event"] == "inference_refused"]

    assert wait_for(lines, 5, "error line") == [error["code"]]

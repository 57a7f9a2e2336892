"""Scenario file 100, worker lifecycle: how a worker starts, reports, loads, and fails to."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import stat
import threading
import time

import pytest

from cli import Cli
from harness import (
    BIN, ENGINE_ARGS, TOKEN, Api, Cluster, Program, make_corrupt_model, make_model, sse_events, wait_for,
    worker_token,
)

LAYERS = 64


@pytest.fixture(scope="module")
def deep_dir(tmp_path_factory):
    """Models with so many layers that they take about a second to load."""
    directory = tmp_path_factory.mktemp("deep")
    shape = ["--layers", str(LAYERS), "--embd", "256", "--ff", "512", "--type", "q8_0"]
    for name in ("deep", "abyss"):
        make_model(directory, name, *shape)
    make_corrupt_model(directory)
    return directory


@pytest.fixture(scope="module")
def deep(tmp_path_factory, deep_dir):
    cluster = Cluster(tmp_path_factory.mktemp("home"), deep_dir)
    yield cluster
    for worker in cluster.workers():
        if worker.get("pid"):
            with contextlib.suppress(ProcessLookupError):  # the list may be a moment old
                os.kill(worker["pid"], signal.SIGCONT)
    assert cluster.stop() == 0, cluster.queen.log_text()


@pytest.fixture
def rbee(deep):
    return Cli(deep.home, deep.queen.url)


def spawn_loading(cluster, **body):
    """Spawns "deep" and stops its process while it loads; returns its entry."""
    body = {"model_ref": "deep", "backend": "cpu", "engine_args": ENGINE_ARGS, **body}
    answer = cluster.hive_api().post("/v1/workers/spawn", body)
    assert answer.status == 200, answer.body
    entry = hive_entry(cluster, answer.json()["worker_id"])
    worker_token(cluster.home, entry["id"])  # from then on it is the worker itself
    os.kill(entry["pid"], signal.SIGSTOP)
    assert hive_entry(cluster, entry["id"])["state"] == "loading"
    return entry


def hive_entry(cluster, worker_id):
    workers = cluster.hive_api().get("/v1/workers/list").json()["workers"]
    return next((w for w in workers if w["id"] == worker_id), None)


def loading(cluster, model="deep"):
    """Waits for a worker that loads, and returns its entry."""
    return wait_for(
        lambda: next(
            (w for w in cluster.workers() if w["state"] == "loading" and w["model"] == model), None
        ),
        what="worker loading",
    )


def stop(cluster, worker):
    os.kill(worker["pid"], signal.SIGCONT)
    assert cluster.hive_api().delete(f"/v1/workers/{worker['id']}").status == 204
    wait_for(lambda: not cluster.find(worker["id"], {"loading", "idle", "busy"}), what="stopped")


def test_WLIF_01_spawn_uses_model_backend_device_and_port_and_loads_in_the_background(deep, rbee):
    started = rbee.run(
        "--json", "workers", "spawn", "deep", "--backend", "cpu", "--device", 0, "--slots", 2,
        "--no-wait",
    )
    assert started.code == 0, started
    answer = json.loads(started.out)
    assert answer["state"] == "loading"
    worker = wait_for(lambda: deep.find(answer["worker_id"]), what="worker listed")
    process = pathlib.Path(f"/proc/{worker['pid']}")
    words = process.joinpath("cmdline").read_bytes().decode().split("\0")
    given = {name: words[words.index(name) + 1] for name in ("--model", "--backend", "--device")}
    assert given == {"--model": given["--model"], "--backend": "cpu", "--device": "0"}
    assert given["--model"].endswith("/deep.gguf")
    assert words[words.index("--slots") + 1] == "2"
    assert not any(TOKEN in word for word in words)  # secrets are never arguments
    environment = process.joinpath("environ").read_bytes()
    assert b"LLORCH_API_TOKEN" not in environment and TOKEN.encode() not in environment
    # It is bound and answers while it loads.
    direct = deep.worker_api(worker)
    assert direct.get("/health").json()["state"] == "loading"
    ready = wait_for(lambda: deep.find(worker["id"], {"idle"}), 30, "worker idle")
    assert (ready["pid"], ready["url"]) == (worker["pid"], worker["url"])
    stop(deep, ready)


class Recorder(http.server.BaseHTTPRequestHandler):
    """A hive that says yes to everything and remembers it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], json.loads(body)))
        answer = b'{"message":"ok"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_WLIF_02_ready_callback_carries_five_fields_and_the_token(tmp_path, models_dir):
    hive = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    hive.seen = []
    threading.Thread(target=hive.serve_forever, daemon=True).start()
    worker = Program(
        [
            BIN / "llm-worker-rbee", "--worker-id", "w-2", "--port", "0",
            "--model", models_dir / "hello.gguf", "--model-ref", "file:hello.gguf",
            "--hive-url", f"http://127.0.0.1:{hive.server_port}", "--", *ENGINE_ARGS,
        ],
        tmp_path,
    )
    try:
        def notices():
            return [s for s in list(hive.seen) if s[0] == "/v1/workers/ready"]

        wait_for(lambda: len(notices()) >= 2, what="two reports")
        first, last = notices()[0], notices()[-1]
        for _, authorization, body in (first, last):
            assert authorization == f"Bearer {TOKEN}"
            expected = {
                "worker_id": "w-2", "url": worker.url, "model_ref": "file:hello.gguf",
                "backend": "cpu", "device": 0,
            }
            assert {name: body[name] for name in expected} == expected
        assert first[2]["state"] == "loading" and last[2]["state"] == "idle"
    finally:
        assert worker.stop() == 0
        hive.shutdown()


def test_WLIF_02_the_hive_acknowledges_and_updates_its_registry(deep):
    worker = spawn_loading(deep)
    notice = {name: worker[name] for name in ("url", "model_ref", "backend", "device")}
    notice |= {"worker_id": worker["id"], "state": "idle", "slots_total": 4}
    assert deep.hive_api().post("/v1/workers/ready", notice).status == 403  # only it itself may
    hive = Api(deep.hive_api().url, worker_token(deep.home, worker["id"]))
    answer = hive.post("/v1/workers/ready", notice)
    assert answer.status == 200
    assert answer.json() == {"message": "Worker registered as ready"}
    entry = hive_entry(deep, worker["id"])
    assert entry["state"] == "idle" and entry["slots_available"] == 4
    stranger = hive.post("/v1/workers/ready", notice | {"worker_id": "worker-nobody"})
    assert stranger.status == 404 and stranger.error()["code"] == "WORKER_NOT_FOUND"
    stop(deep, worker)


def test_EH_012a_missing_worker_program_fails_at_once_with_path_and_hint(tmp_path, models_dir):
    missing = tmp_path / "nowhere" / "llm-worker-rbee"
    cluster = Cluster(tmp_path, models_dir, extra_env={"RBEE_WORKER_BINARY": str(missing)})
    try:
        begin = time.monotonic()
        failed = Cli(tmp_path, cluster.queen.url).run("workers", "spawn", "hello")
        assert failed.code == 1, failed
        assert time.monotonic() - begin < 5
        assert "nowhere/llm-worker-rbee" in failed.err and "install" in failed.err
        assert failed.out == ""
        assert cluster.workers() == []
    finally:
        assert cluster.stop() == 0


def test_EH_012b_occupied_port_is_passed_over_with_a_notice(tmp_path, models_dir):
    taken = socket.socket()
    for first in range(21000, 29000, 40):  # a block whose first port is ours
        try:
            taken.bind(("127.0.0.1", first))
            break
        except OSError:
            continue
    taken.listen()
    cluster = Cluster(
        tmp_path, models_dir, extra_env={"RBEE_WORKER_PORTS": f"{first}-{first + 39}"}
    )
    try:
        worker = cluster.spawn("hello")
        assert first < Api(worker["url"]).port < first + 40
        notices = [e for e in cluster.hive_log() if e["event"] == "port_occupied"]
        assert notices and notices[0]["port"] == Api(worker["url"]).port
        assert cluster.api.chat_text("hello")
    finally:
        assert cluster.stop() == 0
        taken.close()


def test_EH_012c_worker_that_exits_during_start_is_explained(tmp_path, models_dir):
    """A program that ends at once, and a model that the real one cannot load."""
    script = tmp_path / "worker.sh"
    script.write_text("#!/bin/sh\necho 'no such instruction set' >&2\nexit 1\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    cluster = Cluster(tmp_path, models_dir, extra_env={"RBEE_WORKER_BINARY": str(script)})
    try:
        begin = time.monotonic()
        failed = Cli(tmp_path, cluster.queen.url).run("workers", "spawn", "hello")
        assert failed.code == 1, failed
        assert time.monotonic() - begin < 30
        assert "no such instruction set" in failed.err, failed
        assert not [w for w in cluster.workers() if w["state"] in ("loading", "idle")]
    finally:
        assert cluster.stop() == 0


def test_EH_012c_unreadable_model_ends_the_start_with_its_reason(rbee):
    begin = time.monotonic()
    failed = rbee.run("workers", "spawn", "corrupt")
    assert failed.code == 1, failed
    assert time.monotonic() - begin < 30
    assert "corrupt.gguf" in failed.err, failed
    assert "workers logs" in failed.err  # what to do


def test_WLIF_03_registration_has_eight_fields_and_only_its_hive_keeps_them(tmp_path, deep_dir):
    """Not in memory only: a hive that starts anew adopts its workers, see test_adoption.py."""
    cluster = Cluster(tmp_path, deep_dir)
    try:
        worker = spawn_loading(cluster, slots=1)
        expected = {
            "id": worker["id"], "url": worker["url"], "model_ref": worker["model_ref"],
            "backend": "cpu", "device": 0, "state": "loading", "slots_total": 1,
            "slots_available": 0,
        }
        entry = hive_entry(cluster, worker["id"])
        assert {name: entry[name] for name in expected} == expected
        assert worker["url"].startswith("http://127.0.0.1:")
        assert "deep" in worker["model_ref"]
        shown = [
            file for file in tmp_path.rglob("*")
            if file.is_file() and "logs" not in file.parts and file.suffix not in (".log", ".tmp")
            and worker["id"].encode() in file.read_bytes()
        ]  # fmt: skip
        assert [file.name for file in shown] == ["workers.json"]
        assert shown[0].stat().st_mode & 0o777 == 0o600
        os.kill(worker["pid"], signal.SIGCONT)
    finally:
        assert cluster.stop() == 0


def test_WLIF_04_while_loading_the_worker_names_its_progress_and_the_cli_follows(deep, rbee):
    terminal = rbee.terminal("workers", "spawn", "deep")
    worker = loading(deep)
    direct = deep.worker_api(worker)
    ready = direct.get("/v1/ready").json()
    assert ready == {"ready": False, "state": "loading", "progress_url": "/v1/loading/progress"}
    refused = direct.post("/v1/completions", {"prompt": "x"})
    assert refused.status == 503 and refused.error()["code"] == "WORKER_NOT_READY"
    terminal.expect(r"loading deep +\[[#.]{24}\] +\d+ %")
    terminal.expect(rf"worker {worker['id']} ready")
    assert terminal.wait() == 0
    stop(deep, worker)


def test_WLIF_05_progress_reports_layers_and_vram_then_ready_and_the_end(deep, rbee):
    terminal = rbee.terminal("workers", "spawn", "deep")
    worker = loading(deep)
    direct = deep.worker_api(worker)
    connection = direct.connect()
    connection.request("GET", "/v1/loading/progress", headers=direct.headers())
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    data = [text for _, text in sse_events(response)]
    connection.close()
    assert data[-1] == "[DONE]"
    assert json.loads(data[-2]) == {"stage": "ready"}
    steps = [json.loads(text) for text in data[:-2]]
    assert steps and all(s["stage"] == "loading_to_vram" and s["vram_mb"] >= 0 for s in steps)
    loaded = [s["layers_loaded"] for s in steps]
    assert loaded == sorted(loaded) and steps[-1]["layers_total"] == LAYERS
    terminal.expect(rf"\d+/{LAYERS} layers")
    assert terminal.wait() == 0
    stop(deep, worker)


def test_WLIF_06_after_loading_it_is_idle_and_inference_follows(deep, rbee):
    outcome = rbee.run("infer", "--raw", "--model", "deep", "--max-tokens", 3, "x")
    assert outcome.code == 0 and outcome.out.strip(), outcome
    assert "\x1b" not in outcome.err and "layers" not in outcome.err  # no bar in a pipe
    worker = next(w for w in deep.workers() if w["state"] == "idle")
    ready = deep.worker_api(worker).get("/v1/ready").json()
    assert (ready["ready"], ready["state"], ready["model_loaded"]) == (True, "idle", True)
    stop(deep, worker)


def test_EH_016a_loading_that_is_stuck_ends_with_where_and_how_long(deep, rbee):
    terminal = rbee.terminal("workers", "spawn", "deep", "--load-timeout", 1)
    worker = loading(deep)
    terminal.expect(rf"\d+/{LAYERS} layers")
    os.kill(worker["pid"], signal.SIGSTOP)
    assert terminal.wait(15) == 1, terminal.text
    assert re.search(rf"loaded to \d+/{LAYERS} layers", terminal.text), terminal.text
    assert "no progress for 1 s" in terminal.text
    assert worker["id"] in terminal.text and "rbee workers logs" in terminal.text
    stop(deep, worker)


def test_EC7_stuck_loading_is_one_line_on_the_console_and_a_code_in_json(deep, rbee):
    arguments = ("infer", "--model", "abyss", "--load-timeout", 1, "x")
    plain, coded = rbee.start(*arguments), rbee.start("--json", *arguments)
    worker = loading(deep, "abyss")
    os.kill(worker["pid"], signal.SIGSTOP)
    plain, coded = plain.wait(15), coded.wait(15)
    assert plain.code == coded.code == 1, (plain, coded)
    assert plain.err.count("\n") == 1 and plain.err.startswith("rbee: "), plain
    assert "no progress for 1 s" in plain.err
    assert json.loads(coded.err)["error"]["code"] == "LOADING_TIMEOUT"
    assert plain.out == coded.out == ""
    stop(deep, worker)

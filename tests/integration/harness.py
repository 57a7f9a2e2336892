"""Starts the real programs on free ports, with a home of their own, and always takes them down."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("RBEE_BIN", ROOT / "build/dev/bin"))
TOKEN = "integration-token-0123456789"
# The programs are built with a sanitizer: their memory grows otherwise, and nothing can be preloaded.
SANITIZED = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
# Ends a process as a crash does; sanitizers handle SIGSEGV themselves.
CRASH = signal.SIGQUIT if SANITIZED else signal.SIGSEGV
ENGINE_ARGS = ["-t", "1", "-tb", "1"]  # more threads spin against each other on a small machine


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


def wait_for(condition, seconds=20.0, what="condition"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
        time.sleep(0.02)


class Api:
    """A small HTTP client for one program; a fresh connection for each call."""

    source = None  # Loopback address to call from; each test has its own, see conftest.py.

    def __init__(self, url, token=TOKEN):
        self.url = url
        self.token = token
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    def connect(self, timeout=60):
        own = (Api.source, 0) if Api.source and self.host.startswith("127.") else None
        return http.client.HTTPConnection(
            self.host, self.port, timeout=timeout, source_address=own
        )

    def headers(self, extra=None):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers.update(extra or {})
        return headers

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = self.connect(timeout)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            fields = self.headers(headers)
            if data is not None:
                fields.setdefault("Content-Type", "application/json")
            connection.request(method, path, data, fields)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body if body is not None else {}, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    @contextlib.contextmanager
    def stream(self, path, body, headers=None, timeout=60):
        """Yields (status, response headers, iterator over SSE events as (event, data))."""
        connection = self.connect(timeout)
        try:
            fields = self.headers(headers)
            fields["Content-Type"] = "application/json"
            connection.request("POST", path, json.dumps(body).encode(), fields)
            response = connection.getresponse()
            yield response.status, response.headers, sse_events(response)
        finally:
            connection.close()

    def chat_text(self, model, prompt="hi", **extra):
        """The whole text of one streamed chat completion; fails on an error frame."""
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}]}
        body.update(extra)
        text, done = "", False
        with self.stream("/v1/chat/completions", body) as (status, _, events):
            assert status == 200, status
            for _, data in events:
                if data == "[DONE]":
                    done = True
                    continue
                chunk = json.loads(data)
                assert "error" not in chunk, chunk
                for choice in chunk.get("choices", []):
                    text += choice["delta"].get("content") or ""
        assert done, "the stream ended without [DONE]"
        return text


def sse_events(response):
    """Reads server-sent events; ends with the response."""
    event, data = "", []
    for raw in response:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                yield event, "\n".join(data)
            event, data = "", []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            event = line[6:].strip()


def make_model(directory, name, *arguments):
    """Writes <name>.gguf with the generator of test models and returns its path."""
    path = pathlib.Path(directory) / f"{name}.gguf"
    command = [str(BIN / "rbee-mkmodel"), "--out", str(path), "--name", name, *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return path


def make_corrupt_model(directory):
    """Writes corrupt.gguf, which begins like a model and is none."""
    (pathlib.Path(directory) / "corrupt.gguf").write_bytes(b"GGUF but not really" * 100)


class Program:
    """One running daemon. Knows its URL from the ready line; its log is kept for failures."""

    every = []  # For the search for tokens when all tests have run.

    def __init__(self, arguments, home, extra_env=None, ready=True):
        self.name = pathlib.Path(arguments[0]).name
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "RBEE_HOME": str(home),
            "LLORCH_API_TOKEN": TOKEN,
            "LLORCH_LOG_FORMAT": "json",
            "LLAMA_ARG_THREADS": "1",  # for workers that are started on demand
        }
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE"):
            if name in os.environ:
                env[name] = os.environ[name]
        if "ASAN_OPTIONS" in os.environ:
            env["RBEE_CORE_DUMPS"] = "on"  # the leak check looks at the process as a debugger does
        env.update(extra_env or {})
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(a) for a in arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.log = []
        Program.every.append(self)
        self.lines = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.url = None
        if ready:
            self.url = self._wait_ready()
            self.serving_after_s = time.monotonic() - self.started
            self.api = Api(self.url)

    def _read_stdout(self):
        for raw in self.process.stdout:
            self.lines.put(raw.decode(errors="replace").rstrip())
        self.lines.put(None)

    def _read_stderr(self):
        for raw in self.process.stderr:
            self.log.append(raw.decode(errors="replace").rstrip())

    def _wait_ready(self):
        line = self.lines.get(timeout=60)
        assert line, f"{self.name} did not start:\n" + self.log_text()
        match = re.fullmatch(rf"{re.escape(self.name)} ready (\S+)", line)
        assert match, line
        return match.group(1)

    def log_text(self):
        return "\n".join(self.log[-200:])

    def log_events(self):
        """The JSON log lines as dictionaries."""
        time.sleep(0.02)  # an answer may overtake the lines about it, which come through a pipe
        events = []
        for line in list(self.log):
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
        return events

    def pid(self):
        return self.process.pid

    def stop(self, seconds=40):
        """SIGTERM, then the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n" + self.log_text()) from None
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)


# Each worker has a token that only it and its hive know. This writes it down on its way.
EAVESDROPPER = """#!/bin/bash
read -r -u 5 token
umask 077
printf %s "$token" > "$RBEE_HOME/worker-tokens/$2"
exec 5<<<"$token"
exec {worker} "$@"
"""


def known_worker_tokens(home):
    """The variables with which workers of the hives in `home` can be called by tests."""
    folder = pathlib.Path(home) / "worker-tokens"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "worker.sh"
    script.write_text(EAVESDROPPER.format(worker=BIN / "llm-worker-rbee"))
    script.chmod(0o755)
    return {"RBEE_WORKER_BINARY": str(script)}


def worker_token(home, worker_id):
    """The token of one worker, see known_worker_tokens()."""
    file = pathlib.Path(home) / "worker-tokens" / worker_id
    return wait_for(lambda: file.exists() and file.read_text(), what="token of the worker")


class Cluster:
    """A queen with the local hive that it starts."""

    def __init__(self, home, models_dir, slots=4, queen_args=(), extra_env=None, spy=True):
        self.home = pathlib.Path(home)
        extra_env = {**(known_worker_tokens(home) if spy else {}), **(extra_env or {})}
        self.queen = Program(
            [
                BIN / "queen-rbee",
                "--port", "0",
                "--local-hive-port", "0",
                "--models-dir", models_dir,
                "--slots", str(slots),
                *queen_args,
            ],
            self.home,
            extra_env,
        )
        self.api = self.queen.api
        self.wait_hive()

    def wait_hive(self):
        return wait_for(
            lambda: [h for h in self.hives() if h.get("available")], what="local hive available"
        )

    def hives(self):
        return self.api.get("/v1/hives").json()["hives"]

    def hive_api(self):
        return Api(self.wait_hive()[0]["url"])

    def worker_api(self, worker):
        """For calls past queen and hive."""
        return Api(worker["url"], worker_token(self.home, worker["id"]))

    def hive_log(self):
        """The JSON log lines of the local hive."""
        lines = (self.home / "logs" / "hive-localhost.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def workers(self):
        return self.api.get("/v1/workers").json()["workers"]

    def spawn(self, model, slots=None, wait=True, engine_args=()):
        """Spawns a worker through the queen and returns its entry, ready."""
        arguments = [*ENGINE_ARGS, *engine_args]
        body = {"model_ref": model, "backend": "cpu", "engine_args": arguments}
        if slots:
            body["slots"] = slots
        answer = self.api.post("/v1/workers/spawn", body)
        assert answer.status in (200, 201, 202), answer.body
        worker_id = answer.json()["worker_id"]
        if wait:
            return wait_for(
                lambda: self.find(worker_id, {"idle", "busy"}), 60, f"worker for {model} ready"
            )
        return wait_for(lambda: self.find(worker_id), what="worker listed")

    def find(self, worker_id, states=None):
        for worker in self.workers():
            if worker["id"] == worker_id and (states is None or worker["state"] in states):
                return worker
        return None

    def stop(self):
        return self.queen.stop()


def start_hive(home, *arguments, queen=None, extra_env=None):
    """A real hive that no queen started, on free ports; reports to `queen` if there is one."""
    report = ["--queen-url", queen] if queen else []
    return Program(
        [BIN / "rbee-hive", "--port", "0", "--worker-ports", "0", *report, *arguments],
        home,
        extra_env,
    )


def write_fake_gpus(directory, gpus, seconds=0):
    """A program named nvidia-smi that tells, after some seconds, of GPUs: total and free MiB, and
    degrees; returns the variables that put it in use."""
    directory.mkdir(exist_ok=True)
    lines = ["#!/bin/sh", f"sleep {seconds}" if seconds else ":"]
    for number, (total, free, *rest) in enumerate(gpus):
        degrees = rest[0] if rest else 41
        bus = f"00000000:{number + 1:02}:00.0"
        lines.append(f'echo "{number}, Fake GPU, {total}, {free}, 8.9, {bus}, {degrees}"')
    script = directory / "nvidia-smi"
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def write_fake_gpu(directory, total, free):
    """The same with one GPU."""
    return write_fake_gpus(directory, [(total, free)])


class FakeHive:
    """Says what a real hive cannot be made to say. `paths` maps a path to its whole answer."""

    def __init__(self, version="0.1.0", **report):
        self.report = {
            "hive_id": "fake", "version": version, "workers": [], "models": [],
            "backends": [{"backend": "cpu", "available": True, "device": 0, "name": "fake"}],
            "ram_total_bytes": 16 * 10**9, "ram_available_bytes": 12 * 10**9,
            "disk_total_bytes": 500 * 10**9, "disk_available_bytes": 100 * 10**9, **report,
        }
        self.paths = {}
        self.seen = []
        self.connections = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def setup(self):
                super().setup()
                fake.connections.append(self.connection)

            def do_GET(self):
                fake.seen.append(self.path)
                body = fake.answer(self.path)
                self.send_response(200 if body is not None else 404)
                body = body or b"{}"
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path):
        if path in self.paths:
            return self.paths[path]
        if path == "/v1/health":
            body = {"status": "alive", "version": self.report["version"], "api_version": "v1"}
            return json.dumps(body).encode()
        if path == "/v1/report":
            return json.dumps({**self.report, "url": self.url}).encode()
        return None

    def close(self):
        """Gone, with the connections that clients keep open."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def children_of(pid):
    """All living descendants of a process, zombies excluded."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == parent and fields[0] != "Z":
                    child = int(stat.parent.name)
                    found.append(child)
                    todo.append(child)
    return found


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"

"""Scenario file 310, secrets: where tokens come from, how they change, and that nobody sees them."""

import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time

import pytest

from cli import Cli
from harness import (
    BIN, ENGINE_ARGS, SANITIZED, TOKEN, Api, Cluster, Program, start_hive, wait_for, worker_token,
)
from tokens import (
    MINTED, NO_TOKEN, hang_up, make_token, places_that_show, refused_start, start_queen,
    write_named, write_private,
)


@pytest.fixture
def token():
    return make_token()


def source_of(program):
    def told():
        return [e for e in program.log_events() if e["event"] == "auth_enabled"]

    return wait_for(told, 5, "source in the log")[0]["source"]


def works(program, token):
    return Api(program.url, token).get("/v1/workers").status == 200


def test_SEC_001_SEC_014_a_private_file_is_loaded_without_its_line_end(tmp_path, token):
    file = write_private(tmp_path / "api", token + "\n")
    queen = start_queen(tmp_path, token_file=file)
    assert works(queen, token) and not works(queen, make_token())
    assert source_of(queen) == "--token-file"
    assert queen.stop() == 0
    assert token not in queen.log_text()


@pytest.mark.parametrize("name, mode", [("SEC_002", 0o644), ("SEC_003", 0o640)])
def test_SEC_002_SEC_003_SEC_010_a_file_that_others_may_read_is_refused(tmp_path, token, name, mode):
    file = write_private(tmp_path / "api", token, mode)
    said = refused_start(tmp_path, "--token-file", file)
    assert f"{mode:04o}" in said and "0600" in said and str(file) in said
    assert said.startswith("queen-rbee: Failed to load API token") and token not in said


def test_SEC_004_a_systemd_credential_is_loaded_and_wins_over_variables(tmp_path, token):
    write_private(tmp_path / "credentials" / "api_token", token, 0o400)
    environment = {
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"), "LLORCH_API_TOKEN": make_token(),
    }  # fmt: skip
    queen = start_queen(tmp_path, extra_env=environment)
    assert works(queen, token) and not works(queen, environment["LLORCH_API_TOKEN"])
    assert source_of(queen) == "systemd credential"
    assert queen.stop() == 0
    assert token not in queen.log_text()


@pytest.mark.parametrize("program", ["queen-rbee", "rbee-hive"])
def test_SEC_005_a_crash_leaves_no_picture_of_the_memory(tmp_path, token, program):
    """Whether memory holds the token afterwards: src/rbee/auth/secret_file_test.cpp looks at it."""
    file = write_private(tmp_path / "api", token)
    rest = ["--local-hive", "never"] if program == "queen-rbee" else ["--worker-ports", "0"]
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    cases = [([], "0"), (["--core-dumps", "on"], None)]
    if SANITIZED:
        cases.pop()  # the sanitizer's runtime sets that limit itself
    for more, core_bytes in cases:
        made = Program(
            [BIN / program, "--port", "0", "--token-file", file, *rest, *more], tmp_path / "home",
            {**NO_TOKEN, "RBEE_CORE_DUMPS": ""},
        )  # fmt: skip
        assert Api(made.url, token).get("/v1/workers/list").status == 200
        limits = pathlib.Path(f"/proc/{made.pid()}/limits").read_text().splitlines()
        soft = next(line for line in limits if line.startswith("Max core file size")).split()[4]
        if core_bytes is not None:
            assert soft == core_bytes
            made.process.send_signal(signal.SIGABRT)
            assert made.process.wait(10) == -signal.SIGABRT
            assert not [f for folder in (tmp_path, pathlib.Path.cwd()) for f in folder.glob("core*")]
        else:
            allowed = resource.getrlimit(resource.RLIMIT_CORE)[0]
            assert soft == ("unlimited" if allowed == resource.RLIM_INFINITY else str(allowed))
            assert made.stop() == 0


def test_SEC_007_a_missing_file_is_named(tmp_path):
    said = refused_start(tmp_path, "--token-file", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in said and "not found" in said


def test_SEC_008_an_unreadable_file_is_refused(tmp_path, token):
    if os.geteuid() == 0:
        # Root may read everything, so this is somebody else, with a copy that he can reach.
        file = write_private(tmp_path / "api", token)
        other = {"user": 65534, "group": 65534, "extra_groups": []}
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(BIN / "queen-rbee", folder)
            said = refused_start(tmp_path, "--token-file", file, program=program, **other)
    else:
        file = write_private(tmp_path / "api", token, 0)
        said = refused_start(tmp_path, "--token-file", file)
    assert "Failed to load API token" in said and str(file) in said and token not in said
    assert "ermission" in said, said


def test_SEC_009_after_a_hundred_requests_no_log_holds_the_token(tmp_path, models_dir, token):
    file = write_private(tmp_path / "api", token)
    home = tmp_path / "home"
    queen = Program(
        [BIN / "queen-rbee", "--port", "0", "--local-hive-port", "0", "--models-dir", models_dir,
         "--token-file", file], home, {**NO_TOKEN, "LLORCH_LOG_LEVEL": "trace"},
    )  # fmt: skip
    try:
        api = Api(queen.url, token)
        wait_for(lambda: [h for h in api.get("/v1/hives").json()["hives"] if h["available"]])
        assert "scripted" in api.chat_text("hello")
        for i in range(100):
            body = {"model": "hello", "prompt": f"say {token}", "max_tokens": 2}
            calls = [
                lambda: api.get("/v1/workers"),
                lambda: api.post("/v1/completions", body),
                lambda: Api(queen.url, token + "x").get("/v1/workers"),
                lambda: api.get(f"/v1/workers?token={token}"),
                lambda: api.get("/v1/workers", headers={"Authorization": f"Bearer  {token}"}),
            ]
            assert calls[i % len(calls)]().status in (200, 400, 401, 404)
    finally:
        assert queen.stop() == 0
    assert not places_that_show([token], [], [home], "\n".join(queen.log))


def test_SEC_011_wrong_tokens_of_one_length_take_as_long_wherever_they_differ(tmp_path, token):
    """Coarse; the proof is bench/auth_timing."""
    queen = start_queen(tmp_path, token_file=write_private(tmp_path / "api", token))
    connection = Api(queen.url).connect()
    variants = ["#" + token[1:], token[:-1] + "#"]
    took = [[], []]
    for i in range(160):
        begin = time.perf_counter()
        connection.request("GET", "/v1/x", headers={"Authorization": f"Bearer {variants[i % 2]}"})
        response = connection.getresponse()
        response.read()
        took[i % 2].append(time.perf_counter() - begin)
        assert response.status == 401
    connection.close()
    first, last = (statistics.median(times) for times in took)
    assert abs(first - last) < 0.5 * max(first, last), (first, last)
    assert queen.stop() == 0


@pytest.mark.parametrize("how", ["SIGHUP", "file"])
@pytest.mark.parametrize("program", ["queen-rbee", "rbee-hive"])
def test_SEC_012_a_changed_file_means_the_new_token_and_not_the_old(tmp_path, token, program, how):
    file = write_private(tmp_path / "api", token)
    rest = ["--local-hive", "never"] if program == "queen-rbee" else ["--worker-ports", "0"]
    made = Program(
        [BIN / program, "--port", "0", "--token-file", file, *rest], tmp_path / "home", NO_TOKEN
    )
    new = make_token()
    ask = lambda shown: Api(made.url, shown).get("/v1/workers/list").status  # noqa: E731
    assert (ask(token), ask(new)) == (200, 401)
    if how == "file":
        write_private(file, new)
    else:
        file.write_text(new)
        hang_up(made)
    wait_for(lambda: ask(new) == 200, 5, "new token live")
    assert ask(token) == 401
    told = wait_for(
        lambda: [e for e in made.log_events() if e["event"] == "token_reloaded"], 5, "told"
    )
    assert told[0]["message"] == "API token reloaded" and told[0]["tokens"] == "main"
    # What cannot be used changes nothing.
    write_private(file, "two\nlines\n")
    wait_for(lambda: [e for e in made.log_events() if e["event"] == "reload_failed"], 5, "complaint")
    assert ask(new) == 200
    assert made.stop() == 0
    assert not places_that_show([token, new], [], [], "\n".join(made.log))


def test_SEC_013_three_programs_have_three_files(tmp_path, models_dir):
    tokens = {name: make_token() for name in ("queen", "hive", "worker")}
    files = {name: write_private(tmp_path / name / "api", value) for name, value in tokens.items()}
    model = ["--model", models_dir / "hello.gguf", "--token-file", files["worker"]]
    programs = {
        "queen": start_queen(tmp_path / "queen", token_file=files["queen"]),
        "hive": start_hive(tmp_path / "hive", "--token-file", files["hive"], extra_env=NO_TOKEN),
        "worker": Program(
            [BIN / "llm-worker-rbee", "--port", "0", *model, "--", *ENGINE_ARGS],
            tmp_path / "worker", NO_TOKEN,
        ),
    }  # fmt: skip
    paths = {"queen": "/v1/workers", "hive": "/v1/workers/list", "worker": "/v1/ready"}
    for name, program in programs.items():
        for other, value in tokens.items():
            answer = Api(program.url, value).get(paths[name])
            assert answer.status == (200 if other == name else 401), (name, other)
    assert [program.stop() for program in programs.values()] == [0, 0, 0]


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("SEC_015", "first-line-token\nsecond-line-token\n", "must contain exactly one line"),
        ("SEC_016", "", "is empty"),
        ("SEC_017", " \n\t \n", "contains only whitespace"),
    ],
)
def test_SEC_015_SEC_016_SEC_017_files_without_one_token(tmp_path, name, content, words):
    said = refused_start(tmp_path, "--token-file", write_private(tmp_path / "api", content))
    assert words in said and "line-token" not in said


def test_sources_the_file_of_the_home_comes_last_and_the_variable_is_warned_about(tmp_path, token):
    write_private(tmp_path / "token", make_token())
    queen = start_queen(tmp_path, extra_env={"LLORCH_API_TOKEN": token})
    assert works(queen, token) and source_of(queen) == "LLORCH_API_TOKEN"
    warned = [e for e in queen.log_events() if e["event"] == "token_source"]
    assert len(warned) == 1 and "deprecated" in warned[0]["message"]
    assert token.encode() not in pathlib.Path(f"/proc/{queen.pid()}/environ").read_bytes()
    assert queen.stop() == 0
    for program, rest in (
        ("queen-rbee", ["--local-hive", "never"]), ("rbee-hive", ["--worker-ports", "0"]),
    ):  # fmt: skip
        home = Program([BIN / program, "--port", "0", *rest], tmp_path, NO_TOKEN)
        assert source_of(home) == str(tmp_path / "token")
        assert home.stop() == 0


class Steady(threading.Thread):
    """A client whose token is good all the time; what it is refused is counted."""

    def __init__(self, url, token, call):
        super().__init__(daemon=True)
        self.api = Api(url, token)
        self.call = call
        self.statuses = []
        self.failures = []
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                self.statuses.append(self.call(self.api).status)
            except OSError as error:
                self.failures.append(repr(error))


def test_rotation_under_load_drops_nothing_and_refuses_nobody_wrongly(tmp_path, models_dir):
    home = tmp_path / "home"
    steady, own = make_token(), make_token()
    named = {"steady": (steady, ["infer", "models"])}
    write_named(home / "tokens.toml", named)
    file = write_private(home / "api", own)
    queen = Program(
        [BIN / "queen-rbee", "--port", "0", "--local-hive-port", "0", "--models-dir", models_dir,
         "--token-file", file], home, NO_TOKEN,
    )  # fmt: skip
    api = Api(queen.url, steady)
    wait_for(lambda: [h for h in api.get("/v1/hives").json()["hives"] if h["available"]])
    assert api.chat_text("hello")
    hive_url = api.get("/v1/hives").json()["hives"][0]["url"]
    body = {"model": "hello", "prompt": "x", "max_tokens": 2}
    clients = [Steady(queen.url, steady, lambda a: a.get("/v1/workers")) for _ in range(2)]
    clients += [Steady(queen.url, steady, lambda a: a.post("/v1/completions", body)) for _ in range(2)]
    for client in clients:
        client.start()
    live_after = []
    wrong = 0
    for round_number in range(10):
        old, own = own, make_token()
        begin = time.monotonic()
        write_private(file, own)
        if round_number % 2:
            write_named(home / "tokens.toml", {**named, f"extra-{round_number}": (make_token(), ["infer"])})
        wait_for(lambda: Api(queen.url, own).get("/v1/workers").status == 200, 5, "new token live")
        live_after.append(time.monotonic() - begin)
        wrong += sum(Api(queen.url, own).get("/v1/workers").status != 200 for _ in range(5))
        assert Api(queen.url, old).get("/v1/workers").status == 401
        wait_for(lambda: Api(hive_url, own).get("/v1/workers/list").status == 200, 5, "live at the hive")
    for client in clients:
        client.over.set()
    for client in clients:
        client.join(20)
    statuses = [status for client in clients for status in client.statuses]
    failures = [failure for client in clients for failure in client.failures]
    assert queen.stop() == 0
    print(f"{len(statuses)} requests, wrong 401: {wrong + statuses.count(401)}, "
          f"dropped: {len(failures)}, new token live after {max(live_after) * 1000:.0f} ms at most, "
          f"{statistics.median(live_after) * 1000:.0f} ms in the middle")
    assert set(statuses) == {200} and not failures and wrong == 0
    assert max(live_after) < 2


def test_a_worker_token_is_good_for_that_worker_alone_and_as_long_as_it_lives(cluster):
    one, two = cluster.spawn("hello"), cluster.spawn("tiny")
    tokens = {w["id"]: worker_token(cluster.home, w["id"]) for w in (one, two)}
    assert len(set(tokens.values())) == 2
    hive = cluster.hive_api().url
    for worker in (one, two):
        for owner, shown in tokens.items():
            own = owner == worker["id"]
            assert Api(worker["url"], shown).get("/v1/ready").status == (200 if own else 401)
            beat = {"worker_id": worker["id"], "timestamp": "2026-01-02T03:04:05Z", "health_status": "healthy"}
            assert Api(hive, shown).post("/v1/heartbeat", beat).status == (200 if own else 403)
        # The installation token is nobody's.
        assert Api(worker["url"]).get("/v1/ready").status == 401
        assert Api(hive).post("/v1/heartbeat", beat).status == 403
    for url, path in ((hive, "/v1/workers/list"), (cluster.queen.url, "/v1/workers")):
        assert Api(url, tokens[one["id"]]).get(path).status == (403 if url == hive else 401)
    assert cluster.api.delete(f"/v1/workers/{one['id']}").status == 204
    assert Api(hive, tokens[one["id"]]).get("/v1/workers/list").status == 401
    assert Api(hive, tokens[two["id"]]).get("/v1/workers/list").status == 403


# A worker that reports as it should and then refuses the token that it was given.
DEAF_WORKER = """#!{python}
import http.server, json, os, socket, sys, urllib.request

argument = lambda name: sys.argv[sys.argv.index(name) + 1]
token = os.fdopen(int(argument("--token-fd"))).read()
listener = socket.socket(fileno=int(argument("--listen-fd")))
port = listener.getsockname()[1]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        print(self.command, self.path, flush=True)
        body = b"{{}}"
        self.send_response(200 if self.path == "/health" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_DELETE = answer
    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = listener
notice = {{"worker_id": argument("--worker-id"), "url": f"http://127.0.0.1:{{port}}", "state": "idle",
           "model_ref": argument("--model-ref"), "backend": "cpu", "device": 0, "slots_total": 2}}
request = urllib.request.Request(
    argument("--hive-url") + "/v1/workers/ready", json.dumps(notice).encode(),
    {{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
urllib.request.urlopen(request).read()
server.serve_forever()
"""


def test_a_worker_that_refuses_its_token_is_502_once_and_then_left_alone(tmp_path, models_dir):
    script = tmp_path / "deaf-worker"
    script.write_text(DEAF_WORKER.format(python=sys.executable))
    script.chmod(0o755)
    cluster = Cluster(
        tmp_path / "home", models_dir, queen_args=["--queue-wait-s", "1"],
        extra_env={"RBEE_WORKER_BINARY": str(script)},
    )  # fmt: skip
    try:
        worker = cluster.spawn("hello", slots=2)
        body = {"model": "hello", "prompt": "x", "max_tokens": 1}
        answer = cluster.api.post("/v1/completions", body)
        assert answer.status == 502, answer.body
        assert answer.error()["code"] == "WORKER_MISCONFIGURED"
        marked = wait_for(lambda: cluster.find(worker["id"], {"unhealthy"}), 5, "worker marked")
        assert "misconfigured" in marked["reason"]
        log = (cluster.home / "logs" / f"{worker['id']}.log").read_text()
        assert log.count("POST /v1/completions") == 1  # no second try with the same token
        told = [e for e in cluster.hive_log() if e["event"] == "worker_misconfigured"]
        assert len(told) == 1 and told[0]["worker_id"] == worker["id"]
        assert cluster.hive_api().delete(f"/v1/workers/{worker['id']}").status == 204
    finally:
        assert cluster.stop() == 0


def test_a_hive_that_refuses_the_queen_is_502_and_comes_back_when_it_accepts(tmp_path, models_dir):
    own, hive_token = make_token(), make_token()
    to_hive = write_private(tmp_path / "to-hive", make_token())  # not what the hive wants
    queen = start_queen(
        tmp_path / "queen", "--hive-token-file", to_hive,
        token_file=write_private(tmp_path / "queen-token", own),
    )  # fmt: skip
    hive = start_hive(
        tmp_path / "hive", "--node-name", "attic", "--models-dir", models_dir,
        "--token-file", write_private(tmp_path / "hive-token", hive_token),
        "--queen-token-file", tmp_path / "queen-token", queen=queen.url, extra_env=NO_TOKEN,
    )  # fmt: skip
    api = Api(queen.url, own)
    hives = lambda: api.get("/v1/hives").json()["hives"]  # noqa: E731
    try:
        wait_for(lambda: [h for h in hives() if h["available"]], what="hive reports")
        spawn = {"model_ref": "hello", "node": "attic", "engine_args": ENGINE_ARGS}
        refused = api.post("/v1/workers/spawn", spawn)
        assert refused.status == 502 and refused.error()["code"] == "HIVE_MISCONFIGURED", refused.body
        assert [h["available"] for h in hives()] == [False]
        assert "misconfigured" in hives()[0]["reason"]
        told = lambda: [e for e in queen.log_events() if e["event"] == "hive_misconfigured"]  # noqa: E731
        assert len(wait_for(told, 5, "told in the log")) == 1
        write_private(to_hive, hive_token)
        wait_for(lambda: [h for h in hives() if h["available"]], 15, "hive accepts")
        assert api.post("/v1/workers/spawn", spawn).status == 200
    finally:
        assert [hive.stop(), queen.stop()] == [0, 0]


@pytest.mark.parametrize("how", ["file", "variable", "up"])
def test_nobody_sees_a_token_whatever_happens(tmp_path, models_dir, how, token):
    """Logs, arguments, environments, core files and everything else in the home but the file itself."""
    home = tmp_path / "home"
    named, wrong = make_token(), make_token()
    write_named(home / "tokens.toml", {"laptop": (named, ["infer", "models", "admin"])})
    arguments = ["--port", "0", "--local-hive-port", "0", "--models-dir", models_dir]
    cli = Cli(home, token=token, LLORCH_LOG_LEVEL="trace", RBEE_MODELS_DIR=str(models_dir))
    environment = {"LLORCH_LOG_LEVEL": "trace", "LLORCH_API_TOKEN": token}
    queen = None
    if how == "up":
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        up = cli.run("up", "--port", port)
        assert up.code == 0, up
        url = f"http://127.0.0.1:{port}"
        pid = int(next((home / "run").glob("*.pid")).read_text().split()[0])
    else:
        if how == "file":
            arguments += ["--token-file", write_private(tmp_path / "api", token)]
            environment |= NO_TOKEN
        queen = Program([BIN / "queen-rbee", *arguments], home, environment)
        url, pid = queen.url, queen.pid()
    try:
        api = Api(url, token)
        wait_for(lambda: [h for h in api.get("/v1/hives").json()["hives"] if h["available"]])
        assert api.chat_text("hello")
        [worker] = api.get("/v1/workers").json()["workers"]
        hive_url = api.get("/v1/hives").json()["hives"][0]["url"]
        assert Api(url, named).chat_text("hello")
        for target in (url, hive_url, worker["url"]):
            for bad in (wrong, None, token + "x"):
                assert Api(target, bad).get("/v1/workers/list").status == 401
            assert Api(target, named).get(f"/v1/workers?access_token={named}").status in (400, 401)
        assert api.post("/v1/workers/spawn", {"model_ref": token}).status in (400, 404)
        assert api.post("/v1/completions", {"model": token, "prompt": token}).status >= 400
        made = cli.run("token", "new", "minted", "--scopes", "infer,models,admin")
        minted = next(word for word in made.out.split() if word.startswith("rbee_"))
        wait_for(lambda: Api(url, minted).get("/v1/workers").status == 200, 5, "minted token live")
        assert Api(url, minted).get(f"/v1/{minted}").status == 404  # such a token is known anywhere
        assert cli.run("--queen", url, "infer", "--model", "hello", token).code == 0
        secrets = [token, named, wrong]
        log = "\n".join(queen.log) if queen else ""
        assert not places_that_show(secrets, [pid], [home], log)
    finally:
        if queen:
            assert queen.stop() == 0
        else:
            assert cli.run("--queen", url, "down").code == 0
    assert not places_that_show(secrets, [], [home], "\n".join(queen.log) if queen else "")
    assert not list(home.rglob("core*"))


def test_after_all_tests_no_log_and_no_process_shows_a_token(tmp_path_factory, shared):
    """Of this run, whatever its tests did: logs of programs, logs in files, core files."""
    shows = {}
    for program in Program.every:
        for line in program.log:
            if TOKEN in line or MINTED.search(line.encode()):
                shows[f"log of {program.name}"] = line
    for file in tmp_path_factory.getbasetemp().rglob("*"):
        traces = file.suffix == ".log" or file.name.startswith("core")
        if traces and file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if TOKEN.encode() in data or MINTED.search(data):
                shows[str(file)] = ""
    assert not shows
    assert not places_that_show([TOKEN], [shared.queen.pid()], [])

"""A hive that dies by SIGKILL: its workers go on and the next hive takes them over, or they go with
it, as on_hive_exit says. Scenario Gap-F6."""

import json
import os
import pathlib
import signal
import threading
import time

import pytest

from harness import ENGINE_ARGS, Api, alive, known_worker_tokens, start_hive, wait_for, worker_token


class Hives:
    """One hive after the other in the same home."""

    def __init__(self, home, models_dir):
        self.home, self.models_dir = home, models_dir
        self.hive = None
        self.pids = set()

    def start(self, *arguments, **env):
        self.hive = start_hive(
            self.home,
            "--models-dir",
            str(self.models_dir),
            "--node-name",
            "attic",
            *arguments,
            extra_env={**known_worker_tokens(self.home), **env},
        )
        return self.hive

    def workers(self):
        return self.hive.api.get("/v1/workers").json()["workers"]

    def only(self, states=None):
        """The one worker, once it is in one of the states."""
        workers = self.workers()
        assert len(workers) <= 1, workers
        found = workers[0] if workers else None
        return found if found and (states is None or found["state"] in states) else None

    def spawn(self, model="endless", wait=True):
        answer = self.hive.api.post(
            "/v1/workers/spawn",
            {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS},
        )
        assert answer.status in (200, 201, 202), answer.body
        states = {"idle", "busy"} if wait else None
        worker = wait_for(lambda: self.only(states), 60, "worker there")
        self.pids.add(worker["pid"])
        return worker

    def list(self):
        file = self.home / "run" / "hive-attic" / "workers.json"
        return json.loads(file.read_text())["workers"] if file.exists() else []

    def die(self, listed=None):
        """SIGKILL, by default once the worker is on the list as it should be."""
        if listed:
            wait_for(lambda: [w["state"] for w in self.list()] == [listed], what="worker listed")
            time.sleep(0.1)  # for the word to the worker that it may go on
        self.hive.kill()

    def direct(self, worker):
        return Api(worker["url"], worker_token(self.home, worker["id"]))

    def events(self, name):
        return [e for e in self.hive.log_events() if e.get("event") == name]

    def close(self):
        if self.hive and self.hive.process.poll() is None:
            assert self.hive.stop() == 0, self.hive.log_text()
        left = [pid for pid in self.pids if alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, "workers were left behind"


@pytest.fixture
def hives(tmp_path, models_dir):
    made = Hives(tmp_path, models_dir)
    yield made
    made.close()


def starts_of(worker, home):
    log = (home / "logs" / f"{worker['id']}.log").read_text()
    return log.count('"event":"server_start"')


def test_Gap_F6_the_next_hive_takes_over_and_direct_callers_notice_nothing(hives):
    hives.start()
    worker = hives.spawn()
    direct = hives.direct(worker)
    body = {"prompt": "go", "max_tokens": 4000, "stream": True}
    seen, error = [], []

    def read():
        try:
            with direct.stream("/v1/completions", body) as (status, _, events):
                assert status == 200
                for _, data in events:
                    seen.append(data)
        except OSError as problem:
            error.append(problem)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wait_for(lambda: len(seen) > 5, what="stream going")
    hives.die("idle")
    before = len(seen)
    wait_for(lambda: len(seen) > before + 5, what="stream going on without a hive")

    hives.start()
    adopted = hives.only()
    assert adopted, "it must be there as soon as the hive serves"
    for field in ("id", "pid", "url", "model", "model_ref", "slots_total"):
        assert adopted[field] == worker[field], field
    assert adopted["state"] in ("idle", "busy")
    took = wait_for(lambda: hives.events("workers_adopted"), what="adoption told")[0]
    assert took["workers"] == 1 and took["seconds"] < 1, took
    # It serves through the new hive, without a new load.
    text = hives.hive.api.post(
        "/v1/completions", {"model": "endless", "prompt": "go", "max_tokens": 3}
    )
    assert text.status == 200, text.body
    before = len(seen)
    wait_for(lambda: len(seen) > before + 5 or not reader.is_alive(), what="stream still going")
    assert not error
    assert starts_of(worker, hives.home) == 1
    heard = [e for e in worker_events(hives, worker) if e["event"] == "hive_changed"]
    assert heard and heard[0]["url"] == hives.hive.url


def worker_events(hives, worker):
    lines = (hives.home / "logs" / f"{worker['id']}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_worker_that_is_still_loading_is_taken_over_too(hives):
    hives.start()
    worker = hives.spawn(wait=False)
    wait_for(lambda: hives.list(), what="worker listed")
    time.sleep(0.05)
    hives.hive.kill()
    if not alive(worker["pid"]):
        pytest.skip("it had not been told yet that it may go on")
    hives.start()
    ready = wait_for(lambda: hives.only({"idle"}), 60, "worker ready")
    assert ready["pid"] == worker["pid"]


def test_a_worker_that_died_without_a_hive_is_started_again(hives):
    hives.start(RBEE_RESTART_BASE_MS="100")
    worker = hives.spawn("hello")
    hives.die("idle")
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: not alive(worker["pid"]), what="worker dead")
    hives.start()
    again = wait_for(lambda: hives.only({"idle"}), 60, "worker back")
    hives.pids.add(again["pid"])
    assert again["id"] == worker["id"] and again["pid"] != worker["pid"]
    assert again["restart_count"] == 1


def test_an_adopted_worker_that_dies_is_noticed_with_its_signal(hives):
    hives.start()
    worker = hives.spawn("hello")
    hives.die("idle")
    hives.start()
    wait_for(lambda: hives.events("workers_adopted"), what="adoption told")
    os.kill(worker["pid"], signal.SIGKILL)
    exits = wait_for(lambda: hives.events("worker_exited"), what="its end told")
    assert "SIGKILL" in exits[0]["cause"], exits
    again = wait_for(lambda: hives.only({"idle"}), 60, "worker back")
    hives.pids.add(again["pid"])


def test_without_another_hive_workers_end_when_their_lease_does(hives):
    hives.start("--worker-lease", "2")
    worker = hives.spawn("hello")
    hives.die("idle")
    begun = time.monotonic()
    wait_for(lambda: not alive(worker["pid"]), 20, "worker gone")
    assert 1.5 < time.monotonic() - begun < 8


def test_a_worker_that_no_list_has_goes_with_its_hive(hives):
    hives.start()
    lock = pathlib.Path(hives.home) / "run" / "hive-attic"
    worker = hives.spawn("hello")
    wait_for(lambda: hives.list(), what="worker listed")
    other = start_hive(  # the same state directory: it must not have it
        hives.home, "--models-dir", str(hives.models_dir), "--node-name", "attic",
        extra_env=known_worker_tokens(hives.home),
    )
    try:
        assert other.api.get("/v1/workers").json()["workers"] == []
        answer = other.api.post(
            "/v1/workers/spawn",
            {"model_ref": "tiny", "backend": "cpu", "engine_args": ENGINE_ARGS},
        )
        assert answer.status in (200, 201, 202), answer.body
        pid = other.api.get("/v1/workers").json()["workers"][0]["pid"]
        hives.pids.add(pid)
        assert [w["worker_id"] for w in hives.list()] == [worker["id"]], lock
    finally:
        other.kill()
    wait_for(lambda: not alive(pid), 10, "its worker gone with it")
    assert alive(worker["pid"])


def test_with_kill_workers_go_at_once_also_those_that_do_not_react(hives):
    hives.start("--on-hive-exit", "kill")
    worker = hives.spawn("hello")
    os.kill(worker["pid"], signal.SIGSTOP)
    hives.hive.kill()
    begun = time.monotonic()
    wait_for(lambda: not alive(worker["pid"]), 5, "worker gone")
    assert time.monotonic() - begun < 2


def test_kill_also_clears_what_a_former_hive_left(hives):
    hives.start()
    worker = hives.spawn("hello")
    hives.die("idle")
    hives.start("--on-hive-exit", "kill")
    wait_for(lambda: not alive(worker["pid"]), 5, "worker gone")
    assert hives.workers() == []


def test_an_orderly_stop_leaves_nothing_to_take_over(hives):
    hives.start()
    worker = hives.spawn("hello")
    assert hives.hive.stop() == 0
    assert not alive(worker["pid"]) and hives.list() == []
    hives.start()
    assert hives.workers() == []


def test_the_list_is_for_the_hive_alone(hives):
    hives.start()
    worker = hives.spawn("hello")
    wait_for(lambda: hives.list(), what="worker listed")
    file = hives.home / "run" / "hive-attic" / "workers.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert worker_token(hives.home, worker["id"]) in file.read_text()
    assert worker_token(hives.home, worker["id"]) not in hives.hive.log_text()

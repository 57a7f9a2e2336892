"""`rbee down`: how long it takes and that nothing is left, whoever is idle, busy or hung."""

import contextlib
import os
import signal
import threading
import time

import pytest

from harness import Api, ENGINE_ARGS, alive, children_of, wait_for
from test_command_line import Service


@pytest.fixture
def service(tmp_path, models_dir):
    """A service that `rbee up` started. Whatever a test did to it, nothing of it stays."""
    made = Service(tmp_path / "home", models_dir)
    assert made.up().code == 0
    token = (made.home / "token").read_text().strip()
    made.api = Api(f"http://127.0.0.1:{made.port}", token)
    made.everyone = []
    yield made
    for pid in made.everyone:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def start_workers(service, *models):
    """Ready workers, by the names of their models."""
    for model in models:
        body = {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS}
        assert service.api.post("/v1/workers/spawn", body).status == 200

    def ready():
        workers = {w["model"]: w for w in service.api.get("/v1/workers").json()["workers"]}
        return all(workers.get(m, {}).get("state") == "idle" for m in models) and workers

    return wait_for(ready, 60, "workers ready")


def family(service):
    """Queen, hive and workers; remembered, so that they are cleared away."""
    service.everyone = [service.pid(), *children_of(service.pid())]
    return service.everyone


def hive_pid(service):
    """The queen's only child."""
    direct = set(children_of(service.pid()))
    (hive,) = [pid for pid in direct if set(children_of(pid)) == direct - {pid}]
    return hive


def down(service):
    begun = time.monotonic()
    done = service.rbee.run("down", seconds=90)
    return done, time.monotonic() - begun


def left(pids):
    return [pid for pid in pids if alive(pid)]


def test_idle_workers_go_at_once(service):
    start_workers(service, "hello", "tiny", "count-a")
    everyone = family(service)
    assert len(everyone) == 5
    done, took = down(service)
    assert done.code == 0 and done.out == "stopped\n", done
    assert left(everyone) == [] and took < 5, took


def test_idle_busy_and_hung_workers_are_gone_within_35_s(service):
    workers = start_workers(service, "hello", "endless", "count-a")
    everyone = family(service)
    os.kill(workers["count-a"]["pid"], signal.SIGSTOP)
    body = {"model": "endless", "prompt": "go", "stream": True, "max_tokens": 100000}
    ended = {}

    def read():
        with service.api.stream("/v1/completions", body, timeout=90) as (status, _, events):
            assert status == 200
            ended["last"] = [data for _, data in events][-1]

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(lambda: [w for w in service.api.get("/v1/workers").json()["workers"]
                      if w["model"] == "endless" and w["in_flight"]], what="stream running")
    done, took = down(service)
    reader.join(10)
    assert done.code == 0, done
    assert left(everyone) == []
    assert took < 36, took
    assert '"error"' in ended["last"]  # cut off, and it says so


def test_a_hung_queen_is_killed_and_her_hive_and_workers_go_too(service):
    start_workers(service, "hello")
    everyone = family(service)
    os.kill(service.pid(), signal.SIGSTOP)
    done, took = down(service)
    assert done.code == 0, done
    assert "SIGKILL" in done.err
    assert left(everyone) == [] and took < 36, took


def test_a_hung_hive_is_killed_and_its_workers_go_too(service):
    start_workers(service, "hello", "tiny")
    everyone = family(service)
    os.kill(hive_pid(service), signal.SIGSTOP)
    done, took = down(service)
    assert done.code == 0, done
    assert left(everyone) == [] and took < 36, took

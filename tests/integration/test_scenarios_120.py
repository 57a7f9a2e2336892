"""Scenario file 120: who lives on and who goes when a command or the queen ends."""

import pathlib
import signal
import time

import pytest

from cli import Cli, free_port
from conftest import HELLO
from harness import Api, Cluster, alive, children_of, wait_for

ONE_THREAD = {"LLAMA_ARG_THREADS": "1", "LLAMA_ARG_THREADS_BATCH": "1"}


@pytest.fixture
def warm(tmp_path, models_dir):
    """A running service with one idle worker."""
    cluster = Cluster(tmp_path, models_dir)
    cluster.spawn("hello")
    yield cluster
    assert cluster.stop() == 0


def family(cluster):
    return {cluster.queen.pid(), *children_of(cluster.queen.pid())}


def test_QLIF_01_the_command_ends_and_queen_hive_and_worker_live_on(warm):
    before = family(warm)
    assert len(before) == 3
    done = Cli(warm.home, warm.queen.url).run("infer", "--model", "hello", "hi")
    assert done.code == 0 and done.out.strip() == HELLO
    time.sleep(0.2)
    assert family(warm) == before and all(alive(pid) for pid in before)
    assert [hive["available"] for hive in warm.hives()] == [True]
    wait_for(lambda: [w["state"] for w in warm.workers()] == ["idle"], what="worker idle")


def test_QLIF_02_an_ephemeral_service_goes_down_whole_with_one_sigterm(tmp_path, models_dir):
    """The local form: the command starts the queen, she a hive, and the hive a worker."""
    port = free_port()
    rbee = Cli(tmp_path, f"http://127.0.0.1:{port}", **ONE_THREAD)
    up = rbee.start("up", "--foreground", "--port", str(port), "--models-dir", str(models_dir))
    try:
        api = Api(f"http://127.0.0.1:{port}")

        def serving():
            try:
                return [h for h in api.get("/v1/hives").json()["hives"] if h["available"]]
            except OSError:
                return None

        wait_for(serving, what="service up")
        done = rbee.run("infer", "--model", "hello", "--max-tokens", "5", "hi")
        assert done.code == 0 and done.out.strip() == HELLO[:5], done
        workers = api.get("/v1/workers").json()["workers"]
        everyone = service_processes(tmp_path)
        assert len(workers) == 1 and workers[0]["pid"] in everyone
        assert len(everyone) == 3, everyone
        begin = time.monotonic()
        up.signal(signal.SIGTERM)
        assert up.wait().code == 143
        assert time.monotonic() - begin < 30
        wait_for(lambda: not [pid for pid in everyone if alive(pid)], 5, "everything gone")
    finally:
        up.kill()
        rbee.run("down")


def service_processes(home):
    """The daemons that belong to this home: told by their environment."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            name = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if f"RBEE_HOME={home}".encode() in environment.split(b"\0") and name != "rbee":
            found.add(int(entry.name))
    return found


def test_QLIF_03_a_running_queen_is_used_and_nothing_is_started_or_stopped(warm):
    before = family(warm)
    rbee = Cli(warm.home, warm.queen.url)
    for arguments in (
        ["infer", "--model", "hello", "hi"],
        ["status"],
        ["models", "list"],
        ["workers", "list"],
        ["hives", "list"],
    ):
        assert rbee.run(*arguments).code == 0, arguments
    assert family(warm) == before
    started = [e for e in warm.queen.log_events() if e["event"] in ("worker_spawn", "signal")]
    assert started == []
    assert service_processes(warm.home) == before

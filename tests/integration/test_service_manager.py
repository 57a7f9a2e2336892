"""Queen and hive under a service manager: what they tell it, and the units in deploy/systemd."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import BIN, ROOT, Program, children_of, start_hive, wait_for


class Manager:
    """Listens as systemd does."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.seen = []

    def variables(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}

    def messages(self):
        self.socket.setblocking(False)
        try:
            while True:
                self.seen.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return self.seen

    def has(self, text):
        return any(text in message.split("\n") for message in self.messages())


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def start_queen(home, models_dir, env):
    arguments = ["--port", "0", "--local-hive-port", "0", "--models-dir", models_dir]
    return Program([BIN / "queen-rbee", *arguments], home, env)


def environment_of(pid):
    return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_hive_says_that_it_serves_lives_reloads_and_stops(tmp_path, models_dir, manager):
    hive = start_hive(
        tmp_path, "--models-dir", models_dir,
        extra_env=manager.variables(WATCHDOG_USEC="400000"),
    )
    wait_for(lambda: manager.has("READY=1"), 5, "readiness")
    assert manager.has(f"STATUS=serving at {hive.url}")
    alive = manager.messages().count("WATCHDOG=1")
    wait_for(lambda: manager.messages().count("WATCHDOG=1") >= alive + 3, 5, "signs of life")
    os.kill(hive.pid(), signal.SIGSTOP)  # a loop that hangs gives none: systemd would abort it
    time.sleep(0.3)
    silent = manager.messages().count("WATCHDOG=1")
    time.sleep(1)
    assert manager.messages().count("WATCHDOG=1") == silent
    os.kill(hive.pid(), signal.SIGCONT)
    ready = manager.messages().count(f"READY=1\nSTATUS=serving at {hive.url}")
    os.kill(hive.pid(), signal.SIGHUP)
    wait_for(lambda: manager.has("RELOADING=1"), 5, "reload begun")
    wait_for(
        lambda: manager.messages().count(f"READY=1\nSTATUS=serving at {hive.url}") > ready,
        5, "reload done",
    )
    answer = hive.api.post("/v1/workers/spawn", {"model_ref": "hello", "backend": "cpu"})
    assert answer.status == 200, answer.body
    (worker,) = wait_for(lambda: children_of(hive.pid()), what="worker")
    assert not [v for v in environment_of(worker) if v.startswith((b"NOTIFY_", b"WATCHDOG_"))]
    assert hive.stop() == 0
    assert manager.has("STOPPING=1")


def test_a_queen_says_so_too_and_her_hive_does_not_speak_for_her(tmp_path, models_dir, manager):
    queen = start_queen(tmp_path, models_dir, manager.variables(WATCHDOG_USEC="1000000"))
    wait_for(lambda: manager.has("READY=1"), 15, "readiness")
    assert manager.has(f"STATUS=serving at {queen.url}")
    wait_for(lambda: manager.messages().count("WATCHDOG=1") >= 2, 5, "signs of life")
    (hive,) = children_of(queen.pid())
    assert not [v for v in environment_of(hive) if v.startswith((b"NOTIFY_", b"WATCHDOG_"))]
    assert queen.stop() == 0
    assert manager.has("STOPPING=1")
    serving = [m for m in manager.messages() if m.startswith("READY=1")]
    assert serving == [f"READY=1\nSTATUS=serving at {queen.url}"]


def test_without_a_manager_nothing_is_said_and_nothing_is_missed(tmp_path, models_dir):
    hive = start_hive(
        tmp_path, "--models-dir", models_dir,
        extra_env={"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "x"},
    )
    assert hive.api.get("/v1/health").status == 200
    assert hive.stop() == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_the_units_are_valid(tmp_path):
    units = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
    assert [u.name for u in units] == ["queen-rbee.service", "rbee-hive.service"]
    for unit in units:
        text = unit.read_text()
        assert "Type=notify" in text and re.search(r"^WatchdogSec=\d+$", text, re.M)
        (program,) = re.findall(r"^ExecStart=(\S+)", text, re.M)
        there = BIN / pathlib.Path(program).name
        (tmp_path / unit.name).write_text(text.replace(program, str(there)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *[str(tmp_path / u.name) for u in units]],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0 and done.stderr == "", done

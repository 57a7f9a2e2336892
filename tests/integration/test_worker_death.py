"""Workers that die, hang or are stopped from outside: what clients see, what the hive does, and how
soon. The workers are rbee-bad-worker, which misbehaves on request (tools/bad-worker/README.md), or the
real one."""

import json
import os
import signal
import threading
import time

import pytest

from harness import SANITIZED, Api, BIN, Cluster, alive, wait_for

STALL_S = 2


@pytest.fixture
def bad(tmp_path, models_dir):
    """A cluster whose workers misbehave when asked, and whose hive waits 2 s instead of 10."""
    made = Cluster(
        tmp_path,
        models_dir,
        spy=False,
        extra_env={
            "RBEE_WORKER_BINARY": str(BIN / "rbee-bad-worker"),
            "RBEE_STALL_TIMEOUT_S": str(STALL_S),
            "RBEE_LOAD_STALL_TIMEOUT_S": str(STALL_S),
        },
    )
    yield made
    code = made.stop()
    assert code == 0, made.queen.log_text()


def spawn(cluster, *engine_args, model="tiny", wait=True):
    answer = cluster.api.post(
        "/v1/workers/spawn",
        {"model_ref": model, "backend": "cpu", "engine_args": list(engine_args)},
    )
    assert answer.status in (200, 201, 202), answer.body
    worker_id = answer.json()["worker_id"]
    if wait:
        return wait_for(lambda: cluster.find(worker_id, {"idle", "busy"}), 30, "worker ready")
    return wait_for(lambda: cluster.find(worker_id), what="worker listed")


class Talk(threading.Thread):
    """One streamed chat; what came and when it ended."""

    def __init__(self, api, prompt, model="tiny"):
        super().__init__(daemon=True)
        self.api, self.prompt, self.model = api, prompt, model
        self.data, self.ended, self.begun = [], None, threading.Event()
        self.start()

    def run(self):
        body = {
            "model": self.model,
            "stream": True,
            "max_tokens": 100000,
            "messages": [{"role": "user", "content": self.prompt}],
        }
        with self.api.stream("/v1/chat/completions", body) as (status, _, events):
            self.status = status
            for _, data in events:
                self.data.append(data)
                self.begun.set()
        self.ended = time.monotonic()

    def error(self):
        """The error frame that ended it."""
        self.join(60)
        assert self.ended, "the stream did not end"
        assert "[DONE]" not in self.data
        return json.loads(self.data[-1])["error"]


def events_of(cluster, name, worker_id):
    """Lines of the hive's log about one thing that befell one worker."""
    return [
        line
        for line in cluster.hive_log()
        if name in json.dumps(line) and worker_id in json.dumps(line)
    ]


def comes_back(cluster, worker):
    """The worker serves again, in another process."""
    return wait_for(
        lambda: next(
            (
                w
                for w in cluster.workers()
                if w["id"] == worker["id"]
                and w["state"] in ("idle", "busy")
                and w.get("pid") != worker["pid"]
            ),
            None,
        ),
        30,
        "worker back",
    )


def ends_within(seconds, pid):
    begun = time.monotonic()
    wait_for(lambda: not alive(pid), seconds, "end of the process")
    return time.monotonic() - begun


def assert_stalled(error):
    """Both loops of a stopped process stand still; either may be noticed first."""
    assert error["code"] == "WORKER_FAILED"
    assert "no progress for" in error["message"] or "stood still" in error["message"], error


def test_a_stopped_worker_is_ended_and_its_client_is_told(bad):
    worker = spawn(bad)
    talk = Talk(bad.api, "bad:nothing but long")
    assert talk.begun.wait(20)
    os.kill(worker["pid"], signal.SIGSTOP)
    stopped = time.monotonic()
    error = talk.error()
    assert_stalled(error)
    assert STALL_S - 0.5 < talk.ended - stopped < STALL_S + 3
    assert events_of(bad, "worker_stalled", worker["id"])
    assert comes_back(bad, worker)["restart_count"] == 1
    assert "word" in bad.api.chat_text("tiny")


def test_an_endless_loop_is_aborted(bad):
    worker = spawn(bad)
    talk = Talk(bad.api, "please bad:spin")
    error = talk.error()
    assert error["code"] == "WORKER_FAILED"
    assert "no progress for" in error["message"], error
    assert "SIGABRT" in error["message"], error
    assert ends_within(1, worker["pid"]) < 1
    comes_back(bad, worker)


def test_an_event_loop_that_stands_still_is_noticed_although_inference_goes_on(bad):
    worker = spawn(bad)
    talk = Talk(bad.api, "now bad:deaf")
    error = talk.error()
    assert "event loop has stood still" in error["message"], error
    ends_within(5, worker["pid"])
    comes_back(bad, worker)


def test_a_slow_answer_is_no_hang(bad):
    worker = spawn(bad, "--load", "slow", str(2 * STALL_S))
    text = bad.api.chat_text("tiny")
    assert text.count("word") == 50
    assert alive(worker["pid"])


def test_a_load_that_hangs_is_ended(bad):
    worker = spawn(bad, "--load", "hang", wait=False)
    ends_within(STALL_S + 4, worker["pid"])
    failed = wait_for(
        lambda: [e for e in events_of(bad, "worker_stalled", worker["id"])], what="log line"
    )
    assert "LOADING_TIMEOUT: no progress of the load" in json.dumps(failed[0])


def test_a_crash_while_loading_is_noticed_at_once(bad):
    begun = time.monotonic()
    worker = spawn(bad, "--load", "crash", wait=False)
    wait_for(
        lambda: events_of(bad, "worker_exited", worker["id"]), 10, "end of the worker"
    )
    assert time.monotonic() - begun < 5
    assert "SIGABRT" in json.dumps(events_of(bad, "worker_exited", worker["id"])[0])
    assert not bad.find(worker["id"], {"idle", "busy"})


def is_deaf(worker):
    try:
        Api(worker["url"], token=None).get("/health", timeout=1)
    except TimeoutError:
        return True
    return False


def test_a_worker_that_ignores_sigterm_is_killed(bad):
    worker = spawn(bad, "--deaf", wait=False)
    worker = wait_for(lambda: bad.find(worker["id"], {"idle"}), 30, "worker ready")
    wait_for(lambda: is_deaf(worker), what="deaf worker")
    begun = time.monotonic()
    answer = bad.api.delete(f"/v1/workers/{worker['id']}")
    assert answer.status in (200, 202, 204), answer.body
    wait_for(lambda: not alive(worker["pid"]), 30, "end of the process")
    assert time.monotonic() - begun < 26
    wait_for(lambda: bad.find(worker["id"]) is None, what="worker gone")
    assert events_of(bad, "worker_force_killed", worker["id"])


def test_a_grandchild_that_holds_descriptors_delays_nothing(bad):
    worker = spawn(bad)
    talk = Talk(bad.api, "bad:grandchild")
    assert talk.begun.wait(20)
    grandchild = wait_for(
        lambda: next(iter(pids_named("rbee-grandchild", worker["pid"])), None), what="grandchild"
    )
    try:
        os.kill(worker["pid"], signal.SIGKILL)
        killed = time.monotonic()
        error = talk.error()
        assert error["code"] == "WORKER_FAILED"
        assert "SIGKILL" in error["message"], error
        assert talk.ended - killed < 2
        assert alive(grandchild)
        comes_back(bad, worker)
        assert "word" in bad.api.chat_text("tiny")
    finally:
        os.kill(grandchild, signal.SIGKILL)


def pids_named(name, parent):
    """Processes whose first argument is `name`, started by `parent`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                first = file.read().split(b"\0")[0].decode()
            with open(f"/proc/{entry}/stat") as file:
                its_parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if first == name and its_parent == parent:
            found.append(int(entry))
    return found


@pytest.mark.parametrize(
    "word, cause",
    [("bad:segv", "SIGSEGV"), ("bad:abort", "SIGABRT"), ("bad:exit", "exit code 3")],
)
def test_a_crash_in_mid_answer_names_its_cause(bad, word, cause):
    if SANITIZED and cause == "SIGSEGV":
        pytest.skip("the sanitizer's runtime takes that signal")
    worker = spawn(bad)
    error = Talk(bad.api, word).error()
    assert error["code"] == "WORKER_FAILED"
    assert cause in error["message"], error
    comes_back(bad, worker)


def test_a_real_worker_that_computes_shows_progress_and_is_left_alone(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir, extra_env={"RBEE_STALL_TIMEOUT_S": "1"})
    try:
        worker = cluster.spawn("endless")
        talk = Talk(cluster.api, "go", model="endless")
        assert talk.begun.wait(30)
        time.sleep(4)  # four times the limit
        assert alive(worker["pid"])
        assert cluster.find(worker["id"])["state"] in ("idle", "busy")
        os.kill(worker["pid"], signal.SIGSTOP)
        stopped = time.monotonic()
        assert_stalled(talk.error())
        assert talk.ended - stopped < 5
    finally:
        assert cluster.stop() == 0


def test_workers_are_the_first_to_go_when_memory_runs_out_and_leave_no_core(bad):
    worker = spawn(bad)
    with open(f"/proc/{worker['pid']}/oom_score_adj") as file:
        assert file.read().strip() == "500"
    with open(f"/proc/{worker['pid']}/limits") as file:
        core = next(line for line in file if line.startswith("Max core file size"))
    assert SANITIZED or core.split()[4] == "0", core

"""Scenario file 130, inference from the command line: answers, and everything that can end them.

EH-013a, EH-018a, Gap-G12b and Gap-G12c as seen by API clients are in test_failures.py.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import threading
import time

import pytest

from cli import Cli, free_port
from harness import Api, Cluster, alive, children_of, make_model, wait_for, worker_token


@pytest.fixture(scope="module")
def slow_dir(tmp_path_factory):
    """One model that talks for ever, and not too fast."""
    directory = tmp_path_factory.mktemp("slow")
    make_model(directory, "slow", "--preset", "slow", "--eos", "never")
    return directory


@pytest.fixture
def rbee(cluster):
    return Cli(cluster.home, cluster.queen.url)


def hold_slot(api, model):
    """Takes one slot with an answer that goes on while somebody reads it."""
    body = {"model": model, "prompt": "go", "stream": True, "max_tokens": 4000}
    context = api.stream("/v1/completions", body)
    status, _, events = context.__enter__()
    assert status == 200
    next(events)
    return context, events


def request_lines(program, method):
    """Access log lines of a program, such as "DELETE /v1/inference/..."."""
    events = program.log_events()
    return [e for e in events if e["event"] == "request" and e["message"].startswith(method)]


def slot_free(cluster, worker):
    wait_for(
        lambda: cluster.find(worker["id"])["slots_available"] == worker["slots_total"],
        what="slot free again",
    )


def infer_endless(cluster, rbee, *more):
    """Starts `rbee infer` on a model that never ends; returns its worker and the command."""
    worker = cluster.spawn("endless", slots=1)
    command = rbee.start("infer", "--model", "endless", "--max-tokens", 100000, *more, "go")
    wait_for(lambda: len(command.out) > 50, what="part of an answer")
    return worker, command


def assert_partial_kept(cluster, outcome):
    """The text so far was shown and saved, and its tokens counted."""
    assert outcome.code == 1, outcome.err
    assert re.search(r"stopped after \d+ / 100000 tokens", outcome.err), outcome.err
    saved = re.search(r"(/\S+/rbee-partial-\S+\.txt)", outcome.err).group(1)
    with open(saved, encoding="utf-8") as file:
        text = file.read()
    assert len(text) > 50 and outcome.out == text + ("" if text.endswith("\n") else "\n")
    assert os.stat(saved).st_mode & 0o777 == 0o600


def test_INF_01_tokens_come_indexed_and_end_and_only_for_those_allowed(cluster):
    worker = cluster.spawn("count-a", slots=1)
    body = {"prompt": "x", "max_tokens": 20, "temperature": 0}
    assert Api(worker["url"], token=None).post("/v1/inference", body).status == 401
    with cluster.worker_api(worker).stream("/v1/inference", body) as (status, fields, events):
        assert status == 200 and fields["Content-Type"].startswith("text/event-stream")
        data = [text for _, text in events]
    assert data[-1] == "[DONE]"
    records = [json.loads(text) for text in data[:-1]]
    assert [r["i"] for r in records if r["type"] == "token"] == list(range(20))
    assert records[-1]["type"] == "end" and records[-1]["tokens_out"] == 20
    assert records[-1]["decode_time_ms"] >= 0


def test_INF_01_cli_prints_live_and_the_worker_is_idle_busy_idle(cluster, rbee):
    worker = cluster.spawn("endless", slots=1)
    assert worker["state"] == "idle"
    command = rbee.start("infer", "--raw", "--model", "endless", "--max-tokens", 600, "x")
    wait_for(lambda: command.out, what="first tokens")
    assert command.running()
    wait_for(lambda: cluster.find(worker["id"], {"busy"}), 2, "worker busy")
    outcome = command.wait()
    assert outcome.code == 0, outcome.err
    assert "600 / 600 tokens" in outcome.err  # it says that it was cut
    wait_for(lambda: cluster.find(worker["id"], {"idle"}), what="worker idle")


@pytest.fixture(scope="module")
def refused(tmp_path_factory, slow_dir):
    """Two commands that find every slot taken: one asks the worker itself, one the queen."""
    home = tmp_path_factory.mktemp("home")
    cluster = Cluster(home, slow_dir, queen_args=["--queue-capacity", "0"])
    try:
        worker = cluster.spawn("slow", slots=1)
        context, events = hold_slot(cluster.api, "slow")

        def read_on():
            with contextlib.suppress(Exception):  # it ends when the connection is closed
                for _ in events:
                    pass

        threading.Thread(target=read_on, daemon=True).start()
        begin = time.monotonic()
        arguments = ("infer", "--model", "slow", "x")
        direct = Cli(home, worker["url"], worker_token(home, worker["id"])).start(*arguments)
        queued = Cli(home, cluster.queen.url).start(*arguments)
        outcomes = {"worker": direct.wait(), "queen": queued.wait()}
        outcomes["seconds"] = time.monotonic() - begin
        context.__exit__(None, None, None)
        yield outcomes
    finally:
        assert cluster.stop() == 0


def waits(outcome):
    return re.findall(r"trying again in (\S+) s \((\d) of 3\)", outcome.err)


def test_EH_018a_busy_worker_is_asked_again_after_1_2_and_4_s(refused):
    outcome = refused["worker"]
    assert outcome.code == 1 and outcome.out == "", outcome
    assert outcome.err.count("1 of 1") == 4, outcome.err  # the slot counts, each time
    assert waits(outcome) == [("1", "1"), ("2", "2"), ("4", "3")]
    assert 7 <= refused["seconds"] < 15
    last = outcome.err.splitlines()[-1]
    assert "workers spawn" in last and "workers list" in last  # suggestions


def test_EC6_one_slot_taken_shows_three_waits_then_the_error(refused):
    outcome = refused["queen"]
    assert outcome.code == 1 and outcome.out == "", outcome
    assert waits(outcome) == [("1", "1"), ("2", "2"), ("4", "3")], outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == 4 and lines[-1].startswith("rbee: "), outcome.err


def test_EH_013a_worker_killed_cli_keeps_the_partial_text(cluster, rbee):
    worker, command = infer_endless(cluster, rbee)
    os.kill(worker["pid"], signal.SIGKILL)
    killed = time.monotonic()
    outcome = command.wait()
    assert time.monotonic() - killed < 5
    assert_partial_kept(cluster, outcome)
    wait_for(lambda: not cluster.find(worker["id"], {"idle", "busy"}), what="worker dropped")


def test_EC4_worker_death_on_the_console_and_in_the_hive_log(cluster, rbee):
    worker = cluster.spawn("endless", slots=1)
    terminal = rbee.terminal("infer", "--model", "endless", "--max-tokens", 100000, "go")
    terminal.expect(r".{50}")
    os.kill(worker["pid"], signal.SIGKILL)
    assert terminal.wait() == 1
    assert re.search(r"\nrbee: worker \S+ died: killed by signal 9 \(SIGKILL\)", terminal.text)
    assert "rbee workers" in terminal.text.splitlines()[-1]  # what to do next
    exits = wait_for(
        lambda: [e for e in cluster.hive_log() if e["event"] == "worker_exited"], 5, "death logged"
    )
    assert [(e["pid"], e["level"]) for e in exits] == [(worker["pid"], "error")]
    assert "SIGKILL" in exits[0]["cause"]


def test_EH_013b_silence_is_declared_a_stall_and_cancelled(cluster, rbee):
    worker, command = infer_endless(cluster, rbee, "--stall-timeout", 1)
    os.kill(worker["pid"], signal.SIGSTOP)
    outcome = command.wait(20)
    os.kill(worker["pid"], signal.SIGCONT)
    assert_partial_kept(cluster, outcome)
    assert "no token for 1 s" in outcome.err
    wait_for(lambda: request_lines(cluster.queen, "DELETE /v1/inference/"), 5, "DELETE logged")
    slot_free(cluster, worker)
    body = {"prompt": "x", "max_tokens": 1}
    direct = cluster.worker_api(worker)
    wait_for(lambda: direct.post("/v1/completions", body).status == 200, what="worker serves again")


def test_EH_003a_lost_connection_is_seen_at_once_and_the_partial_text_kept(tmp_path, models_dir):
    cluster = Cluster(tmp_path, models_dir)
    _, command = infer_endless(cluster, Cli(tmp_path, cluster.queen.url))
    family = children_of(cluster.queen.pid())
    cluster.queen.kill()
    lost = time.monotonic()
    outcome = command.wait(10)
    assert time.monotonic() - lost < 5
    assert_partial_kept(cluster, outcome)
    wait_for(lambda: not [pid for pid in family if alive(pid)], what="no orphans")


def test_EC1_unreachable_service_lists_three_attempts_and_a_hint(tmp_path):
    nobody = Cli(tmp_path, f"http://127.0.0.1:{free_port()}")
    for arguments in (("workers", "list"), ("infer", "--model", "tiny", "x")):
        begin = time.monotonic()
        outcome = nobody.run(*arguments)
        assert time.monotonic() - begin >= 0.6
        assert outcome.code == 1 and outcome.out == "", outcome
        assert re.findall(r"attempt (\d) of 3", outcome.err) == ["1", "2", "3"], outcome.err
        assert re.findall(r"again in (\d+) ms", outcome.err) == ["200", "400"]
        assert "rbee up" in outcome.err.splitlines()[-1]
    once = nobody.run("workers", "list", env={"RBEE_NO_RETRY": "1"})
    assert once.code == 1 and "attempt" not in once.err


def test_Gap_G12a_ctrl_c_deletes_the_request_frees_the_slot_and_exits_130(cluster, rbee):
    worker = cluster.spawn("endless", slots=1)
    terminal = rbee.terminal("infer", "--model", "endless", "--max-tokens", 100000, "go")
    terminal.expect(r".{50}")
    assert cluster.find(worker["id"])["slots_available"] == 0
    terminal.ctrl_c()
    stopped = time.monotonic()
    assert terminal.wait(10) == 130, terminal.text
    assert time.monotonic() - stopped < 5
    assert "cancelled" in terminal.text
    wait_for(lambda: request_lines(cluster.queen, "DELETE /v1/inference/"), 5, "DELETE logged")
    deleted = request_lines(cluster.queen, "DELETE /v1/inference/")
    assert [e["status"] for e in deleted] == [204]
    slot_free(cluster, worker)
    log = (cluster.home / "logs" / f"{worker['id']}.log").read_text()
    assert "inference_cancelled" in log


def test_Gap_G12a_the_wait_for_the_acknowledgement_ends_after_5_s(cluster, rbee):
    _, command = infer_endless(cluster, rbee)
    os.kill(cluster.queen.pid(), signal.SIGSTOP)  # she will not answer the DELETE
    command.signal(signal.SIGINT)
    begin = time.monotonic()
    try:
        outcome = command.wait(15)
    finally:
        os.kill(cluster.queen.pid(), signal.SIGCONT)
    assert 4 < time.monotonic() - begin < 8
    assert outcome.code == 130 and "not confirmed" in outcome.err, outcome.err


def test_Gap_C4_of_two_arrivals_for_the_last_slot_exactly_one_gets_it(cluster):
    worker = cluster.spawn("endless", slots=4)
    direct = cluster.worker_api(worker)
    held = [hold_slot(direct, "endless") for _ in range(3)]
    together = threading.Barrier(2)

    def arrive(_):
        together.wait()
        body = {"prompt": "go", "max_tokens": 300}
        return direct.post("/v1/completions", body)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(arrive, range(2)))
    assert sorted(a.status for a in answers) == [200, 503], [a.body for a in answers]
    error = next(a for a in answers if a.status == 503).error()
    assert error["code"] == "ALL_SLOTS_BUSY"
    assert error["details"] == {"slots_total": 4, "slots_busy": 4}
    assert direct.get("/v1/ready").json()["slots_busy"] == 3
    for context, _ in held:
        context.__exit__(None, None, None)
    wait_for(lambda: direct.get("/v1/ready").json()["slots_busy"] == 0, what="all slots free")

"""What is known of a worker that died: post-mortems, the line in lists, metrics."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from cli import Cli
from harness import (
    BIN, CRASH, ENGINE_ARGS, SANITIZED, TOKEN, Cluster, start_hive, wait_for, worker_token,
)

SECRET = "sk-abcdefghijklmnopqrstuvwxyz0123456789"

# Stands before the worker program and puts something into its log first.
TALKER = """#!/bin/bash
echo "Authorization: Bearer {secret}" >&2
printf -- '-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkq\\n-----END PRIVATE KEY-----\\n' >&2
exec {worker} "$@"
"""


def metric(api, series):
    """The value of one series, 0 when it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", api.get("/metrics").body.decode(), re.M)
    return float(found.group(1)) if found else 0.0


def talker(folder):
    script = pathlib.Path(folder) / "talker.sh"
    script.write_text(TALKER.format(secret=SECRET, worker=BIN / "llm-worker-rbee"))
    script.chmod(0o755)
    return script


def spawn(hive, model):
    """A ready worker of a hive without a queen."""
    answer = hive.post(
        "/v1/workers/spawn", {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS}
    )
    assert answer.status == 200, answer.body
    worker_id = answer.json()["worker_id"]
    return wait_for(
        lambda: (w := hive.get(f"/v1/workers/{worker_id}").json())["state"] == "idle" and w,
        what="worker ready",
    )


def postmortem(api, worker_id):
    """The post-mortem of a worker that has just died."""
    def answered():
        answer = api.get(f"/v1/workers/{worker_id}/postmortem")
        return answer.json() if answer.status == 200 else None

    return wait_for(answered, what="post-mortem")


def test_a_killed_worker_leaves_a_postmortem_with_its_requests(cluster):
    worker = cluster.spawn("endless")
    request_id = "3d9f0d5e-54d5-4e0e-9f0a-7a2f6f3f8c55"
    alive = cluster.api.get(f"/v1/workers/{worker['id']}/postmortem")
    assert alive.status == 404 and alive.error()["code"] == "POSTMORTEM_NOT_FOUND", alive.body
    body = {"model": "endless", "stream": True, "prompt": "go", "max_tokens": 100000}
    with cluster.api.stream(
        "/v1/completions", body, headers={"X-Correlation-Id": request_id}
    ) as (status, _, events):
        assert status == 200
        for _ in range(3):
            next(events)
        os.kill(worker["pid"], CRASH)
        assert CRASH.name in list(events)[-1][1]
    death = postmortem(cluster.api, worker["id"])
    assert death["signal"] == CRASH and death["exit_code"] is None
    assert death["kind"] == "crash"
    assert SANITIZED or death["cause"] == "segfault"
    assert death["requests"] == [request_id]
    assert death["was_ready"] and not death["stalled"]
    assert death["pid"] == worker["pid"]
    assert death["usage"]["peak_memory_bytes"] > 1_000_000
    assert death["usage"]["user_ms"] + death["usage"]["system_ms"] > 0
    assert 0 < death["uptime_ms"] < 60_000
    assert death["oom_evidence"] is None
    assert death["steps"] > 0
    assert "ready" in death["log"] or death["log"].strip(), death
    assert death["summary"].startswith(f"killed by signal {CRASH.value} ({CRASH.name})"), death
    assert death["restart"]["attempt"] == 1 and death["restart"]["next_at"], death["restart"]
    assert worker_token(cluster.home, worker["id"]) not in json.dumps(death)
    file = cluster.home / "logs" / "postmortems" / f"{death['id']}.json"
    assert file.stat().st_mode & 0o777 == 0o600
    listed = wait_for(
        lambda: (w := cluster.find(worker["id"])) and w["last_exit"] and w, what="line in the list"
    )
    assert listed["last_exit"] == death["summary"]


def test_the_command_line_tells_it_and_the_queen_finds_it_when_the_worker_is_forgotten(cluster):
    worker = cluster.spawn("hello")
    os.kill(worker["pid"], signal.SIGKILL)
    postmortem(cluster.api, worker["id"])
    rbee = Cli(cluster.home, queen=cluster.api.url)
    told = rbee.run("workers", "postmortem", worker["id"])
    assert told.code == 0, told
    assert "killed by signal 9 (SIGKILL)" in told.out and "of memory at most" in told.out
    listed = rbee.run("workers", "list")
    assert "SIGKILL" in listed.out, listed
    assert cluster.api.delete(f"/v1/workers/{worker['id']}").status == 204
    wait_for(lambda: not cluster.find(worker["id"]), what="worker forgotten")
    told = rbee.run("workers", "postmortem", worker["id"], "--json")
    assert told.code == 0 and json.loads(told.out)["signal"] == signal.SIGKILL, told
    unknown = rbee.run("workers", "postmortem", "worker-0")
    assert unknown.code == 1 and "no death of a worker of this id" in unknown.err, unknown


def test_secrets_in_the_log_are_hidden(tmp_path, models_dir):
    env = {"RBEE_WORKER_BINARY": str(talker(tmp_path))}
    hive = start_hive(tmp_path, "--models-dir", models_dir, extra_env=env)
    try:
        worker = spawn(hive.api, "hello")
        os.kill(worker["pid"], signal.SIGKILL)
        death = postmortem(hive.api, worker["id"])
        assert "Authorization: Bearer [REDACTED]" in death["log"]
        assert SECRET not in json.dumps(death) and "MIIEvQ" not in json.dumps(death)
        for file in (tmp_path / "logs" / "postmortems").iterdir():
            assert SECRET not in file.read_text()
    finally:
        hive.stop()


def test_the_last_ten_of_a_model_are_kept_also_when_the_hive_ends(tmp_path, models_dir):
    arguments = ["--models-dir", models_dir, "--breaker-failures", "0"]
    hive = start_hive(tmp_path, *arguments)
    try:
        other = spawn(hive.api, "tiny")
        os.kill(other["pid"], signal.SIGKILL)
        postmortem(hive.api, other["id"])
        for _ in range(12):
            worker = spawn(hive.api, "hello")
            os.kill(worker["pid"], signal.SIGKILL)
            last = postmortem(hive.api, worker["id"])
            assert hive.api.delete(f"/v1/workers/{worker['id']}").status == 204
        assert len(last["earlier"]) == 9
    finally:
        hive.stop()
    hive = start_hive(tmp_path, *arguments)
    try:
        kept = postmortem(hive.api, worker["id"])
        assert kept == last
        assert postmortem(hive.api, other["id"])["earlier"] == []
        assert len(list((tmp_path / "logs" / "postmortems").iterdir())) == 11
        assert hive.api.get(f"/v1/workers/{worker['id']}/postmortem", headers={
            "Authorization": "Bearer wrong-token-wrong-token"}).status == 401
    finally:
        hive.stop()


def test_a_broken_model_is_a_configuration_error_with_its_cause(cluster):
    answer = cluster.api.post(
        "/v1/workers/spawn", {"model_ref": "corrupt", "backend": "cpu", "engine_args": ENGINE_ARGS}
    )
    worker_id = answer.json().get("worker_id")
    if worker_id is None:  # it had ended before the answer
        worker_id = next(w["id"] for w in cluster.workers() if w["model"] == "corrupt")
    death = postmortem(cluster.api, worker_id)
    assert (death["kind"], death["cause"]) == ("configuration", "configuration"), death
    assert death["restart"]["next_at"] is None
    assert "it is not started again" in death["summary"]
    assert not death["was_ready"]


def test_metrics_of_a_life_with_a_crash(tmp_path, models_dir):
    hive = start_hive(tmp_path, "--models-dir", models_dir)
    api = hive.api
    try:
        worker = spawn(api, "hello")
        for series in (
            "rbee_hive_worker_restarts_total", "rbee_hive_worker_restart_failures_total",
            "rbee_hive_circuit_breaker_activations_total",
        ):
            assert f"\n{series} 0\n" in api.get("/metrics").body.decode(), series
        os.kill(worker["pid"], signal.SIGKILL)
        back = wait_for(
            lambda: (w := api.get(f"/v1/workers/{worker['id']}").json())["state"] == "idle"
            and w["pid"] != worker["pid"] and w,
            what="worker back",
        )
        assert back["restart_count"] == 1 and back["last_restart"]
        assert metric(api, "rbee_hive_worker_restarts_total") == 1
        assert metric(api, "rbee_hive_worker_restart_failures_total") == 0
        assert metric(api, 'rbee_hive_worker_crashes_total{cause="killed"}') == 1
        assert metric(api, "rbee_hive_worker_recovery_seconds_count") == 1
        assert 0.8 <= metric(api, "rbee_hive_worker_recovery_seconds_sum") < 10
        detected = 'rbee_hive_worker_death_detection_seconds_%s{by="pulse"}'
        assert metric(api, detected % "count") == 1
        assert 0 < metric(api, detected % "sum") < 1
        series = 'rbee_hive_workers_total{backend="cpu",device="0",state="%s"}'
        assert metric(api, series % "idle") == 1 and metric(api, series % "backoff") == 0
        assert metric(api, "rbee_hive_workers_restart_count") == 1
        assert api.delete(f"/v1/workers/{worker['id']}").status == 204
        assert metric(api, "rbee_hive_workers_graceful_shutdown_total") == 1
    finally:
        hive.stop()


def test_lack_of_memory_is_the_cause_that_is_told(tmp_path, models_dir):
    hive = start_hive(tmp_path, "--models-dir", models_dir, "--worker-memory", "32")
    try:
        if any(e.get("event") == "worker_memory_unlimited" for e in hive.log_events()):
            pytest.skip("control groups cannot be made here")
        greedy = [*ENGINE_ARGS, "--ctx-size", "400000"]
        answer = hive.api.post(
            "/v1/workers/spawn", {"model_ref": "endless", "backend": "cpu", "engine_args": greedy}
        )
        workers = hive.api.get("/v1/workers").json()["workers"]
        worker_id = answer.json().get("worker_id") or workers[0]["id"]
        death = postmortem(hive.api, worker_id)
        assert (death["kind"], death["cause"]) == ("out_of_memory", "out_of_memory"), death
        assert "memory" in death["oom_evidence"], death
        assert death["summary"].startswith("out of memory: "), death["summary"]
        assert metric(hive.api, 'rbee_hive_worker_crashes_total{cause="out_of_memory"}') >= 1
    finally:
        hive.stop()

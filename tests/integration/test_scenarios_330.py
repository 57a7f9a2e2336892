"""Scenario file 330: what the real programs put into their audit logs, and what happens when they
cannot. The rows about the log itself are in src/rbee/audit/chain_test.cpp, by id."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess

import pytest

from harness import BIN, TOKEN, Api, Cluster, Program, wait_for, worker_token
from tokens import fingerprint, hang_up, write_named

PROMPT = "the-prompt-that-nobody-else-may-read"
WRONG = "wrong-token-0123456789abcdef"
ZEROS = "0" * 64


def audited(base, mode="local", **more):
    return {"LLORCH_AUDIT_MODE": mode, "LLORCH_AUDIT_DIR": str(base), **more}


def lines_of(base, service):
    """The stored lines of a log, oldest first; each with its end."""
    lines = []
    for file in sorted(pathlib.Path(base, service).glob("*.audit")):
        lines += [line for line in file.read_bytes().splitlines(True) if line.endswith(b"\n")]
    return lines


def records_of(base, service, event_type=None, **details):
    found = [json.loads(line) for line in lines_of(base, service)]
    return [
        record
        for record in found
        if (event_type is None or record["event_type"] == event_type)
        and all(record["details"].get(name) == value for name, value in details.items())
    ]


def wait_record(base, service, event_type, **details):
    return wait_for(
        lambda: records_of(base, service, event_type, **details), 20, f"{event_type} of {service}"
    )[-1]


def verify(base, *arguments):
    """The exit code of `rbee audit verify` for all logs, and what it says of each, by service."""
    done = subprocess.run(
        [BIN / "rbee", "--json", "audit", "verify", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(base), "LLORCH_AUDIT_DIR": str(base)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, {log["service"]: log for log in json.loads(done.stdout)["logs"]}


@pytest.fixture
def base(tmp_path):
    return tmp_path / "audit"


@pytest.fixture
def cluster(tmp_path, models_dir, base):
    """A cluster that keeps audit logs; its workers come back at once."""
    made = Cluster(tmp_path, models_dir, extra_env=audited(base, RBEE_RESTART_BASE_MS="100"))
    made.base = base
    yield made
    assert made.stop() == 0, made.queen.log_text()


def start_queen(home, base, *arguments, mode="local", **more):
    return Program(
        [BIN / "queen-rbee", "--port", "0", "--local-hive", "never", *arguments],
        home,
        audited(base, mode, **more),
    )


@pytest.fixture
def queen(tmp_path, base):
    made = start_queen(tmp_path, base)
    yield made
    assert made.stop() == 0, made.log_text()


def test_AUDIT_001_a_worker_that_is_started_is_recorded(cluster):
    worker = cluster.spawn("hello")
    record = wait_record(cluster.base, "rbee-hive", "worker.started", worker_id=worker["id"])
    details = record["details"]
    assert details["model_ref"] == worker["model_ref"]
    assert details["backend"] == "cpu" and details["device"] == 0
    assert details["node"] == "localhost"
    assert details["pid"] == worker["pid"]
    assert record["actor"].startswith("token:")
    assert record["timestamp"].endswith("Z")
    # It is the request that the queen let in.
    asked = records_of(cluster.base, "queen-rbee", "auth.success", path="/v1/workers/spawn")
    assert [one["correlation_id"] for one in asked] == [record["correlation_id"]]
    assert asked[0]["actor"] == fingerprint(TOKEN)
    cluster.api.delete(f"/v1/workers/{worker['id']}")
    gone = wait_record(cluster.base, "rbee-hive", "worker.stopped", worker_id=worker["id"])
    assert gone["details"]["graceful"] is True


def test_AUDIT_002_who_was_let_in_and_who_was_not_in_all_three_programs(cluster):
    worker = cluster.spawn("hello")
    own = worker_token(cluster.home, worker["id"])
    for service, url, token in (
        ("queen-rbee", cluster.queen.url, TOKEN),
        ("rbee-hive", cluster.hive_api().url, TOKEN),
        (worker["id"], worker["url"], own),
    ):
        path = "/v1/audit-002"  # nowhere is anything there, which only a valid token learns
        assert Api(url, token).get(path).status == 404
        assert Api(url, WRONG).get(path).status == 401
        good = wait_record(cluster.base, service, "auth.success", path=path)
        assert good["actor"] == fingerprint(token)
        assert good["details"]["ip"] == Api.source
        bad = wait_record(cluster.base, service, "auth.failure", path=path)
        assert bad["actor"] == fingerprint(WRONG)
        assert bad["details"]["reason"] == "invalid_token"
        assert bad["details"]["ip"] == Api.source
        for record in (good, bad):
            assert record["service_id"] == service
            assert record["details"]["service_id"] == service
            assert record["details"]["method"] == "GET"


def test_AUDIT_003_the_records_of_a_program_are_a_chain(queen, base):
    for _ in range(10):
        assert queen.api.get("/v1/models").status == 200
    assert queen.stop() == 0
    previous = ZEROS
    for number, line in enumerate(lines_of(base, "queen-rbee"), 1):
        record = json.loads(line)
        covered = line[: line.rindex(b',"entry_hash"')]
        assert record["previous_hash"] == previous
        assert record["entry_hash"] == hashlib.sha256(covered).hexdigest()
        assert record["id"] == f"audit-queen-rbee-{number:016x}"
        previous = record["entry_hash"]
    assert number >= 12, "ten requests, and the start and the stop of the log"
    assert verify(base)[0] == 0


def test_AUDIT_004_a_record_that_was_edited_is_named(queen, base):
    for _ in range(5):
        assert queen.api.get("/v1/models").status == 200
    assert queen.stop() == 0
    (file,) = pathlib.Path(base, "queen-rbee").glob("*.audit")
    lines = file.read_bytes().splitlines(True)
    lines[2] = lines[2].replace(b"/v1/models", b"/v1/modals")
    file.write_bytes(b"".join(lines))
    code, logs = verify(base)
    assert code == 2
    assert "audit-queen-rbee-0000000000000003" in json.dumps(logs["queen-rbee"])


def test_AUDIT_005_a_record_is_json_with_the_fields_that_are_told(queen, base):
    queen.api.get("/v1/models")
    record = wait_record(base, "queen-rbee", "auth.success", path="/v1/models")
    assert list(record) == [
        "id", "timestamp", "service_id", "event_type", "actor", "correlation_id", "details",
        "previous_hash", "entry_hash",
    ]  # fmt: skip


def test_AUDIT_006_a_full_segment_is_archived_and_the_chain_goes_on(tmp_path, base):
    queen = start_queen(tmp_path, base, mode="async", LLORCH_AUDIT_ROTATE_MB="1")
    connection = queen.api.connect()
    with contextlib.closing(connection):
        for _ in range(1500):
            connection.request("GET", "/v1/" + "long" * 120, headers=queen.api.headers())
            connection.getresponse().read()
    assert queen.stop() == 0
    files = sorted(pathlib.Path(base, "queen-rbee").glob("*.audit"))
    assert len(files) >= 2
    sealed = [file for file in files if file.stat().st_mode & 0o777 == 0o400]
    assert sealed and all(file.name.endswith("Z.audit") for file in sealed)
    assert verify(base)[0] == 0


def test_AUDIT_008_the_records_of_a_request_share_its_correlation_id(cluster):
    worker = cluster.spawn("hello")
    assert cluster.api.chat_text("hello", PROMPT).startswith("Hello")
    (start,) = records_of(cluster.base, "queen-rbee", "inference.start")
    end = wait_record(cluster.base, "queen-rbee", "inference.complete")
    (assigned,) = records_of(cluster.base, "queen-rbee", "worker.assigned")
    let_in = records_of(
        cluster.base, "queen-rbee", "auth.success", path="/v1/chat/completions"
    )
    ids = {one["correlation_id"] for one in (start, assigned, end, *let_in)}
    assert len(ids) == 1
    assert assigned["details"]["worker_id"] == worker["id"]
    assert end["details"]["worker_id"] == worker["id"]
    assert end["details"]["result"] == "success"
    # Hive and worker know it by the same id.
    for service in ("rbee-hive", worker["id"]):
        seen = records_of(cluster.base, service, "auth.success", path="/v1/chat/completions")
        assert {one["correlation_id"] for one in seen} == ids


def test_AUDIT_009_no_secret_and_no_prompt_is_in_the_log(cluster):
    worker = cluster.spawn("hello")
    own = worker_token(cluster.home, worker["id"])
    cluster.api.chat_text("hello", PROMPT)
    cluster.api.get(f"/v1/models?api_key={WRONG}")
    Api(cluster.queen.url, WRONG).get("/v1/models")
    body = {"node_name": "n", "ssh_host": "h", "ssh_key_path": "/home/me/.ssh/id_secret_key"}
    cluster.api.post("/v2/registry/beehives/add", body)
    wait_record(cluster.base, "queen-rbee", "inference.complete")
    stored = b"".join(f.read_bytes() for f in cluster.base.rglob("*") if f.is_file())
    assert fingerprint(TOKEN).encode() in stored
    for secret in (TOKEN, WRONG, own, PROMPT, "id_secret_key"):
        assert secret.encode() not in stored, secret


def test_AUDIT_010_the_chain_goes_on_after_a_restart(tmp_path, base):
    for _ in range(2):
        queen = start_queen(tmp_path, base)
        assert queen.api.get("/v1/models").status == 200
        assert queen.stop() == 0
    kinds = [record["event_type"] for record in records_of(base, "queen-rbee")]
    assert kinds == ["audit.start", "auth.success", "audit.stop"] * 2
    assert all(start["details"]["clean"] for start in records_of(base, "queen-rbee", "audit.start"))
    assert verify(base)[0] == 0


def test_off_unless_it_is_asked_for(tmp_path, base):
    queen = start_queen(tmp_path, base, mode="off")
    assert queen.api.get("/v1/models").status == 200
    assert queen.stop() == 0
    assert not base.exists()


@pytest.mark.parametrize("program", ["queen-rbee", "rbee-hive"])
def test_a_log_that_cannot_be_opened_ends_the_start_with_one_line(tmp_path, program):
    (tmp_path / "file").write_text("no folder")
    extra = ["--local-hive", "never"] if program == "queen-rbee" else []
    done = subprocess.run(
        [BIN / program, "--port", "0", *extra],
        env={
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "RBEE_HOME": str(tmp_path),
            "LLORCH_LOG_LEVEL": "off", **audited(tmp_path / "file"),
        },
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "file" / program) in done.stderr


def test_a_second_writer_is_refused(queen, tmp_path, base):
    done = subprocess.run(
        [BIN / "queen-rbee", "--port", "0", "--local-hive", "never"],
        env={
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "RBEE_HOME": str(tmp_path / "two"),
            **audited(base),
        },
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "audit" in done.stderr


def test_tokens_that_come_and_go_and_settings_that_change(tmp_path, base):
    config = tmp_path / "queen.toml"
    config.write_text("[queue]\ncapacity = 5\n")
    tokens = write_named(tmp_path / "tokens.toml", {"one": ("token-number-one-0123456789", ["infer"])})
    queen = start_queen(tmp_path, base, "--config", config)
    try:
        write_named(tokens, {"two": ("token-number-two-0123456789", ["models"])})
        created = wait_record(base, "queen-rbee", "token.created")
        assert created["details"]["token_fingerprint"] == fingerprint("token-number-two-0123456789")
        assert created["details"]["scope"] == ["models"]
        revoked = wait_record(base, "queen-rbee", "token.revoked")
        assert revoked["details"]["token_fingerprint"] == fingerprint("token-number-one-0123456789")
        write_named(tokens, {"two": ("another-token-two-0123456789", ["models"])})
        changed = wait_record(base, "queen-rbee", "secret.reloaded", name="two")
        assert changed["details"]["new_fingerprint"] == fingerprint("another-token-two-0123456789")
        config.write_text("[queue]\ncapacity = 7\n")
        hang_up(queen)
        reloaded = wait_record(base, "queen-rbee", "config.reloaded")
        assert reloaded["details"]["fields"] == ["queue.capacity"]
        assert reloaded["details"]["values"] == ["queue.capacity: 5 -> 7"]
        config.write_text("[queue]\ncapacity = \"many\"\n")
        hang_up(queen)
        assert "capacity" in wait_record(base, "queen-rbee", "config.validation_failed")["details"]["reason"]
    finally:
        queen.stop()


def test_what_attacks_look_like_is_recorded(cluster):
    cluster.api.post("/v1/workers/spawn", {"model_ref": "file:../../etc/passwd", "backend": "cpu"})
    wait_record(cluster.base, "queen-rbee", "security.path_traversal_attempt")
    cluster.api.post("/v1/workers/spawn", {"model_ref": "hf:a b;c", "backend": "cpu"})
    wait_record(cluster.base, "queen-rbee", "security.malformed_model_rejected")


def test_a_flood_of_failures_is_folded_and_limited(queen, base):
    connection = queen.api.connect()
    with contextlib.closing(connection):
        for _ in range(600):
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {WRONG}"})
            connection.getresponse().read()
    wait_record(base, "queen-rbee", "security.rate_limit_exceeded")
    folded = wait_record(base, "queen-rbee", "audit.suppressed")
    assert folded["details"]["suppressed_type"] in ("auth.failure", "security.rate_limit_exceeded")
    assert len(records_of(base, "queen-rbee", "auth.failure")) < 600


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB, and how to fill it up and make room again."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")

    class Disk:
        path = folder

        @staticmethod
        def fill():
            with contextlib.suppress(OSError), open(folder / "filler", "ab", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)

        @staticmethod
        def free():
            (folder / "filler").unlink()

    yield Disk
    subprocess.run(["umount", "-l", folder], check=True)


def refused(answer):
    return answer.status == 503 and answer.error()["code"] == "AUDIT_UNAVAILABLE"


@pytest.mark.parametrize("mode", ["group", "strict"])
def test_a_full_disk_refuses_what_must_be_recorded_and_nothing_is_lost_silently(
    tmp_path, small_disk, mode
):
    base = small_disk.path / "audit"
    queen = start_queen(tmp_path, base, mode=mode)
    hello = {"model": "none", "messages": [{"role": "user", "content": "hi"}]}
    try:

        def change():
            small_disk.fill()  # the reserve is given up piece by piece
            return queen.api.delete("/v1/hives/nobody")

        assert queen.api.delete("/v1/hives/nobody").status == 404
        wait_for(lambda: refused(change()), 60, "a change is refused")
        # What only looks goes on, and a refusal stays one.
        assert queen.api.get("/v1/models").status == 200
        assert Api(queen.url, WRONG).get("/v1/models").status == 401
        answer = queen.api.post("/v1/chat/completions", hello)
        assert refused(answer) if mode == "strict" else answer.status == 404
        small_disk.free()
        wait_for(lambda: queen.api.delete("/v1/hives/nobody").status == 404, 20, "changes go on")
        assert wait_record(base, "queen-rbee", "audit.gap")["details"]["control"] >= 1
    finally:
        queen.stop()
    assert verify(base)[0] == 4, "in order, and the log says that events are missing"


def test_a_day_in_the_life(tmp_path, models_dir, base):
    config = tmp_path / "queen.toml"
    config.write_text("[queue]\ncapacity = 5\n")
    cluster = Cluster(
        tmp_path, models_dir, queen_args=("--config", config),
        extra_env=audited(base, RBEE_RESTART_BASE_MS="100"),
    )  # fmt: skip
    assert Api(cluster.queen.url, WRONG).get("/v1/models").status == 401
    worker = cluster.spawn("hello")
    os.kill(worker["pid"], signal.SIGKILL)
    again = wait_record(base, "rbee-hive", "worker.restarted", worker_id=worker["id"])
    assert again["details"]["restart_count"] == 1
    wait_for(lambda: cluster.find(worker["id"], {"idle"}), 30, "worker is back")
    config.write_text("[queue]\ncapacity = 6\n")
    hang_up(cluster.queen)
    wait_record(base, "queen-rbee", "config.reloaded")
    assert cluster.api.chat_text("hello", PROMPT).startswith("Hello")
    wait_record(base, "queen-rbee", "inference.complete")
    assert cluster.stop() == 0
    hive = [r["event_type"] for r in records_of(base, "rbee-hive") if r["event_type"] != "auth.success"]
    assert hive == [
        "audit.start", "worker.started", "worker.crashed", "worker.restarted", "worker.stopped",
        "audit.stop",
    ]  # fmt: skip
    queen = {record["event_type"] for record in records_of(base, "queen-rbee")}
    assert queen >= {
        "audit.start", "auth.success", "auth.failure", "node.registered", "config.reloaded",
        "inference.start", "worker.assigned", "inference.complete", "audit.stop",
    }  # fmt: skip
    # Two runs of one worker are one chain; the first of them had no time to end it.
    starts = records_of(base, worker["id"], "audit.start")
    assert [start["details"]["clean"] for start in starts] == [True, False]
    code, logs = verify(base)
    assert code == 0 and set(logs) == {"queen-rbee", "rbee-hive", worker["id"]}
    (file,) = pathlib.Path(base, "rbee-hive").glob("*.audit")
    lines = file.read_bytes().splitlines(True)
    crash = next(i for i, line in enumerate(lines) if b"worker.crashed" in line)
    del lines[crash]
    file.write_bytes(b"".join(lines))
    code, logs = verify(base)
    assert code == 2
    assert json.loads(lines[crash])["id"] in json.dumps(logs["rbee-hive"]) or (
        f"audit-rbee-hive-{crash + 1:016x}" in json.dumps(logs["rbee-hive"])
    )

"""Scenario file 230: resources of the machine. GPUs come from a program named nvidia-smi that says
what the row needs; memory, disk and processors are real."""

import contextlib
import mmap
import os
import pathlib
import subprocess
import threading
import time

import pytest

from harness import BIN, ENGINE_ARGS, Program, make_model, start_hive, wait_for, write_fake_gpus

MB = 10**6


@pytest.fixture
def make_hive(tmp_path, models_dir):
    made = []

    def make(*arguments, gpus=(), seconds=0, models=models_dir, **env):
        variables = {**write_fake_gpus(tmp_path / "gpu", gpus, seconds), **env}
        hive = start_hive(
            tmp_path, "--models-dir", models, "--worker-backends", "cuda,cpu",
            *arguments, extra_env=variables,
        )
        made.append(hive)
        return hive

    yield make
    for hive in made:
        assert hive.stop() == 0, hive.log_text()


def spawn(hive, model="hello", **body):
    body = {"model_ref": model, "backend": "cpu", "engine_args": ENGINE_ARGS, **body}
    return hive.api.post("/v1/workers/spawn", body)


def ready(hive, model="hello", **body):
    answer = spawn(hive, model, **body)
    assert answer.status == 200, answer.body
    worker_id = answer.json()["worker_id"]

    def find():
        listed = hive.api.get("/v1/workers/list").json()["workers"]
        return next((w for w in listed if w["id"] == worker_id and w["state"] == "idle"), None)

    return wait_for(find, 60, "worker ready")


def events(hive, name):
    return [e for e in hive.log_events() if e["event"] == name]


def nobody(hive):
    return hive.api.get("/v1/workers/list").json() == {"workers": []}


def test_Gap_R1_without_a_device_the_gpu_with_most_free_memory_is_chosen_and_logged(make_hive):
    hive = make_hive(gpus=[(24000, 3000), (24000, 22000), (24000, 9000)])
    answer = spawn(hive, backend="cuda")
    assert answer.status == 200 or answer.error()["code"] == "WORKER_FAILED", answer.body
    (chosen,) = wait_for(lambda: events(hive, "device_chosen"), what="choice logged")
    assert chosen["device"] == 1 and chosen["backend"] == "cuda"
    named = spawn(hive, backend="cuda", device=2)  # who names one gets that one
    assert named.status == 200 or named.error()["code"] == "WORKER_FAILED", named.body
    assert len(events(hive, "device_chosen")) == 1


@contextlib.contextmanager
def taken(megabytes):
    """Memory that somebody else has in use."""
    block = mmap.mmap(-1, megabytes * MB)
    for at in range(0, megabytes * MB, mmap.PAGESIZE):
        block[at] = 1
    try:
        yield
    finally:
        block.close()


def test_Gap_R2_ram_is_looked_at_again_right_before_the_start(make_hive):
    """Asking the GPUs takes four seconds here. Who asked had enough memory before, not after."""
    for _ in range(3):  # others on this machine take and free memory too
        probe = make_hive("--ram-reserve", "10000000")
        free = probe.api.get("/v1/resources").json()["ram_available_bytes"] // MB
        hive = make_hive("--ram-reserve", str(free - 2500), gpus=[(1000, 1000)], seconds=4)
        time.sleep(4.5)  # its own first look is over
        answers = []
        asking = threading.Thread(target=lambda: answers.append(spawn(hive)))
        asking.start()
        time.sleep(1)
        with taken(5000):
            asking.join()
        (answer,) = answers
        if answer.status == 503 and "taken memory since" in answer.error()["message"]:
            break
    assert answer.status == 503, answer.body
    error = answer.error()
    assert error["code"] == "INSUFFICIENT_RAM" and "taken memory since" in error["message"], error
    assert error["details"]["available_before_mb"] > error["details"]["available_mb"]
    assert nobody(hive)
    wait_for(lambda: spawn(hive).status == 200, 30, "room again")


def test_Gap_R3_a_hot_gpu_gets_no_worker_and_the_advice_is_to_wait(make_hive, tmp_path):
    hive = make_hive(gpus=[(24000, 20000, 85)])
    answer = spawn(hive, backend="cuda")
    assert answer.status == 503 and answer.headers["Retry-After"]
    error = answer.error()
    assert error["code"] == "GPU_TOO_HOT" and "85 °C" in error["message"]
    assert "80 °C" in error["message"] and "wait" in error["message"]
    assert error["details"]["temperature_c"] == 85 and error["details"]["limit_c"] == 80
    assert nobody(hive)
    write_fake_gpus(tmp_path / "gpu", [(24000, 20000, 79)])  # it has cooled down
    answer = spawn(hive, backend="cuda")
    assert answer.status == 200 or answer.error()["code"] == "WORKER_FAILED", answer.body


def allowed(pid):
    return os.sched_getaffinity(pid)


def write_hive_script(directory, *lines):
    """A program that does something and then is rbee-hive, whose name its ready line begins with."""
    program = directory / "bin" / "rbee-hive"
    program.parent.mkdir()
    program.write_text("\n".join(["#!/bin/sh", *lines, f'exec {BIN}/rbee-hive "$@"']) + "\n")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no half")
def test_Gap_R4_a_cpu_worker_is_bound_to_the_idle_half_of_the_cores(tmp_path, models_dir):
    cores = sorted(os.sched_getaffinity(0))
    half = (len(cores) + 1) // 2
    program = write_hive_script(tmp_path, "unset LLAMA_ARG_THREADS")
    hive = Program(
        [
            program, "--port", "0", "--worker-ports", "0", "--models-dir", models_dir,
            "--cpu-pinning", "on", "--health-interval", "1",
        ],
        tmp_path,
    )
    burners = [  # the other half is the idle one
        subprocess.Popen(["taskset", "-c", str(core), "sh", "-c", "while :; do :; done"])
        for core in cores[half:]
    ]
    try:
        time.sleep(2.5)
        worker = ready(hive, engine_args=[])
        bound = allowed(worker["pid"])
        assert len(bound) == half and bound <= set(cores)
        (chosen,) = wait_for(lambda: events(hive, "cpus_chosen"), what="choice logged")
        if half == 1:
            assert chosen["cpus"] == str(*bound)
        words = pathlib.Path(f"/proc/{worker['pid']}/cmdline").read_bytes().decode().split("\0")
        assert words[words.index("--threads") + 1] == str(half)
        tasks = pathlib.Path(f"/proc/{worker['pid']}/task").iterdir()
        assert {frozenset(allowed(int(task.name))) for task in tasks} == {frozenset(bound)}
        assert allowed(hive.pid()) == set(cores)  # only the worker is bound
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
        assert hive.stop() == 0, hive.log_text()


def test_Gap_R7_a_busy_disk_is_warned_of_and_loading_goes_on(make_hive, tmp_path):
    device = os.stat(tmp_path).st_dev
    known = [line.split()[:2] for line in pathlib.Path("/proc/diskstats").read_text().splitlines()]
    if [str(os.major(device)), str(os.minor(device))] not in known:
        pytest.skip("the file system of this test has no disk of its own")
    models = tmp_path / "models"
    models.mkdir()
    make_model(models, "hello", "--kind", "scripted", "--text", "Hello")
    hive = make_hive(models=models, RBEE_HEALTH_INTERVAL_S="1")
    over = threading.Event()

    def write(number):
        file = os.open(tmp_path / f"load-{number}", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        block = mmap.mmap(-1, 1 << 20)  # page after page, as direct writing wants it
        while not over.is_set():
            os.pwrite(file, block, 0)
        os.close(file)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    try:
        time.sleep(4)
        ready(hive)  # it loads all the same
    finally:
        over.set()
        for writer in writers:
            writer.join()
    warned = events(hive, "disk_busy")
    assert warned and warned[0]["level"] == "warn" and warned[0]["percent"] >= 90, hive.log_text()


def test_disk_space_for_logs_is_checked_with_numbers(make_hive):
    hive = make_hive("--disk-reserve", "100000000")
    answer = spawn(hive)
    assert answer.status == 507, answer.body
    error = answer.error()
    assert error["code"] == "INSUFFICIENT_DISK"
    details = error["details"]
    assert details["required_mb"] >= 100_000_000
    assert details["to_free_mb"] >= details["required_mb"] - details["available_mb"] - 1
    assert f"{details['available_mb']} MB" in error["message"]
    assert nobody(hive)


@contextlib.contextmanager
def own_memory_group():
    """A folder in the first version's memory hierarchy that belongs to this test."""
    folder = pathlib.Path(f"/sys/fs/cgroup/memory/rbee-test-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").read_text()
    except OSError:
        pytest.skip("memory groups cannot be made here")
    try:
        yield folder
    finally:
        for child in list(folder.glob("*/")):
            with contextlib.suppress(OSError):
                child.rmdir()
        wait_for(lambda: not (folder / "cgroup.procs").read_text().split(), 10, "group empty")
        folder.rmdir()


@pytest.fixture
def limited(tmp_path):
    """A hive whose workers may have 50 MB each, and the folder of its memory group."""
    models = tmp_path / "models"
    models.mkdir()
    make_model(models, "hello", "--kind", "scripted", "--text", "Hello")
    make_model(models, "wide", "--layers", "8", "--embd", "512", "--ff", "512", "--type", "q8_0")
    with own_memory_group() as folder:
        program = write_hive_script(tmp_path, f"echo $$ > {folder}/cgroup.procs")
        hive = Program(
            [
                program, "--port", "0", "--worker-ports", "0", "--models-dir", models,
                "--worker-memory", "50",
            ],
            tmp_path,
        )
        try:
            yield hive, folder
        finally:
            assert hive.stop() == 0, hive.log_text()
        assert list(folder.glob("rbee-worker-*")) == []


def test_EH_004b_a_worker_that_passes_its_memory_limit_is_killed_and_the_user_told(limited):
    hive, folder = limited

    def inhabited():
        return [c for c in folder.glob("rbee-worker-*") if (c / "cgroup.procs").read_text()]

    worker = ready(hive)  # a small one has room
    assert [c.name for c in inhabited()] == [f"rbee-worker-{worker['pid']}"]
    # The model would fit, what it is to remember does not: 16 KiB for each of 16384 tokens.
    answer = spawn(hive, "wide", engine_args=[*ENGINE_ARGS, "--ctx-size", "16384"])
    if answer.status != 200:  # it may be over before the answer is sent
        assert "memory limit" in answer.error()["message"], answer.body
    ended = wait_for(lambda: events(hive, "worker_exited"), 30, "its end")[0]
    assert ended["worker_id"] != worker["id"]
    assert "out of memory" in ended["cause"], ended
    assert "memory limit of 50.0 MB" in ended["cause"], ended
    assert len(inhabited()) >= 1 and hive.api.get("/v1/workers/" + worker["id"]).status == 200


def test_a_model_that_cannot_live_within_the_limit_is_refused_with_the_numbers(limited, tmp_path):
    hive, _ = limited
    path = tmp_path / "models" / "sized.gguf"
    with open(path, "wb") as file:
        file.truncate(50 * MB)
    error = spawn(hive, f"file:{path}").error()
    assert error["code"] == "INSUFFICIENT_RAM" and "--worker-memory" in error["message"]
    assert error["details"]["required_mb"] == 60 and error["details"]["available_mb"] == 50

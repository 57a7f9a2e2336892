"""Scenario file 090: what the hive checks before it starts a worker.

Sizes come from sparse files; a GPU from a program named nvidia-smi that says what the row needs.
"""

import json

import pytest

from cli import Cli
from harness import start_hive, wait_for, write_fake_gpu

MB = 10**6


def sparse_model(directory, megabytes, name="sized"):
    """A model file of that size which takes no room."""
    path = directory / f"{name}.gguf"
    with open(path, "wb") as file:
        file.truncate(megabytes * MB)
    return path


def available_mb(api):
    return api.get("/v1/resources").json()["ram_available_bytes"] // MB


def spawn(api, model, **body):
    return api.post("/v1/workers/spawn", {"model_ref": model, "backend": "cpu", **body})


@pytest.fixture
def fake_gpu(tmp_path):
    """Makes the variables of a machine with one GPU of so much memory, in MiB."""
    return lambda total, free: write_fake_gpu(tmp_path / "gpu", total, free)


@pytest.fixture
def gpu_hive(tmp_path, models_dir, fake_gpu):
    """Starts a hive whose machine has one GPU with so much memory, in MiB."""
    made = []

    def make(total, free, *arguments):
        hive = start_hive(
            tmp_path, "--models-dir", models_dir, "--worker-backends", "cuda,cpu",
            "--ram-reserve", "0", *arguments,
            extra_env={**fake_gpu(total, free), "LLAMA_ARG_THREADS": "1"},
        )
        made.append(hive)
        return hive

    yield make
    for hive in made:
        assert hive.stop() == 0, hive.log_text()


def test_WPRE_01_the_need_is_the_size_and_a_fifth(tmp_path, models_dir):
    """The line runs between need and memory, on whatever machine this is."""
    hive = start_hive(tmp_path, "--models-dir", models_dir, "--ram-reserve", "0")
    try:
        refused = spawn(hive.api, f"file:{sparse_model(tmp_path, 5_000_000)}")
        assert refused.error()["details"]["required_mb"] == 6_000_000
        free = refused.error()["details"]["available_mb"]
        fits = sparse_model(tmp_path, int(free * 0.9 / 1.2), "fits")
        too_big = sparse_model(tmp_path, int(free * 1.1 / 1.2), "too-big")
        assert spawn(hive.api, f"file:{too_big}").error()["code"] == "INSUFFICIENT_RAM"
        passed = spawn(hive.api, f"file:{fits}")  # it is no model, but that shows only later
        assert passed.status == 200 or passed.error()["code"] == "WORKER_FAILED", passed.body
    finally:
        assert hive.stop() == 0


def test_EH_004a_too_little_ram_is_refused_with_both_numbers_and_suggestions(shared, tmp_path):
    path = sparse_model(tmp_path, 2_000_000)
    answer = spawn(shared.api, f"file:{path}")
    assert answer.status == 503 and answer.headers["Retry-After"]
    error = answer.error()
    assert error["code"] == "INSUFFICIENT_RAM"
    details = error["details"]
    assert details["required_mb"] == 2_400_000
    assert 0 < details["available_mb"] <= available_mb(shared.hive_api()) + 1000
    assert len(details["suggestions"]) >= 2
    for number in (details["required_mb"], details["available_mb"]):
        assert f"{number} MB" in error["message"]
    failed = Cli(tmp_path, shared.queen.url).run("workers", "spawn", f"file:{path}")
    assert failed.code == 1 and failed.out == ""
    assert "2400000 MB" in failed.err and "smaller model" in failed.err
    assert str(path) not in [worker["model_ref"] for worker in shared.workers()]


def test_EH_004a_memory_that_must_stay_free_is_not_for_workers(tmp_path, models_dir):
    hive = start_hive(tmp_path, "--models-dir", models_dir, "--ram-reserve", "10000000")
    try:
        error = spawn(hive.api, "hello").error()
        assert error["code"] == "INSUFFICIENT_RAM" and error["details"]["available_mb"] == 0
        assert hive.api.get("/v1/workers/list").json() == {"workers": []}
    finally:
        assert hive.stop() == 0


def test_WPRE_02_a_gpu_that_is_there_passes_and_the_start_follows(gpu_hive):
    hive = gpu_hive(8192, 8000)
    answer = spawn(hive.api, "hello", backend="cuda", engine_args=["-t", "1"])
    assert answer.status == 200 or answer.error()["code"] == "WORKER_FAILED", answer.body
    workers = hive.api.get("/v1/workers/list").json()["workers"]
    assert [(w["backend"], w["device"]) for w in workers] == [("cuda", 0)]

    def started():
        return [e for e in hive.log_events() if e.get("worker_id") == workers[0]["id"]]

    wait_for(started, 5, "start in the log")

    # The worker program of the tests knows no GPU: then it fails, it never takes the CPU instead.
    def ended():
        listed = hive.api.get("/v1/workers/list").json()["workers"]
        assert listed[0]["state"] not in ("idle", "busy"), listed
        return listed[0]["state"] == "failed" and listed[0]["reason"]

    assert "CUDA0" in wait_for(ended, 10, "end of the worker")


def test_EH_005a_too_little_vram_is_refused_with_numbers_and_suggestions(gpu_hive, tmp_path):
    hive = gpu_hive(4096, 2000, "--vram-reserve", "0")
    model = sparse_model(tmp_path, 3334)  # needs 4000 MB
    error = spawn(hive.api, f"file:{model}", backend="cuda").error()
    assert error["code"] == "INSUFFICIENT_VRAM"
    assert error["details"]["required_vram_mb"] == 4001  # rounded up
    assert error["details"]["available_vram_mb"] == 2000 * 1024**2 // MB
    assert any("cpu backend" in text for text in error["details"]["suggestions"])
    assert hive.api.get("/v1/workers/list").json() == {"workers": []}


def test_EC3_vram_shortage_on_the_console_is_short_and_advises_a_quantisation(
    shared, gpu_hive, tmp_path
):
    hive = gpu_hive(4096, 4000, "--vram-reserve", "0")
    rbee = Cli(tmp_path, shared.queen.url)
    assert rbee.run("hives", "add", "gpu-node", hive.url).code == 0
    try:
        model = sparse_model(tmp_path, 5000)  # needs 6000 MB
        failed = rbee.run(
            "workers", "spawn", f"file:{model}", "--backend", "cuda", "--node", "gpu-node"
        )
        assert failed.code == 1 and failed.out == ""
        assert "6000 MB" in failed.err and f"{4000 * 1024**2 // MB} MB" in failed.err
        assert "quantisation" in failed.err, failed.err
        assert len(failed.err.splitlines()) == 1
    finally:
        assert rbee.run("hives", "remove", "gpu-node").code == 0


def test_EH_009a_metal_without_a_mac_names_the_backends_there_are(shared, tmp_path):
    failed = Cli(tmp_path, shared.queen.url).run(
        "--json", "workers", "spawn", "hello", "--backend", "metal"
    )
    assert failed.code == 1
    error = json.loads(failed.err.splitlines()[-1])["error"]
    assert error["code"] == "BACKEND_UNAVAILABLE"
    assert "Mac" in error["message"] and "available: cpu" in error["message"]
    answer = spawn(shared.hive_api(), "hello", backend="metal")
    assert answer.status == 400
    assert "cpu" in answer.error()["details"]["available"]


def test_EH_009b_cuda_without_a_driver_is_refused_with_an_install_hint(tmp_path, models_dir):
    """No silent fallback to the CPU either. The empty PATH hides a driver that this machine has."""
    hidden = tmp_path / "empty"
    hidden.mkdir()
    hive = start_hive(
        tmp_path, "--models-dir", models_dir, "--worker-backends", "cuda,cpu",
        extra_env={"PATH": str(hidden)},
    )
    try:
        answer = spawn(hive.api, "hello", backend="cuda")
        assert answer.status == 400
        error = answer.error()
        assert error["code"] == "BACKEND_UNAVAILABLE"
        assert "install the NVIDIA driver" in error["message"]
        assert error["details"]["available"] == ["cpu"]
        assert hive.api.get("/v1/workers/list").json() == {"workers": []}
    finally:
        assert hive.stop() == 0

"""Scenario file 080: what the queen checks before she takes a hive, and what her log says of it."""

import uuid

import pytest

from cli import Cli
from harness import FakeHive, start_hive, wait_for, write_fake_gpu

GB = 10**9


@pytest.fixture
def fake_gpu(tmp_path):
    """Makes the variables of a machine with one GPU of so much memory, in MiB."""
    return lambda total, free: write_fake_gpu(tmp_path / "gpu", total, free)


@pytest.fixture
def add(shared, tmp_path):
    """Adds a hive by its URL; returns (name, outcome of the CLI, the queen's log events about it)."""
    added = []

    def make(url):
        name = f"node-{uuid.uuid4()}"
        added.append(name)
        outcome = Cli(tmp_path, shared.queen.url).run("hives", "add", name, url)

        def events():
            return [e for e in shared.queen.log_events() if e.get("hive") == name]

        if outcome.code == 0:
            wait_for(lambda: [e for e in events() if e["event"] == "hive_added"], what="log line")
        return name, outcome, events()

    yield make
    for name in added:
        shared.api.delete(f"/v1/hives/{name}")


@pytest.fixture
def hive(tmp_path, models_dir):
    """A real hive that nobody knows yet."""
    made = start_hive(tmp_path, "--models-dir", models_dir)
    yield made
    assert made.stop() == 0, made.log_text()


def preflight(events):
    found = [event for event in events if event["event"] == "hive_preflight"]
    assert len(found) == 1, events
    return found[0]


def test_HPRE_01_health_is_200_with_a_version_and_is_logged(hive, add):
    health = hive.api.get("/v1/health")
    assert health.status == 200
    assert health.json()["status"] == "alive" and health.json()["version"] == "0.1.0"
    _, outcome, events = add(hive.url)
    assert outcome.code == 0, outcome
    assert "healthy" in preflight(events)["message"]


def test_HPRE_02_version_010_satisfies_the_requirement_and_is_logged(shared, hive, add):
    name, outcome, events = add(hive.url)
    assert outcome.code == 0, outcome
    assert preflight(events)["version"] == "0.1.0"
    listed = [h for h in shared.hives() if h["name"] == name]
    assert listed[0]["available"] and listed[0]["version"] == "0.1.0"


def test_HPRE_03_backends_cuda_and_cpu_are_reported_and_logged(
    shared, tmp_path, models_dir, fake_gpu, add
):
    hive = start_hive(
        tmp_path, "--models-dir", models_dir, "--worker-backends", "cuda,cpu",
        extra_env=fake_gpu(total=8192, free=8000),
    )
    try:
        body = hive.api.get("/v1/backends").json()
        assert body["available"] == ["cpu", "cuda"]
        gpu = [b for b in body["backends"] if b["backend"] == "cuda"]
        assert len(gpu) == 1 and gpu[0]["available"] and gpu[0]["device"] == 0
        assert gpu[0]["memory_total_bytes"] == 8192 * 1024**2
        name, outcome, events = add(hive.url)
        assert outcome.code == 0, outcome
        assert preflight(events)["backends"] == "cpu:0, cuda:0"
        listed = [h for h in shared.hives() if h["name"] == name][0]
        assert {b["backend"] for b in listed["backends"] if b["available"]} == {"cpu", "cuda"}
    finally:
        assert hive.stop() == 0


def test_HPRE_04_resources_are_reported_in_gb(hive):
    body = hive.api.get("/v1/resources").json()
    for name in ("ram", "disk"):
        assert body[f"{name}_total_gb"] * GB == pytest.approx(body[f"{name}_total_bytes"])
        assert 0 < body[f"{name}_available_gb"] <= body[f"{name}_total_gb"]
    memory = dict(line.split(":") for line in open("/proc/meminfo"))
    assert body["ram_total_bytes"] == int(memory["MemTotal"].split()[0]) * 1024


@pytest.mark.parametrize(
    "ram, disk, lacks",
    [(8 * GB, 50 * GB, []), (4 * GB, 50 * GB, ["RAM"]), (8 * GB, 20 * GB, ["free disk"])],
)
def test_HPRE_04_8_gb_of_ram_and_50_gb_of_disk_pass_and_less_is_a_warning(add, ram, disk, lacks):
    fake = FakeHive(ram_total_bytes=ram, disk_available_bytes=disk)
    try:
        _, outcome, events = add(fake.url)
        assert outcome.code == 0, outcome
        assert preflight(events)["resources"] == ("small" if lacks else "enough")
        warnings = [e["message"] for e in events if e["event"] == "hive_small"]
        assert len(warnings) == len(lacks)
        for lack, warning in zip(lacks, warnings):
            assert lack in warning and lack in outcome.err
        assert ("recommended" in outcome.err) == bool(lacks)
    finally:
        fake.close()

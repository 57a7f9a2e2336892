"""The official npm clients of OpenAI and Anthropic against the queen."""

import hashlib
import os
import pathlib
import shutil
import subprocess

from conftest import HELLO
from harness import TOKEN

HERE = pathlib.Path(__file__).parent / "sdk"


def installed():
    """The libraries, installed once per lock file into the cache."""
    key = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("RBEE_CACHE_DIR", pathlib.Path.home() / ".cache/rbee"))
    directory = cache / f"client-libraries-{key}"
    if not (directory / ".complete").exists():
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, directory / name)
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=directory, check=True
        )
        (directory / ".complete").touch()
    shutil.copy(HERE / "clients.test.mjs", directory / "clients.test.mjs")
    return directory


def test_official_clients(cluster):
    victim = cluster.spawn("endless")
    env = {
        **os.environ,
        "RBEE_URL": cluster.api.url,
        "RBEE_TOKEN": TOKEN,
        "RBEE_HELLO": HELLO,
        "RBEE_KILL_PID": str(victim["pid"]),
    }
    embedder = {"model_ref": "embedder", "backend": "cpu", "engine_args": ["--embeddings", "--pooling", "mean", "-t", "1"]}
    assert cluster.api.post("/v1/workers/spawn", embedder).status < 300
    ran = subprocess.run(
        ["node", "--test", "--test-concurrency=1", "clients.test.mjs"],
        cwd=installed(), env=env, capture_output=True, text=True, timeout=180,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]

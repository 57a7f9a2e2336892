#!/usr/bin/env python3
"""Time from start to serving of each program, and idle resident memory of queen and hive.

    RBEE_BIN=build/release/bin python3 bench/startup.py [--rounds 5]

Prints a table with median, minimum and maximum. Figures are of this machine and this run.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import BIN, Api, Cluster, Program, wait_for  # noqa: E402


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def one_round(model, models_dir, figures):
    with tempfile.TemporaryDirectory() as home:
        begin = time.monotonic()
        cluster = Cluster(home, models_dir)
        figures["queen: start to serving, ms"].append(cluster.queen.serving_after_s * 1000)
        figures["queen: start to first hive available, ms"].append((time.monotonic() - begin) * 1000)
        hive_pid = int(
            subprocess.run(
                ["pgrep", "-P", str(cluster.queen.pid())], capture_output=True, text=True, check=True
            ).stdout.split()[0]
        )
        time.sleep(2)
        figures["queen: idle resident, MB"].append(resident_mb(cluster.queen.pid()))
        figures["hive: idle resident, MB"].append(resident_mb(hive_pid))
        begin = time.monotonic()
        cluster.api.chat_text(model, max_tokens=1)
        figures["cold start: request to answer with spawn and load, ms"].append(
            (time.monotonic() - begin) * 1000
        )
        cluster.stop()
    with tempfile.TemporaryDirectory() as home:
        hive = Program([BIN / "rbee-hive", "--port", "0", "--models-dir", models_dir], home)
        figures["hive: start to serving, ms"].append(hive.serving_after_s * 1000)
        hive.stop()
        worker = Program(
            [BIN / "llm-worker-rbee", "--worker-id", "w-1", "--port", "0",
             "--model", models_dir / f"{model}.gguf", "--", "-t", "1"],
            home,
        )
        figures["worker: start to serving (loading), ms"].append(worker.serving_after_s * 1000)
        wait_for(lambda: Api(worker.url).get("/v1/ready").json()["ready"], what="model loaded")
        figures["worker: start to ready, ms"].append((time.monotonic() - worker.started) * 1000)
        worker.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models-dir", type=pathlib.Path, default=ROOT / "models")
    parser.add_argument("--model", default="rbee-demo")
    arguments = parser.parse_args()
    names = [
        "queen: start to serving, ms", "queen: start to first hive available, ms",
        "hive: start to serving, ms", "worker: start to serving (loading), ms",
        "worker: start to ready, ms", "cold start: request to answer with spawn and load, ms",
        "queen: idle resident, MB", "hive: idle resident, MB",
    ]
    figures = {name: [] for name in names}
    for _ in range(arguments.rounds):
        one_round(arguments.model, arguments.models_dir, figures)
    print(f"{'':56} {'median':>8} {'min':>8} {'max':>8}")
    for name, values in figures.items():
        print(f"{name:56} {statistics.median(values):8.1f} {min(values):8.1f} {max(values):8.1f}")


if __name__ == "__main__":
    main()

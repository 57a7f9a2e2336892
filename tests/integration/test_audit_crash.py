"""The audit log's writer is killed at its system calls; what it acknowledged must be there.

Every k-th point is tried; RBEE_ALL_CRASH_POINTS=1 tries them all.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import BIN

SCRIBE = BIN / "rbee-audit-scribe"
CALLS = ("write", "fdatasync", "pwrite64", "renameat", "openat", "fsync", "fchmodat", "ftruncate")

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(not SCRIBE.exists(), reason="rbee-audit-scribe is not built"),
]


def scribe(base, mode, count, segment=20000, inject=(), ballast=65536, timeout=60):
    """Runs the writer; inject is what strace does to its calls. Returns output lines, exit code."""
    command = [SCRIBE, base, mode, str(count), str(segment), str(ballast)]
    if inject:
        calls = ",".join(sorted({rule.split(":")[0] for rule in inject}))
        rules = [part for rule in inject for part in ("-e", f"inject={rule}")]
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *rules, *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    return done.stdout.splitlines(), done.returncode


def numbers(lines, word):
    return [int(line.split()[1]) for line in lines if line.startswith(word + " ")]


def verify(base):
    done = subprocess.run(
        [BIN / "rbee", "--json", "audit", "verify", "--dir", f"{base}/queen-rbee"],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return report["logs"][0], done.returncode


def stored(base):
    out = []
    for file in sorted(Path(base, "queen-rbee").glob("*.audit")):
        for line in file.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            if record["event_type"] == "test.event":
                out.append(record["details"]["n"])
    return out


def count_calls(call, mode, records):
    with tempfile.TemporaryDirectory() as base, tempfile.NamedTemporaryFile() as trace:
        subprocess.run(
            ["strace", "-ff", "-qq", "-o", trace.name, "-e", f"trace={call}", SCRIBE, base, mode,
             str(records), "20000"],
            capture_output=True, timeout=120, check=True,
        )
        # strace counts for each thread on its own
        per_thread = [
            sum(1 for _ in open(file, errors="replace")) for file in Path(trace.name).parent.glob(
                Path(trace.name).name + ".*")
        ]
        for file in Path(trace.name).parent.glob(Path(trace.name).name + ".*"):
            file.unlink()
        return max(per_thread, default=0)


def crash_at(call, point, mode, records):
    """Kills at the point-th call; returns (acknowledged, lost). Asserts that all files verify."""
    with tempfile.TemporaryDirectory() as base:
        lines, code = scribe(base, mode, records, inject=[f"{call}:signal=SIGKILL:when={point}"])
        acked = numbers(lines, "acked")
        what = f"{call} {point}"
        if stored(base):
            report, verdict = verify(base)
            assert verdict in (0, 3), (what, report)
        lines, code = scribe(base, mode, 0)  # the next start
        assert code == 0, (what, lines)
        report, verdict = verify(base)
        assert verdict == 0, (what, report)
        there = stored(base)
        assert there == sorted(set(there)), what
        return len(acked), len(set(acked) - set(there))


@pytest.mark.parametrize("mode", ["strict", "async"])
def test_killed_at_any_point_nothing_acknowledged_is_lost(mode):
    everything = bool(os.environ.get("RBEE_ALL_CRASH_POINTS"))
    records = 500 if everything else 40
    points = acknowledged = lost = 0
    for call in CALLS:
        total = count_calls(call, mode, records)
        step = 1 if everything else max(1, total // 6)
        for point in range(1, total + 1, step):
            acked, missing = crash_at(call, point, mode, records)
            points, acknowledged, lost = points + 1, acknowledged + acked, lost + missing
    print(f"{mode}: {points} crash points, {acknowledged} records acknowledged, {lost} lost")
    assert points > 10
    assert lost == 0


@pytest.mark.parametrize("when", ["1", "3", "7", "2..9"])
def test_a_failed_fdatasync_loses_nothing_that_was_acknowledged(when):
    with tempfile.TemporaryDirectory() as base:
        lines, _ = scribe(base, "strict", 60, inject=[f"fdatasync:error=EIO:when={when}"])
        acked, refused = numbers(lines, "acked"), numbers(lines, "refused")
        if lines[0].startswith("failed"):
            return  # the very first sync failed: the program does not start without its log
        assert len(acked) + len(refused) == 60
        report, verdict = verify(base)
        assert verdict == (4 if refused else 0), report
        assert report["gap_events"] == len(refused)
        assert set(acked) <= set(stored(base))


def test_a_full_disk_is_told_and_declared():
    """64 KiB tmpfs: what came through is there, everything else is counted."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with tempfile.TemporaryDirectory() as base:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", base],
            capture_output=True, check=False,
        )
        if mounted.returncode != 0:
            pytest.skip("cannot mount a tmpfs here")
        try:
            lines, code = scribe(base, "group", 300, segment=1_000_000, ballast=16384)
            acked, refused = numbers(lines, "acked"), numbers(lines, "refused")
            assert code == 2 and refused and acked
            assert "notice audit_disk_full" in lines
            report, verdict = verify(base)
            assert verdict == 4 and report["gap_events"] >= len(refused)
            assert set(acked) <= set(stored(base))
            assert not set(refused) & set(stored(base))
            subprocess.run(["mount", "-o", "remount,size=2m", base], check=True)
            lines, code = scribe(base, "group", 5, segment=1_000_000, ballast=16384)
            assert code == 0, lines
        finally:
            subprocess.run(["umount", base], check=True)

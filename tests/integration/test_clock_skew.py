"""Wrong clocks on the hive and on the worker change nothing: what is left of a deadline counts.

The wall clock of one program is moved by libfaketime (Debian: faketime); clocks that do not know the
time of day stay true, as on a machine whose clock is set wrong.
"""

import calendar
import glob
import json
import pathlib
import time

import pytest

from harness import BIN, ENGINE_ARGS, SANITIZED, Program, make_model, start_hive, wait_for
from test_scenarios_340 import assert_expired, endless, rfc3339

LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
SKEWS = [("+1h", None), ("-1h", None), (None, "+1h"), (None, "-1h"), ("+1h", "-1h"), ("-1h", "+1h")]
EARLY_S = 0.015  # each hop keeps a few milliseconds back

pytestmark = [
    pytest.mark.skipif(not LIBRARY, reason="needs libfaketime (Debian: faketime)"),
    pytest.mark.skipif(SANITIZED, reason="libfaketime and sanitizers both replace the allocator"),
]


def false_clock(offset):
    """Variables that move the wall clock of a program, and of no program that it starts with less."""
    if offset is None:
        return {}
    return {"LD_PRELOAD": LIBRARY[0], "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def worker_with_clock(directory, offset):
    """A program that becomes a worker with that clock, whatever clock its hive has."""
    script = pathlib.Path(directory) / "worker-with-clock"
    unset = " ".join(f"-u {name}" for name in false_clock("+0"))
    given = " ".join(f"{name}={value}" for name, value in false_clock(offset).items())
    script.write_text(f'#!/bin/sh\nexec env {unset} {given} "{BIN / "llm-worker-rbee"}" "$@"\n')
    script.chmod(0o755)
    return script


def seconds_ahead(line):
    """How far the clock of the program that logged this just now is ahead of ours."""
    at = time.strptime(line["timestamp"].split(".")[0], "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(at) - time.time()


def last_line_of_worker(home):
    (log,) = pathlib.Path(home, "logs").glob("worker-*.log")
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


def hours(offset):
    return int(offset.rstrip("h")) if offset else 0


class Skewed:
    """A queen with a true clock, one hive and one worker without."""

    def __init__(self, home, models, hive, worker):
        self.home = home
        self.queen = Program(
            [BIN / "queen-rbee", "--port", "0", "--local-hive", "never"], home / "queen"
        )
        self.hive = None
        try:
            self.hive = start_hive(
                home, "--models-dir", models,
                "--worker-binary", worker_with_clock(home, worker),
                queen=self.queen.url, extra_env=false_clock(hive),
            )  # fmt: skip
            self.api = self.queen.api
            wait_for(lambda: self.listed("hives", available=True), what="hive available")
            body = {"model_ref": "endless", "backend": "cpu", "slots": 1, "engine_args": ENGINE_ARGS}
            assert self.api.post("/v1/workers/spawn", body).status in (200, 201, 202)
            wait_for(lambda: self.listed("workers", state="idle"), 60, "worker ready")
        except BaseException:
            self.stop()
            raise

    def listed(self, what, **fields):
        entries = self.api.get(f"/v1/{what}").json()[what]
        return [e for e in entries if all(e.get(k) == v for k, v in fields.items())]

    def stop(self):
        for program in filter(None, (self.hive, self.queen)):
            program.stop()


@pytest.fixture(scope="module", params=SKEWS, ids=lambda skew: f"hive {skew[0]}, worker {skew[1]}")
def skewed(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "queen").mkdir()
    models = tmp_path_factory.mktemp("models")
    make_model(models, "endless", "--eos", "never")
    hive, worker = request.param
    cluster = Skewed(home, models, hive, worker)
    try:
        # Otherwise the tests would pass without a wrong clock anywhere.
        assert abs(seconds_ahead(cluster.hive.log_events()[-1]) - 3600 * hours(hive)) < 60
        assert abs(seconds_ahead(last_line_of_worker(home)) - 3600 * hours(worker)) < 60
        yield cluster
    finally:
        cluster.stop()


def limit(form, seconds):
    """The same limit in each form a client may use."""
    relative = {"X-Request-Timeout-Ms": str(int(seconds * 1000))}
    absolute = {"X-Request-Deadline": rfc3339(seconds)}
    epoch = {"X-Request-Deadline": str(int((time.time() + seconds) * 1000))}
    both = {**absolute, **relative}
    return {"relative": relative, "rfc3339": absolute, "epoch": epoch, "both": both, "none": {}}[form]


FORMS = ["relative", "rfc3339", "epoch", "both"]


@pytest.mark.parametrize("form", [*FORMS, "none"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_fits_into_the_deadline_is_complete(skewed, form, stream):
    body = {**endless(stream=stream), "max_tokens": 20}
    answer = skewed.api.post("/v1/completions", body, headers=limit(form, 20))
    assert answer.status == 200, answer.body
    assert b"error" not in answer.body
    assert answer.body.rstrip().endswith(b"data: [DONE]") if stream else (
        answer.json()["choices"][0]["finish_reason"] == "length"
    )


@pytest.mark.parametrize("form", FORMS)
def test_what_does_not_fit_is_504_and_never_early(skewed, form):
    begin = time.monotonic()
    answer = skewed.api.post("/v1/completions", endless(), headers=limit(form, 0.5))
    took = time.monotonic() - begin
    assert_expired(answer)
    assert 0.5 - EARLY_S <= took <= 1.0, took


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_ends_with_the_error_and_never_early(skewed, form):
    begin = time.monotonic()
    with skewed.api.stream("/v1/completions", endless(stream=True), limit(form, 0.5)) as (
        status,
        _,
        events,
    ):
        data = [text for _, text in events]
    took = time.monotonic() - begin
    assert status == 200 and len(data) > 2
    assert json.loads(data[-1])["error"]["code"] == "REQUEST_TIMEOUT", data[-1]
    assert 0.5 - EARLY_S <= took <= 1.0, took


def test_a_deadline_in_the_past_is_504_at_once(skewed):
    begin = time.monotonic()
    answer = skewed.api.post("/v1/completions", endless(), headers={"X-Request-Deadline": rfc3339(-2)})
    assert_expired(answer, {"arrived"})
    assert time.monotonic() - begin < 0.5

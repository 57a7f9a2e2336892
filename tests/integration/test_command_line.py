"""The program `rbee` as people and scripts meet it: each command, its output and its exit code."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from cli import Cli, free_port
from conftest import HELLO
from harness import BIN, Program, alive, children_of, wait_for

COLOUR = "\x1b["


class Service:
    """What `rbee up` started in a fresh home, with the token that it made."""

    def __init__(self, home, models_dir):
        self.home = home
        self.port = free_port()
        self.rbee = Cli(home, token=None, RBEE_MODELS_DIR=str(models_dir))

    def up(self, *more):
        return self.rbee.run(*more, "up", "--port", self.port)

    def pid(self):
        return int((self.home / "run" / "queen.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def service(tmp_path_factory, models_dir):
    made = Service(tmp_path_factory.mktemp("service"), models_dir)
    started = made.up()
    assert started.code == 0, started
    yield made
    stopped = made.rbee.run("down")
    assert stopped.code == 0, stopped


@pytest.fixture
def rbee(service):
    return service.rbee


def test_up_and_down_and_both_twice(tmp_path, models_dir):
    service = Service(tmp_path / "home", models_dir)
    first = service.up("--json")
    assert first.code == 0, first
    told = json.loads(first.out)
    assert told["url"] == f"http://127.0.0.1:{service.port}"
    assert told["already_running"] is False and told["pid"] == service.pid()
    token = pathlib.Path(told["token_file"])
    assert token == service.home / "token" and token.stat().st_mode & 0o777 == 0o600
    assert service.home.stat().st_mode & 0o777 == 0o700
    family = [service.pid(), *children_of(service.pid())]
    assert len(family) == 2  # queen and hive
    secret = token.read_text().strip()
    assert secret not in first.out + first.err
    for pid in family:
        assert secret not in pathlib.Path(f"/proc/{pid}/cmdline").read_text()

    again = service.up("--json")
    assert again.code == 0 and json.loads(again.out)["already_running"] is True, again
    assert service.pid() == family[0]

    assert service.rbee.run("infer", "--model", "hello", "hi").out == HELLO + "\n"
    family = [service.pid(), *children_of(service.pid())]
    assert len(family) == 3
    down = service.rbee.run("down")
    assert down.code == 0 and down.out == "stopped\n", down
    assert not [pid for pid in family if alive(pid)]
    assert not (service.home / "run" / "queen.pid").exists()
    down = service.rbee.run("--queen", told["url"], "down")
    assert down.code == 0 and down.out.startswith("not running"), down


def test_up_names_what_a_user_needs_next(service):
    text = service.up().out
    for needed in (f"http://127.0.0.1:{service.port}", str(service.home / "token"), "rbee down"):
        assert needed in text


def test_up_where_the_port_is_taken_says_so(tmp_path, models_dir, shared):
    service = Service(tmp_path / "home", models_dir)
    service.port = int(shared.hive_api().port)  # somebody else's service, with another token
    failed = service.up()
    assert failed.code == 1, failed
    assert failed.err.startswith("rbee: ") and failed.err.count("\n") == 1, failed


def test_up_in_the_foreground_ends_everything_with_ctrl_c(tmp_path, models_dir):
    service = Service(tmp_path / "home", models_dir)
    terminal = service.rbee.terminal("up", "--foreground", "--port", service.port)
    terminal.expect("stop it +Ctrl\\+C")
    family = [service.pid(), *children_of(service.pid())]
    terminal.ctrl_c()
    assert terminal.wait() == 130, terminal.text
    assert not [pid for pid in family if alive(pid)]


def test_status_shows_everything_at_a_glance(service, rbee):
    outcome = rbee.run("status")
    assert outcome.code == 0, outcome
    first = outcome.out.splitlines()[0]
    assert re.fullmatch(rf"Queen up \d+ (s|min)  http://127.0.0.1:{service.port}  version \S+", first)
    for part in ("HIVE", "localhost", "available", "MODEL", "hello"):
        assert part in outcome.out
    status = json.loads(rbee.run("--json", "status").out)
    assert status["queen_url"].endswith(f":{service.port}") and status["hives"]


def test_infer_takes_an_argument_or_a_pipe(rbee):
    for outcome in (
        rbee.run("infer", "--model", "hello", "hi"),
        rbee.run("infer", "--model", "hello", text="hi\n"),
        rbee.run("infer", "--model", "hello", "-", text="hi\n"),
    ):
        assert (outcome.code, outcome.out, outcome.err) == (0, HELLO + "\n", ""), outcome
    raw = rbee.run("infer", "--raw", "--model", "hello", "--max-tokens", 5, "hi")
    assert (raw.code, raw.out) == (0, HELLO[:5] + "\n"), raw
    assert "5 / 5 tokens" in raw.err


def test_infer_in_json_is_one_object(rbee):
    outcome = rbee.run("--json", "infer", "--model", "hello", "hi")
    answer = json.loads(outcome.out)
    assert outcome.code == 0 and outcome.err == ""
    assert (answer["model"], answer["text"], answer["finish_reason"]) == ("hello", HELLO, "stop")
    assert answer["usage"]["completion_tokens"] >= len(HELLO) and answer["request_id"]
    failed = rbee.run("--json", "infer", "--model", "nope", "hi")
    assert failed.code == 1 and failed.out == ""
    error = json.loads(failed.err)["error"]
    assert error["code"] == "MODEL_NOT_FOUND" and error["correlation_id"], error


def test_infer_refuses_what_makes_no_sense(rbee):
    for arguments, word in (
        (("infer", "--model", "hello", "  "), "empty"),
        (("infer", "--model", "nope", "hi"), "hello"),  # names the models there are
        (("infer", "--temperature", 3, "hi"), "temperature"),
        (("infer", "--no-such-flag", "hi"), "--no-such-flag"),
        (("inferr", "hi"), "inferr"),
        ((), ""),
    ):
        outcome = rbee.run(*arguments)
        assert outcome.code == 1 and outcome.out == "", outcome
        assert outcome.err.startswith("rbee: ") and word in outcome.err, outcome


def test_chat_from_a_pipe_answers_each_line(rbee):
    outcome = rbee.run("chat", "--model", "hello", text="hi\n\nagain\n/exit\nnever asked\n")
    assert (outcome.code, outcome.out) == (0, (HELLO + "\n") * 2), outcome
    lines = rbee.run("--json", "chat", "--model", "hello", text="hi\nagain\n").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == [HELLO, HELLO]


def test_chat_on_a_terminal_two_turns_and_ctrl_c_stops_only_the_answer(service, rbee):
    terminal = rbee.terminal("chat", "--model", "hello")
    at = 0

    def say(line):
        """Types at the prompt, where the terminal takes it."""
        nonlocal at
        at = terminal.expect(r"\n> ", after=at)
        terminal.type(line)

    def expect(pattern):
        nonlocal at
        at = terminal.expect(pattern, after=at)

    expect(r"\[chat\] model hello; /help")
    for question in ("first question", "second question"):
        say(question + "\r")
        expect("It says this and nothing else")
    say("/model endless\r")
    expect(r"\[chat\] model endless")
    say("go\r")
    expect(r"[ -~]{200}")
    terminal.ctrl_c()
    expect(r"\[chat\] stopped")
    say("/model hello\r")
    say("third\r")
    expect("It says this and nothing else")
    say("\x04")
    assert terminal.wait(5) == 0, terminal.text
    history = service.home / "chat_history"
    if history.exists():  # with line editing only
        assert history.stat().st_mode & 0o777 == 0o600
    workers = json.loads(rbee.run("--json", "workers", "list").out)["workers"]
    endless = next(w for w in workers if w["model"] == "endless")
    assert rbee.run("workers", "stop", endless["id"]).code == 0


def test_models_list(rbee):
    outcome = rbee.run("models", "list")
    assert outcome.code == 0, outcome
    rows = {row.split()[0]: row.split() for row in outcome.out.splitlines()}
    assert rows["MODEL"] == ["MODEL", "STATE", "SIZE", "REFERENCE"]
    assert {"hello", "tiny", "endless", "count-a"} <= set(rows)
    models = json.loads(rbee.run("--json", "models", "list").out)
    assert models["object"] == "list" and {m["id"] for m in models["data"]} >= {"hello"}


def test_workers_spawn_logs_stop(rbee):
    spawned = rbee.run("--json", "workers", "spawn", "tiny", "--slots", 2)
    assert spawned.code == 0, spawned
    worker = json.loads(spawned.out)
    assert worker["state"] == "idle"
    row = next(r for r in rbee.run("workers", "list").out.splitlines() if worker["worker_id"] in r)
    assert "idle" in row and "0/2" in row
    log = rbee.run("workers", "logs", worker["worker_id"], "--tail", 500)
    assert log.code == 0 and "server_start" in log.out
    two = rbee.run("workers", "logs", worker["worker_id"], "--tail", 2)
    assert len(two.out.splitlines()) == 2
    stopped = rbee.run("workers", "stop", worker["worker_id"])
    assert (stopped.code, stopped.out) == (0, f"worker {worker['worker_id']} stopped\n"), stopped
    again = rbee.run("workers", "stop", "worker-nobody")
    assert again.code == 1 and "workers list" in again.err
    assert rbee.run("workers", "spawn", "nope").code == 1


def test_hives_list_add_remove(service, rbee, models_dir, tmp_path):
    token = (service.home / "token").read_text().strip()
    attic = Program(
        [BIN / "rbee-hive", "--port", "0", "--node-name", "attic", "--models-dir", models_dir],
        tmp_path,
        {"LLORCH_API_TOKEN": token},
    )
    try:
        added = rbee.run("hives", "add", "attic", attic.url)
        assert added.code == 0 and "attic" in added.out, added
        assert rbee.run("hives", "add", "attic", attic.url).code == 1  # there already
        row = next(r for r in rbee.run("hives", "list").out.splitlines() if "attic" in r)
        assert attic.url in row and " available" in row, row
        answer = rbee.run("infer", "--node", "attic", "--model", "hello", "--max-tokens", 5, "x")
        assert (answer.code, answer.out) == (0, HELLO[:5] + "\n"), answer
        spawned = rbee.run("workers", "spawn", "tiny", "--node", "attic")
        assert spawned.code == 0 and "ready" in spawned.out, spawned
        assert rbee.run("hives", "remove", "attic").code == 0
        assert "attic" not in rbee.run("hives", "list").out
        assert rbee.run("hives", "remove", "attic").code == 1
        assert alive(attic.pid())  # forgotten, not stopped
    finally:
        assert attic.stop() == 0


def test_version_and_help(rbee, tmp_path):
    version = rbee.run("version").out
    assert re.fullmatch(r"rbee   \S+\nqueen  \S+ \(http://\S+\)\n", version), version
    told = json.loads(rbee.run("--json", "version").out)
    assert told["client"] == told["queen"]
    alone = Cli(tmp_path, f"http://127.0.0.1:{free_port()}").run("version")
    assert alone.code == 0 and "not reachable" in alone.out
    assert rbee.run("--version").out == f"rbee {told['client']}\n"
    for command in ("up", "infer", "chat", "workers", "completion"):
        page = rbee.run(command, "--help")
        assert page.code == 0 and f"rbee {command}" in page.out, page


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(rbee, shell, tmp_path):
    script = rbee.run("completion", shell)
    assert script.code == 0, script
    for word in ("infer", "workers", "hives", "--model", "load-timeout"):
        assert word.lstrip("-") in script.out
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(script.out)
        subprocess.run([shell, "-n", path], check=True)
    assert rbee.run("completion", "tcsh").code == 1


def test_colours_and_bars_only_on_a_terminal_that_wants_them(service, rbee):
    def shown(*arguments, **env):
        terminal = rbee.terminal(*arguments, env=env)
        assert terminal.wait() == 0
        return terminal.text

    assert COLOUR in shown("status")
    assert COLOUR not in shown("status", NO_COLOR="1")
    assert COLOUR not in shown("--no-color", "status")
    assert COLOUR not in shown("status", TERM="dumb")
    piped = rbee.run("status")
    assert COLOUR not in piped.out + piped.err
    # Escapes in the text of a model reach a pipe as they are; a terminal never sees them.
    assert "\x07" not in shown("infer", "--model", "hello", "hi")


def test_exit_codes_of_signals(service, rbee):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        command = rbee.start("infer", "--model", "endless", "--max-tokens", 100000, "go")
        wait_for(lambda c=command: c.out, what="part of an answer")
        command.signal(number)
        assert command.wait(10).code == code
    worker = next(
        w for w in json.loads(rbee.run("--json", "workers", "list").out)["workers"]
        if w["model"] == "endless"
    )
    assert rbee.run("workers", "stop", worker["id"]).code == 0


def test_the_token_must_be_right(service, rbee):
    stranger = Cli(service.home, token="wrong-token-0123456789")
    outcome = stranger.run("workers", "list")
    assert outcome.code == 1 and "LLORCH_API_TOKEN" in outcome.err, outcome
    assert "wrong-token" not in outcome.err
    assert rbee.run("--token-file", service.home / "token", "workers", "list").code == 0
    missing = rbee.run("--token-file", service.home / "none", "workers", "list")
    assert missing.code == 1 and "none" in missing.err
    os.chmod(service.home / "token", 0o644)
    try:
        assert rbee.run("workers", "list").code == 1  # anybody could read it
    finally:
        os.chmod(service.home / "token", 0o600)

"""Tokens for tests: files of them, their fingerprints, and the search for places that show them."""

import hashlib
import os
import pathlib
import re
import secrets
import signal
import subprocess

from harness import BIN, Program, children_of

MINTED = re.compile(rb"rbee_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
NO_TOKEN = {"LLORCH_API_TOKEN": ""}


def make_token():
    return "test-" + secrets.token_urlsafe(24)


def fingerprint(token):
    return "token:" + hashlib.sha256(token.encode()).hexdigest()[:6]


def write_private(path, text, mode=0o600):
    """By rename, as everybody should: readers see the old file or the new."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text)
    draft.chmod(mode)
    draft.rename(path)
    return path


def write_named(path, tokens):
    """A tokens.toml of {name: (token, [scopes])}."""
    text = ""
    for name, (token, scopes) in tokens.items():
        names = ", ".join(f'"{scope}"' for scope in scopes)
        digest = hashlib.sha256(token.encode()).hexdigest()
        text += (
            f'[[token]]\nname = "{name}"\nscopes = [{names}]\nsha256 = "{digest}"\n'
            'created = "2026-01-01T00:00:00.000Z"\n\n'
        )
    return write_private(path, text)


def start_queen(home, *arguments, token_file=None, ready=True, extra_env=None):
    """A queen without a hive, and without a token unless one is given."""
    given = ["--token-file", token_file] if token_file else []
    return Program(
        [BIN / "queen-rbee", "--port", "0", "--local-hive", "never", *given, *arguments],
        home,
        {**NO_TOKEN, **(extra_env or {})},
        ready=ready,
    )


def refused_start(home, *arguments, extra_env=None, program=BIN / "queen-rbee", **how):
    """Starts a queen that must not start; returns what she says, which must not be a log."""
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(a) for a in (program, "--port", "0", "--local-hive", "never", *arguments)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "RBEE_HOME": str(home), **(extra_env or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, **how,
    )
    assert done.returncode == 1 and "ready" not in done.stdout, done
    return done.stderr


def places_that_show(secret_values, processes, folders, logs=""):
    """Where any of these bytes, or any token that rbee made, can be seen by others."""
    values = [value.encode() for value in secret_values]

    def shows(data):
        return MINTED.search(data) or any(value in data for value in values)

    found = []
    for pid in [p for root in processes for p in (root, *children_of(root))]:
        for name in ("cmdline", "environ"):
            try:
                data = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            except (PermissionError, FileNotFoundError, ProcessLookupError):
                continue  # nobody may look, or nobody is there
            if shows(data):
                found.append(f"/proc/{pid}/{name}")
    for folder in folders:
        for file in pathlib.Path(folder).rglob("*"):
            if file.name.startswith("workers.json") and not file.stat().st_mode & 0o077:
                continue  # the hive's own list: with it the next hive adopts the workers
            if file.is_file() and file.suffix != ".gguf" and shows(file.read_bytes()):
                found.append(str(file))
    if shows(logs.encode()):
        found.append("log")
    return found


def hang_up(program):
    program.process.send_signal(signal.SIGHUP)

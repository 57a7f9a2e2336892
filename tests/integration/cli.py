"""Runs the program `rbee` the way people and scripts do: with pipes, or on a terminal."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from harness import BIN, TOKEN

INHERITED = ("PATH", "LANG", "ASAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE")


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out!r}\nstderr: {self.err!r}"


class Started:
    """A command with pipes that still runs. Its output can be looked at while it comes."""

    def __init__(self, process):
        self.process = process
        self._texts = {"out": "", "err": ""}
        self._readers = [
            threading.Thread(target=self._read, args=("out", process.stdout), daemon=True),
            threading.Thread(target=self._read, args=("err", process.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name, stream):
        while data := os.read(stream.fileno(), 65536):
            self._texts[name] += data.decode(errors="replace")

    @property
    def out(self):
        return self._texts["out"]

    @property
    def err(self):
        return self._texts["err"]

    def running(self):
        return self.process.poll() is None

    def signal(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"rbee did not end: {self.out!r} {self.err!r}") from None
        for reader in self._readers:
            reader.join(5)
        return Outcome(code, self.out, self.err)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)


class Terminal:
    """A command on a terminal of its own, 100 columns wide."""

    def __init__(self, arguments, env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            arguments,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # how the end of a terminal reads
            while data := os.read(self.master, 65536):
                self.text += data.decode(errors="replace")

    def type(self, text):
        os.write(self.master, text.encode())

    def ctrl_c(self):
        self.type("\x03")

    def expect(self, pattern, seconds=20, after=0):
        """Waits until the output behind character `after` matches; returns the end of the match."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.text[after:])
            if match:
                return after + match.end()
            ended = self.process.poll() is not None
            assert time.monotonic() < end, f"no {pattern!r} in {self.text!r}"
            if ended:
                self._reader.join(2)
                match = re.search(pattern, self.text[after:])
                assert match, f"rbee ended without {pattern!r}: {self.text!r}"
            time.sleep(0.01)

    def wait(self, seconds=30):
        """The exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"rbee did not end: {self.text!r}") from None
        finally:
            self._reader.join(2)
            os.close(self.master)
        return code


class Cli:
    """The command line with a home of its own; `queen` is the URL to talk to, if any."""

    def __init__(self, home, queen=None, token=TOKEN, **env):
        self.env = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.env |= {"HOME": str(home), "RBEE_HOME": str(home), "TMPDIR": str(home)}
        self.env |= {"TERM": "xterm", "RBEE_LOCAL_HIVE_PORT": "0", "LLAMA_ARG_THREADS": "1"}
        if token:
            self.env["LLORCH_API_TOKEN"] = token
        self.env |= env
        self.global_args = ["--queen", queen] if queen else []

    def _command(self, arguments):
        return [str(BIN / "rbee"), *self.global_args, *(str(a) for a in arguments)]

    def run(self, *arguments, text=None, seconds=40, env=None):
        done = subprocess.run(
            self._command(arguments),
            env=self.env | (env or {}),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments, env=None):
        return Started(
            subprocess.Popen(
                self._command(arguments),
                env=self.env | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )

    def terminal(self, *arguments, env=None):
        return Terminal(self._command(arguments), self.env | (env or {}))

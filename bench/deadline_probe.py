"""What bench/cancellation, bench/lateness and bench/soak-cancel share."""

import http.client
import json
import math
import pathlib
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import TOKEN  # noqa: E402


def percentile(values, part):
    """Nearest rank; not a number when there are no values."""
    ordered = sorted(values)
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)] if ordered else float("nan")


def epoch_ms(seconds_from_now):
    """Value of X-Request-Deadline, and the same moment in seconds since 1970."""
    at = int((time.time() + seconds_from_now) * 1000)
    return str(at), at / 1000


class Pending:
    """One request that has been sent and whose answer has not been read."""

    def __init__(self, api, path, body, headers=None):
        self.id = str(uuid.uuid4())
        self.connection = http.client.HTTPConnection(api.host, api.port, timeout=60)
        fields = {
            "Authorization": f"Bearer {TOKEN}",
            "Content-Type": "application/json",
            "X-Correlation-Id": self.id,
            **(headers or {}),
        }
        self.connection.request("POST", path, json.dumps(body).encode(), fields)
        self.response = None

    def head(self):
        self.response = self.response or self.connection.getresponse()
        return self.response

    def first_byte(self):
        """Waits for the first event of a stream."""
        while not self.head().readline().startswith(b"data:"):
            pass

    def answer(self):
        """(status, rest of the body); a body that was cut ends with b'<cut>'."""
        try:
            body = self.head().read()
        except http.client.IncompleteRead as cut:
            body = cut.partial + b"<cut>"
        return self.head().status, body

    def close(self):
        self.connection.close()
        if self.response:
            self.response.close()


def error_of(status, body):
    """The error of a whole answer or of the last event of a stream; None without one."""
    if status == 200:
        frames = [line[5:] for line in body.decode().splitlines() if line.startswith("data:")]
        body = frames[-1] if frames and frames[-1].strip() != "[DONE]" else "{}"
    try:
        return json.loads(body).get("error")
    except ValueError:
        return None

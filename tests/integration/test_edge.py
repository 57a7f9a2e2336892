"""The HTTP edge of a real queen: limits, times, browsers. Framing has a table of its own in
src/rbee/http/framing_test.cpp, and tests/edge/differential compares it with other servers."""

import contextlib
import http.client
import json
import re
import socket
import time

import pytest

from harness import BIN, TOKEN, Program

AUTH = f"Authorization: Bearer {TOKEN}\r\n"
LIMITS = [
    "--http-head-s", "1",
    "--http-idle-s", "1",
    "--http-body-s", "1",
    "--http-connections-per-source", "8",
    "--allowed-host", "queen.lan",
    "--cors-origin", "https://chat.lan",
]  # fmt: skip


@pytest.fixture(scope="module")
def queen(tmp_path_factory):
    home = tmp_path_factory.mktemp("edge")
    arguments = [BIN / "queen-rbee", "--port", "0", "--local-hive", "never", *LIMITS]
    program = Program(arguments, home)
    yield program
    assert program.stop() == 0, program.log_text()


@contextlib.contextmanager
def connect(queen, source="127.0.0.1"):
    address = (queen.api.host, queen.api.port)
    with socket.create_connection(address, timeout=20, source_address=(source, 0)) as s:
        yield s


def read_all(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := s.recv(65536):
            data += piece
    return data


def send(queen, text, source="127.0.0.1"):
    """The answer to raw bytes, with the connection at its end."""
    with connect(queen, source) as s:
        s.sendall(text if isinstance(text, bytes) else text.encode())
        return read_all(s)


def status_and_code(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower(), head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def rejected(queen, reason):
    text = queen.api.get("/metrics").body.decode()
    found = re.search(rf'rbee_queen_http_rejected_total{{reason="{reason}"}} (\d+)', text)
    return int(found.group(1))


@pytest.mark.parametrize(
    ("request_text", "status", "code", "reason"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400, "BAD_HOST", "host"),
        ("GET /" + "a" * 9000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "TARGET_TOO_LONG", "target_too_long"),
        ("GET / HTTP/1.1\r\nX: " + "a" * 17000 + "\r\n\r\n", 431, "HEADERS_TOO_LARGE", "head_too_large"),
        ("GET / HTTP/1.1\r\n" + "X: a\r\n" * 101 + "\r\n", 431, "HEADERS_TOO_LARGE", "head_too_large"),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400, "AMBIGUOUS_LENGTH", "ambiguous_length",
        ),
        ("\x16\x03\x01\x02", 400, "BAD_REQUEST_LINE", "request_line"),
    ],
    ids=["host", "target", "head", "fields", "length", "tls"],
)  # fmt: skip
def test_what_is_malformed_or_too_large_is_refused_counted_and_closed(
    queen, request_text, status, code, reason
):
    before = rejected(queen, reason)
    assert status_and_code(send(queen, request_text)) == (status, code)
    assert rejected(queen, reason) == before + 1


def test_a_head_has_ten_seconds_even_when_it_drips(queen):
    with connect(queen) as s:
        begun = time.monotonic()
        answer = b""
        s.settimeout(0.2)
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 10:
            s.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = s.recv(65536)
                break
        s.settimeout(5)
        answer += read_all(s)
    assert 0.9 < time.monotonic() - begun < 4
    assert status_and_code(answer) == (408, "HEAD_TIMEOUT")


def test_a_connection_that_says_nothing_is_closed_and_counted(queen):
    before = rejected(queen, "head_timeout")
    assert send(queen, b"") == b""
    assert rejected(queen, "head_timeout") == before + 1


def test_an_idle_connection_is_closed_without_an_answer(queen):
    with connect(queen) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = time.monotonic()
        answer = read_all(s)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert 0.9 < time.monotonic() - begun < 4


def test_a_body_that_drips_is_refused(queen):
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{AUTH}Content-Length: 10000\r\n\r\n"
    with connect(queen) as s:
        s.sendall(head.encode())
        s.settimeout(0.1)
        answer, begun = b"", time.monotonic()
        while not answer and time.monotonic() - begun < 10:
            s.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = s.recv(65536)
        s.settimeout(5)
        answer += read_all(s)
    assert status_and_code(answer) == (408, "BODY_TIMEOUT")


def test_auth_is_decided_before_a_body_is_asked_for(queen):
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{}Content-Length: 9\r\n\r\n"
    with connect(queen) as s:
        s.sendall(head.format("").encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 401 ")
    with connect(queen) as s:
        s.sendall(head.format(AUTH).encode())
        assert s.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_large_body_without_a_token_still_sees_its_401(queen):
    body = b"x" * 3_000_000
    connection = http.client.HTTPConnection(queen.api.host, queen.api.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", body)
        assert connection.getresponse().status == 401


def test_one_source_cannot_take_all_connections(queen):
    before = rejected(queen, "connections_of_source")
    source = "127.0.0.2"
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connect(queen, source))
        assert send(queen, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", source) == b""
        assert queen.api.get("/health").status == 200  # another source
    assert rejected(queen, "connections_of_source") == before + 1


def test_a_rebound_name_is_refused_on_loopback(queen):
    before = rejected(queen, "host_not_allowed")
    answer = queen.api.get("/health", headers={"Host": "evil.example"})
    assert (answer.status, answer.error()["code"]) == (403, "HOST_NOT_ALLOWED")
    assert "--allowed-host" in answer.error()["message"]
    assert rejected(queen, "host_not_allowed") == before + 1
    assert queen.api.get("/health", headers={"Host": "queen.lan:8080"}).status == 200


def test_pages_of_other_origins_are_refused_and_allowed_ones_answered(queen):
    answer = queen.api.get("/health", headers={"Origin": "https://evil.example"})
    assert (answer.status, answer.error()["code"]) == (403, "ORIGIN_NOT_ALLOWED")
    origin = {"Origin": "https://chat.lan"}
    answer = queen.api.get("/health", headers=origin)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://chat.lan"
    queen.api.token = None
    try:
        preflight = queen.api.request(
            "OPTIONS", "/v1/chat/completions", headers={**origin, "Access-Control-Request-Method": "POST"}
        )
        refused = queen.api.get("/v1/models", headers=origin)
    finally:
        queen.api.token = TOKEN
    assert preflight.status == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://chat.lan"

"""TLS between real programs: private CA, invitation, join, mutual certificates, reload."""

import contextlib
import hashlib
import http.client
import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest

from conftest import HELLO
from harness import BIN, Api, Program, known_worker_tokens, wait_for, worker_token


class TlsApi(Api):
    """The client of the harness over TLS, with a certificate of its own if it is given one."""

    def __init__(self, url, ca, certificate=None, **kw):
        super().__init__(url, **kw)
        self.context = ssl.create_default_context(cafile=str(ca))
        if certificate:
            self.context.load_cert_chain(*map(str, certificate))

    def connect(self, timeout=60):
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout, context=self.context
        )


def rbee(home, *arguments, **environment):
    """Runs the command line tool with nothing but this home."""
    env = {"HOME": str(home), "RBEE_HOME": str(home), "RBEE_NO_RETRY": "1", **environment}
    return subprocess.run(
        [str(BIN / "rbee"), *map(str, arguments)],
        env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )


def make_pki(home):
    home.mkdir(parents=True, exist_ok=True)
    made = rbee(home, "pki", "init")
    assert made.returncode == 0, made.stderr
    return home / "pki"


class TlsCluster:
    """A queen with --tls and hives that join her."""

    def __init__(self, tmp_path, models_dir):
        self.home = tmp_path / "queen"
        self.models_dir = models_dir
        self.pki = make_pki(self.home)
        self.ca = self.pki / "ca.pem"
        self.tmp_path = tmp_path
        self.programs = []
        self.start_queen()

    def start_queen(self, port="0"):
        self.queen = Program(
            [BIN / "queen-rbee", "--port", port, "--tls", "--local-hive", "never"], self.home
        )
        self.programs.append(self.queen)
        assert self.queen.url.startswith("https://")
        self.api = TlsApi(self.queen.url, self.ca)

    def invite(self, name, expires_s=3600):
        answer = self.api.post("/v1/hives/invites", {"name": name, "expires_s": expires_s})
        assert answer.status == 201, answer.body
        return answer.json()["join_token"]

    def hive_command(self, *arguments):
        return [
            BIN / "rbee-hive", "--port", "0", "--worker-ports", "0",
            "--models-dir", self.models_dir, *arguments,
        ]

    def start_hive(self, name, *arguments):
        hive = Program(
            self.hive_command(*arguments), self.tmp_path / name,
            {"LLORCH_API_TOKEN": "", **known_worker_tokens(self.tmp_path / name)},
        )
        self.programs.append(hive)
        assert hive.url.startswith("https://")
        return hive

    def join(self, name):
        hive = self.start_hive(name, "--join", self.queen.url, "--join-token", self.invite(name))
        self.wait_hive(name)
        return hive

    def try_join(self, name, token, url=None):
        """What a hive says that may not join."""
        home = self.tmp_path / name
        home.mkdir(exist_ok=True)
        command = self.hive_command("--join", url or self.queen.url, "--join-token", token)
        ended = subprocess.run(
            [str(part) for part in command],
            env={"HOME": str(home), "RBEE_HOME": str(home)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )
        assert ended.returncode == 1, ended
        assert not (home / "hive").exists(), "nothing may be stored"
        return ended.stderr

    def wait_hive(self, name):
        def available():
            hives = self.api.get("/v1/hives").json()["hives"]
            return [h for h in hives if h["name"] == name and h.get("available")]

        return wait_for(available, what=f"hive {name} available")[0]

    def files_of(self, name):
        return self.tmp_path / name / "hive"

    def stop(self):
        codes = [program.stop() for program in reversed(self.programs)]
        logs = "\n".join(program.log_text() for program in self.programs)
        assert set(codes) == {0}, logs
        return logs


@pytest.fixture
def tls(tmp_path, models_dir):
    made = TlsCluster(tmp_path, models_dir)
    yield made
    logs = made.stop()
    assert "rbeejoin_" not in logs and "BEGIN PRIVATE KEY" not in logs


def served_certificate(url, context=None):
    """SHA-256 of the certificate that a new connection is shown."""
    host, port = re.fullmatch(r"https://(.+):(\d+)", url).groups()
    context = context or ssl._create_unverified_context()
    with socket.create_connection((host, int(port)), 10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return hashlib.sha256(secured.getpeercert(binary_form=True)).hexdigest()


def heartbeat(name, url="https://127.0.0.1:1"):
    return {
        "hive_id": name, "url": url, "version": "0.1.0", "workers": [], "models": [],
        "backends": [], "ram_total_bytes": 1, "ram_available_bytes": 1,
        "disk_total_bytes": 1, "disk_available_bytes": 1,
    }


def test_an_answer_comes_over_https_all_the_way(tls):
    hive = tls.join("attic")
    assert tls.wait_hive("attic")["url"] == hive.url
    assert tls.api.chat_text("hello") == HELLO

    said = rbee(
        tls.tmp_path, "--queen", tls.queen.url, "--ca-file", tls.ca, "infer", "--model", "hello", "hi",
        LLORCH_API_TOKEN=tls.api.token,
    )
    assert said.returncode == 0, said.stderr
    assert HELLO.splitlines()[0] in said.stdout

    for file in tls.files_of("attic").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(tls.files_of("attic").stat().st_mode) == 0o700


def test_a_hive_that_has_joined_starts_again_from_its_files(tls):
    hive = tls.join("attic")
    port = hive.url.rsplit(":", 1)[1]
    assert hive.stop() == 0
    wait_for(
        lambda: not tls.api.get("/v1/hives/attic").json().get("workers"), what="hive seen stopping"
    )
    again = tls.start_hive("attic", "--port", port)
    tls.wait_hive("attic")
    assert tls.api.chat_text("hello") == HELLO
    assert "joined as" not in again.log_text()


def test_the_command_line_prints_what_the_other_machine_runs(tls):
    said = rbee(
        tls.home, "--queen", tls.queen.url, "hives", "invite", "attic", "--expires", "10m",
        LLORCH_API_TOKEN=tls.api.token,
    )
    assert said.returncode == 0, said.stderr
    assert re.fullmatch(
        r"rbee-hive --host 0\.0\.0\.0 --join https://\S+:\d+ --join-token rbeejoin_\S+\n", said.stdout
    )


def test_pki_init_never_overwrites(tmp_path):
    pki = make_pki(tmp_path)
    before = (pki / "ca.key").read_bytes()
    again = rbee(tmp_path, "pki", "init")
    assert again.returncode == 1
    assert "not overwritten" in again.stderr and "pki renew" in again.stderr
    assert (pki / "ca.key").read_bytes() == before


def test_a_client_refuses_a_queen_of_another_ca_and_says_what_to_do(tls):
    other = make_pki(tls.tmp_path / "other")
    for extra in (["--ca-file", other / "ca.pem"], []):
        said = rbee(tls.tmp_path, "--queen", tls.queen.url, *extra, "workers", "list")
        assert said.returncode == 1
        assert "not trusted" in said.stderr and "--ca-file" in said.stderr


def test_a_hive_refuses_a_queen_of_another_ca(tls):
    token = tls.invite("attic")
    forged = token.rsplit("_", 1)[0] + "_" + "0" * 64
    assert "not trusted" in tls.try_join("attic", forged)
    # The queen never heard of it: the invitation still counts.
    assert tls.start_hive("attic", "--join", tls.queen.url, "--join-token", token)
    tls.wait_hive("attic")


def test_the_queen_refuses_certificates_of_another_ca(tls):
    other = make_pki(tls.tmp_path / "other")
    stranger = TlsApi(tls.queen.url, tls.ca, (other / "queen.pem", other / "queen.key"))
    with pytest.raises((ssl.SSLError, OSError)):
        stranger.get("/v1/hives")
    metrics = tls.api.get("/metrics").body.decode()
    assert re.search(r"^rbee_queen_tls_handshake_failures_total 1$", metrics, re.M)


def test_a_hive_refuses_whoever_is_not_its_queen(tls):
    hive = tls.join("attic")
    files = tls.files_of("attic")
    nobody = TlsApi(hive.url, tls.ca)
    answer = nobody.get("/v1/workers")
    assert (answer.status, answer.error()["code"]) == (403, "CERTIFICATE_REQUIRED")
    another_hive = TlsApi(hive.url, tls.ca, (files / "hive.pem", files / "hive.key"))
    assert another_hive.get("/v1/workers").status == 403
    assert nobody.get("/health").status == 200


def test_join_tokens_work_once_and_not_for_ever(tls):
    token = tls.invite("attic")
    hive = tls.start_hive("attic", "--join", tls.queen.url, "--join-token", token)
    tls.wait_hive("attic")
    assert "used already" in tls.try_join("thief", token)

    short = tls.invite("cellar", expires_s=1)
    time.sleep(1.2)
    assert "expired" in tls.try_join("cellar", short)

    digits = token[len("rbeejoin_")]
    wrong = token.replace(digits, "0" if digits != "0" else "1", 1)
    assert "join token" in tls.try_join("wrong", wrong)
    assert "not complete" in tls.try_join("cut", token[:-1])
    assert hive.process.poll() is None


def test_an_invitation_survives_a_restart_of_the_queen(tls):
    token = tls.invite("attic")
    port = tls.queen.url.rsplit(":", 1)[1]
    assert tls.queen.stop() == 0
    tls.start_queen(port)
    tls.start_hive("attic", "--join", tls.queen.url, "--join-token", token)
    tls.wait_hive("attic")


def test_nobody_joins_a_queen_without_tls(tmp_path, models_dir):
    queen = Program([BIN / "queen-rbee", "--port", "0", "--local-hive", "never"], tmp_path)
    try:
        answer = queen.api.post("/v1/hives/invites", {"name": "attic"})
        assert (answer.status, answer.error()["code"]) == (409, "TLS_REQUIRED")
        assert queen.api.post("/v1/hives/join", {}).status == 401
    finally:
        queen.stop()


def test_a_certificate_counts_for_its_own_hive_only(tls):
    tls.join("attic")
    files = tls.files_of("attic")
    token = (files / "token").read_text().strip()
    attic = TlsApi(tls.queen.url, tls.ca, (files / "hive.pem", files / "hive.key"), token=token)

    other = attic.post("/v1/hives/heartbeat", heartbeat("cellar"))
    assert (other.status, other.error()["code"]) == (403, "IDENTITY_MISMATCH")
    # The token without the certificate, and the certificate without the token.
    bare = TlsApi(tls.queen.url, tls.ca, token=token)
    answer = bare.post("/v1/hives/heartbeat", heartbeat("attic"))
    assert (answer.status, answer.error()["code"]) == (403, "CERTIFICATE_REQUIRED")
    attic.token = "wrong-token-0123456789"
    assert attic.post("/v1/hives/heartbeat", heartbeat("attic")).status == 401
    # A hive's token is for its reports: nothing else.
    attic.token = token
    assert attic.post("/v1/workers/spawn", {"model_ref": "hello"}).status == 403


def test_a_renewed_certificate_is_taken_without_dropping_a_stream(tls):
    tls.join("attic")
    before = served_certificate(tls.queen.url)
    body = {"model": "count-a", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with tls.api.stream("/v1/chat/completions", body) as (status, _, events):
        assert status == 200
        assert next(events)
        assert rbee(tls.home, "pki", "renew").returncode == 0
        tls.queen.process.send_signal(signal.SIGHUP)
        after = wait_for(
            lambda: (now := served_certificate(tls.queen.url)) != before and now, what="reload"
        )
        last = [data for _, data in events][-1]
    assert last == "[DONE]"
    assert after != before
    assert tls.api.chat_text("hello") == HELLO


def test_a_bad_certificate_on_reload_changes_nothing(tls):
    before = served_certificate(tls.queen.url)
    (tls.pki / "queen.pem").write_text("broken")
    tls.queen.process.send_signal(signal.SIGHUP)
    wait_for(
        lambda: [e for e in tls.queen.log_events() if e.get("event") == "reload_failed"],
        what="complaint in the log",
    )
    assert served_certificate(tls.queen.url) == before
    assert tls.api.get("/v1/hives").status == 200


def test_plain_http_to_the_tls_port_is_told_so(tls):
    answer = Api(tls.queen.url.replace("https", "http")).get("/v1/hives")
    assert answer.status == 400
    assert "HTTPS" in answer.error()["message"]


def test_old_tls_is_refused(tls):
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        served_certificate(tls.queen.url, context)
    assert served_certificate(tls.queen.url)


def test_a_client_that_leaves_stops_its_request(tls):
    tls.join("attic")
    tls.api.chat_text("hello")
    connection = tls.api.connect()
    body = {"model": "endless", "stream": True, "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 100000}
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body).encode(),
        tls.api.headers({"Content-Type": "application/json"}),
    )
    response = connection.getresponse()
    assert response.status == 200 and response.read(1)

    workers = tls.api.get("/v1/workers").json()["workers"]
    [found] = [w for w in workers if "endless" in w["model_ref"]]
    worker = Api(found["url"], worker_token(tls.tmp_path / "attic", found["id"]))

    def busy():
        return worker.get("/v1/ready").json()["slots_busy"]

    wait_for(busy, what="a slot taken")
    left = time.monotonic()
    with contextlib.suppress(OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    wait_for(lambda: busy() == 0, what="the slot given back")
    assert time.monotonic() - left < 5


def test_queen_and_local_hive_work_with_tls(tmp_path, models_dir):
    pki = make_pki(tmp_path)
    queen = Program(
        [BIN / "queen-rbee", "--port", "0", "--tls", "--local-hive-port", "0",
         "--models-dir", models_dir],
        tmp_path,
    )
    try:
        api = TlsApi(queen.url, pki / "ca.pem")
        wait_for(lambda: [h for h in api.get("/v1/hives").json()["hives"] if h["available"]])
        assert api.chat_text("hello") == HELLO
    finally:
        assert queen.stop() == 0, queen.log_text()

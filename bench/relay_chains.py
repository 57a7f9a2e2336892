"""The relays that are compared: each two hops in front of the same kind of backend."""

import pathlib
import subprocess
import time

from harness import BIN, TOKEN, Cluster

MODEL = "bench"
QUEEN_ARGS = ["--http-connections-per-source", "0", "--queue-capacity", "10000"]

NGINX = """daemon off; worker_processes auto; pid {folder}/{name}.pid;
error_log {folder}/{name}.log crit;
events {{ worker_connections 20000; }}
http {{
  access_log off; client_body_buffer_size 64k; keepalive_requests 1000000000;
  client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;
  scgi_temp_path {folder}/{name}-s;
  upstream next {{ server 127.0.0.1:{next}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port}{tls}; proxy_buffering off; proxy_request_buffering off;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 600;
    location / {{ proxy_pass http://next; }}
  }}
}}
"""

HAPROXY = """global
  maxconn 9000
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend in
  bind 127.0.0.1:{port}
  default_backend next
backend next
  server next 127.0.0.1:{next}
"""


def tree(pid):
    """The process and all below it."""
    pids = [pid]
    for one in pids:
        children = pathlib.Path(f"/proc/{one}/task/{one}/children")
        if children.exists():
            pids += [int(child) for child in children.read_text().split()]
    return pids


def cpu_seconds(pids):
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


def cpu_ns(pids):
    """Time on a processor, finer than ticks, of all threads."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


def resident_kib(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


class Backend:
    """A backend of its own, for the relays that do not start theirs."""

    def __init__(self):
        self.process = subprocess.Popen(
            [BIN / "rbee-bench-backend", "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Direct:
    """No relay at all."""

    name, token = "direct", ""

    def __init__(self):
        self.backend = Backend()
        self.url = self.backend.url

    def hops(self):
        return []

    def stop(self):
        self.backend.stop()


class Configured:
    """Two processes of a relay program, one behind the other, from a configuration text."""

    token = ""

    def __init__(self, folder, first_port, tls=""):
        self.backend = Backend()
        self.processes = []
        port = self.backend.port
        for hop in range(2):
            here = first_port + hop
            file = pathlib.Path(folder) / f"{self.name}{hop}.conf"
            text = self.template.format(
                folder=folder, name=f"{self.name}{hop}", port=here, next=port,
                tls=tls if hop == 1 else "",
            )
            file.write_text(text)
            self.processes.append(subprocess.Popen([*self.command, str(file)]))
            port = here
        self.url = f"http://127.0.0.1:{port}"
        time.sleep(0.5)

    def hops(self):
        return [pid for process in self.processes for pid in tree(process.pid)]

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(10)
        self.backend.stop()


class Nginx(Configured):
    name, template, command = "nginx", NGINX, ["nginx", "-c"]


class Haproxy(Configured):
    name, template, command = "haproxy", HAPROXY, ["haproxy", "-f"]


class Rbee:
    """Queen and hive with everything on: tokens, deadlines, routing, metrics, logs."""

    name, token = "rbee", TOKEN

    def __init__(self, folder, workers=1, slots=256, queen_args=()):
        models = pathlib.Path(folder) / "models"
        models.mkdir(exist_ok=True)
        (models / f"{MODEL}.gguf").write_bytes(b"GGUF" + bytes(1020))
        self.cluster = Cluster(
            pathlib.Path(folder) / "rbee", models, slots=slots,
            queen_args=[*QUEEN_ARGS, *queen_args],
            extra_env={"RBEE_WORKER_BINARY": str(BIN / "rbee-bench-backend"),
                       "LLORCH_LOG_LEVEL": "warn"},
            spy=False,
        )  # fmt: skip
        for _ in range(workers):
            self.cluster.spawn(MODEL, slots=slots)
        self.url = self.cluster.queen.url
        queen = self.cluster.queen.pid()
        self.queen = [queen]
        self.hive = [pid for pid in tree(queen) if self._is_hive(pid)]

    @staticmethod
    def _is_hive(pid):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("rbee-hive")

    def hops(self):
        return self.queen + self.hive

    def stop(self):
        self.cluster.queen.stop()

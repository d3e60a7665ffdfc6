#!/usr/bin/env python3
"""Attacks a receiver without a key, one attack after the other, while a client with a key sends batches:

    ops/dev/attack.py [--seconds 60] [--connections 12000] [--tls] [--bin .build-deb/release] [ATTACK ...]

It starts a receiver with default settings for each attack, in a directory that it removes, and prints a row of the table
in docs/SECURITY.md for each: the 99th percentile and the longest of the client's answers, on a connection that it keeps
and on a new one for each batch, the batches that were not taken, the receiver's peak of memory and its processor time.

--at HOST:PORT attacks a server that is running, such as a proxy, with the ingest key in INGEST_API_KEY; --pid names the
process whose memory is read then, and ATTACK_HOST the server's name. `ops/proxy/test.sh attack` does so with both proxies.
"""
import argparse
import json
import multiprocessing
import os
import resource
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

KEY = os.environ.get("INGEST_API_KEY", "attack-test-key")
NAME = os.environ.get("ATTACK_HOST", "localhost")
HOST = f"Host: {NAME}\r\n".encode()
GET = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
EMPTY_POST = b"POST /api/ingest/batch HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
CHUNKED = b"POST /healthz HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n\n\r\n" * 20 + b"0\r\n\r\n"
WRONG_KEY = b"POST /api/ingest/batch HTTP/1.1\r\n" + HOST + b"X-API-Key: wrong\r\nContent-Length: 16000000\r\n\r\n"
UPGRADE = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
FIELDS = b"".join(b"X%d: %s\r\n" % (i, b"y" * 140) for i in range(98))


class Attack:
    """The steps that each of many connections repeats."""

    def __init__(self, what, begin=b"", repeat=b"", reads=False, reads_slowly=False, half_closes=False, renews=False):
        self.what = what
        self.begin, self.repeat = begin, repeat
        self.reads, self.reads_slowly, self.half_closes = reads, reads_slowly, half_closes
        # Whether each connection is replaced at once.
        self.renews = renews


ATTACKS = {
    "none": None,
    "idle": Attack("connections that send nothing"),
    "half-headers": Attack("headers that never end", begin=b"GET / HTTP/1.1\r\n" + HOST + b"X: "),
    "full-headers": Attack("headers of 15 KB that never end", begin=b"GET / HTTP/1.1\r\n" + HOST + FIELDS),
    "churn": Attack("new connections as fast as possible", begin=b"GET / HTTP/1.1\r\n", renews=True),
    "unread-pages": Attack("requests for a page of 40 KB, no answer read", repeat=GET),
    "unread-refusals": Attack("empty batches without a key, no answer read", repeat=EMPTY_POST),
    "unread-chunks": Attack("bodies in tiny chunks, no answer read", repeat=CHUNKED),
    "slow-reader": Attack("requests for a page of 40 KB, read at 1 KB/s", repeat=GET, reads_slowly=True),
    "half-closed": Attack("64 KB of requests, then the sending side closed", begin=GET * 1200, half_closes=True),
    "upgrade": Attack("bytes behind a request for another protocol", begin=UPGRADE, repeat=b"x" * 65536),
    "refusals": Attack("empty batches without a key, answers read", repeat=EMPTY_POST, reads=True),
    "pages": Attack("requests for a page of 40 KB, answers read", repeat=GET, reads=True),
    "bodies": Attack("bodies of 16 MB with a wrong key", begin=WRONG_KEY, repeat=b"x" * 65536, reads=True),
}


class Attacker:
    """Keeps so many connections at the attack, in one process."""

    def __init__(self, attack, address, source, connections, tls, opened):
        self.opened = opened
        self.source = source
        self.attack, self.address, self.connections, self.tls = attack, address, connections, tls
        self.epoll = select.epoll()
        self.clients = {}
        # The rest that each connection still has to send before it repeats.
        self.rests = {}

    def open(self):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20 if self.attack.reads else 4096)
        client.setblocking(False)
        if self.source:
            client.bind((self.source, 0))
        client.connect_ex(self.address)
        if self.tls:
            try:
                client = self.tls.wrap_socket(client, do_handshake_on_connect=False, server_hostname=NAME)
            except OSError:
                # Not connected at once: the server's queue is full.
                client.close()
                return
        self.opened.value += 1
        self.clients[client.fileno()] = client
        self.rests[client.fileno()] = self.attack.begin
        self.epoll.register(client, select.EPOLLOUT | (select.EPOLLIN if self.attack.reads or self.tls else 0))

    def close(self, client):
        self.epoll.unregister(client)
        del self.clients[client.fileno()], self.rests[client.fileno()]
        client.close()

    def step(self, client, events):
        try:
            if self.tls and client.version() is None:
                client.do_handshake()
                if not self.attack.reads:
                    self.epoll.modify(client, select.EPOLLOUT)
            if self.attack.reads and events & select.EPOLLIN and not client.recv(1 << 16):
                raise ConnectionError
            if events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                raise ConnectionError
            if events & select.EPOLLOUT:
                self.send(client)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.close(client)

    def send(self, client):
        rest = self.rests[client.fileno()] or self.attack.repeat
        if rest:
            rest = rest[client.send(rest):]
            self.rests[client.fileno()] = rest
        if not rest and not self.attack.repeat:
            # Everything is sent, so only the end of the connection matters now.
            if self.attack.half_closes:
                client.shutdown(socket.SHUT_WR)
            self.epoll.modify(client, 0 if self.attack.half_closes else select.EPOLLRDHUP)

    def read_slowly(self):
        for client in list(self.clients.values()):
            try:
                if not client.recv(1024):
                    raise ConnectionError
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except OSError:
                self.close(client)

    def run(self, seconds):
        end = time.monotonic() + seconds
        sweep = time.monotonic()
        while time.monotonic() < end:
            for _ in range(min(200, self.connections - len(self.clients))):
                self.open()
            for number, events in self.epoll.poll(0.02, 1000):
                if number in self.clients:
                    self.step(self.clients[number], events)
            if self.attack.renews:
                for client in list(self.clients.values()):
                    self.close(client)
            elif self.attack.reads_slowly and time.monotonic() - sweep > 1:
                sweep = time.monotonic()
                self.read_slowly()


def attack_process(name, address, source, connections, is_tls, seconds, opened):
    resource.setrlimit(resource.RLIMIT_NOFILE, (connections + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    attacker = Attacker(ATTACKS[name], address, source, connections, client_context() if is_tls else None, opened)
    attacker.run(seconds)


def client_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """Posts batches of ten messages with a key."""

    def __init__(self, name, address, is_tls, keeps):
        self.name, self.address, self.keeps = name, address, keeps
        self.tls = client_context() if is_tls else None
        self.socket = None
        self.number = 0

    def connect(self):
        client = socket.create_connection(self.address, timeout=30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.tls.wrap_socket(client, server_hostname=NAME) if self.tls else client

    def post(self):
        """Returns the seconds that a batch took, None when it was not taken."""
        self.number += 1
        minute = int(time.time()) // 60 * 60
        messages = [
            {"src": f"{self.name}-{self.number}-{i}", "timestamp": minute, "params": {"switch:0": {"apower": 8.9}}}
            for i in range(10)
        ]
        body = json.dumps({"messages": messages}).encode()
        head = f"POST /api/ingest/batch HTTP/1.1\r\nHost: {NAME}\r\nX-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        start = time.monotonic()
        try:
            if self.socket is None:
                self.connect()
            self.socket.sendall(head.encode() + body)
            answer = b""
            while b'"record"' not in answer and b'"detail"' not in answer:
                piece = self.socket.recv(65536)
                if not piece:
                    raise ConnectionError
                answer += piece
            taken = answer.startswith(b"HTTP/1.1 200 ")
        except OSError:
            taken = False
        seconds = time.monotonic() - start
        if not taken or not self.keeps:
            if self.socket:
                self.socket.close()
            self.socket = None
        return seconds if taken else None


def client_process(name, address, is_tls, keeps, seconds, results):
    client = Client(name, address, is_tls, keeps)
    end = time.monotonic() + seconds
    outcomes = []
    while time.monotonic() < end:
        start = time.monotonic()
        outcomes.append(client.post())
        time.sleep(max(0, 0.05 - (time.monotonic() - start)))
    results.put((keeps, outcomes))


class Receiver:
    """A receiver of its own, with default settings."""

    def __init__(self, binaries, is_tls):
        self.directory = tempfile.mkdtemp(prefix="shelly-attack.")
        environment = dict(
            os.environ, INGEST_API_KEY=KEY, HOST="127.0.0.1", PORT="0", SPOOL_DIR=self.directory + "/spool")
        if is_tls:
            certificate, key = self.directory + "/server.crt", self.directory + "/server.key"
            subprocess.run(
                ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
                check=True, capture_output=True)
            environment.update(TLS_CERTIFICATE_FILE=certificate, TLS_KEY_FILE=key)
        self.log = self.directory + "/log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([binaries + "/shelly-receiver"], env=environment, stderr=log, stdout=log)
        self.pid = self.process.pid
        self.address = ("127.0.0.1", self.port())

    def port(self):
        for _ in range(3000):
            with open(self.log) as log:
                for line in log:
                    if "listening on 127.0.0.1:" in line:
                        return int(line.split("listening on 127.0.0.1:")[1].split()[0].strip('"'))
            if self.process.poll() is not None:
                sys.exit("attack.py: the receiver ended: " + open(self.log).read())
            time.sleep(0.02)
        sys.exit("attack.py: the receiver does not listen")

    def stop(self):
        """Returns the seconds that a stop takes."""
        start = time.monotonic()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)
        return time.monotonic() - start


def memory_peak(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def run(name, options):
    receiver = None
    if options.at:
        host, port = options.at.rsplit(":", 1)
        address, pid = (host, int(port)), options.pid
    else:
        receiver = Receiver(options.bin, options.tls)
        address, pid = receiver.address, receiver.pid
    results, opened = multiprocessing.Queue(), multiprocessing.Value("q", 0)
    attacker = None
    if ATTACKS[name]:
        attacker = multiprocessing.Process(
            target=attack_process, args=(name, address, options.source, options.connections, options.tls, options.seconds + 120, opened))
        attacker.start()
        time.sleep(1)
    used = processor_seconds(pid) if pid else 0
    clients = [
        multiprocessing.Process(
            target=client_process, args=(f"{name}-{keeps}", address, options.tls, keeps, options.seconds, results))
        for keeps in (True, False)
    ]
    for client in clients:
        client.start()
    outcomes = dict(results.get() for _ in clients)
    used = (processor_seconds(pid) - used) / options.seconds if pid else float("nan")
    count = opened.value
    # The stop comes while the attack still holds its connections.
    peak = memory_peak(pid) if pid else float("nan")
    stopped = receiver.stop() if receiver else float("nan")
    if attacker:
        attacker.terminate()
    for process in clients + ([attacker] if attacker else []):
        process.join()
    figures = []
    for keeps in (True, False):
        taken = [seconds * 1000 for seconds in outcomes[keeps] if seconds is not None]
        figures.append(f"{percentile(taken, 0.99):.0f} ms ({max(taken, default=float('nan')):.0f})")
    batches = sum(map(len, outcomes.values()))
    refused = sum(outcome is None for each in outcomes.values() for outcome in each)
    what = ATTACKS[name].what if ATTACKS[name] else "no attack"
    print(
        f"| `{name}`: {what} | {count} | {figures[0]} | {figures[1]} | {refused} of {batches} | {peak:.0f} MiB | "
        f"{used * 100:.0f} % | {stopped:.1f} s |",
        flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=12000)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--bin", default=".build-deb/release")
    parser.add_argument("--at")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--source", help="the attacker's address, such as 127.0.0.2")
    parser.add_argument("attacks", nargs="*", choices=[[], *ATTACKS], metavar="ATTACK")
    options = parser.parse_args()
    print("| attack | connections opened | p99 (longest), kept | p99 (longest), new | not taken | memory | processor | stop |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in options.attacks or ATTACKS:
        run(name, options)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures what a serverless database costs with and without DATABASE_SLEEP_SECONDS: wake-ups, time awake, and how old a reading is when
it becomes a row. The real programs run beside a private PostgreSQL behind a proxy that plays the provider: it suspends the database after
a time without traffic, closing its connections, and lets it wake up at the next connection.

    serverless.py [--hours 4]

Time is scaled: a second stands for a minute, so a device's message comes each second, an open page asks six times in it, and the
database is suspended after five seconds. The wake-up's own delay is not scaled. All cases run at once.
"""
import argparse
import asyncio
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATE = ROOT / ".local/serverless"
#: Real seconds for a minute of the scenario.
MINUTE = 1.0
SUSPEND_MINUTES = 5
#: Real seconds from the connection to a suspended database to its first answer.
WAKE_SECONDS = 0.5
KEY = "0123456789abcdef"

#: DATABASE_SLEEP_SECONDS in minutes; whether devices send; whether a page is open.
CASES = [
    ("always connected (the default)", 0, True, False),
    ("15 min", 15, True, False),
    ("15 min, page open", 15, True, True),
    ("60 min", 60, True, False),
    ("60 min, page open", 60, True, True),
    ("15 min, devices off", 15, False, False),
    ("15 min, devices off, page open", 15, False, True),
]


class Provider:
    """The proxy. It has a thread of its own."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.wake_ups = self.connections = 0
        self.awake_seconds = 0.0
        self.woken = self.last = None
        self.writers = set()
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    def begin(self):
        """Resets the counters."""
        self.wake_ups = self.connections = 0
        self.awake_seconds = 0.0
        if self.woken is not None:
            self.woken = time.monotonic()

    async def serve(self, ready):
        server = await asyncio.start_server(self.client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        while True:
            await asyncio.sleep(MINUTE / 20)
            if self.woken is not None and time.monotonic() - self.last > SUSPEND_MINUTES * MINUTE:
                for writer in list(self.writers):
                    writer.close()
                self.awake_seconds += time.monotonic() - self.woken
                self.woken = None

    async def client(self, reader, writer):
        self.connections += 1
        self.last = time.monotonic()
        if self.woken is None:
            self.wake_ups += 1
            self.woken = self.last
            await asyncio.sleep(WAKE_SECONDS)
            self.last = time.monotonic()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, up_writer}
        await asyncio.gather(self.copy(reader, up_writer), self.copy(up_reader, writer))
        self.writers -= {writer, up_writer}

    async def copy(self, reader, writer):
        try:
            while data := await reader.read(65536):
                self.last = time.monotonic()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


class Case:
    def __init__(self, number, name, sleep_minutes, sends, has_page):
        self.name, self.sends, self.has_page = name, sends, has_page
        self.sleep_seconds = int(sleep_minutes * MINUTE)
        self.directory = STATE / str(number)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.cluster = self.directory / "postgres"
        url = self.postgres("start", self.cluster)
        self.provider = Provider(urllib.parse.urlsplit(url).port)
        environment = {
            **os.environ, "DATABASE_URL": url, "SPOOL_DIR": str(self.directory / "spool"), "SPOOL_FILE_SYSTEM": "any",
            "INGEST_API_KEY": KEY, "DATABASE_SLEEP_SECONDS": str(self.sleep_seconds), "HOST": "127.0.0.1"}
        self.port = free_port()
        subprocess.run([BIN / "shelly-loader", "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
        parts = urllib.parse.urlsplit(url)
        environment["DATABASE_URL"] = parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.provider.port}").geturl()
        environment["PORT"] = str(self.port)
        self.programs = [
            subprocess.Popen([BIN / program, *arguments], env=environment, stderr=open(self.directory / f"{program}.log", "w"))
            for program, arguments in (("shelly-receiver", []), ("shelly-loader", ["drain", "--follow"]))]
        self.posted, self.loaded = [], []

    @staticmethod
    def postgres(*arguments):
        return subprocess.run(
            [ROOT / "ops/dev/postgres.sh", *map(str, arguments)], check=True, capture_output=True, text=True).stdout.strip()

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {"X-API-Key": KEY})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def is_ready(self):
        try:
            return self.request("GET", "/readyz") == 200
        except OSError:
            return False

    def run(self, until):
        """Posts batches and requests pages until the end of the scenario."""
        while not self.is_ready():
            time.sleep(0.1)
        turns = 0
        start = time.monotonic()
        while time.monotonic() < until:
            if self.has_page:
                self.request("GET", "/")
            if self.sends and turns % 6 == 0:
                body = {"messages": [{
                    "src": "plug", "timestamp": 1_700_000_000 + 60 * len(self.posted), "params": {"switch:0": {"apower": 1.5}}}]}
                assert self.request("POST", "/api/ingest/batch", json.dumps(body)) == 200
                self.posted.append(time.monotonic())
            turns += 1
            time.sleep(max(0, start + turns * MINUTE / 6 - time.monotonic()))

    def watch(self, until):
        """Notes when rows are there, past the proxy."""
        while time.monotonic() < until:
            count = int(self.postgres("psql", self.cluster, "-At", "-c", "SELECT count(*) FROM power_logs"))
            self.loaded += [time.monotonic()] * (count - len(self.loaded))
            time.sleep(0.5)

    def end(self):
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.wait()
        self.postgres("destroy", self.cluster)

    def row(self, hours):
        provider = self.provider
        awake = provider.awake_seconds + (time.monotonic() - provider.woken if provider.woken is not None else 0)
        ages = sorted((there - sent) / MINUTE for sent, there in zip(self.posted, self.loaded))
        age = f"{ages[len(ages) // 2]:.1f} min, {ages[-1]:.1f} min" if ages else ""
        return (f"| {self.name} | {provider.wake_ups / hours:.1f} | {100 * awake / MINUTE / 60 / hours:.0f} % | "
                f"{provider.connections / hours:.0f} | {age} |")


def free_port():
    import socket
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=4)
    hours = parser.parse_args().hours
    cases = [Case(number, *case) for number, case in enumerate(CASES)]
    # After the first load.
    time.sleep(2 * SUSPEND_MINUTES * MINUTE)
    for case in cases:
        case.provider.begin()
    until = time.monotonic() + hours * 60 * MINUTE
    threads = [threading.Thread(target=work, args=(until,)) for case in cases for work in (case.run, case.watch)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = [case.row(hours) for case in cases]
    finally:
        for case in cases:
            case.end()
    print("| `DATABASE_SLEEP_SECONDS` | wake-ups an hour | awake | connections an hour | age of a reading as it becomes a row: median, most |")
    print("|---|---:|---:|---:|---|")
    print("\n".join(rows))


BIN = pathlib.Path(os.environ.get("SHELLY_BIN") or ROOT / ".build/debug")

if __name__ == "__main__":
    main()

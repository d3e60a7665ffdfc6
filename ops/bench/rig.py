"""The measured programs: how they are built, started and loaded, and how their state is read."""

import contextlib
import fcntl
import http.client
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

BENCH = pathlib.Path(__file__).resolve().parent
COMPARATORS = BENCH / "comparators"
ROOT = BENCH.parent.parent
STATE = ROOT / ".local" / "bench"
KEY = "bench-key"
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what, seconds=120, pause=0.002):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {what}: not within {seconds} s")
        time.sleep(pause)


def get(port, path):
    """Status and body of a GET; None if no server listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return None
    finally:
        connection.close()


class Process:
    """A program that runs until it is stopped, its output in a file."""

    def __init__(self, name, command, environment=None, cwd=None):
        self.name = name
        self.log = STATE / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd,
                env=clean_environment() | (environment or {}))
        self.pid = self.child.pid

    def cpu_seconds(self):
        """Of the process and its children, such as uvicorn's workers."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ticks = 0
        for pid in (self.pid, *children):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory_mib(self, field="VmHWM"):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"bench: no {field} of {self.name}")

    def check(self):
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise SystemExit(f"bench: {self.name} ended with status {self.child.returncode}:\n{tail}")

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise SystemExit(f"bench: {self.name} did not end within 30 s")


class Server(Process):
    """A process that listens."""

    def __init__(self, name, command, port, ready, environment=None, cwd=None):
        started = time.monotonic()
        super().__init__(name, command, environment, cwd)
        self.port = port
        self.url = f"http://127.0.0.1:{port}/api/ingest/batch"

        def is_ready():
            self.check()
            answer = get(port, ready)
            return answer is not None and answer[0] < 500

        try:
            wait_for(is_ready, f"{name} is ready")
        except BaseException:
            self.child.kill()
            raise
        self.ready_seconds = time.monotonic() - started

    def load(self, batch, connections, seconds, **options):
        """Runs wrk against the server. The result includes the busy cores of server and generator."""
        self.check()
        out = STATE / "wrk.json"
        out.unlink(missing_ok=True)
        environment = clean_environment() | {
            "BATCH": str(batch), "RUN": str(next_run()), "KEY": KEY, "OUT": str(out),
            "TEMPLATE": str(BENCH / "message.json"),
        } | {name: str(value) for name, value in options.items()}
        before, begin = self.cpu_seconds(), time.monotonic()
        wrk = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", BENCH / "batch.lua",
             self.url], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = wrk.stdout.read().decode()
        _, status, usage = os.wait4(wrk.pid, 0)
        wrk.returncode = status
        if status != 0 or not out.exists():
            raise SystemExit(f"bench: wrk failed:\n{output}")
        self.check()
        result = json.loads(out.read_text())
        elapsed = time.monotonic() - begin
        result["server_cores"] = round((self.cpu_seconds() - before) / elapsed, 2)
        result["generator_cores"] = round((usage.ru_utime + usage.ru_stime) / elapsed, 2)
        if result["errors"] > 0:
            raise SystemExit(f"bench: {self.name} refused {result['errors']} requests:\n{output}")
        return result

    def time_answers(self, batch, connections, seconds, rate=0):
        """Posts batches and returns the times of the answers, with a generator that is steadier than wrk: `rate` batches a
        second, independent of the answers' times, or as many as the answers allow."""
        self.check()
        answers = json.loads(run(
            STATE / "latency", self.port, KEY, BENCH / "message.json", batch, connections, seconds, rate, next_run()))
        self.check()
        if answers["errors"] > 0:
            raise SystemExit(f"bench: {self.name}: {answers['errors']} batches without an answer of 200")
        return answers


_run = int(time.time()) % 30000


def next_run():
    """A number that is different for each run of wrk or `fill`, so that all readings of a run are new."""
    global _run
    _run += 1
    return _run


def clean_environment():
    """The environment without settings that are meant for another receiver or server."""
    return {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PG", "INGEST_", "SPOOL_", "LOADER_", "DATABASE_"))
    }


def run(*command, **options):
    """Runs a command until it ends and returns its output; ends the bench if it fails."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=clean_environment() | options.pop("environment", {}), **options)
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        output = done.stdout[-2000:] + done.stderr[-2000:]
        raise SystemExit(f"bench: {words}\nended with status {done.returncode}:\n{output}")
    return done.stdout


def crc32c(data):
    """The checksum of a record."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Rig:
    """The programs' paths, and how to start them. As a context manager it stops everything that it has started."""

    def __init__(self):
        self.programs = None
        self.tools = None
        self.database_url = None
        self._peer = None
        self._python = STATE / "venv/bin/python"
        self._filled = {}
        #: Bytes of the page cache that a run of the receiver may fill.
        self.memory_of_a_run = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        STATE.mkdir(parents=True, exist_ok=True)
        lock = self._stack.enter_context(open(STATE / "lock", "w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("bench: another one is running in this checkout") from None
        self._stack.callback(self._clean)
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def _clean(self):
        for directory in STATE.glob("spool*"):
            shutil.rmtree(directory)
        for file in [*STATE.glob("*.tsv"), *STATE.glob("*.sql")]:
            file.unlink()
        if self.database_url:
            run(ROOT / "ops/dev/postgres.sh", "destroy", STATE / "postgres")

    # Building and installing

    def build(self):
        """The release programs, or those in SHELLY_BIN, and the bench's own programs."""
        if os.environ.get("SHELLY_BIN"):
            self.programs = pathlib.Path(os.environ["SHELLY_BIN"]).resolve()
        else:
            say("building the product")
            self.programs = pathlib.Path(run(ROOT / "ops/dev/build.sh", "release").strip())
        say("building the comparators")
        self.tools = pathlib.Path(run(ROOT / "ops/dev/build.sh", "release", environment={"SHELLY_BENCH": "1"}).strip())
        self.build_tools()
        self.install_python()
        if directory := os.environ.get("SHELLY_PEER"):
            self._peer = pathlib.Path(directory).resolve()
            if not (self._peer / "app.py").exists():
                raise SystemExit(f"bench: SHELLY_PEER={directory}: there is no app.py in it")
        else:
            say("no peer: SHELLY_PEER is not set")

    def build_tools(self):
        """The programs in C and C++."""
        warnings = ("-Wall", "-Wextra", "-Werror")
        for program in ("diskfloor", "latency"):
            run("cc", "-O2", *warnings, "-o", STATE / program, BENCH / f"{program}.c", "-lm")
        checksum = ROOT / "Sources/Shared/CCrc32c"
        run("cc", "-O2", *warnings, "-I", checksum / "include", "-c", "-o", STATE / "crc32c.o", checksum / "CCrc32c.c")
        run("g++", "-std=c++20", "-O2", "-march=native", *warnings, "-o", STATE / "lean", COMPARATORS / "lean.cpp",
            STATE / "crc32c.o", "-lsimdjson")

    def install_python(self):
        """The packages of the comparators in Python, in a virtual environment."""
        modules = {"fastapi": "fastapi", "uvicorn": "uvicorn[standard]", "asyncpg": "asyncpg", "msgspec": "msgspec"}
        if self._python.exists() and subprocess.run(
                [self._python, "-c", f"import {', '.join(modules)}"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        say("installing the packages of the comparators in Python")
        run(sys.executable, "-m", "venv", self._python.parent.parent)
        run(self._python, "-m", "pip", "install", "-q", *modules.values())

    @property
    def has_peer(self):
        return self._peer is not None

    # Starting

    def start_postgres(self):
        """A fresh private cluster, with so much WAL that no comparator waits for its checkpoints."""
        if self.database_url:
            return
        script, directory = ROOT / "ops/dev/postgres.sh", STATE / "postgres"
        run(script, "destroy", directory)
        url = run(script, "start", directory).strip()
        self.database_url = url
        for setting in (
                "shared_buffers = '1GB'", "max_wal_size = '8GB'", "checkpoint_timeout = '30min'", "autovacuum = off"):
            self.sql(f"ALTER SYSTEM SET {setting}", "shelly")
        self.database_url = run(script, "restart", directory).strip()

    def url(self, database):
        return urllib.parse.urlsplit(self.database_url)._replace(path="/" + database).geturl()

    def sql(self, statement, database):
        return run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", statement).strip()

    def receiver(self, spool, fresh=True, fills=True, **settings):
        """The receiver on a spool in .local/bench, which it will fill or not."""
        directory = STATE / spool
        if fresh:
            shutil.rmtree(directory, ignore_errors=True)
        if fills:
            self.back_memory(self.memory_of_a_run)
        port = free_port()
        server = Server(
            "receiver", [self.programs / "shelly-receiver"], port, "/readyz", {
                "INGEST_API_KEY": KEY, "SPOOL_DIR": str(directory), "SPOOL_FILE_SYSTEM": "any",
                "HOST": "127.0.0.1", "PORT": str(port),
            } | settings)
        return self._stoppable(server)

    def loader_environment(self, spool, database):
        # Segments stay plain, so that they can be loaded again.
        return {"SPOOL_DIR": str(STATE / spool), "DATABASE_URL": self.url(database), "LOADER_COMPRESS": "off"}

    def loader(self, spool, database):
        """`drain --follow`."""
        command = [self.programs / "shelly-loader", "drain", "--follow"]
        return self._stoppable(Process("loader", command, self.loader_environment(spool, database)))

    def drain(self, spool, database):
        """Runs one `drain` until it ends: its summary, and the seconds of the whole process."""
        begin = time.monotonic()
        output = run(
            self.programs / "shelly-loader", "drain", "--json", environment=self.loader_environment(spool, database))
        summary = json.loads(output)
        summary["seconds"] = time.monotonic() - begin
        return summary

    def loader_seconds(self, command, spool, database):
        """Runs one command of the loader until it ends: its output, its seconds, and its processor time."""
        begin = time.monotonic()
        process = subprocess.Popen(
            [self.programs / "shelly-loader", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The default.
            env=clean_environment() | self.loader_environment(spool, database) | {"LOADER_COMPRESS": "on"})
        output = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status != 0:
            raise SystemExit(f"bench: shelly-loader {' '.join(command)}\nended with status {status}:\n{output[-2000:]}")
        return output, time.monotonic() - begin, usage.ru_utime + usage.ru_stime

    def migrate(self, database):
        run(self.programs / "shelly-loader", "migrate", environment={"DATABASE_URL": self.url(database)})

    def floor(self):
        port = free_port()
        return self._stoppable(Server("floor", [self.tools / "floor", port], port, "/"))

    def peer(self):
        """The FastAPI peer, with a table of its own."""
        self.fresh_database("peer")
        run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", self.url("peer"), "-f", self._peer / "schema.sql")
        return self._uvicorn("peer", "app:app", self._peer, {"DATABASE_URL": self.url("peer"), "LOG_LEVEL": "WARNING"})

    def endpoint(self, grouped):
        """The endpoint with one statement a batch, or for all batches that wait, on the product's table."""
        name = "grouped" if grouped else "endpoint"
        self.fresh_database(name)
        self.migrate(name)
        settings = {"DATABASE_URL": self.url(name), "GROUP": str(int(grouped))}
        return self._uvicorn(name, "endpoint:app", COMPARATORS, settings, workers=2)

    def python_spool(self):
        return self._with_file("python", lambda file: self._uvicorn(
            "python", "spool:app", COMPARATORS, {"SPOOL_FILE": str(file)}))

    def lean(self, mode):
        """The lean C++, which decodes or only stores."""
        port = free_port()
        return self._with_file("lean", lambda file: self._stoppable(
            Server("lean", [STATE / "lean", port, file, mode], port, "/")))

    def fresh_database(self, name):
        self.start_postgres()
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        self.sql(f"CREATE DATABASE {name}", "postgres")

    def _uvicorn(self, name, application, directory, settings, workers=1):
        port = free_port()
        command = [
            self._python, "-m", "uvicorn", application, "--port", port, "--workers", workers, "--log-level", "warning",
            "--no-access-log",
        ]
        settings = settings | {"INGEST_API_KEY": KEY, "PYTHONDONTWRITEBYTECODE": "1"}
        return self._stoppable(Server(name, command, port, "/openapi.json", settings, directory))

    @contextlib.contextmanager
    def _with_file(self, name, start):
        """A server that writes one file, its `file`, which is removed afterwards."""
        self.back_memory(self.memory_of_a_run)
        file = STATE / f"{name}.data"
        file.unlink(missing_ok=True)
        try:
            with start(file) as server:
                server.file = file
                yield server
        finally:
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _stoppable(self, process):
        try:
            yield process
        finally:
            process.stop()

    # Memory, spools and disk

    def back_disk(self, size_bytes):
        """Writes a file so long and removes it. A virtual disk's host provides a block when it is first written, four
        times slower than any later write, and a spool that grows would be told from an empty one by that alone."""
        say(f"touching {size_bytes / 1e9:.0f} GB of the disk")
        piece = os.urandom(1 << 20)
        path = STATE / "touched"
        with open(path, "wb") as file:
            for _ in range(size_bytes >> 20):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        os.sync()

    def back_memory(self, most):
        """Touches so much of the free memory. A virtual machine's host provides a page when it is first used, and takes
        pages back that were freed; either is several times slower than any other use, and would slow the
        program that happens to fill the page cache."""
        free = int(re.search(r"MemFree:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10
        left = min(most, max(0, free - (1 << 30)))
        piece = b"\1" * (1 << 20)
        if left == 0:
            return
        with mmap.mmap(-1, left) as memory:
            for offset in range(0, left - len(piece), len(piece)):
                memory[offset:offset + len(piece)] = piece

    def fill(self, spool, messages, devices=10_000, minutes=1):
        """Adds batches to a spool, as the receiver would have; a device's messages are so many minutes apart."""
        run(self.tools / "fill", STATE / spool, BENCH / "message.json", messages, devices, next_run(), minutes)

    def small_segments(self, spool, count):
        """A spool with so many segments of a record each."""
        directory = STATE / spool
        shutil.rmtree(directory, ignore_errors=True)
        for name in ("pending", "loaded", "rejected", "ledger"):
            (directory / name).mkdir(parents=True)
        identity = "11111111-2222-4333-8444-555555555555"
        head = {"format": "shelly-spool", "version": 1, "spool": identity}
        (directory / "spool.json").write_text(json.dumps(head) + "\n")
        start = int(time.time()) - 60 * count
        for number in range(1, count + 1):
            created = start + 60 * number
            header = head | {
                "segment": number, "created": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(created))}
            if number > 1:
                header["predecessor"] = {"segment": number - 1, "records": 1}
            body = '{"messages":[{"src":"plug","timestamp":%d,"params":{"switch:0":{"apower":1.5}}}]}' % created
            record = f"1 {created}000 {len(body)} {body}".encode()
            text = json.dumps(header).encode() + b"\n" + b"%08x %b\n" % (crc32c(record), record)
            footer = {"end": "shelly-spool", "segment": number, "records": 1, "bytes": len(text)}
            (directory / "pending" / f"{number:08}.spool").write_bytes(text + json.dumps(footer).encode() + b"\n")

    def filled(self, size_bytes):
        """A spool that holds so many bytes, made once."""
        if size_bytes not in self._filled:
            name = f"spool-{size_bytes >> 20}"
            shutil.rmtree(STATE / name, ignore_errors=True)
            say(f"filling a spool with {size_bytes / 1e9:.1f} GB")
            self.fill(name, size_bytes // 1030)
            self._filled[size_bytes] = name
        return self._filled[size_bytes]

    def retained(self, size_bytes):
        """A spool of so many bytes that has all that a start reads, and holes for its records; made once."""
        if size_bytes not in self._filled:
            name = f"retained-{size_bytes >> 20}"
            shutil.rmtree(STATE / name, ignore_errors=True)
            say(f"making a spool of {size_bytes / 1e9:.3g} GB of holes")
            run(self.tools / "retain", STATE / name, size_bytes, 10_000)
            self._filled[size_bytes] = name
        return self._filled[size_bytes]

    def forget(self, spool):
        self._filled = {size: name for size, name in self._filled.items() if name != spool}
        shutil.rmtree(STATE / spool, ignore_errors=True)

    def diskfloor(self, size_bytes, seconds):
        return json.loads(run(STATE / "diskfloor", STATE / "diskfloor.data", size_bytes, seconds))

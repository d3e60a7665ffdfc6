#!/usr/bin/env python3
"""Tries the programs on a cluster of two servers that Patroni keeps, with etcd, all on the loopback address:

    ops/dev/patroni.py [--rounds 2] [--synchronous] [--binaries DIR] [killed] [silent] [switchover]

Each round posts batches without a pause, and takes the leader away in each of the given ways (all without any): its processes are
killed, they are stopped and answer nothing, or Patroni hands over in good order. It prints when the other server was the leader, and
when the first row came that was not there before; at the end, whether a reading is lost or twice. docs/OPERATIONS.md has
what came out. It runs as root, and installs Debian's packages patroni, etcd-server and python3-etcd if they are missing.
"""
import argparse
import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
SECONDS = 180


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait(what, condition):
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f"patroni: {what}: not within {SECONDS} s")
        time.sleep(0.05)
    return found


class Member:
    """A server and the Patroni that keeps it."""

    def __init__(self, name, work, etcd, synchronous):
        self.name, self.port, self.api, self.log = name, free_port(), free_port(), open(work / f"{name}.log", "w")
        self.process = None
        self.config = work / f"{name}.json"
        # JSON is YAML.
        self.config.write_text(json.dumps({
            "scope": "shelly", "name": name, "restapi": {"listen": f"127.0.0.1:{self.api}"}, "etcd3": {"host": etcd},
            "bootstrap": {
                "dcs": {"ttl": 20, "loop_wait": 5, "retry_timeout": 5, "synchronous_mode": synchronous,
                        "postgresql": {"use_pg_rewind": True}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "trust"}, "data-checksums"],
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "data_dir": str(work / name), "bin_dir": str(SERVER),
                "pgpass": str(work / f"{name}.pgpass"),
                "parameters": {"unix_socket_directories": str(work)},
                "authentication": {"superuser": {"username": "shelly"}, "replication": {"username": "shelly"}}}}))

    def start(self):
        user = pwd.getpwnam("postgres")
        self.process = subprocess.Popen(
            ["patroni", self.config], stdout=self.log, stderr=self.log, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
            start_new_session=True, cwd="/")

    def processes(self):
        """Patroni first, so that it starts no server anew, then all below it and the server, which is not its child."""
        found = [self.process.pid]
        pidfile = pathlib.Path(json.loads(self.config.read_text())["postgresql"]["data_dir"]) / "postmaster.pid"
        if pidfile.exists():
            found.append(int(pidfile.read_text().split()[0]))
        children = {}
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rsplit(") ", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(status.parent.name))
        for process in found:
            found += [child for child in children.get(process, []) if child not in found]
        return found

    def signal(self, number):
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def is_leader(self):
        return self.answers("/leader")

    def is_replica(self):
        return self.answers("/replica")

    def answers(self, path):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=2)
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False

    def sql(self, statement, database="shelly"):
        done = subprocess.run(
            ["psql", f"postgresql://shelly@127.0.0.1:{self.port}/{database}?connect_timeout=2", "-qAtc", statement],
            capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""


class Load(threading.Thread):
    """Posts batches until it is stopped, and counts the acknowledged readings."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.goes_on, self.readings, self.failures = port, True, 0, 0

    def run(self):
        number = 0
        minute = int(time.time()) // 60
        while self.goes_on:
            number += 1
            messages = [{"src": f"plug-{number}", "timestamp": (minute - past) * 60, "params": {"switch:0": {"apower": 1}}}
                        for past in range(20)]
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("POST", "/api/ingest/batch", json.dumps({"messages": messages}), {"X-API-Key": "key"})
                answer = connection.getresponse()
                self.readings += json.loads(answer.read())["inserted"] if answer.status == 200 else 0
                self.failures += answer.status != 200
            except OSError:
                self.failures += 1
            time.sleep(0.02)


class Trial:
    def __init__(self, work, arguments):
        self.work, self.arguments, self.programs = work, arguments, []
        client, peer = free_port(), free_port()
        self.etcd = f"127.0.0.1:{client}"
        self.start("etcd", ["etcd", "--data-dir", work / "etcd", "--listen-client-urls", f"http://{self.etcd}",
                            "--advertise-client-urls", f"http://{self.etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}"])
        self.members = [Member(name, work, self.etcd, arguments.synchronous) for name in ("one", "two")]

    def start(self, name, command, **environment):
        log = open(self.work / f"{name}.log", "w")
        self.programs.append(subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, env=os.environ | environment))
        return self.programs[-1]

    def leader(self):
        return next((member for member in self.members if member.is_leader()), None)

    def is_followed(self):
        """Whether the standby streams. Until its replication slot is there, it is a replica that receives nothing."""
        if self.arguments.synchronous:
            return any(member.answers("/synchronous") for member in self.members)
        leader = self.leader()
        return leader and leader.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "postgres") == "1"

    def rows(self):
        return max(int(member.sql("SELECT count(*) FROM power_logs") or 0) for member in self.members if member.is_leader())

    def run(self):
        self.members[0].start()
        first = wait("a leader", self.leader)
        self.members[1].start()
        wait("a standby", self.is_followed)
        first.sql("CREATE DATABASE shelly", "postgres")
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        url = f"postgresql://shelly@{hosts}/shelly?target_session_attrs=read-write"
        port = free_port()
        environment = {"DATABASE_URL": url, "SPOOL_DIR": str(self.work / "spool"), "INGEST_API_KEY": "key", "PORT": str(port),
                       "SPOOL_FILE_SYSTEM": "any", "LOADER_STATEMENT_SECONDS": "5", "LOG_LEVEL": "warning"}
        self.loader = str(self.arguments.binaries / "shelly-loader")
        self.once = os.environ | environment
        subprocess.run([self.loader, "migrate"], env=self.once, check=True, stdout=subprocess.DEVNULL)
        self.start("receiver", [self.arguments.binaries / "shelly-receiver"], **environment)
        load = Load(port)
        loader = None
        for number in range(self.arguments.rounds):
            for way in self.arguments.ways:
                wait("a standby that follows", self.is_followed)
                loader = loader or self.start("loader", [self.loader, "drain", "--follow"], **environment)
                if not load.is_alive():
                    load.start()
                before = self.rows()
                wait("rows", lambda: self.rows() > before + 200)
                self.lose(way)
        load.goes_on = False
        load.join()
        wait(f"all of {load.readings} rows", lambda: self.rows() >= load.readings)
        leader = self.leader()
        found = leader.sql("SELECT count(*) || ' ' || count(DISTINCT idempotency_key) FROM power_logs")
        loader.terminate()
        loader.wait()
        verified = subprocess.run([self.loader, "verify", "--database"], env=self.once, check=False, capture_output=True, text=True)
        print(f"{load.readings} readings acknowledged, {load.failures} batches not; rows and distinct keys: {found}; verify: "
              f"{verified.returncode}, {verified.stdout.strip().splitlines()[-1]}")

    def lose(self, way):
        old = wait("a leader", self.leader)
        other = next(member for member in self.members if member is not old)
        begin = time.monotonic()
        if way == "switchover":
            subprocess.run(["patronictl", "-c", old.config, "switchover", "--master", old.name, "--candidate", other.name, "--force"],
                           check=True, stdout=subprocess.DEVNULL)
        else:
            old.signal(signal.SIGKILL if way == "killed" else signal.SIGSTOP)
        wait("another leader", lambda: other.is_leader() and other.sql("SELECT pg_is_in_recovery()") == "f")
        promoted = time.monotonic()
        there = int(other.sql("SELECT count(*) FROM power_logs") or 0)
        wait("a row", lambda: int(other.sql("SELECT count(*) FROM power_logs") or 0) > there)
        first = time.monotonic()
        print(f"{way}: another leader after {promoted - begin:.1f} s, the first row {first - promoted:.1f} s later", flush=True)
        if way != "switchover":
            old.signal(signal.SIGKILL)
            old.process.wait()
            old.start()
        wait("the old leader as a standby", old.is_replica)

    def close(self):
        for member in self.members:
            if member.process:
                member.signal(signal.SIGKILL)
        for program in self.programs:
            program.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", default=["killed", "silent", "switchover"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--synchronous", action="store_true")
    parser.add_argument("--binaries", type=pathlib.Path)
    arguments = parser.parse_args()
    subprocess.run([ROOT / "ops/dev/packages.sh", "run", "patroni"], check=True)
    if not arguments.binaries:
        built = subprocess.run([ROOT / "ops/dev/build.sh", "debug"], check=True, stdout=subprocess.PIPE, text=True)
        arguments.binaries = pathlib.Path(built.stdout.strip())
    work = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
    work.chmod(0o777)
    trial = Trial(work, arguments)
    try:
        trial.run()
    except BaseException:
        for log in sorted(work.glob("*.log")):
            print(f"== {log.name}\n" + "\n".join(log.read_text().splitlines()[-8:]))
        raise
    finally:
        trial.close()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures how fast the loader is over the size of the table, plain and partitioned by day, in a private PostgreSQL.

    tablesize.py [--sizes 1 5 20 50] [--devices 2500] [--rounds 3] [--binaries DIR] [--plot FILE] [WIDTH...]

Sizes are in million rows, WIDTH is plain, day, week or month; plain and day without any. SQL on the server makes the rows
of the devices, four channels each, a row a minute. They end at 01:40 of yesterday, or earlier for fewer rows than the
devices have until then. So the day's partition has a million rows each time, if a minute has 10,000.

A round drains half an hour of readings into the table, and behind that into a table of the smallest size, whose copy is made
anew each time, so that the ratio depends less on the machine's other load than the speeds do. The write-ahead log and the blocks that are
not in shared_buffers do not depend on it. It takes 230 bytes of disk a row, twice that while the index is built.
"""
import argparse
import collections
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import plot

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "ops/dev"))
import segment

DAY, CHANNELS, MINUTES_OF_A_ROUND = 86_400, 4, 30
NAME = "'shellypro4pm-' || lpad(to_hex(device), 12, '0')"


Cost = collections.namedtuple("Cost", ("rate", "log", "blocks"))


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, pathlib.Path(work)
        # The server's own user must get in.
        self.work.chmod(0o755)
        self.end = int(time.time()) // DAY * DAY - DAY + 100 * 60
        self.rows_of_a_minute = arguments.devices * CHANNELS
        url = self.postgres("start").strip()
        self.server = url.rsplit("/", 1)[0]
        self.sql("postgres", "ALTER SYSTEM SET shared_buffers = '128MB'", "ALTER SYSTEM SET max_wal_size = '2GB'",
                 "ALTER SYSTEM SET maintenance_work_mem = '256MB'")
        self.postgres("restart")

    def close(self):
        self.postgres("destroy")

    def postgres(self, verb):
        return run(ROOT / "ops/dev/postgres.sh", verb, self.work / "postgres")

    def sql(self, database, *statements):
        commands = [part for statement in statements for part in ("-c", statement)]
        return run("psql", f"{self.server}/{database}", "-qAt", "-v", "ON_ERROR_STOP=1", *commands,
                   env=os.environ | {"PGOPTIONS": "-c client_min_messages=warning"})

    def loader(self, database, *arguments, spool="none"):
        environment = os.environ | {
            "DATABASE_URL": f"{self.server}/{database}", "SPOOL_DIR": str(self.work / spool), "LOG_LEVEL": "warning"}
        return run(self.arguments.binaries / "shelly-loader", *arguments, env=environment)

    def make(self, database, width, rows):
        """A table with rows up to the end, its indexes built behind them."""
        self.sql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"CREATE DATABASE {database}")
        self.loader(database, "migrate", *([] if width == "plain" else ["--partition", width]))
        indexes = self.sql(database, """
            SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname LIKE 'power_logs%' AND attname IN ('idempotency_key', 'timestamp')
                AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)""").split()
        self.sql(database, *(f"DROP INDEX {index}" for index in indexes))
        first = self.end // 60 - rows // self.rows_of_a_minute
        self.sql(database, f"""
            INSERT INTO power_logs (device_id, channel, power, voltage, current, timestamp, idempotency_key)
            SELECT name, channel, random() * 2000, 230, random() * 9, to_timestamp(minute * 60 + 7),
                name || '_' || channel || '_' || minute
            FROM generate_series({first}, {self.end // 60 - 1}) AS minute, generate_series(1, {self.arguments.devices}) AS device,
                generate_series(0, {CHANNELS - 1}) AS channel, LATERAL (SELECT {NAME} AS name) AS named""")
        self.loader(database, "migrate")
        self.sql(database, "VACUUM ANALYZE power_logs")

    def drain(self, database, round_):
        """Of a round's half hour: rows a second, bytes of write-ahead log a row, blocks read for a thousand rows."""
        spool = self.work / "spool"
        shutil.copytree(self.filled_spool(round_), spool)
        self.sql(database, "CHECKPOINT")
        before = self.counters(database)
        summary = json.loads(self.loader(database, "drain", "--json", spool="spool"))
        shutil.rmtree(spool)
        expected = MINUTES_OF_A_ROUND * self.rows_of_a_minute
        if summary["inserted"] != expected:
            raise SystemExit(f"tablesize: {summary['inserted']} rows of {expected}")
        log, blocks = (after - before for before, after in zip(before, self.counters(database)))
        return Cost(expected / summary["seconds"], log / expected, 1000 * blocks / expected)

    def counters(self, database):
        """Bytes of write-ahead log, and blocks that were not in shared_buffers. A session reports its blocks when it ends."""
        return [int(number) for number in self.sql(database, f"""
            SELECT pg_current_wal_lsn() - '0/0', blks_read FROM pg_stat_database WHERE datname = '{database}'""").split("|")]

    def filled_spool(self, round_):
        """A spool with a round's half hour, made once."""
        spool = self.work / f"spool-{round_}"
        if spool.exists():
            return spool
        for folder in ("pending", "loaded", "rejected"):
            (spool / folder).mkdir(parents=True)
        identity = str(uuid.uuid4())
        (spool / "spool.json").write_text(json.dumps({"format": "shelly-spool", "version": 1, "spool": identity}) + "\n")
        start, devices = self.end + round_ * MINUTES_OF_A_ROUND * 60, range(1, self.arguments.devices + 1)
        batches = [
            [message(device, start + minute * 60) for device in devices[first:first + 500]]
            for minute in range(MINUTES_OF_A_ROUND) for first in range(0, len(devices), 500)]
        segment.write(spool / "pending/00000001.spool", batches, None, int(time.time()), spool=identity)
        return spool

    def measure(self, width, rows):
        """The medians of the cost into a table of so many rows, and the speed against one of the smallest size."""
        say(f"{width}, {rows / 1e6:g} million rows: made ", end="")
        begin = time.monotonic()
        self.make("subject", width, rows)
        say(f"in {time.monotonic() - begin:.0f} s, {self.size('subject')}; ", end="")
        rates = []
        for round_ in range(self.arguments.rounds):
            self.sql("postgres", "DROP DATABASE IF EXISTS reference WITH (FORCE)",
                     "CREATE DATABASE reference TEMPLATE smallest")
            rates.append((self.drain("subject", round_), self.drain("reference", 0)))
        self.sql("postgres", "DROP DATABASE subject WITH (FORCE)")
        say(", ".join(f"{cost.rate:,.0f} against {reference.rate:,.0f}" for cost, reference in rates))
        cost = Cost(*(statistics.median(values) for values in zip(*(cost for cost, _ in rates))))
        return cost, statistics.median(cost.rate / reference.rate for cost, reference in rates)

    def size(self, database):
        return self.sql("postgres", f"SELECT pg_size_pretty(pg_database_size('{database}'))").strip()


def message(device, timestamp):
    params = {f"switch:{channel}": {"apower": 8.9, "voltage": 230, "current": 0.1} for channel in range(CHANNELS)}
    return {"src": f"shellypro4pm-{device:012x}", "timestamp": timestamp, "params": params}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode:
        raise SystemExit(f"tablesize: {command[0]} {command[1]} ended with {done.returncode}")
    return done.stdout


def say(text, end="\n"):
    print(text, end=end, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widths", nargs="*", default=["plain", "day"], metavar="WIDTH")
    parser.add_argument("--sizes", nargs="+", type=float, default=[1, 5, 20, 50])
    parser.add_argument("--devices", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binaries", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    if not arguments.binaries:
        arguments.binaries = pathlib.Path(run(ROOT / "ops/dev/build.sh", "release").strip())
    arguments.binaries = arguments.binaries.resolve()
    # The server is removed as well when the bench is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sizes = [round(size * 1e6) for size in arguments.sizes]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        bench = Bench(arguments, work)
        try:
            bench.make("smallest", "plain", min(sizes))
            found = {width: {} for width in arguments.widths}
            for rows in sizes:
                for width in arguments.widths:
                    found[width][rows] = bench.measure(width, rows)
        finally:
            bench.close()
    print("| rows in the table | table | rows/s | ratio | log, bytes a row | blocks read, a thousand rows |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for rows in sizes:
        for width in found:
            cost, ratio = found[width][rows]
            print(f"| {rows:,} | {width} | {cost.rate:,.0f} | {ratio:.2f} | {cost.log:,.0f} | {cost.blocks:,.1f} |")
    if arguments.plot:
        series = {width: [(rows, found[width][rows][1]) for rows in sizes] for width in found}
        title = "Speed of loading over the rows in the table; 1 is the smallest plain table"
        arguments.plot.write_text(plot.lines(title, "rows in the table", series))


if __name__ == "__main__":
    main()

"""The measurements. Each part takes the rig and the effort, and returns its results for the JSON."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time

import profile_of as profiles
import rig as rigs
from rig import BENCH, KEY, STATE, run, say, wait_for


@dataclasses.dataclass
class Effort:
    """How long and how often."""

    rounds: int = 3
    #: For small differences, and for short runs.
    close_rounds: int = 5
    seconds: int = 3
    #: Messages of a batch and connections.
    loads: tuple = ((100, 32), (100, 64), (1, 64), (10, 64), (1000, 64))
    #: The loads at which the comparators run as well.
    compared_loads: tuple = ((100, 32), (1, 64))
    #: Messages of a batch, and seconds, of the open loop.
    open_loop_batches: tuple = (100, 10)
    open_loop_seconds: int = 6
    #: Messages in a spool that is drained.
    drain_messages: int = 75_000
    #: Rows that are in the table already.
    table_rows: int = 1_000_000
    #: The sizes of the spools that measure growth, in bytes; an empty one is always measured.
    spools: tuple = (500_000_000, 2_000_000_000)
    #: Larger spools, for the time of a start only: their records are holes in the files.
    retained: tuple = (20_000_000_000,)
    #: Devices that share the load, one after the other.
    fleets: tuple = (1_000, 100_000, 1_000_000)
    #: Loaded segments and devices, and batches of 100 a second while pages of devices are requested.
    segments: int = 2_000
    devices: int = 100_000
    rate_beside_pages: int = 300
    #: Messages whose instructions callgrind counts.
    counted_messages: int = 3_200
    timed_messages: int = 320_000


QUICK = Effort(
    rounds=1, close_rounds=1, seconds=1, loads=((100, 32), (1, 64)), compared_loads=((100, 32),), open_loop_batches=(100,),
    open_loop_seconds=1, drain_messages=4_000, table_rows=10_000,
    spools=(50_000_000,), retained=(1_500_000_000,), fleets=(10, 100_000), segments=20, devices=10_000,
    counted_messages=1_600, timed_messages=16_000)


def alternate(rounds, runs):
    """Runs the named functions in turn, in several rounds, so that the machine's other load affects all of them alike."""
    results = {name: [] for name in runs}
    for number in range(rounds):
        for name, function in runs.items():
            say(f"  {number + 1}/{rounds} {name}")
            # So that the writeback of one run does not slow the next one.
            os.sync()
            results[name].append(function())
    return results


def settle(server):
    """Waits until the server has handled the requests that were in flight when the load ended; returns that time."""
    seen = [server.cpu_seconds()]

    def is_idle():
        time.sleep(0.2)
        seen.append(server.cpu_seconds())
        return seen[-1] - seen[-2] <= 0.01

    wait_for(is_idle, f"{server.name} is idle")
    return time.monotonic() - 0.2


MESSAGE_BYTES = (BENCH / "message.json").stat().st_size


def ingest(rig, effort):
    """Acknowledged messages a second: the receiver, its disk alone, its HTTP library alone, and the comparators."""
    groups = {}

    def ours(batch, connections):
        with rig.receiver("spool") as receiver:
            result = receiver.load(batch, connections, effort.seconds)
            records = records_of(receiver)
            if records < result["requests"]:
                raise SystemExit(f"bench: {result['requests']} batches were acknowledged, {records} are in the spool")
            groups[batch, connections] = mean_group(receiver)
        return result | {"group": round(groups[batch, connections], 2)}

    def library(batch, connections):
        result = floor.load(batch, connections, effort.seconds)
        settle(floor)
        return result

    def slowly(batch, connections):
        # Its answers to 64 batches of 100 come seconds later and all at once, so the rate is measured over everything
        # that it was sent, until it has handled all of it.
        before, begin = rig.sql("SELECT count(*) FROM power_logs", "peer"), time.monotonic()
        result = peer.load(batch, connections, effort.seconds)
        seconds = settle(peer) - begin
        rows = int(rig.sql("SELECT count(*) FROM power_logs", "peer")) - int(before)
        # So that its database's dirty pages do not slow the next run.
        rig.sql("CHECKPOINT", "peer")
        return result | {"messages_per_second": round(rows / 4 / seconds, 1)}

    def endpoint(server, batch, connections):
        result = server.load(batch, connections, effort.seconds)
        settle(server)
        rows = int(rig.sql("SELECT count(*) FROM power_logs", server.name))
        if rows < 4 * batch * result["requests"]:
            raise SystemExit(f"bench: {server.name} answered {result['requests']} batches and inserted {rows} rows")
        rig.sql("TRUNCATE power_logs", server.name)
        rig.sql("CHECKPOINT", server.name)
        return result

    def spool(start, batch, connections):
        with start() as server:
            result = server.load(batch, connections, effort.seconds)
            stored = server.file.stat().st_size
        if stored < result["requests"] * batch * MESSAGE_BYTES:
            raise SystemExit(f"bench: {server.name} answered {result['requests']} batches and stored {stored} bytes")
        return result

    def disk(batch, connections):
        # The receiver's mean group in the run before.
        group = groups[batch, connections]
        result = rig.diskfloor(round(group * batch * MESSAGE_BYTES), effort.seconds)
        return result | {
            "batches": round(group, 2), "messages_per_second": round(result["appends_per_second"] * group * batch, 1)}

    with contextlib.ExitStack() as stack:
        floor = stack.enter_context(rig.floor())
        peer = stack.enter_context(rig.peer()) if rig.has_peer else None
        endpoints = [stack.enter_context(rig.endpoint(grouped)) for grouped in (False, True)]
        spools = {
            "python": rig.python_spool, "lean": lambda: rig.lean("decode"), "bare": lambda: rig.lean("store"),
        }
        runs = {}
        for batch, connections in effort.loads:
            name = f"{batch}x{connections}"
            runs[f"ours {name}"] = lambda b=batch, c=connections: ours(b, c)
            if batch > 100:
                # The library would be as fast as the generator, and the peer's answers would come after 20 s.
                continue
            runs[f"disk {name}"] = lambda b=batch, c=connections: disk(b, c)
            runs[f"floor {name}"] = lambda b=batch, c=connections: library(b, c)
            # The peer is a target at these loads. Its answers take the longest.
            if peer and batch != 10:
                runs[f"peer {name}"] = lambda b=batch, c=connections: slowly(b, c)
            if (batch, connections) not in effort.compared_loads:
                continue
            for server in endpoints:
                runs[f"{server.name} {name}"] = lambda s=server, b=batch, c=connections: endpoint(s, b, c)
            for who, start in spools.items():
                runs[f"{who} {name}"] = lambda s=start, b=batch, c=connections: spool(s, b, c)
        return alternate(effort.rounds, runs)


def latency(rig, effort):
    """Time to the acknowledgement, beside plain appends of the same bytes, the HTTP library that does nothing and lean C++."""
    with rig.receiver("spool", fills=False) as receiver:
        receiver.time_answers(10, 16, 1)
        group = mean_group(receiver)
    group_bytes = round(group * 10 * MESSAGE_BYTES)
    servers = {
        "receiver": lambda: rig.receiver("spool"), "library": rig.floor, "lean": lambda: rig.lean("decode"),
    }

    def closed_loop(start):
        with start() as server:
            return server.time_answers(10, 16, effort.seconds)

    def open_loop(start, batch):
        with start() as server:
            return server.time_answers(batch, 64, effort.open_loop_seconds, maxima[batch] / 10 / batch)

    maxima = {}
    for batch in effort.open_loop_batches:
        say(f"  the maximum load, {batch} a batch")
        with rig.receiver("spool") as receiver:
            maxima[batch] = round(receiver.load(batch, 64, effort.seconds)["messages_per_second"])
    runs = {
        "ack 10x16": lambda: closed_loop(servers["receiver"]),
        "library 10x16": lambda: closed_loop(servers["library"]),
        "append of its groups": lambda: rig.diskfloor(group_bytes, effort.seconds),
    }
    # Its ratios are of few slow answers, so they take more rounds.
    open_loop_runs = {"append of a batch": lambda: rig.diskfloor(100 * MESSAGE_BYTES, effort.seconds)} | {
        f"{who} {batch} at a tenth": lambda start=start, batch=batch: open_loop(start, batch)
        for batch in maxima for who, start in servers.items()
    }
    return alternate(effort.rounds, runs) | alternate(effort.close_rounds, open_loop_runs) | {
        "group": {"batches": round(group, 2), "bytes": group_bytes},
        "maxima": {str(batch): most for batch, most in maxima.items()},
    }


def records_of(receiver):
    """The number of batches in its spool."""
    return json.loads(rigs.get(receiver.port, "/api/stats/spool")[1])["backlog"]["records"]


def mean_group(receiver):
    """The mean number of batches for each sync."""
    page = rigs.get(receiver.port, "/metrics")[1].decode()
    batches, groups = (
        float(re.search(rf"^shelly_group_batches_{name} (\S+)$", page, re.MULTILINE)[1]) for name in ("sum", "count"))
    return max(1, batches / groups)


def herd(rig, effort):
    """10,000 devices in the same second: 100 batches of 100 at once on 100 connections, until all are answered."""
    message = (BENCH / "message.json").read_text().strip()
    message = re.sub("V", "1", message).replace("M" * 10, "1728000000").replace("S" * 10, "1728000017")
    message = message.replace("RRRRR", "%05x" % rigs.next_run())
    head = (
        "POST /api/ingest/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\n\r\n%s")
    requests = []
    for batch in range(100):
        messages = ",".join(message.replace("DDDDDDD", "%07x" % (100 * batch + index)) for index in range(100))
        body = '{"messages":[%s]}' % messages
        requests.append((head % (KEY, len(body), body)).encode())

    def once():
        with rig.receiver("spool", fills=False) as receiver:
            seconds = all_at_once(receiver.port, requests)
        return {"ms": round(seconds * 1000, 1)}

    return alternate(max(effort.rounds, 3), {"herd": once})


def all_at_once(port, requests):
    """Sends each request on a connection of its own and returns the seconds until the last answer."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for request in requests:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setblocking(False)
            selector.register(
                connection, selectors.EVENT_READ | selectors.EVENT_WRITE, {"rest": memoryview(request), "answer": b""})
        begin = time.monotonic()
        waiting = len(requests)
        while waiting:
            ready = selector.select(30)
            if not ready:
                raise SystemExit("bench: no answer within 30 s")
            for key, events in ready:
                state = key.data
                if events & selectors.EVENT_WRITE:
                    state["rest"] = state["rest"][key.fileobj.send(state["rest"]):]
                    if not state["rest"]:
                        selector.modify(key.fileobj, selectors.EVENT_READ, state)
                if events & selectors.EVENT_READ:
                    part = key.fileobj.recv(65536)
                    state["answer"] += part
                    if b'"record":' in state["answer"]:
                        if not state["answer"].startswith(b"HTTP/1.1 200"):
                            raise SystemExit(f"bench: refused: {state['answer'][:200]}")
                        selector.unregister(key.fileobj)
                        waiting -= 1
                    elif not part or state["answer"].partition(b" ")[2][:1] not in (b"", b"2"):
                        raise SystemExit(f"bench: refused: {state['answer'][:200]}")
        return time.monotonic() - begin


COLUMNS = 'device_id, channel, power, voltage, "current", "timestamp", idempotency_key'
CHUNK_ROWS = 50_000


class Tables:
    """Databases that begin with the same table, and the same rows for each way of loading."""

    def __init__(self, rig, effort):
        self.rig = rig
        if rig.database_url and rig.sql("SELECT count(*) FROM pg_database WHERE datname = 'base'", "postgres") == "1":
            return
        rig.start_postgres()
        rig.sql("CREATE DATABASE base", "postgres")
        rig.migrate("base")
        say(f"a table with {effort.table_rows} rows")
        rig.sql(
            f"""INSERT INTO power_logs ({COLUMNS})
                SELECT device, 0, 8.9, 231.2, 0.04, to_timestamp(1700000000 + 60 * (n / 10000)),
                       device || '_0_' || 1700000000 / 60 + n / 10000
                FROM generate_series(0::bigint, {effort.table_rows} - 1) AS n,
                     LATERAL (SELECT 'shellyplus1pm-' || lpad(to_hex(n * 7919 % 10000), 12, '0') AS device) AS d""",
            "base")
        rig.sql("VACUUM ANALYZE power_logs", "base")

    def fresh(self, name="loading"):
        """A database with the table as it was at first."""
        self.rig.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        self.rig.sql(f"CREATE DATABASE {name} TEMPLATE base STRATEGY file_copy", "postgres")
        return name

    def rows(self, database="loading"):
        return int(self.rig.sql("SELECT count(*) FROM power_logs", database))


def drain(rig, effort):
    """Rows a second into a table that has rows already: the loader, COPY, and SQL written by hand."""
    tables = Tables(rig, effort)
    spool = "spool-drain"
    rig.forget(spool)
    rig.fill(spool, effort.drain_messages)
    chunks = write_rows(rig, spool)
    count = sum(chunks.values())
    before = effort.table_rows

    def rate(seconds):
        return {"rows_per_second": round(count / seconds), "seconds": round(seconds, 3)}

    def check(found, what):
        if found != count:
            raise SystemExit(f"bench: {what}: {found} rows of {count}")

    def new():
        pend(spool)
        summary = rig.drain(spool, tables.fresh())
        check(summary["inserted"], "drain")
        return rate(summary["seconds"])

    def duplicates():
        # The same readings again, as after a database was restored that lost only its progress.
        rig.sql("DELETE FROM spool_progress", "loading")
        pend(spool)
        summary = rig.drain(spool, "loading")
        check(summary["duplicates"], "drain of duplicates")
        return rate(summary["seconds"])

    def script(name, prepare=None):
        def load():
            database = tables.fresh()
            if prepare:
                psql(rig, database, prepare)
            begin = time.monotonic()
            psql(rig, database, name)
            seconds = time.monotonic() - begin
            check(tables.rows() - before, name)
            return rate(seconds)

        return load

    numbers = range(len(chunks))
    for name, rows in (("copy.sql", "rows"), ("sorted.sql", "sorted")):
        (STATE / name).write_text("".join(f"\\copy power_logs ({COLUMNS}) FROM '{rows}-{n}.tsv'\n" for n in numbers))
    for n in numbers:
        (STATE / f"sorted-{n}.tsv").write_text("".join("\t".join(row) + "\n" for row in sorted_rows(n)))
    (STATE / "staging.sql").write_text(STAGING + "".join(STAGING_CHUNK % n for n in numbers))
    (STATE / "arrays.sql").write_text(
        ARRAYS + "".join(f"\\copy rows ({COLUMNS}) FROM 'rows-{n}.tsv'\n{ARRAYS_CHUNK % n}" for n in numbers))
    (STATE / "unnest.sql").write_text("".join(UNNEST % array_literals(n) for n in numbers))
    (STATE / "statement.sql").write_text("".join(STATEMENT % n for n in numbers))
    return alternate(effort.rounds, {
        "drain": new,
        "drain of duplicates": duplicates,
        "COPY": script("copy.sql"),
        "sorted COPY": script("sorted.sql"),
        "staging table": script("staging.sql"),
        "unnest": script("unnest.sql"),
        "its statement alone": script("statement.sql", prepare="arrays.sql"),
    }) | {"rows": count, "table_rows": before}


def pend(spool):
    """Makes a spool as if nothing of it had been loaded."""
    for segment in (STATE / spool / "loaded").iterdir():
        segment.rename(STATE / spool / "pending" / segment.name)
    (STATE / spool / "loaded.json").unlink(missing_ok=True)


def write_rows(rig, spool):
    """The spool's readings in the order of arrival, as files for COPY; returns the rows of each."""
    for file in [*STATE.glob("rows-*.tsv"), *STATE.glob("sorted-*.tsv")]:
        file.unlink()
    chunks = {}
    with subprocess.Popen(
            [rig.programs / "shelly-loader", "cat", "--readings", "--spool", STATE / spool], stdout=subprocess.PIPE,
            env=rigs.clean_environment()) as cat, contextlib.ExitStack() as stack:
        for number, line in enumerate(cat.stdout):
            if number % CHUNK_ROWS == 0:
                out = stack.enter_context(open(STATE / f"rows-{len(chunks)}.tsv", "w"))
                chunks[len(chunks)] = 0
            row = json.loads(line)
            moment = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(row["timestamp"]))
            fields = (
                row["device_id"], row["channel"], row["power"], row["voltage"], row["current"], moment,
                row["idempotency_key"])
            out.write("\t".join(str(field) for field in fields) + "\n")
            chunks[len(chunks) - 1] += 1
    return chunks


def sorted_rows(chunk):
    """A chunk's rows in the order of their keys, as the loader has them."""
    rows = [line.rstrip("\n").split("\t") for line in open(STATE / f"rows-{chunk}.tsv")]
    return sorted(rows, key=lambda row: row[-1])


def array_literals(chunk):
    """A chunk's columns as SQL, in the order of their keys."""
    return tuple("'{%s}'" % ",".join(f'"{value}"' for value in column) for column in zip(*sorted_rows(chunk)))


def psql(rig, database, script):
    run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", rig.url(database), "-f", script, cwd=STATE)


# Good handwritten SQL: a temporary table for 50,000 rows, and the new ones of them inserted in the order of their keys.
STAGING = f"""
SET client_min_messages = warning;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
CREATE TEMP TABLE stage ON COMMIT DELETE ROWS AS SELECT {COLUMNS} FROM power_logs WITH NO DATA;
"""
STAGING_CHUNK = f"""
BEGIN;
\\copy stage ({COLUMNS}) FROM 'rows-%d.tsv'
INSERT INTO power_logs ({COLUMNS})
SELECT {COLUMNS} FROM stage AS s
WHERE NOT EXISTS (SELECT FROM power_logs AS t
                  WHERE t.idempotency_key = s.idempotency_key AND t.idempotency_key IS NOT NULL)
ORDER BY idempotency_key
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
COMMIT;
"""

# The same with one statement that has its rows as arrays, sorted by key.
UNNEST = f"""
INSERT INTO power_logs ({COLUMNS})
SELECT * FROM unnest(%s::text[], %s::int[], %s::float8[], %s::float8[], %s::float8[], %s::timestamptz[], %s::text[])
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
"""

# The cost of the statement alone: the arrays are already in the database, so no client and no network is involved.
ARRAYS = f"""
CREATE TABLE rows AS SELECT {COLUMNS} FROM power_logs WITH NO DATA;
CREATE TABLE arrays (number int, device text[], channel int[], power float8[], voltage float8[], amperes float8[],
                     moment timestamptz[], key text[]);
"""
ARRAYS_CHUNK = """
INSERT INTO arrays
SELECT %d, array_agg(device_id), array_agg(channel), array_agg(power), array_agg(voltage), array_agg("current"),
       array_agg("timestamp"), array_agg(idempotency_key)
FROM (SELECT * FROM rows ORDER BY idempotency_key) AS sorted;
TRUNCATE rows;
"""
STATEMENT = f"""
INSERT INTO power_logs ({COLUMNS})
SELECT u.* FROM arrays, unnest(device, channel, power, voltage, amperes, moment, key) AS u
WHERE number = %d
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
"""


def together(rig, effort):
    """Drain and ingest at the same time, and each alone."""
    tables = Tables(rig, effort)
    seconds = 3 * effort.seconds // 2
    spool = "spool-together"
    # More than the loader can drain during the measurement.
    backlog = seconds * 40_000

    def load(receiver):
        return round(receiver.load(100, 32, seconds)["messages_per_second"])

    def drained(begin):
        """Rows a second up to the last commit."""
        rows, last = rig.sql(
            "SELECT coalesce(sum(inserted), 0), extract(epoch FROM max(updated_at)) FROM spool_progress", "loading"
        ).split("|")
        return round(int(rows) / (float(last or begin + seconds) - begin))

    def ingest_alone():
        with rig.receiver(spool) as receiver:
            return {"messages_per_second": load(receiver)}

    def with_backlog():
        rig.forget(spool)
        rig.fill(spool, backlog)
        return tables.fresh()

    def drain_alone():
        database = with_backlog()
        begin = time.time()
        with rig.loader(spool, database):
            time.sleep(seconds)
        return {"rows_per_second": drained(begin)}

    def both():
        database = with_backlog()
        with rig.receiver(spool, fresh=False) as receiver:
            begin = time.time()
            with rig.loader(spool, database):
                messages = load(receiver)
            return {"messages_per_second": messages, "rows_per_second": drained(begin)}

    return alternate(effort.rounds, {"ingest alone": ingest_alone, "drain alone": drain_alone, "both": both})


def memory(rig, effort):
    """Peak memory, the cost of the ledger, and the cost of an idle receiver."""
    rig.start_postgres()

    def receiver(batch):
        with rig.receiver("spool") as server:
            time.sleep(1)
            idle = server.memory_mib()
            server.load(batch, 64, effort.seconds)
            return {"idle_mib": round(idle, 1), "load_mib": round(server.memory_mib(), 1)}

    def loader():
        tables_database = "memory"
        rig.sql(f"DROP DATABASE IF EXISTS {tables_database} WITH (FORCE)", "postgres")
        rig.sql(f"CREATE DATABASE {tables_database}", "postgres")
        rig.migrate(tables_database)
        spool = rig.filled(effort.spools[-1])
        pend(spool)
        with rig.loader(spool, tables_database) as loader:
            time.sleep(2 * effort.seconds)
            loader.check()
            return {"mib": round(loader.memory_mib(), 1)}

    def ledger():
        # A message for each device and day, with four channels.
        few, many, days = 20_000, 60_000, 5

        def bytes_of(devices, days):
            rig.forget("spool-ledger")
            rig.fill("spool-ledger", devices * days, devices, minutes=1440)
            with rig.receiver("spool-ledger", fresh=False, fills=False) as server:
                return server.memory_mib("VmRSS") * 2**20

        one = bytes_of(many, 1)
        return {
            "first_day_bytes": round((one - bytes_of(few, 1)) / (many - few) / 4),
            "further_day_bytes": round((bytes_of(many, days) - one) / (days - 1) / many / 4),
        }

    def idle():
        with rig.receiver("spool", fills=False) as server, rig.loader("spool", "memory") as loader:
            time.sleep(1)
            before = [process.cpu_seconds() for process in (server, loader)]
            seconds = max(2, effort.seconds)
            time.sleep(seconds)
            after = [process.cpu_seconds() for process in (server, loader)]
            percent = [round((b - a) / seconds * 100, 2) for a, b in zip(before, after)]
            return {"receiver_percent": percent[0], "loader_percent": percent[1]}

    return alternate(effort.rounds, {
        "receiver 100x64": lambda: receiver(100),
        "receiver 1000x64": lambda: receiver(1000),
        "loader with backlog": loader,
        "ledger": ledger,
        "idle": idle,
    }) | {"backlog_bytes": effort.spools[-1]}


def growth(rig, effort):
    """The effects of a large spool and of a large fleet."""
    # For the spools themselves and the records that are appended.
    rig.back_disk(sum(effort.spools) + effort.close_rounds * effort.seconds * 1_000_000_000)
    spools = {0: "spool"} | {size: rig.filled(size) for size in effort.spools}

    def with_spool(size):
        with rig.receiver(spools[size], fresh=size == 0) as receiver:
            result = {"ready_ms": round(receiver.ready_seconds * 1000)}
            result["messages_per_second"] = receiver.load(100, 64, effort.seconds)["messages_per_second"]
            result |= {
                name: value for name, value in receiver.time_answers(10, 16, effort.seconds).items()
                if name.startswith("p")}
            # The next start on a filled spool is one after `kill -9`.
            receiver.stop(signal.SIGKILL)
            return result

    def restarted(size):
        """Of the start after a kill in the middle of a segment. The first start with generated segments reads them all."""
        spool = spools.get(size) or rig.retained(size)
        with rig.receiver(spool, fresh=False, fills=False) as receiver:
            first = receiver.ready_seconds
            receiver.load(100, 64, 1)
            receiver.stop(signal.SIGKILL)
        with rig.receiver(spool, fresh=False, fills=False) as receiver:
            receiver.stop(signal.SIGKILL)
            return {"ready_ms": round(receiver.ready_seconds * 1000), "first_ms": round(first * 1000)}

    def with_fleet(devices):
        with rig.receiver("spool") as receiver:
            return receiver.load(100, 64, effort.seconds, DEVICES=devices)

    def runs(sizes):
        return {
            f"spool {size}": lambda size=size: with_spool(size) for size in sizes
        } | {
            f"restart {size}": lambda size=size: restarted(size) for size in sizes
        }

    empty, *between, largest = spools
    return alternate(effort.close_rounds, runs([empty, largest])) | alternate(effort.rounds, runs(between) | {
        f"restart {size}": lambda size=size: restarted(size) for size in effort.retained
    } | {
        f"devices {devices}": lambda devices=devices: with_fleet(devices) for devices in effort.fleets
    })


def flat(rig, effort):
    """Costs that many loaded segments and many devices must not raise."""
    rig.start_postgres()

    def spool_of(count):
        name = f"spool-of-{count}"
        rig.small_segments(name, count)
        rig.fresh_database("flat" + str(count))
        rig.migrate("flat" + str(count))
        rig.drain(name, "flat" + str(count))
        # The drain records which segments are loaded.
        rig.drain(name, "flat" + str(count))
        return name

    def drain(count):
        _, _, cpu = rig.loader_seconds(["drain"], spools[count], "flat" + str(count))
        return {"cpu_ms": round(1000 * cpu, 1)}

    def metrics(count):
        requests = 100
        with rig.receiver(spools[count], fresh=False, fills=False) as receiver:
            time.sleep(1)
            before = receiver.cpu_seconds()
            for _ in range(requests):
                if rigs.get(receiver.port, "/metrics")[0] != 200:
                    raise SystemExit("bench: no metrics")
            return {"cpu_ms": round((receiver.cpu_seconds() - before) / requests * 1000, 1)}

    def ingest(paths):
        with rig.receiver("spool-devices", fresh=False) as receiver:
            for path in paths:
                rigs.get(receiver.port, path)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                answers = pool.submit(
                    receiver.time_answers, 100, 64, effort.open_loop_seconds, rate=effort.rate_beside_pages)
                pages = []
                while paths and not answers.done():
                    for path in paths:
                        begin = time.monotonic()
                        status, _ = rigs.get(receiver.port, path)
                        pages.append(1000 * (time.monotonic() - begin))
                        if status != 200:
                            raise SystemExit(f"bench: {path}: {status}")
                    time.sleep(0.05)
                result = {"p99_ms": answers.result()["p99_ms"]}
        if pages:
            result |= {"page_p50_ms": round(sorted(pages)[len(pages) // 2], 1), "page_max_ms": round(max(pages), 1)}
        return result

    say(f"  {effort.segments} segments, and {effort.devices} devices")
    spools = {count: spool_of(count) for count in (1, effort.segments)}
    rig.forget("spool-devices")
    rig.fill("spool-devices", effort.devices, effort.devices)
    return alternate(effort.rounds, {
        f"drain {count}": lambda count=count: drain(count) for count in spools
    } | {
        f"metrics {count}": lambda count=count: metrics(count) for count in spools
    }) | alternate(effort.close_rounds, {
        "ingest alone": lambda: ingest([]),
        "ingest beside pages": lambda: ingest(["/api/devices", "/"]),
    }) | {"segments": effort.segments, "devices": effort.devices}


def first_device(rig, spool):
    with subprocess.Popen(
            [rig.programs / "shelly-loader", "cat", "--readings", "--spool", STATE / spool], stdout=subprocess.PIPE,
            env=rigs.clean_environment()) as cat:
        line = cat.stdout.readline()
        cat.kill()
    return json.loads(line)["device_id"]


def reading(rig, effort):
    """Reading a spool back: against the database, and for one device."""
    tables = Tables(rig, effort)
    spool = "spool-reading"
    rig.forget(spool)
    rig.fill(spool, effort.drain_messages)
    # Its segments are not loaded, so they are not compressed.
    plain = rig.filled(effort.spools[0])
    size = sum(file.stat().st_size for file in (STATE / plain / "pending").iterdir())
    device = first_device(rig, plain)

    def read(command):
        _, seconds, cpu = rig.loader_seconds([*command, "--device", device], plain, "base")
        return {"gigabytes_per_second": round(size / seconds / 1e9, 2), "cpu_seconds": round(cpu, 2)}

    def verify():
        output, seconds, cpu = rig.loader_seconds(["verify", "--database", "--json"], spool, "reading")
        found = json.loads(output)["database"]
        if found["readings"] != 4 * effort.drain_messages or found["missing"] > 0:
            raise SystemExit(f"bench: verify: {found}")
        return {"readings_per_second": round(found["readings"] / seconds), "cpu_seconds": round(cpu, 2)}

    results = alternate(effort.rounds, {
        "cat --device": lambda: read(["cat"]),
        "replay --dry-run --device": lambda: read(["replay", "--dry-run"]),
    })
    rig.drain(spool, tables.fresh("reading"))
    return results | alternate(effort.rounds, {"verify --database": verify}) | {"bytes": size}


#: The name of a step in the results, and the arguments of `hot`: the step, and INGEST_COMPONENTS if it is not the default.
STEPS = {
    "decode": ("decode",), "breaks": ("breaks",), "insert": ("insert",), "record": ("record",), "all": ("all",),
    "decode, all components": ("decode", "all"), "all, all components": ("all", "all"),
}
#: The preparation of a step is counted separately and subtracted.
PREPARATION = {"insert": "decoded"}


def hot(rig, effort):
    """One core, no server: nanoseconds and instructions of a message."""
    program = STATE / "hot"
    # valgrind cannot read the debugging information of newer compilers.
    run("strip", "--strip-debug", "-o", program, rig.tools / "hot")

    def command(name, messages):
        step, *components = STEPS.get(name, (name,))
        return (program, step, str(messages), BENCH / "message.json", *components)

    def timed(name):
        return {"ns": round(float(run(*command(name, effort.timed_messages))), 1)}

    def instructions(name):
        counts = []
        for messages in (effort.counted_messages, 2 * effort.counted_messages):
            done = subprocess.run(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command(name, messages)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, check=True, env=rigs.clean_environment() | {"SWIFT_DETERMINISTIC_HASHING": "1"})
            counts.append(int(re.search(r"Collected : (\d+)", done.stderr)[1]))
        return (counts[1] - counts[0]) / effort.counted_messages

    results = alternate(effort.close_rounds, {step: lambda step=step: timed(step) for step in STEPS})
    say("  instructions")
    # Instruction counts do not depend on the machine's load, so one runs on each core.
    names = (*STEPS, "none", *PREPARATION.values())
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        all_of = dict(zip(names, pool.map(instructions, names)))
    counted = {step: round(all_of[step] - all_of[PREPARATION.get(step, "none")]) for step in STEPS}
    return results | {"instructions": counted}


def profile(rig, effort):
    """The functions in which the receiver under load spends its time."""
    if not profiles.is_available():
        say("  perf is missing, or has no permission to sample")
        return {}
    found = {}
    for batch, connections in ((100, 32), (1, 64)):
        with rig.receiver("spool") as receiver:
            shares = profiles.of_load(receiver, batch, connections, 2 * effort.seconds)
        if shares:
            found[f"{batch}x{connections}"] = shares
    return found


PARTS = {
    "ingest": ingest, "latency": latency, "herd": herd, "drain": drain, "together": together, "growth": growth,
    "flat": flat, "reading": reading, "memory": memory, "hot": hot, "profile": profile,
}

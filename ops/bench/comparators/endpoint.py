"""A simple endpoint by a developer who knows PostgreSQL: it inserts each batch with one statement.

With GROUP=1 a worker inserts all batches together that arrived during its previous statement. uvicorn runs two workers.

It lacks: acceptance of batches while the database is down or slow, a bound for waiting batches, handling of single bad readings
(msgspec refuses the batch), dead letters, statistics, metrics.
"""

import asyncio
import os
from datetime import datetime, timezone

import asyncpg

from batches import application, readings

INSERT = """
    INSERT INTO power_logs (device_id, channel, power, voltage, current, timestamp, idempotency_key)
    SELECT * FROM unnest($1::text[], $2::int[], $3::float8[], $4::float8[], $5::float8[], $6::timestamptz[], $7::text[])
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
"""
pool = None
waiting = asyncio.Queue()


def rows_of(messages):
    rows = []
    for message in messages:
        moment, minute = datetime.fromtimestamp(message.timestamp, timezone.utc), message.timestamp // 60
        for channel, switch in readings(message):
            rows.append((message.src, channel, switch.apower, switch.voltage, switch.current, moment,
                         f"{message.src}_{channel}_{minute}"))
    return rows


def columns(rows):
    # In the order of their keys, or two statements with keys in common could wait for each other.
    rows.sort(key=lambda row: row[6])
    return zip(*rows)


async def insert_batch(_, messages):
    rows = rows_of(messages)
    status = await pool.execute(INSERT, *columns(rows)) if rows else "INSERT 0 0"
    inserted = int(status.rpartition(" ")[2])
    return {"inserted": inserted, "duplicates": len(rows) - inserted}


async def insert_in_group(_, messages):
    rows, done = rows_of(messages), asyncio.get_running_loop().create_future()
    waiting.put_nowait((rows, done))
    new = await done
    inserted = 0
    for row in rows:
        if row[6] in new:
            new.remove(row[6])
            inserted += 1
    return {"inserted": inserted, "duplicates": len(rows) - inserted}


async def insert_groups():
    while True:
        group = [await waiting.get()]
        while not waiting.empty():
            group.append(waiting.get_nowait())
        try:
            rows = [row for batch, _ in group for row in batch]
            new = {row[0] for row in await pool.fetch(INSERT + "RETURNING idempotency_key", *columns(rows))} if rows else set()
            for _, done in group:
                done.set_result(new)
        except (asyncpg.PostgresError, OSError) as error:
            for _, done in group:
                done.set_exception(error)


async def start():
    global pool, groups
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    if IS_GROUPED:
        groups = asyncio.create_task(insert_groups())


IS_GROUPED = os.environ.get("GROUP") == "1"
app = application(insert_in_group if IS_GROUPED else insert_batch, start)

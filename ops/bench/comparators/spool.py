"""A spool of an afternoon's work: it appends batches to a file, with one fdatasync for all that arrived during the previous one.

It lacks: recovery (a start does not restore the minute keys), handling of a torn tail, limits of any kind, rotation, single bad
readings, line breaks in a body, a failing disk (it ends), a loader, statistics, metrics.
"""

import asyncio
import os
import time
import zlib

from batches import application, readings

file = os.open(os.environ["SPOOL_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
ledger = {}
pending = []
arrival = asyncio.Event()
records = 0


def claim(messages):
    """Sets the batch's minute keys in the ledger; how many were new, and how many not."""
    new = old = 0
    for message in messages:
        channels = 0
        for channel, _ in readings(message):
            channels |= 1 << channel
        key = message.src, message.timestamp // 60
        before = ledger.get(key, 0)
        ledger[key] = before | channels
        new += (channels & ~before).bit_count()
        old += (channels & before).bit_count()
    return new, old


async def ingest(body, messages):
    global records
    new, old = claim(messages)
    records += 1
    record = b"%d %d %d %b" % (records, time.time_ns() // 1_000_000, len(body), body)
    done = asyncio.get_running_loop().create_future()
    pending.append((b"%08x %b\n" % (zlib.crc32(record), record), done))
    arrival.set()
    answer = {"inserted": new, "duplicates": old, "record": f"00000001:{records}"}
    await done
    return answer


def make_durable(group):
    content = b"".join(record for record, _ in group)
    if os.write(file, content) != len(content):
        os._exit(1)
    os.fdatasync(file)


async def commit_groups():
    global pending
    loop = asyncio.get_running_loop()
    while True:
        await arrival.wait()
        arrival.clear()
        group, pending = pending, []
        try:
            await loop.run_in_executor(None, make_durable, group)
        except OSError:
            os._exit(1)
        for _, done in group:
            done.set_result(None)


async def start():
    global commits
    commits = asyncio.create_task(commit_groups())


app = application(ingest, start)

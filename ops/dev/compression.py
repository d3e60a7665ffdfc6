#!/usr/bin/env python3
"""How many bytes of spool a message takes, as text and compressed.

    compression.py [MESSAGES]

Simulates a fleet that reports each minute, writes its messages as a spool of two segments, 8,000 messages in the first one
by default, and lets `shelly-loader drain` load and compress it beside a private PostgreSQL. Prints a table for
docs/BENCHMARKS.md. The program is the one in SHELLY_BIN, or else the debug build.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import uuid

import segment

ROOT = pathlib.Path(__file__).parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("SHELLY_BIN") or ROOT / ".build/debug") / "shelly-loader"
POSTGRES = ROOT / "ops/dev/postgres.sh"

START = 1_795_392_000  # midnight, UTC
DEVICES = 500
BATCH = 100


class Channel:
    """A load that changes now and then, and is measured with some noise."""

    def __init__(self, rng):
        self.rng = rng
        self.load = rng.choice([0.0, 4.0, 60.0, 85.0, 1200.0]) * rng.uniform(0.8, 1.2)
        self.total = rng.uniform(0, 500_000)
        self.minutes = [self.load * 1000 / 60] * 3
        self.celsius = rng.uniform(30, 50)

    def report(self, second, number):
        rng = self.rng
        if rng.random() < 0.05:
            self.load = rng.choice([0.0, 4.0, 60.0, 85.0, 1200.0]) * rng.uniform(0.8, 1.2)
        power = self.load * rng.uniform(0.99, 1.01)
        voltage = rng.gauss(231, 1.5)
        self.minutes = [round(power * 1000 / 60, 3)] + self.minutes[:2]
        self.total += self.minutes[0] / 1000
        self.celsius += rng.uniform(-0.2, 0.2)
        return {
            "id": number, "source": "init", "output": self.load > 0, "apower": round(power, 1), "voltage": round(voltage, 1),
            "freq": round(rng.gauss(50, 0.02), 1), "current": round(power / voltage, 3), "pf": round(rng.uniform(0.85, 1), 2),
            "aenergy": {
                "total": round(self.total, 3), "by_minute": [round(minute, 3) for minute in self.minutes],
                "minute_ts": second // 60 * 60,
            },
            "temperature": {"tC": round(self.celsius, 1), "tF": round(self.celsius * 1.8 + 32, 1)},
        }


class Device:
    def __init__(self, rng, channels):
        self.name = f"shellypro{channels}pm-{rng.getrandbits(48):012x}"
        self.offset = rng.randrange(60)
        self.channels = [Channel(rng) for _ in range(channels)]

    def status(self, minute):
        second = START + minute * 60 + self.offset
        reports = [channel.report(second, number) for number, channel in enumerate(self.channels)]
        return self.message(second, {f"switch:{number}": report for number, report in enumerate(reports)})

    def counters(self, minute):
        second = START + minute * 60
        report = self.channels[0].report(second, 0)
        return self.message(second, {"switch:0": {"id": 0, "aenergy": report["aenergy"]}})

    def change(self, minute):
        second = START + minute * 60 + self.offset
        report = self.channels[0].report(second, 0)
        return self.message(second, {"switch:0": {key: report[key] for key in ("id", "apower", "current")}})

    def message(self, second, params):
        return {"src": self.name, "timestamp": second, "params": params}


FLEETS = [
    ("a status of four channels", 4, Device.status),
    ("a status of one channel", 1, Device.status),
    ("the counters of one channel", 1, Device.counters),
    ("a change of power", 1, Device.change),
]


def batches(channels, report, messages):
    rng = random.Random(1)
    devices = [Device(rng, channels) for _ in range(DEVICES)]
    found = [report(device, minute) for minute in range(messages // DEVICES) for device in devices]
    return [found[first : first + BATCH] for first in range(0, len(found), BATCH)]


def measure(channels, report, messages, directory, url):
    """Bytes of a message, as text and compressed."""
    spool = pathlib.Path(directory, f"{channels}-{report.__name__}")
    for folder in ("pending", "loaded", "rejected", "ledger"):
        (spool / folder).mkdir(parents=True)
    identity = str(uuid.uuid4())
    (spool / "spool.json").write_text(json.dumps({"format": "shelly-spool", "version": 1, "spool": identity}))
    first = spool / "pending/00000001.spool"
    content = batches(channels, report, messages)
    segment.write(first, content, "", START + messages // DEVICES * 60, spool=identity)
    # The newest one stays as it is.
    segment.write(spool / "pending/00000002.spool", content[:1], "", START, spool=identity, number=2)
    text = first.stat().st_size
    environment = dict(os.environ, DATABASE_URL=url, SPOOL_DIR=str(spool), LOG_LEVEL="error")
    for command in ("migrate", "drain"):
        subprocess.run([PROGRAM, command], check=True, env=environment, stdout=subprocess.DEVNULL)
    count = sum(map(len, content))
    return text / count, (spool / "loaded/00000001.spool.zst").stat().st_size / count


def main():
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with tempfile.TemporaryDirectory() as directory:
        cluster = pathlib.Path(directory, "postgres")
        url = subprocess.run([POSTGRES, "start", cluster], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        try:
            print("| bytes of spool for a message | as text | compressed | times smaller |\n| --- | ---: | ---: | ---: |")
            for name, channels, report in FLEETS:
                text, compressed = measure(channels, report, messages, directory, url)
                print(f"| {name} | {text:,.0f} | {compressed:,.0f} | {text / compressed:.1f} |")
        finally:
            subprocess.run([POSTGRES, "destroy", cluster], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


main()

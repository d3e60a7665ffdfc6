#!/usr/bin/env python3
"""How exact the energy of a day is when it is summed from rows, with INGEST_POWER=sample and with energy.

    energy.py [SEED...]

Simulates days of a device with short loads, second by second, and what the device sends: a change of power at once, the
counters by the minute in the first second of the next minute. The messages go into a segment, and `shelly-loader cat
--readings` makes readings of them, as the receiver and the loader do. Prints the errors of the summed energy in percent.
The program is the one in SHELLY_BIN, or else the debug build.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import segment

ROOT = pathlib.Path(__file__).parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("SHELLY_BIN") or ROOT / ".build/debug") / "shelly-loader"

DAY = 86_400
START = 1_795_392_000  # midnight, UTC
PULSE = 0.2  # Wh: meters of Gen3 and Gen4 count in such steps


def load(seed):
    """The true power in W at each second: a standby load, a refrigerator, a kettle and an iron with a thermostat."""
    rng = random.Random(seed)
    power = [4.0] * DAY

    def run(start, seconds, watts):
        for second in range(start, min(start + seconds, DAY)):
            power[second] += watts

    second = rng.randrange(2000)
    while second < DAY:
        run(second, rng.randrange(500, 900), 85.0)
        second += rng.randrange(2200, 3000)
    for _ in range(8):
        run(rng.randrange(DAY), rng.randrange(80, 200), 1950.0)
    second = rng.randrange(DAY - 5000)
    for _ in range(60):
        run(second, rng.randrange(8, 20), 2300.0)
        second += rng.randrange(30, 90)
    return power


def message(second, component):
    return {"src": "meter", "timestamp": START + second, "params": {"switch:0": component}}


def statuses(power, seconds):
    """A message with the power of each of these seconds."""
    return [message(second, {"apower": power[second]}) for second in seconds]


def counters(power, lost=lambda frame: False, step=None):
    """A message each minute with the energy of the three minutes before it in mWh; some messages are lost."""
    found, counted, exact = [], 0.0, 0.0
    for minute in range(DAY // 60):
        exact += sum(power[minute * 60 : minute * 60 + 60]) / 3.6
        total = exact if step is None else exact // (step * 1000) * step * 1000
        found.append(round(total - counted, 3))
        counted += found[-1]
    messages = []
    for frame in range(1, DAY // 60 + 3):
        minutes = [found[minute] if 0 <= minute < len(found) else 0.0 for minute in range(frame - 1, frame - 4, -1)]
        if not lost(frame):
            energy = {"by_minute": minutes, "minute_ts": START + frame * 60}
            messages.append(message(frame * 60, {"aenergy": energy}))
    return messages


def rows(messages, rules, directory):
    """The power of each minute of the day: the first reading of a minute, as in the table."""
    path = pathlib.Path(directory, "00000001.spool")
    batches = [messages[first : first + 500] for first in range(0, len(messages), 500)]
    segment.write(path, batches, rules, START + 2 * DAY)
    found = {}
    for line in subprocess.run([PROGRAM, "cat", "--readings", path], check=True, stdout=subprocess.PIPE).stdout.splitlines():
        reading = json.loads(line)
        found.setdefault((reading["timestamp"] - START) // 60, reading["power"])
    return {minute: found[minute] for minute in found if 0 <= minute < DAY // 60}


def energy(found, held=False):
    """Wh of the rows, a minute each; a minute without a row has the last row's power, or none."""
    total = last = 0.0
    for minute in range(DAY // 60):
        last = found.get(minute, last if held else 0.0)
        total += last / 60
    return total


def errors(seed, directory):
    power = load(seed)
    changes = [0] + [second for second in range(1, DAY) if abs(power[second] - power[second - 1]) > 1]
    sampled = rows(statuses(power, changes), None, directory)

    def by_counters(**device):
        messages = counters(power, **device) + statuses(power, changes)
        return energy(rows(sorted(messages, key=lambda sent: sent["timestamp"]), "switch;energy", directory))

    ways = {
        "sample, changes alone, sum of the rows": energy(sampled),
        "sample, changes alone, last value held": energy(sampled, held=True),
        "sample, a status each minute": energy(rows(statuses(power, range(seed % 60, DAY, 60)), None, directory)),
        "energy": by_counters(),
        "energy, two of three counter messages lost": by_counters(lost=lambda frame: frame % 3 != 0),
        "energy, a meter that counts in steps of 0.2 Wh": by_counters(step=PULSE),
    }
    truth = sum(power) / 3600
    return {way: (found - truth) / truth * 100 for way, found in ways.items()}


def main():
    seeds = [int(argument) for argument in sys.argv[1:]] or range(1, 31)
    with tempfile.TemporaryDirectory() as directory:
        days = [errors(seed, directory) for seed in seeds]
    print(f"error of a day's energy in percent, {len(days)} days:")
    for way in days[0]:
        # Without a minus before a rounded zero.
        values = sorted(round(day[way], 2) + 0.0 for day in days)
        print(f"  {way:48} {values[0]:+7.2f} to {values[-1]:+7.2f}")


main()

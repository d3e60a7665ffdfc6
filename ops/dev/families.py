#!/usr/bin/env python3
"""The rows that each family of devices gives, by the form of its frames and by the reading rules, for docs/FRAMES.md.

    families.py [--check]

families.ndjson has the frames of each family: composed after public reports, with invented names and figures. The Worker's
message.js makes messages of them; they go into a segment, and `shelly-loader cat --readings` makes readings, as the receiver
and the loader do. Writes the table into docs/FRAMES.md. --check writes nothing and fails if the table there differs.
The program is the one in SHELLY_BIN, or else the debug build; the Worker's part needs Node.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import segment

ROOT = pathlib.Path(__file__).parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("SHELLY_BIN") or ROOT / ".build/debug") / "shelly-loader"
PAGE = ROOT / "docs/FRAMES.md"
RECEIVED_AT = 1_795_435_200  # the newest frame's time

ALL = "switch,pm1,em1,em,cover,light,rgb,rgbw,cct"
RULES = [None, f"{ALL};sample", f"{ALL};energy"]
SHAPES = {
    "full": "whole status",
    "getstatus": "reply to `Shelly.GetStatus`",
    "component_getstatus": "reply to the component's `GetStatus`",
    "status_topic": "MQTT `status/…`",
    "deltas": "two changes",
    "minute": "counters of a minute",
}
BEGIN, END = "<!-- families.py -->\n", "<!-- /families.py -->\n"

READER = """
import { readMessage } from "./ops/cloudflare/message.js";
import { readFileSync } from "node:fs";
const [sentAt, ...bodies] = JSON.parse(readFileSync(0, "utf8"));
const texts = bodies.map((body) => readMessage(body, new Date(sentAt * 1000)).json ?? "null");
console.log(`[${texts}]`);
"""


def bodies(family, shape):
    """The messages of a queue."""
    frames = family["shapes"][shape]
    if shape != "status_topic":
        return frames if isinstance(frames, list) else [frames]
    kind = family["component"].partition(":")[0]
    topic = f"{family['shapes']['full']['src']}/status/{kind}:{frames['id']}"
    return [{"topic": topic, "payload": json.dumps(frames)}]


def messages(found):
    """The receiver's message of each body; None where the Worker acknowledges a body without a meter."""
    text = json.dumps([RECEIVED_AT, *found])
    command = ["node", "--input-type=module", "--eval", READER]
    return json.loads(subprocess.run(command, check=True, input=text.encode(), stdout=subprocess.PIPE, cwd=ROOT).stdout)


def rows(batches, rules, directory):
    """The number of rows of each batch: its keys."""
    path = pathlib.Path(directory, "00000001.spool")
    segment.write(path, batches, rules, RECEIVED_AT)
    keys = [set() for _ in batches]
    for line in subprocess.run([PROGRAM, "cat", "--readings", path], check=True, stdout=subprocess.PIPE).stdout.splitlines():
        reading = json.loads(line)
        keys[int(reading["record"].partition(":")[2]) - 1].add(reading["idempotency_key"])
    return [len(found) for found in keys]


def table():
    with open(pathlib.Path(__file__).parent / "families.ndjson", encoding="utf-8") as lines:
        families = [json.loads(line) for line in lines]
    parts = [bodies(family, shape) for family in families for shape in SHAPES]
    flat = iter(messages([body for part in parts for body in part]))
    batches = [[message for message in [next(flat) for _ in part] if message] for part in parts]
    with tempfile.TemporaryDirectory() as directory:
        counts = list(zip(*(rows(batches, rules, directory) for rules in RULES)))
    text = "| family, component | " + " | ".join(SHAPES.values()) + " |\n|---|" + "---|" * len(SHAPES) + "\n"
    for number, family in enumerate(families):
        cells = counts[number * len(SHAPES) : (number + 1) * len(SHAPES)]
        name = f"{family['family']}, `{family['component'].partition(':')[0]}`"
        text += f"| {name} | " + " | ".join(" / ".join(map(str, cell)) for cell in cells) + " |\n"
    return text


def main():
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    new = head + BEGIN + table() + END + rest.split(END)[1]
    if sys.argv[1:] == ["--check"]:
        if new != page:
            sys.exit("families.py: docs/FRAMES.md does not have the present table; run ops/dev/families.py")
    elif sys.argv[1:]:
        sys.exit("usage: ops/dev/families.py [--check]")
    else:
        PAGE.write_text(new, encoding="utf-8")


main()

#!/usr/bin/env python3
"""Measures the product and its comparators, and writes the tables, JSON and plots of docs/BENCHMARKS.md.

    bench.py                      all parts, in some 20 minutes once built
    bench.py ingest latency       these parts; the last results of the others are kept
    bench.py --quick --output DIR one short run of each part, to check that the bench works; the figures mean nothing

FULL=1 measures the growth with 10 GB instead of 2, and a start with 200 GB instead of 20. SHELLY_BIN=DIR takes the release programs from DIR.
SHELLY_PEER=DIR takes the peer that inserts row by row from DIR; without it the peer is left out.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import time

import figures
import report
from rig import ROOT, Rig, run, say


def main():
    arguments = parse()
    effort = figures.QUICK if arguments.quick else figures.Effort()
    if os.environ.get("FULL"):
        effort.spools = (2_000_000_000, 10_000_000_000)
        effort.retained = (20_000_000_000, 200_000_000_000)
    # On an exception the rig stops everything that it has started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))

    document = arguments.output / "BENCHMARKS.md"
    results_file = arguments.output / "benchmarks.json"
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not document.exists():
        shutil.copy(ROOT / "docs/BENCHMARKS.md", document)
    results = json.loads(results_file.read_text()) if results_file.exists() else {}

    run(ROOT / "ops/dev/packages.sh", "build", "run", "bench")
    with Rig() as rig:
        rig.build()
        if not arguments.quick:
            rig.memory_of_a_run = 2 << 30
        results["machine"] = report.machine(rig)
        for part in arguments.parts:
            say(f"{part}: {figures.PARTS[part].__doc__.splitlines()[0]}")
            started = time.monotonic()
            results[part] = figures.PARTS[part](rig, effort)
            results[part]["took_seconds"] = round(time.monotonic() - started)
            results[part]["commit"] = results["machine"]["commit"]
            results[part]["day"] = time.strftime("%Y-%m-%d", time.gmtime())
            # After each part, so that a later failure does not lose its results.
            results_file.write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, document)
    print(report.summary(results))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(figures.PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument(
        "--output", type=pathlib.Path, default=ROOT / "docs", help="where the results go (default: docs)")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(figures.PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    arguments.parts = arguments.parts or list(figures.PARTS)
    return arguments


if __name__ == "__main__":
    main()

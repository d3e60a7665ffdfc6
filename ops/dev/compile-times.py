#!/usr/bin/env python3
"""Builds everything from nothing, in .build-times, and prints the processor time that each module took to compile.

    compile-times.py                 the programs, as for `make run`
    compile-times.py --build-tests   or other flags of `swift build`

Times are read from /proc every 20 ms, so a module of many short compilations is a few per cent too low.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".build-times"
TICKS = os.sysconf("SC_CLK_TCK")


def main(flags):
    shutil.rmtree(SCRATCH, ignore_errors=True)
    kinds, times = {}, {}
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        build = subprocess.Popen(["swift", "build", "--scratch-path", SCRATCH, *flags], cwd=ROOT,
                                 stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        while build.poll() is None:
            sample(kinds, times)
            time.sleep(0.02)
        if build.returncode != 0:
            output.seek(0)
            sys.exit(output.read()[-4000:])
    report(kinds, times, time.monotonic() - started)


def sample(kinds, times):
    """Reads the times of the compilers and linkers that run: `kinds` and `times` are by process."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = pathlib.Path(f"/proc/{entry.name}/stat").read_text().rpartition(")")[2].split()
            # With its start, as another process may get the number.
            process = entry.name, fields[19]
            # A process is read again until it has become a compiler.
            if kinds.get(process) is None:
                command = pathlib.Path(f"/proc/{entry.name}/cmdline").read_bytes().decode(errors="replace").split("\0")
                kinds[process] = kind(command)
            if kinds[process] is not None:
                times[process] = (int(fields[11]) + int(fields[12])) / TICKS
        except OSError:
            pass  # It has ended.


def kind(command):
    """(package, module) of a compilation, a linker's or SwiftPM's name, None for anything else."""
    program = command[0].rpartition("/")[2]
    if not any(str(SCRATCH) in word for word in command):
        return None
    if any(word.endswith("Package.swift") for word in command):
        return "tools", "manifests"
    if program == "swift-frontend" and "-module-name" in command:
        module = command[command.index("-module-name") + 1]
        return package(module), module
    if program.startswith("clang") and "-c" in command:
        source = next((word for word in command if re.search(r"\.(c|cc|cpp|S)$", word)), "")
        path = source.partition("/Sources/")[2].split("/")
        module = path[1] if path[0] == "Shared" else path[0]
        return package(module), module
    if program in ("ld", "ld.gold", "ld.lld", "lld", "ld.bfd"):
        return "tools", "linking"
    if program == "swift-build":
        return "tools", "SwiftPM"
    return None


def package(module):
    """The package whose sources have a folder of the module's name."""
    found = next(SCRATCH.glob(f"checkouts/*/Sources/{module}"), None)
    return found.parts[-3] if found else "this package"


def report(kinds, times, seconds):
    modules = collections.Counter()
    for process, spent in times.items():
        modules[kinds[process]] += spent
    packages = collections.Counter()
    for (name, _), spent in modules.items():
        packages[name] += spent
    print(f"{seconds:.0f} s on {os.cpu_count()} cores, {sum(modules.values()):.0f} s of processor time\n")
    print(f"{'package':<28} {'CPU s':>6}   modules above 1 s")
    for name, spent in packages.most_common():
        parts = [f"{module} {each:.0f}" for (owner, module), each in modules.most_common()
                 if owner == name and each >= 1]
        print(f"{name:<28} {spent:6.1f}   {', '.join(parts)}")


if __name__ == "__main__":
    main(sys.argv[1:])

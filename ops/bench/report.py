"""Reports the results: the targets, the tables of docs/BENCHMARKS.md, and its plots."""

import os
import platform
import re
import statistics

import plot
from rig import ROOT, run

BATCH_SIZES = (1, 10, 100, 1000)


def median(runs, field):
    return statistics.median(run[field] for run in runs)


def ratios(results, ours, other, field):
    """Ours to the other's in each round, in which they ran shortly after one another."""
    return [a[field] / b[field] for a, b in zip(results[ours], results[other], strict=True)]


def ratio(results, ours, other, field):
    """The median of the rounds' ratios."""
    return statistics.median(ratios(results, ours, other, field))


def spread(results, ours, other, field, factor=1):
    """The least and the largest of the rounds' ratios."""
    rounds = [factor * value for value in ratios(results, ours, other, field)]
    return f"{min(rounds):.3g} to {max(rounds):.3g} in {len(rounds)} rounds"


def write(results, document):
    """Rewrites the text between the markers of the document, and the plots."""
    text = document.read_text()
    for name, content in {"machine": machine_table, "targets": targets_table}.items():
        text = between(text, name, content(results))
    for part, content in TABLES.items():
        if part in results:
            text = between(text, part, content(results[part]))
    document.write_text(text)
    plots = document.parent / "plots"
    plots.mkdir(exist_ok=True)
    for name, svg in draw(results):
        (plots / f"{name}.svg").write_text(svg)


def between(text, name, content):
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"bench: the document has no markers for {name}")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def table(head, rows, text=()):
    """A table in Markdown; columns of numbers have a heading, which is not one of `text`, and stand to the right."""
    lines = [head, ["---:" if name and place and name not in text else "---" for place, name in enumerate(head)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def count(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# The targets of the issue, each as measured.

class Target:
    def __init__(self, name, value, bound, unit="", note="", at_most=False):
        self.name, self.value, self.bound, self.unit, self.note, self.at_most = name, value, bound, unit, note, at_most

    @property
    def is_met(self):
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def cells(self):
        sign = "≤" if self.at_most else "≥"
        return (self.name, f"{count(self.value)}{self.unit}", f"{sign} {count(self.bound)}{self.unit}",
                "yes" if self.is_met else "**no**", self.note)


def targets(results):
    """All targets for which there are results."""
    found = []

    def add(*arguments, **options):
        found.append(Target(*arguments, **options))

    if "ingest" in results:
        ingest = results["ingest"]
        for load, name, times, share, of_lean, microseconds in (
                ("100x32", "100 a batch, 32 connections", 100, 35, 90, 2.4),
                ("100x64", "100 a batch, 64 connections", 100, 35, 90, 2.4),
                ("1x64", "1 a batch, 64 connections", 15, 60, 70, 25)):
            if f"ours {load}" not in ingest:
                continue
            ours = median(ingest[f"ours {load}"], "messages_per_second")
            floor = median(ingest[f"floor {load}"], "messages_per_second")

            def of(other, load=load):
                return ratio(ingest, f"ours {load}", f"{other} {load}", "messages_per_second")

            rate = f"{count(ours)} messages/s"
            if f"peer {load}" in ingest:
                peer = median(ingest[f"peer {load}"], "messages_per_second")
                add(f"ingest, {name}: of the peer", of("peer"), times, " ×", f"{rate}, peer {count(peer)}")
            durable = [who for who in ("peer", "endpoint", "grouped", "python") if f"{who} {load}" in ingest]
            if "python" in durable:
                fastest = max(durable, key=lambda who, load=load: median(ingest[f"{who} {load}"], "messages_per_second"))
                add(f"ingest, {name}: of the fastest other way in the table", of(fastest), 1, " ×", COMPARED[fastest][0])
            if f"lean {load}" in ingest:
                lean = median(ingest[f"lean {load}"], "messages_per_second")
                add(f"ingest, {name}: of lean C++", 100 * of("lean"), of_lean, " %", f"lean C++ {count(lean)}; "
                    + spread(ingest, f"ours {load}", f"lean {load}", "messages_per_second", 100))
                add(f"ingest, {name}: processor time of a message", cpu_of(ingest[f"ours {load}"]), microseconds, " µs",
                    f"lean C++ {count(cpu_of(ingest[f'lean {load}']))}", at_most=True)
            add(f"ingest, {name}: of the HTTP library", 100 * of("floor"), share, " %",
                f"{rate}, library {count(floor)}")
        busiest = max(
            median(runs, "generator_cores") for name, runs in ingest.items() if name.startswith(("ours", "floor", "lean")))
        add("the load generator, of a core at most", 100 * busiest, 90, " %", at_most=True)
    if "latency" in results:
        latency = results["latency"]
        for ack, append, name, times in (
                ("ack 10x16", "append of its groups", "p99 of the answer, 10 a batch, 16 connections: of an append", 3),
                ("receiver 100 at a tenth", "append of a batch", "p99 of the answer at a tenth of the load: of an append", 5)):
            ours, disk = (median(latency[name], "p99_ms") for name in (ack, append))
            add(name, ratio(latency, ack, append, "p99_ms"), times, " ×",
                f"{ours:.2f} ms, append {disk:.2f} ms", at_most=True)
        for batch in latency["maxima"]:
            ours, lean = (f"{who} {batch} at a tenth" for who in ("receiver", "lean"))
            add(f"p99 of the answer at a tenth of the load, {batch} a batch: of lean C++", ratio(latency, ours, lean, "p99_ms"),
                2, " ×", f"{median(latency[ours], 'p99_ms'):.2f} ms, lean C++ {median(latency[lean], 'p99_ms'):.2f} ms; "
                + spread(latency, ours, lean, "p99_ms"),
                at_most=True)
    if "herd" in results:
        add("10,000 devices at once, all answered", median(results["herd"]["herd"], "ms"), 250, " ms", at_most=True)
    if "drain" in results:
        drain, field = results["drain"], "rows_per_second"
        rates = {name: median(runs, field) for name, runs in drain.items() if isinstance(runs, list)}
        ours, best = rates["drain"], max(("staging table", "unnest"), key=rates.get)
        add("drain: of the best SQL", ratio(drain, "drain", best, field), 0.9, " ×",
            f"{count(ours)} rows/s, SQL {count(rates[best])}")
        add("drain: of COPY", ratio(drain, "drain", "COPY", field), 0.5, " ×", f"COPY {count(rates['COPY'])} rows/s")
        # Results of an earlier bench do not have it.
        if by_key := rates.get("sorted COPY"):
            add("drain: of sorted COPY", ratio(drain, "drain", "sorted COPY", field), 0.95, " ×",
                f"sorted COPY {count(by_key)} rows/s")
        again = "drain of duplicates"
        add("drain of duplicates: of new rows", ratio(drain, again, "drain", field), 1, " ×",
            f"{count(rates[again])} rows/s")
    if "together" in results:
        together = results["together"]
        for name, field in (("ingest", "messages_per_second"), ("drain", "rows_per_second")):
            alone, both = median(together[f"{name} alone"], field), median(together["both"], field)
            add(f"{name} while both run: of alone", 100 * ratio(together, "both", f"{name} alone", field), 50, " %",
                f"{count(both)} of {count(alone)}/s")
    if "growth" in results:
        growth = results["growth"]
        spools = spool_sizes(growth)
        empty, full = (f"spool {size}" for size in (0, spools[-1]))
        name = f"with {spools[-1] / 1e9:.3g} GB in the spool"
        for field, what, bound, at_most in (
                ("messages_per_second", "messages/s", 90, False), ("p99_ms", "p99", 110, True)):
            add(f"{name}: {what}, of an empty one", 100 * ratio(growth, full, empty, field), bound, " %",
                f"{count(median(growth[full], field))} of {count(median(growth[empty], field))}", at_most=at_most)
        for size in (spools[-1], *retained_sizes(growth)[-1:]):
            runs = growth[f"restart {size}"]
            add(f"with {size / 1e9:.3g} GB in the spool: ready after kill -9", median(runs, "ready_ms"), 1000, " ms",
                f"up to {count(max(run['ready_ms'] for run in runs))} ms in {len(runs)} rounds", at_most=True)
    if "flat" in results:
        flat = results["flat"]
        many = f"with {flat['segments']:,} loaded segments"
        for name, what in (("drain", "an idle drain's processor time"), ("metrics", "/metrics' processor time")):
            few, most = (median(flat[f"{name} {count}"], "cpu_ms") for count in (1, flat["segments"]))
            add(f"{what} {many}", most, 20, " ms", f"{few:.1f} ms with 1", at_most=True)
        beside = flat["ingest beside pages"]
        add(f"device list and page with {flat['devices']:,} devices, the slowest", max(run["page_max_ms"] for run in beside),
            50, " ms", f"{median(beside, 'page_p50_ms'):.1f} ms in the median", at_most=True)
        add("p99 of the answer beside them: of alone", 100 * ratio(flat, "ingest beside pages", "ingest alone", "p99_ms"), 110,
            " %", f"{median(beside, 'p99_ms'):.2f} ms; "
            + spread(flat, "ingest beside pages", "ingest alone", "p99_ms", 100), at_most=True)
    if "reading" in results:
        reading = results["reading"]
        add("verify --database", median(reading["verify --database"], "readings_per_second"), 300_000, " readings/s")
        for name in ("cat --device", "replay --dry-run --device"):
            add(name, median(reading[name], "gigabytes_per_second"), 1.5, " GB/s")
    if "memory" in results:
        memory = results["memory"]
        add("receiver's memory, idle", median(memory["receiver 100x64"], "idle_mib"), 40, " MiB", at_most=True)
        # Full load is the one of the highest throughput; longer batches take more memory, and are no faster.
        largest = median(memory["receiver 1000x64"], "load_mib")
        add("receiver's memory, full load", median(memory["receiver 100x64"], "load_mib"), 150, " MiB",
            f"100 a batch, 64 connections; {largest:.0f} MiB with 1,000 a batch", at_most=True)
        backlog = f"{memory['backlog_bytes'] / 1e9:.3g} GB of backlog"
        add("loader's memory", median(memory["loader with backlog"], "mib"), 64, " MiB", backlog, at_most=True)
        add("ledger, a device's channel and day", median(memory["ledger"], "further_day_bytes"), 80, " bytes",
            f"{median(memory['ledger'], 'first_day_bytes'):.0f} on its first day, with the device's name", at_most=True)
        for program in ("receiver", "loader"):
            add(f"{program} idle, of a core", median(memory["idle"], f"{program}_percent"), 1, " %", at_most=True)
    if "hot" in results:
        nanoseconds = median(results["hot"]["all"], "ns")
        add("one core, from body to record", 1e9 / nanoseconds, 500_000, " messages/s", f"{nanoseconds:.0f} ns each")
        if "all, all components" in results["hot"]:
            more = median(results["hot"]["all, all components"], "ns") / nanoseconds * 100 - 100
            add("the same with all components, slower by", more, 10, " %", at_most=True)
    return found


def targets_table(results):
    return table(("", "measured", "target", "met", ""), [target.cells for target in targets(results)])


def summary(results):
    """The targets for a terminal."""
    rows = [target.cells for target in targets(results)]
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:<{wide[0]}}  {value:>{wide[1]}}  {bound:>{wide[2]}}  {'✓' if met == 'yes' else '✗'}  {note}".rstrip()
        for name, value, bound, met, note in rows)


# The tables of the single parts.

#: The rows of the table: who it is, and what it lacks of the receiver's work.
COMPARED = {
    "ours": ("receiver", ""),
    "disk": ("disk alone, appends of {} batches", "all but the disk"),
    "bare": ("lean C++ that only stores", "as below; reads no byte of a body"),
    "lean": ("lean C++", "key, limits, deadlines, full validation, rotation, recovery, failing disks, statistics, TLS"),
    "floor": ("HTTP library alone", "reads no byte of a body and stores none"),
    "python": ("spool in Python", "recovery, torn tails, limits, rotation, single bad readings, failing disks, statistics"),
    "endpoint": ("endpoint, a statement for a batch", "ingest without the database, bounds, single bad readings, statistics"),
    "grouped": ("endpoint, a statement for all that wait", "the same"),
    "peer": ("FastAPI peer, row by row", "ingest without the database, bounds"),
}


def cpu_of(runs):
    """Microseconds of processor time of a message."""
    return statistics.median(1e6 * run["server_cores"] / run["messages_per_second"] for run in runs)


def ingest_table(results):
    rows = []
    for batch, connections in sorted({load_of(name) for name in results if " " in name}):
        load = f"{batch}x{connections}"
        for who, (name, lacks) in COMPARED.items():
            runs = results.get(f"{who} {load}")
            if not runs:
                continue
            times = "" if who == "ours" else count(ratio(results, f"ours {load}", f"{who} {load}", "messages_per_second"))
            cores = [
                f"{median(runs, field):.2f}" if field in runs[0] else "" for field in ("server_cores", "generator_cores")]
            # Most of an endpoint's time is its database's, which is not in it.
            cpu = count(cpu_of(runs)) if who in ("ours", "lean", "bare", "floor", "python") else ""
            rows.append((
                f"{batch}, {connections}", name.format(f"{median(runs, 'batches'):.1f}" if who == "disk" else ""),
                count(median(runs, "messages_per_second")), times, f"{median(runs, 'p50_ms'):.2f}",
                f"{median(runs, 'p99_ms'):.2f}", cpu, *cores, lacks))
    return table(
        ("messages of a batch, connections", "", "messages/s", "receiver ÷ it", "p50 ms", "p99 ms",
         "µs of processor a message", "cores of the server", "of wrk", "it lacks"),
        rows, text=("it lacks",))


def load_of(name):
    batch, _, connections = name.split(" ")[1].partition("x")
    return int(batch), int(connections)


def latency_table(results):
    group = results["group"]
    names = [
        ("ack 10x16", "closed loop, 10 messages a batch, 16 connections: answer"),
        ("library 10x16", "the HTTP library's alone"),
        ("append of its groups",
         f"append + fdatasync of {group['bytes']:,} bytes, the mean group of {group['batches']} batches")]
    for batch, most in results["maxima"].items():
        names += [
            (f"receiver {batch} at a tenth", f"open loop, {batch} a batch, at a tenth of {most:,} messages/s: answer"),
            (f"lean {batch} at a tenth", "lean C++ at the same rate"),
            (f"library {batch} at a tenth", "the HTTP library alone at the same rate")]
    names.append(("append of a batch", "append + fdatasync of a batch of 100"))
    rows = []
    for name, text in names:
        runs = results[name]
        rates = [
            count(median(runs, field)) if name.endswith("tenth") else ""
            for field in ("intended_per_second", "messages_per_second")]
        times = [
            f"{median(runs, field):.2f}" if field in runs[0] else "" for field in ("p50_ms", "p99_ms", "p999_ms", "max_ms")]
        rows.append((text, *rates, *times))
    return table(("", "messages/s intended", "achieved", "p50 ms", "p99 ms", "p99.9 ms", "max ms"), rows)


def herd_table(results):
    return table(
        ("100 batches of 100 on 100 connections", "ms"),
        [(f"run {number + 1}", run["ms"]) for number, run in enumerate(results["herd"])])


def drain_table(results):
    rows = [
        (name, count(median(runs, "rows_per_second")), f"{median(runs, 'seconds'):.2f}")
        for name, runs in results.items() if isinstance(runs, list)]
    return table((f"{results['rows']:,} rows into a table of {results['table_rows']:,}", "rows/s", "s"), rows)


def together_table(results):
    def cell(name, field):
        return count(median(results[name], field)) if field in results[name][0] else ""

    fields = ("messages_per_second", "rows_per_second")
    rows = [(name, *(cell(name, field) for field in fields)) for name in ("ingest alone", "drain alone", "both")]
    return table(("", "messages/s taken", "rows/s loaded"), rows)


def growth_table(results):
    rows = []
    for size in spool_sizes(results):
        runs = results[f"spool {size}"]
        rows.append((
            f"{size / 1e9:.3g} GB in the spool", count(median(runs, "messages_per_second")),
            f"{median(runs, 'p50_ms'):.2f}", f"{median(runs, 'p99_ms'):.2f}",
            count(median(results[f"restart {size}"], "ready_ms"))))
    for size in retained_sizes(results):
        ready = count(median(results[f"restart {size}"], "ready_ms"))
        rows.append((f"{size / 1e9:.3g} GB in the spool, with holes for records", "", "", "", ready))
    for devices in fleets(results):
        runs = results[f"devices {devices}"]
        rows.append((f"{devices:,} devices", count(median(runs, "messages_per_second")), "", "", ""))
    return table(
        ("", "messages/s, 100 a batch, 64 connections", "p50 ms, 10 a batch, 16 connections", "p99 ms",
         "ready after kill -9, ms"), rows)


def flat_table(results):
    rows = []
    for name, text in (("drain", "`drain` without new records"), ("metrics", "`/metrics`")):
        for count in (1, results["segments"]):
            rows.append((
                text, f"{count:,} loaded segments", f"{median(results[f'{name} {count}'], 'cpu_ms'):.1f}", "", "", ""))
    for name, text in (("ingest alone", "ingest"), ("ingest beside pages", "ingest beside `/api/devices` and `/`")):
        runs = results[name]
        pages = [
            f"{figure(run[field] for run in runs):.1f}" if field in runs[0] else ""
            for field, figure in (("page_p50_ms", statistics.median), ("page_max_ms", max))]
        rows.append((text, f"{results['devices']:,} devices", "", f"{median(runs, 'p99_ms'):.2f}", *pages))
    return table(
        ("", "with", "processor ms", "p99 of the answer, ms", "list and page, p50 ms", "slowest, ms"), rows,
        text=("with",))


def reading_table(results):
    rows = [
        (f"`{name}`", f"{median(runs, 'gigabytes_per_second'):.2f} GB/s", f"{median(runs, 'cpu_seconds'):.2f}")
        for name, runs in results.items() if name.endswith("--device")]
    runs = results["verify --database"]
    rows.append((
        "`verify --database`", f"{count(median(runs, 'readings_per_second'))} readings/s",
        f"{median(runs, 'cpu_seconds'):.2f}"))
    return table((f"a spool of {results['bytes'] / 1e6:.0f} MB", "rate", "the loader's processor time, s"), rows)


def profile_table(results):
    loads = [load for load in results if "x" in load]
    if not loads:
        return "No profile: perf was not there."
    kinds = results[loads[0]]
    return table(
        ("percent of the receiver's time", *(f"{load.replace('x', ' a batch, ')} connections" for load in loads)),
        [(kind, *(f"{results[load][kind]:.1f}" for load in loads)) for kind in kinds])


def memory_table(results):
    rows = [
        ("receiver idle", f"{median(results['receiver 100x64'], 'idle_mib'):.1f} MiB"),
        ("receiver, 100 a batch, 64 connections", f"{median(results['receiver 100x64'], 'load_mib'):.1f} MiB"),
        ("receiver, 1000 a batch, 64 connections", f"{median(results['receiver 1000x64'], 'load_mib'):.1f} MiB"),
        (f"loader, {results['backlog_bytes'] / 1e9:.3g} GB of backlog",
         f"{median(results['loader with backlog'], 'mib'):.1f} MiB"),
        ("ledger, a device's channel on its first day, with its share of the device's name",
         f"{median(results['ledger'], 'first_day_bytes'):.0f} bytes"),
        ("ledger, a device's channel on each further day",
         f"{median(results['ledger'], 'further_day_bytes'):.0f} bytes"),
        ("receiver, nothing to do", f"{median(results['idle'], 'receiver_percent'):.2f} % of a core"),
        ("loader --follow, nothing to do", f"{median(results['idle'], 'loader_percent'):.2f} % of a core")]
    return table(("peak resident memory, and idle CPU", ""), rows)


def hot_table(results):
    names = {
        "decode": "parse and validate", "breaks": "line breaks to spaces", "insert": "check against the ledger",
        "record": "record line and checksum", "all": "all of it",
        "decode, all components": "parse and validate, `INGEST_COMPONENTS=all`",
        "all, all components": "all of it, `INGEST_COMPONENTS=all`"}
    rows = [
        (text, f"{median(results[step], 'ns'):.0f}", f"{results['instructions'][step]:,}",
         count(1e9 / median(results[step], "ns"))) for step, text in names.items() if step in results]
    return table(("a message of 1 KB with four channels", "ns", "instructions", "messages/s on a core"), rows)


TABLES = {
    "ingest": ingest_table, "latency": latency_table, "herd": herd_table, "drain": drain_table,
    "together": together_table, "growth": growth_table, "flat": flat_table, "reading": reading_table,
    "memory": memory_table, "hot": hot_table, "profile": profile_table,
}


def spool_sizes(growth):
    return sorted(int(name.split(" ")[1]) for name in growth if name.startswith("spool "))


def retained_sizes(growth):
    """The spools whose records are holes, which are only started with."""
    sizes = (int(name.split(" ")[1]) for name in growth if name.startswith("restart "))
    return sorted(set(sizes) - set(spool_sizes(growth)))


def fleets(growth):
    return sorted(int(name.split(" ")[1]) for name in growth if name.startswith("devices "))


# The plots

def draw(results):
    """Names and SVG texts of the plots."""
    if "ingest" in results:
        series = {}
        for who, name in (("floor", "HTTP library alone"), ("ours", "receiver"), ("peer", "FastAPI peer")):
            points = [
                (batch, median(results["ingest"][f"{who} {batch}x64"], "messages_per_second"))
                for batch in BATCH_SIZES if f"{who} {batch}x64" in results["ingest"]]
            if points:
                series[name] = points
        yield "batch-size", plot.lines(
            "Acknowledged messages a second over the size of a batch, 64 connections", "messages of a batch", series,
            log_y=True)
    if "growth" in results:
        growth = results["growth"]
        yield "devices", plot.lines(
            "Acknowledged messages a second over the size of the fleet", "devices",
            {"receiver": [(n, median(growth[f"devices {n}"], "messages_per_second")) for n in fleets(growth)]})
        spools = spool_sizes(growth)
        yield "backlog", plot.lines(
            "Acknowledged messages a second over the backlog", "GB in the spool",
            {"receiver": [(s / 1e9, median(growth[f"spool {s}"], "messages_per_second")) for s in spools]}, log_x=False)
        yield "backlog-latency", plot.lines(
            "Milliseconds to the answer over the backlog, 10 messages a batch, 16 connections", "GB in the spool",
            {name: [(s / 1e9, median(growth[f"spool {s}"], field)) for s in spools]
             for name, field in (("p50", "p50_ms"), ("p99", "p99_ms"))}, log_x=False)


# The machine

def machine(rig):
    """The machine and the versions of the figures."""

    def first(pattern, text):
        found = re.search(pattern, text, re.MULTILINE)
        return found[1].strip() if found else "unknown"

    with open("/proc/cpuinfo") as cpu, open("/proc/meminfo") as memory, open("/etc/os-release") as system:
        model = first(r"^model name\s*:(.*)", cpu.read())
        kilobytes = int(first(r"^MemTotal:\s*(\d+)", memory.read()))
        distribution = first(r"^PRETTY_NAME=.(.*).$", system.read())
    facts = {
        "processor": f"{os.cpu_count()} × {model}",
        "memory": f"{kilobytes / 2**20:.0f} GiB",
        "system": f"{distribution}, Linux {platform.release()}",
    }
    facts["file system"] = run("stat", "-f", "-c", "%T", rig.programs).strip()
    facts["Swift"] = first(r"Swift version (\S+)", run("swift", "--version"))
    facts["PostgreSQL"] = first(r"(\d[\d.]*)", run("psql", "--version"))
    # The document itself changes with each run.
    changed = run("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs", cwd=ROOT).strip()
    facts["commit"] = run("git", "describe", "--always", cwd=ROOT).strip() + ("-dirty" if changed else "")
    return facts


def machine_table(results):
    facts = {name: value for name, value in results["machine"].items() if name != "commit"}
    measured = {}
    for part in TABLES:
        if part in results:
            when = f"{results[part]['commit']}, {results[part]['day']}" if "commit" in results[part] else "an earlier commit"
            measured.setdefault(when, []).append(part)
    facts |= {f"measured at {when}": ", ".join(parts) for when, parts in measured.items()}
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())

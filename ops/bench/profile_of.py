"""The time of a receiver under load: perf's samples of its functions, added up by the owner of the function."""

import re
import shutil
import subprocess
import time

from rig import STATE, say

#: Names of functions, of the first kind that matches. Swift's names are mangled: `$s`, then a length and the module.
KINDS = (
    ("kernel: copying bodies from sockets and into the page cache",
     r"\[k\] (_copy_to_iter|copy_folio_from_iter_atomic|copy_page_from_iter_atomic|rep_movs_alternative|_copy_from_iter)"),
    ("kernel: the rest: TCP, wake-ups, ext4, the disk", r"\[k\]"),
    ("simdjson's scan and the walk over its tokens", r"simdjson|shelly_json|common_json"),
    ("decoding and validating", r"\$s8Readings|\$s.*8Readings8DeviceID|BatchDecoder"),
    ("ledger, records and checksums, group commit", r"MinuteLedger|LedgerDigest|\$s5Spool|crc32c|GroupCommit|Committer"),
    ("receiver: handler, answer, log line", r"\$s8Receiver|\$s7Logging|\$s8Settings"),
    ("key: SHA-256", r"(?i)sha256|EVP_"),
    ("Hummingbird, swift-nio, llhttp", r"\$s\w*?(NIO|Hummingbird|HTTPTypes)|c_nio|llhttp|\$s11Hummingbird|\$s9HTTPTypes"),
    ("Swift's runtime: reference counts, tasks, hashing, generics", r"swift|\$s|[Mm]etadata|tryCast|getCache"),
    ("C library: allocation, copying, locks", r""),
)


def is_available():
    """Whether perf is here and may look."""
    return shutil.which("perf") is not None and subprocess.run(
        ["perf", "record", "-q", "-o", "/dev/null", "true"], capture_output=True, stdin=subprocess.DEVNULL,
        check=False).returncode == 0


def of_load(server, batch, connections, seconds):
    """The share of each kind in percent while wrk loads the server."""
    samples = STATE / "perf.data"
    recorder = subprocess.Popen(
        ["perf", "record", "-q", "-F", "1999", "-p", str(server.child.pid), "-o", samples, "--", "sleep", str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    server.load(batch, connections, seconds)
    recorder.wait()
    report = subprocess.run(
        ["perf", "report", "-i", samples, "--stdio", "--sort", "symbol", "-F", "overhead,symbol", "-g", "none"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True).stdout
    samples.unlink()
    shares = {kind: 0.0 for kind, _ in KINDS}
    for line in report.splitlines():
        found = re.match(r"\s+([\d.]+)%\s+(\[.\] .*)", line)
        if found:
            kind = next(kind for kind, pattern in KINDS if re.search(pattern, found[2]))
            shares[kind] += float(found[1])
    total = sum(shares.values())
    if total == 0:
        say("  perf has taken no samples")
        return None
    return {kind: round(100 * share / total, 1) for kind, share in shares.items()}

"""Writes messages as a segment of a spool, for `shelly-loader cat --readings FILE`; docs/SPOOL_FORMAT.md has the format."""
import json


def write(path, batches, rules, received_at, spool="dev", number=1):
    """A segment with a record for each list of messages, received at this time in Unix seconds, by these reading rules."""
    header = {"format": "shelly-spool", "version": 1, "spool": spool, "segment": number, "created": "2026-11-24T00:00:00Z"}
    if rules:
        header["rules"] = rules
    with open(path, "w", encoding="ascii") as segment:
        segment.write(json.dumps(header) + "\n")
        for sequence, messages in enumerate(batches, 1):
            body = json.dumps({"messages": messages})
            line = f"{sequence} {received_at * 1000} {len(body)} {body}"
            segment.write(f"{checksum(line.encode()):08x} {line}\n")


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


def checksum(data):
    """CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF

"""Rules for the generator of requests that the document states only in words."""

import os
import time

import schemathesis
from hypothesis import strategies as st

# A device's name is 1 to 128 bytes of UTF-8 without the white space around it, with no control characters or separators
# of lines.
names = (
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=128)
    .map(str.strip)
    .filter(lambda name: 0 < len(name.encode()) <= 128)
)
schemathesis.openapi.format("device-name", names | st.sampled_from(["é" * 64, "x" * 128, os.environ["DEVICE"]]))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The moment, and how this receiver is set up."""
    # A timestamp is at most a day ahead; a run takes less than the time that is left here.
    timestamp = raw_schema["components"]["schemas"]["Message"]["properties"]["timestamp"]
    timestamp["maximum"] = int(time.time()) + 86_400
    if os.environ["READ_ACCESS"] == "key":
        for operations in raw_schema["paths"].values():
            for operation in operations.values():
                if operation["security"]:
                    operation["security"] = [scheme for scheme in operation["security"] if scheme]


@schemathesis.hook
def filter_case(context, case):
    """Lenient handling accepts batches that the schema refuses, so the header is sent only with valid ones."""
    is_negative = case.meta is not None and case.meta.generation.mode.is_negative
    return not (is_negative and "handling=lenient" in str((case.headers or {}).get("Prefer", "")))

"""Shared by the two comparators in Python: decoding a batch with msgspec, its readings, and the ASGI application."""

import os
import time
from typing import Annotated

import msgspec


class Switch(msgspec.Struct):
    apower: float | None = None
    voltage: float | None = None
    current: float | None = None


class Params(msgspec.Struct, rename=lambda name: name.replace("_", ":")):
    switch_0: Switch | None = None
    switch_1: Switch | None = None
    switch_2: Switch | None = None
    switch_3: Switch | None = None


class Message(msgspec.Struct):
    src: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    timestamp: Annotated[int, msgspec.Meta(gt=0)]
    params: Params


class Batch(msgspec.Struct):
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=1000)]


DECODER = msgspec.json.Decoder(Batch)
KEY = os.environ["INGEST_API_KEY"].encode()


def readings(message):
    """Channel and component of each reading of a message."""
    params = message.params
    for channel, switch in enumerate((params.switch_0, params.switch_1, params.switch_2, params.switch_3)):
        if switch is not None and switch.apower is not None:
            yield channel, switch


def application(ingest, start):
    """ASGI: `start` before the first request, and `ingest` for each batch, which returns the answer's fields."""

    async def answer(send, status, fields):
        body = msgspec.json.encode(fields)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        if scope["method"] == "GET":
            return await answer(send, 200, {})
        if dict(scope["headers"]).get(b"x-api-key") != KEY:
            return await answer(send, 401, {"detail": "Unauthorized"})
        part = await receive()
        parts = [part["body"]]
        while part["more_body"]:
            part = await receive()
            parts.append(part["body"])
        body = b"".join(parts)
        try:
            messages = DECODER.decode(body).messages
            latest = time.time() + 86400
            if any(message.timestamp > latest for message in messages):
                raise ValueError("Invalid timestamp")
        except ValueError as error:
            return await answer(send, 422, {"detail": str(error)})
        await answer(send, 200, await ingest(body, messages) | {"total_messages": len(messages)})

    return app

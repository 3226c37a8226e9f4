"""A webhook handler as one writes it with FastAPI and confluent-kafka: check the signature, read type and call id, produce,
answer. MODE=wait answers when Kafka has confirmed, MODE=once when the client's queue has the record.
"""

import asyncio
import hashlib
import hmac
import json
import os
import threading
import time

from confluent_kafka import Producer
from fastapi import FastAPI, Request, Response

API_KEY = os.environ["RETELL_API_KEY"].encode()
PREFIX = os.environ["TOPIC_PREFIX"]
WAITS = os.environ["MODE"] == "wait"

producer = Producer(
    {
        "bootstrap.servers": os.environ["KAFKA_BROKERS"],
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 2,
        "message.max.bytes": 4194304,
    }
)
app = FastAPI()


def poll_forever():
    while True:
        producer.poll(0.1)


threading.Thread(target=poll_forever, daemon=True).start()


def is_valid(body: bytes, signature: str) -> bool:
    try:
        v, d = signature.split(",")
        clock, digest = v.removeprefix("v="), d.removeprefix("d=")
        if abs(time.time() * 1000 - int(clock)) > 5 * 60 * 1000:
            return False
    except ValueError:
        return False
    expected = hmac.new(API_KEY, body + clock.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, digest)


@app.post("/webhook")
async def webhook(request: Request):
    body = await request.body()
    if not is_valid(body, request.headers.get("x-retell-signature", "")):
        return Response(status_code=401)
    event = json.loads(body)
    topic, key = PREFIX + event["event"], event["call"]["call_id"]
    try:
        if WAITS:
            loop = asyncio.get_running_loop()
            confirmed = loop.create_future()

            def delivered(error, _message):
                loop.call_soon_threadsafe(lambda: confirmed.done() or confirmed.set_result(error))

            producer.produce(topic, key=key, value=body, on_delivery=delivered)
            if await asyncio.wait_for(confirmed, 8) is not None:
                return Response(status_code=503)
        else:
            producer.produce(topic, key=key, value=body)
    except (BufferError, asyncio.TimeoutError):
        return Response(status_code=503)
    return Response(status_code=204)

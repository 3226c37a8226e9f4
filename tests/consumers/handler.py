"""The handler that forward posts to, as moody as a handler is; and the server that has the recordings.

The handler checks a signature as Retell's SDK does, with its own clock. It remembers in which order it was asked and what
it answered; `seen` is [(topic, call_id, ce_id, status, sha256 of the body)].
"""

import collections
import hashlib
import hmac
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from events import API_KEY, MINUTES_5, now_ms


class Handler:
    def __init__(self):
        self.lock = threading.Lock()
        self.seen, self.wrong = [], []
        self.tries = collections.Counter()
        self.not_before = {}  # sha256 of a body: when it may come again
        self.done = collections.defaultdict(set)  # (event, call_id): turns that are done
        self.away = False
        self.several = False  # two forwarders, of whom one knows of no Retry-After that the other was told
        self.stuck = True  # has 503 for events that say so
        self.fetched = collections.Counter()
        outer = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_POST = lambda self: outer._post(self)  # noqa: E731
            do_GET = lambda self: outer._get(self)  # noqa: E731
            log_message = lambda *_: None  # noqa: E731

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # whoever is killed hangs up
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _post(self, request):
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        sha = hashlib.sha256(body).hexdigest()
        with self.lock:
            self.tries[sha] += 1
            status, wait = self._decide(request.headers, body, sha)
        if status == "hang":
            time.sleep(4)
        if status in ("hang", "close"):
            request.close_connection = True
            return
        request.send_response(status)
        if wait:
            request.send_header("retry-after", str(wait))
        request.send_header("content-length", "0")
        request.end_headers()

    def _decide(self, headers, body, sha):
        """A status, and for how long to wait; sure is only what is kept in `seen`."""
        if self.away:
            return 503, None
        if headers.get("content-type") != "application/json":
            self.wrong.append(f"content-type {headers.get('content-type')}")
        if time.monotonic() < self.not_before.get(sha, 0) and not self.several:
            self.wrong.append("it came back before Retry-After had passed")
        mood, first = int(sha[:4], 16) % 400, self.tries[sha] == 1
        if self.stuck and b'"stuck": true' in body:
            return 503, None
        if first and mood < 12:
            return 503, None
        if first and mood < 14:
            self.not_before[sha] = time.monotonic() + 1.9
            return (429, 2) if mood == 12 else (503, 2)
        if first and mood == 14:
            return "close", None
        if first and mood == 15 and len(body) % 4 == 0:
            return "hang", None
        status, event, turn = self._work(headers, body)
        topic, call_id = (event.get("event"), event["call"].get("call_id")) if status != 401 and event else (None, None)
        if turn is not None:
            before = self.done[topic, call_id]
            if missing := set(range(turn)) - before:
                self.wrong.append(f"turn {turn} of {call_id} came before {min(missing)} was done")
            before.add(turn)
        self.seen.append((topic, call_id, headers.get("ce-id"), status, sha))
        return status, None

    def _work(self, headers, body):
        found = re.fullmatch(r"v=(\d+),d=([0-9a-f]{64})", headers.get("x-retell-signature") or "")
        right = found and hmac.new(API_KEY.encode(), body + found[1].encode(), hashlib.sha256).hexdigest() == found[2]
        if not right or abs(now_ms() - int(found[1])) > MINUTES_5:
            return 401, None, None
        try:
            event = json.loads(body)
            metadata = event["event"] and event["call"].get("metadata", {})
        except (ValueError, TypeError, KeyError, AttributeError):
            return 400, None, None
        return 400 if metadata.get("refuse") else 200, event, metadata.get("turn")

    def _get(self, request):
        """A recording; the first time it is not there yet."""
        number = request.path.split("/")[2].split(".")[0] if request.path.startswith("/recordings/") else ""
        with self.lock:
            self.fetched[number] += 1
            status = 503 if self.fetched[number] == 1 else 200
        body = recording(number) if status == 200 else b""
        request.send_response(status)
        request.send_header("content-type", "audio/wav")
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def recording(number):
    return f"RIFF made up {number} ".encode() * 4000

"""The consumers' stores, read from outside: PostgreSQL, SQLite, and a folder of JSON. Each can be held, so that whoever
writes to it has to wait, and spoiled, for a replay to mend.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import time

import psycopg

from events import COLUMNS
from services import ROOT


class Sql:
    """`rows` is {call_id: {column: value}}, `seen` is {ce_id: replay}."""

    def rows(self):
        found = self.ask(f"SELECT call_id, {', '.join(COLUMNS)} FROM calls")
        return {call_id: dict(zip(COLUMNS, row)) for call_id, *row in found}

    def seen(self):
        return dict(self.ask("SELECT ce_id, replay FROM seen"))

    def spoil(self):
        self.ask("UPDATE calls SET summary = 'spoiled' WHERE summary IS NOT NULL")


class PostgresStore(Sql):
    def __init__(self, postgres):
        self.postgres = postgres

    def erase(self, call_id):
        self.ask(f"DELETE FROM calls WHERE call_id = '{call_id}'")

    def ask(self, query):
        with psycopg.connect(self.postgres.url) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def held(self):
        with psycopg.connect(self.postgres.url) as connection:
            connection.execute("LOCK TABLE calls, seen IN ACCESS EXCLUSIVE MODE")
            yield

    def away(self):
        self.postgres.stop()
        time.sleep(3)
        self.postgres.start()


class SqliteStore(Sql):
    def __init__(self, path):
        self.path = path

    def ask(self, query):
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            return connection.execute(query).fetchall()

    @contextlib.contextmanager
    def held(self):
        with contextlib.closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def away(self):
        # Longer than the five seconds that SQLite's bindings wait by themselves.
        with self.held():
            time.sleep(8)


class FolderStore:
    def __init__(self, folder):
        self.folder = folder

    def calls(self):
        for path in (self.folder / "calls").glob("*.json"):
            yield path, json.loads(path.read_bytes())

    def rows(self):
        found = {}
        for path, call in self.calls():
            if list(call) == ["seen"]:
                continue  # erased
            assert path.stem == hashlib.sha256(call["call_id"].encode()).hexdigest(), f"{path.name} holds another call"
            found[call["call_id"]] = {column: call.get(column) for column in COLUMNS}
        return found

    def seen(self):
        return {ce_id: replay for _, call in self.calls() for ce_id, (_, replay) in call["seen"].items()}

    def spoil(self):
        for path, call in list(self.calls()):
            if call.get("summary") is not None:
                path.write_text(json.dumps(call | {"summary": "spoiled"}))

    def erase(self, call_id):
        """As docs/consumers.md says it."""
        recipe = (ROOT / "docs/consumers.md").read_text().split("```bash\n")[1].split("```")[0]
        subprocess.run(["bash", "-euc", recipe], check=True, cwd=self.folder.parent, env={**os.environ, "call_id": call_id})

    def recordings(self):
        return {path.stem: path.read_bytes() for path in (self.folder / "recordings").iterdir()}

    @contextlib.contextmanager
    def held(self):
        """A file where the folder was: nobody, root neither, writes there."""
        calls, aside = self.folder / "calls", self.folder / "aside"
        calls.rename(aside)
        calls.write_text("no folder")
        yield
        calls.unlink()
        aside.rename(calls)

    def away(self):
        with self.held():
            time.sleep(3)


class HandlerStore:
    """Forward's: what it stores, it posts."""

    def __init__(self, handler):
        self.handler = handler

    @contextlib.contextmanager
    def held(self):
        self.handler.away = True
        yield
        self.handler.away = False

    def away(self):
        with self.held():
            time.sleep(3)

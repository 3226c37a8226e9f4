"""One row per call in PostgreSQL, and the memory of the events that are in it."""
import os
import random
import time

import psycopg
from psycopg.rows import dict_row

from event import Event, number, text

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://localhost/retell")
REPLAY = os.environ.get("REPLAY")  # a run id printed by `retell-bridge replay`: its records are taken once more
# How long a ce_id is remembered: longer than the topics' retention.ms and segment.ms. A group can be set back so far.
REMEMBER_S = 35 * 24 * 3600
TABLES = """CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);
CREATE INDEX IF NOT EXISTS seen_at ON seen(seen_at);
CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT,
  analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0)"""


def connect() -> psycopg.Connection:
    """No wait for it outlasts a stop: for a lock on its tables, or for a server that is gone without a word."""
    gone = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 5}
    db = psycopg.connect(DATABASE_URL, autocommit=True, row_factory=dict_row, **gone)
    db.execute("SET statement_timeout = '5s'")
    return db


def store(db: psycopg.Connection, event: Event) -> str | None:
    """The effect and the memory of it in one transaction: after a kill both are there, or neither. Comes back with a
    reason where PostgreSQL does not take a value or its length, and no second try can help."""
    replay = REPLAY if REPLAY and event.origin == f"replay:{REPLAY}" else None
    try:
        with db.transaction():
            take(db, event, replay)
    except psycopg.errors.UndefinedTable:  # at the first record, or because somebody has dropped them
        db.execute(TABLES)
        return store(db, event)
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded):
        return "data"


def take(db: psycopg.Connection, event: Event, replay: str | None):
    # The row is locked before `seen` is asked: while partitions change hands, two consumers may hold one record.
    db.execute("INSERT INTO calls(call_id) VALUES (%s) ON CONFLICT DO NOTHING", [event.call_id])
    row = db.execute("SELECT * FROM calls WHERE call_id=%s FOR UPDATE", [event.call_id]).fetchone()
    known = db.execute("SELECT replay FROM seen WHERE ce_id=%s", [event.ce_id]).fetchone()
    if known and replay in (None, known["replay"]):
        raise psycopg.Rollback  # where the call is erased, its row is not to come back
    merge(row, event, again=known is not None)
    columns = ", ".join(f"{name}=%({name})s" for name in row)
    db.execute(f"UPDATE calls SET {columns} WHERE call_id=%(call_id)s", row)
    db.execute("DELETE FROM seen WHERE ce_id=%s", [event.ce_id])
    db.execute("INSERT INTO seen VALUES (%s, %s, %s)", [event.ce_id, int(time.time()), replay])
    if random.random() < 0.001:  # now and then
        db.execute("DELETE FROM seen WHERE seen_at<%s", [int(time.time()) - REMEMBER_S])


def merge(row: dict, event: Event, again: bool):
    """Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps."""
    call, wins = event.call, False
    known = {"agent_id": text(call.agent_id), "started_ms": number(call.start_timestamp)}
    if event.type in ("call_ended", "call_analyzed"):
        known |= {"ended_ms": number(call.end_timestamp), "transcript": text(call.transcript)}
        known |= {"reason": text(call.disconnection_reason)}
        wins = row["analyzed_at"] is None
    if event.type == "call_analyzed":  # an analysis can be run again: the later one wins, in whichever order they come
        wins = wins or (event.time, event.position) >= (row["analyzed_at"], int(row["analyzed_position"]))
        row["analyses"] += not again
        if wins:
            row["summary"] = text(getattr(call.call_analysis, "call_summary", None))
            row |= {"analyzed_at": event.time, "analyzed_position": str(event.position)}
    row |= {name: value for name, value in known.items() if value is not None and (wins or row[name] is None)}
    row["events"] += not again

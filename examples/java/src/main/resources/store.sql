CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT, analyzed_position TEXT,
  events INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);
CREATE TABLE IF NOT EXISTS customers(call_id TEXT PRIMARY KEY, customer TEXT, partition INTEGER);
CREATE TABLE IF NOT EXISTS call_partitions(call_id TEXT PRIMARY KEY, partition INTEGER);

-- Events come late, out of order, or never. Each one fills what is still empty.
INSERT INTO calls(call_id, agent_id, started_ms, ended_ms, reason, transcript, events, analyses)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET agent_id = coalesce(agent_id, ?2),
  started_ms = coalesce(started_ms, ?3), ended_ms = coalesce(ended_ms, ?4), reason = coalesce(reason, ?5),
  transcript = coalesce(transcript, ?6), events = events + ?7, analyses = analyses + ?8;

-- And call_ended replaces what is there, as long as there is no analysis; call_analyzed does where it is the newest: an
-- analysis can be run again, and the last one stays. (call_ended has no ?9 to ?11.)
UPDATE calls SET agent_id = coalesce(?2, agent_id), started_ms = coalesce(?3, started_ms),
  ended_ms = coalesce(?4, ended_ms), reason = coalesce(?5, reason), transcript = coalesce(?6, transcript), summary = ?9,
  analyzed_at = ?10, analyzed_position = ?11
WHERE call_id = ?1 AND (analyzed_at IS NULL
  OR (analyzed_at, CAST(analyzed_position AS INTEGER)) <= (?10, CAST(?11 AS INTEGER)));

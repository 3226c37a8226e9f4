CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT,
  analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);

-- Takes one event: ?1 its id, ?2 the replay that was announced and has brought it, or '', ?3 its type, ?4 the call, and
-- what it says of it. Each statement does something only where the one before it did: that is what changes() tells.

-- An id is new, and the event counts, once.
INSERT INTO seen VALUES (?1, unixepoch(), nullif(?2, '')) ON CONFLICT DO NOTHING;
INSERT INTO calls(call_id, events, analyses) SELECT ?4, 1, ?3 = 'call_analyzed' WHERE changes() > 0
ON CONFLICT DO UPDATE SET events = events + 1, analyses = analyses + excluded.analyses;

-- It is taken when it is new, and once more for each replay that was announced.
UPDATE seen SET seen_at = unixepoch(), replay = nullif(?2, '')
WHERE ce_id = ?1 AND (changes() > 0 OR ?2 NOT IN ('', coalesce(replay, '')));

-- Events come late, out of order, or never. Each one fills what is still empty.
UPDATE calls SET agent_id = coalesce(agent_id, ?5), started_ms = coalesce(started_ms, ?6),
  ended_ms = coalesce(ended_ms, ?7), reason = coalesce(reason, ?8), transcript = coalesce(transcript, ?9)
WHERE call_id = ?4 AND changes() > 0;

-- And call_ended replaces what is there, as long as there is no analysis; call_analyzed does where it is the newest: an
-- analysis can be run again, and the last one stays. (call_ended has no ?10 to ?12.)
UPDATE calls SET agent_id = coalesce(?5, agent_id), started_ms = coalesce(?6, started_ms),
  ended_ms = coalesce(?7, ended_ms), reason = coalesce(?8, reason), transcript = coalesce(?9, transcript),
  summary = ?10, analyzed_at = ?11, analyzed_position = ?12
WHERE call_id = ?4 AND changes() > 0 AND ?3 IN ('call_ended', 'call_analyzed') AND (analyzed_at IS NULL
  OR (analyzed_at, CAST(analyzed_position AS INTEGER)) <= (?11, CAST(?12 AS INTEGER)));

-- Now and then. How long to remember: longer than the topics' retention.ms and segment.ms, as a group can be set back so
-- far, and than any replay that REPLAY does not announce reaches back. What comes again later than that counts as new.
DELETE FROM seen WHERE unixepoch() % 1000 = 0 AND seen_at < unixepoch() - 35 * 24 * 3600;

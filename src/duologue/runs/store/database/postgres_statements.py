"""The statements of the path of each run, for PostgreSQL. Rows are sent as arrays, so each is prepared once."""

from __future__ import annotations

LOCK = "SELECT number, token, status FROM runs WHERE number = ANY($1::bigint[]) ORDER BY number FOR NO KEY UPDATE"
WRITE_EVENTS = (
    "WITH owned AS (SELECT number, token FROM runs WHERE number = ANY($1::bigint[]) AND status = 'running' "
    "ORDER BY number FOR NO KEY UPDATE), events_in AS (INSERT INTO events (run, attempt, seq, line) "
    "SELECT e.run, e.attempt, e.seq, e.line FROM unnest($2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::bytea[]) "
    "AS e(run, token, attempt, seq, line) JOIN owned ON owned.number = e.run AND owned.token = e.token "
    "ON CONFLICT DO NOTHING) SELECT number, token FROM owned"
)
WRITE_ENDS = (
    "WITH owned AS (SELECT number, token FROM runs WHERE number = ANY($1::bigint[]) AND status = 'running' ORDER "
    "BY number FOR NO KEY UPDATE), events_in AS (INSERT INTO events (run, attempt, seq, line) SELECT e.run, "
    "e.attempt, e.seq, e.line FROM unnest($2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::bytea[]) AS "
    "e(run, token, attempt, seq, line) JOIN owned ON owned.number = e.run AND owned.token = e.token ON CONFLICT "
    "DO NOTHING), ended AS (UPDATE runs SET status = e.status, outcome = e.outcome, score = e.score, reason = "
    "e.reason, error = e.error, output = e.output::jsonb, details = e.details::jsonb, cost = e.cost, tokens = "
    "e.tokens, completed_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM "
    "clock_timestamp()), owner = NULL, cancelling = false FROM unnest($7::text[], $8::text[], $9::float8[], "
    "$10::text[], $11::text[], $12::text[], $13::text[], $14::float8[], $15::bigint[], $16::bigint[], "
    "$17::bigint[]) AS e(status, outcome, score, reason, error, output, details, cost, tokens, number, token) "
    "JOIN owned ON owned.number = e.number AND owned.token = e.token WHERE runs.number = e.number AND runs.number "
    "= ANY($1::bigint[])), results_in AS (INSERT INTO results (run, messages, data) SELECT r.run, r.messages, "
    "r.data FROM unnest($18::bigint[], $19::bigint[], $20::bytea[], $21::bytea[]) AS r(run, token, messages, "
    "data) JOIN owned ON owned.number = r.run AND owned.token = r.token ON CONFLICT (run) DO UPDATE SET messages "
    "= excluded.messages, data = excluded.data), checks_in AS (INSERT INTO checks (run, number, name, kind, "
    "status, score, explanation) SELECT c.run, c.number, c.name, c.kind, c.status, c.score, c.explanation FROM "
    "unnest($22::bigint[], $23::bigint[], $24::int[], $25::text[], $26::text[], $27::text[], $28::float8[], "
    "$29::text[]) AS c(run, token, number, name, kind, status, score, explanation) JOIN owned ON owned.number = "
    "c.run AND owned.token = c.token ON CONFLICT (run, number) DO UPDATE SET name = excluded.name, kind = "
    "excluded.kind, status = excluded.status, score = excluded.score, explanation = excluded.explanation) SELECT "
    "number, token FROM owned"
)
EVENTS = (
    "INSERT INTO events (run, attempt, seq, line) "
    "SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bytea[]) ON CONFLICT DO NOTHING"
)
CUT = (
    "DELETE FROM events USING unnest($1::bigint[], $2::int[], $3::int[]) AS c(run, attempt, seq) "
    "WHERE events.run = c.run AND events.attempt = c.attempt AND events.seq >= c.seq"
)
ARTIFACTS = (
    "INSERT INTO artifacts (run, sha256, mime_type, size) "
    "SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING"
)
END = (
    "UPDATE runs SET status = e.status, outcome = e.outcome, score = e.score, reason = e.reason, error = e.error, "
    "output = e.output::jsonb, details = e.details::jsonb, cost = e.cost, tokens = e.tokens, "
    "completed_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM clock_timestamp()), "
    "owner = NULL, cancelling = false "
    "FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[], "
    "$9::bigint[], $10::bigint[]) AS e(status, outcome, score, reason, error, output, details, cost, tokens, number) "
    "WHERE runs.number = e.number"
)
RESULTS = (
    "INSERT INTO results (run, messages, data) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) "
    "ON CONFLICT (run) DO UPDATE SET messages = excluded.messages, data = excluded.data"
)
CHECKS = (
    "INSERT INTO checks (run, number, name, kind, status, score, explanation) SELECT * FROM "
    "unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::text[]) "
    "ON CONFLICT (run, number) DO UPDATE SET name = excluded.name, kind = excluded.kind, status = excluded.status, "
    "score = excluded.score, explanation = excluded.explanation"
)
BACK = (  # a run that was cancelled meanwhile is over: nobody else would stop it before its agent is asked again
    "UPDATE runs SET owner = NULL, token = token + 1, attempts = attempts - 1, "
    "status = CASE WHEN cancelling THEN 'cancelled' ELSE 'queued' END, "
    "outcome = CASE WHEN cancelling THEN 'cancelled' END, "
    "completed_at = CASE WHEN cancelling THEN extract(epoch FROM clock_timestamp()) END, "
    "started_at = CASE WHEN cancelling THEN started_at END, "
    "not_before = CASE WHEN cancelling THEN NULL ELSE b.not_before END, "
    "cancelling = false, updated_at = extract(epoch FROM clock_timestamp()) "
    "FROM unnest($1::bigint[], $2::float8[]) AS b(number, not_before) "
    "WHERE runs.number = b.number"
)
WORKER = (
    "INSERT INTO workers (id, host, pid, version, capacity, active, state, started_at, last_seen, lease_until) "
    "SELECT $1, $2, $3, $4, $5, $6, $7, now.at, now.at, now.at + $8::float8 "
    "FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) AS now ON CONFLICT (id) DO UPDATE SET "
    "capacity = excluded.capacity, active = excluded.active, state = excluded.state, last_seen = excluded.last_seen, "
    "lease_until = excluded.lease_until"
)
HELD = "SELECT id, number, token, cancelling FROM runs WHERE owner = $1 AND status = 'running'"
DUE = (
    "UPDATE runs SET not_before = NULL WHERE number IN (SELECT number FROM runs WHERE status = 'queued' "
    "AND not_before IS NOT NULL AND not_before <= $1 FOR NO KEY UPDATE SKIP LOCKED)"
)
STATE = (
    "WITH RECURSIVE found AS ((SELECT project_id, provider FROM runs WHERE status = 'queued' AND not_before IS NULL "
    "ORDER BY project_id, provider LIMIT 1) UNION ALL SELECT later.project_id, later.provider FROM found "
    "CROSS JOIN LATERAL (SELECT project_id, provider FROM runs WHERE status = 'queued' AND not_before IS NULL "
    "AND (project_id, provider) > (found.project_id, found.provider) ORDER BY project_id, provider LIMIT 1) AS later) "
    "SELECT extract(epoch FROM clock_timestamp())::float8, "
    "(SELECT min(not_before) FROM runs WHERE status = 'queued' AND not_before IS NOT NULL), "
    "found.project_id, found.provider, projects.max_concurrency, limits.provider IS NOT NULL FROM (SELECT 1) AS one "
    "LEFT JOIN (found JOIN projects ON projects.id = found.project_id LEFT JOIN limits ON limits.provider = "
    "found.provider) ON true"
)
TAKE_FIRST = (
    "WITH first AS (SELECT c.number FROM unnest($1::text[], $2::text[], $3::int[]) AS g(project_id, provider, most) "
    "CROSS JOIN LATERAL (SELECT number FROM runs WHERE status = 'queued' AND not_before IS NULL "
    "AND project_id = g.project_id AND provider = g.provider "
    "AND ($12::bool IS NULL OR $12 = (attempts > 0 AND attempts + 1 >= max_attempts)) "
    "ORDER BY priority DESC, number LIMIT g.most FOR NO KEY UPDATE SKIP LOCKED) AS c), "
    "taken AS (UPDATE runs SET status = 'running', owner = $4, token = token + 1, attempts = attempts + 1, "
    "started_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM clock_timestamp()) "
    "WHERE number = ANY(ARRAY(SELECT number FROM first)) RETURNING runs.*), "
    "worker AS (INSERT INTO workers (id, host, pid, version, capacity, active, state, started_at, last_seen, "
    "lease_until) SELECT $4, $5, $6, $7, $8, $9, $10, now.at, now.at, now.at + $11::float8 "
    "FROM (SELECT extract(epoch FROM clock_timestamp())::float8 AS at) AS now WHERE EXISTS (SELECT FROM taken) "
    "ON CONFLICT (id) DO UPDATE SET capacity = excluded.capacity, active = excluded.active, state = excluded.state, "
    "last_seen = excluded.last_seen, lease_until = excluded.lease_until) "
    "SELECT t.id, t.number, t.token, t.attempts, t.project_id, t.execution_id, e.name, t.snapshot, t.test_case, "
    "t.thread_id, t.journal_from, t.provider, t.priority FROM taken t LEFT JOIN executions e ON e.id = t.execution_id "
    "ORDER BY t.priority DESC, t.number"
)
LOCK_LIMITS = (
    "SELECT provider, per_second, burst, max_concurrency, available, counted_at, boot FROM limits "
    "WHERE provider = ANY($1::text[]) ORDER BY provider FOR NO KEY UPDATE"
)
LOCK_PROJECTS = "SELECT id FROM projects WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE"
RUNNING = "SELECT project_id, provider, count(*) FROM runs WHERE status = 'running' GROUP BY provider, project_id"
CANDIDATES = (
    "SELECT c.number, c.project_id, c.provider, c.priority FROM unnest($1::text[], $2::text[], $3::int[]) "
    "AS g(project_id, provider, most) CROSS JOIN LATERAL (SELECT number, project_id, provider, priority FROM runs "
    "WHERE status = 'queued' AND not_before IS NULL AND project_id = g.project_id AND provider = g.provider "
    "AND ($4::bool IS NULL OR $4 = (attempts > 0 AND attempts + 1 >= max_attempts)) "
    "ORDER BY priority DESC, number LIMIT g.most FOR NO KEY UPDATE SKIP LOCKED) AS c"
)
TAKE = (
    "WITH taken AS (UPDATE runs SET status = 'running', owner = $2, token = token + 1, attempts = attempts + 1, "
    "started_at = extract(epoch FROM clock_timestamp()), updated_at = extract(epoch FROM clock_timestamp()) "
    "WHERE number = ANY($1::bigint[]) RETURNING id, number, token, attempts, project_id, execution_id, "
    "snapshot, test_case, thread_id, journal_from, priority) "
    "SELECT t.id, t.number, t.token, t.attempts, t.project_id, t.execution_id, e.name, t.snapshot, t.test_case, "
    "t.thread_id, t.journal_from FROM taken t LEFT JOIN executions e ON e.id = t.execution_id "
    "ORDER BY t.priority DESC, t.number"
)
TAKEN = (
    "SELECT r.id, r.number, r.token, r.attempts, r.project_id, r.execution_id, e.name, r.snapshot, r.test_case, "
    "r.thread_id, r.journal_from FROM runs r LEFT JOIN executions e ON e.id = r.execution_id "
    "WHERE r.number = ANY($1::bigint[]) ORDER BY r.priority DESC, r.number"
)
DRAW = (
    "UPDATE limits SET available = d.available, counted_at = $3 FROM unnest($1::text[], $2::float8[]) "
    "AS d(provider, available) WHERE limits.provider = d.provider"
)

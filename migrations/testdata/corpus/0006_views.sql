CREATE VIEW happy AS SELECT id, name, mood FROM people WHERE mood = 'happy' WITH CASCADED CHECK OPTION;
CREATE MATERIALIZED VIEW stats AS SELECT mood, count(*) AS n, 'a;b'::text AS "x;y" FROM people GROUP BY mood WITH DATA;
CREATE UNIQUE INDEX stats_mood ON stats (mood) NULLS NOT DISTINCT;
CREATE RECURSIVE VIEW numbers (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10;
CREATE VIEW guarded WITH (security_barrier, security_invoker = true) AS TABLE people;
ALTER VIEW happy ALTER COLUMN name SET DEFAULT 'x;';
COMMENT ON VIEW happy IS $$
several
lines;
$$;
COMMENT ON MATERIALIZED VIEW stats IS 'stats';

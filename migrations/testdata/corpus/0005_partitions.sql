CREATE TABLE events (
    id uuid DEFAULT gen_random_uuid(),
    day date NOT NULL,
    kind text NOT NULL,
    PRIMARY KEY (id, day, kind)
) PARTITION BY RANGE (day);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_2024_ab PARTITION OF events_2024 FOR VALUES IN ('a;', 'b');
CREATE TABLE events_2024_rest PARTITION OF events_2024 DEFAULT;
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE INDEX events_kind ON events (kind COLLATE "C" text_pattern_ops) INCLUDE (id) WHERE kind <> ';';
DO $$
DECLARE
    y int;
BEGIN
    FOR y IN 2025..2027 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)', 'events_' || y, y || '-01-01', (y + 1) || '-01-01');
    END LOOP;
END
$$;
ALTER TABLE events DETACH PARTITION events_old;
CREATE TABLE parent (a int CHECK (a > 0));
CREATE TABLE child (b int) INHERITS (parent);
CREATE STATISTICS kinds (ndistinct, dependencies) ON day, kind FROM events;

CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 5),
    name text NOT NULL CHECK (name <> ';'),
    "full; name" text GENERATED ALWAYS AS (upper(name) || ';') STORED,
    mail email,
    mood mood DEFAULT 'ok''s'::mood,
    at timestamptz NOT NULL DEFAULT now(),
    tags text[] NOT NULL DEFAULT '{";",a}',
    doc jsonb NOT NULL DEFAULT '{"a": "b;c"}'::jsonb,
    PRIMARY KEY (id),
    CONSTRAINT people_name_mood UNIQUE (name, mood) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 70);

CREATE TABLE "Strange; ""Table""" (
    "select" int PRIMARY KEY,
    "über$" varchar(10) COLLATE "C",
    a$b$c int DEFAULT 1,
    person bigint REFERENCES people ON DELETE SET NULL ON UPDATE CASCADE
);

CREATE SEQUENCE counter AS smallint MINVALUE -5 MAXVALUE 5 CYCLE OWNED BY people.name;
ALTER TABLE people ADD COLUMN counted smallint DEFAULT nextval('counter');
CREATE UNLOGGED TABLE scratch (LIKE people INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE people ADD CONSTRAINT no_spam CHECK (name NOT LIKE '%spam%') NOT VALID;
ALTER TABLE people ALTER COLUMN doc SET STORAGE EXTERNAL, ALTER COLUMN name SET STATISTICS 500;
ALTER TABLE people REPLICA IDENTITY FULL;
COMMENT ON TABLE "Strange; ""Table""" IS 'one '
    'comment; over lines';
COMMENT ON CONSTRAINT people_name_mood ON people IS $c$;$c$;
INSERT INTO people (name, mail, mood) VALUES ('a;b', 'a@b.c', 'happy'), ($q$o'c$q$, 'x@y.z', 'very "happy"');

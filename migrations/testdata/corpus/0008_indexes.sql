-- pgdbm:no-transaction
-- pgdbm:lint-ignore unqualified-name the folder is also run by psql
CREATE INDEX CONCURRENTLY people_lower ON people (lower(name) DESC NULLS LAST, (doc ->> 'a;b'));
CREATE UNIQUE INDEX CONCURRENTLY people_mail ON people USING btree (mail) WITH (fillfactor = 50);
CREATE INDEX CONCURRENTLY people_doc ON people USING gin (doc jsonb_path_ops) WHERE name <> ';';
ALTER TABLE people ADD CONSTRAINT people_mail_unique UNIQUE USING INDEX people_mail;
VACUUM (ANALYZE) people;
CALL in_pieces(0);
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'new; and used';
INSERT INTO people (name, mail, mood) VALUES ('new', 'n@e.w', 'new; and used');

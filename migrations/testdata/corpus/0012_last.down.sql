ALTER TABLE seeds DROP CONSTRAINT what_length, ALTER COLUMN what DROP NOT NULL, ALTER COLUMN what TYPE text, DROP COLUMN at;
ALTER TYPE mood RENAME VALUE 'sad' TO 'sad; or not';
ALTER TABLE people RENAME COLUMN full_name TO "full; name"

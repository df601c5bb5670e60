
-- no semicolon, and a comment, at the end
ALTER TABLE people RENAME COLUMN "full; name" TO full_name;
ALTER TYPE mood RENAME VALUE 'sad; or not' TO 'sad';
ALTER TABLE seeds ADD COLUMN at timestamptz DEFAULT '2020-01-01', ALTER COLUMN what SET NOT NULL,
    ADD CONSTRAINT what_length CHECK (length(what) < 10), ALTER COLUMN what TYPE varchar(20)
-- ;

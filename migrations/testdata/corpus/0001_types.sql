-- Types, and comments of every kind /* that ; are no end */.
CREATE TYPE mood AS ENUM ('sad; or not', 'ok''s', 'happy');
ALTER TYPE mood ADD VALUE 'very "happy"' AFTER 'happy';
/* a block /* in a block; */ still; */
CREATE DOMAIN email AS text COLLATE "C" DEFAULT 'nobody;@example.org' NOT NULL
    CONSTRAINT "has an @; always" CHECK (VALUE ~ E'^[^@;]+@\\w+\\.\\w+$');
CREATE TYPE point3 AS (x double precision, "y;z" numeric(10, 2), label email);
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
COMMENT ON TYPE mood IS $$it's a "mood"; $tag$ included$$;
COMMENT ON DOMAIN email IS E'a tab\tand a quote\' and a backslash \\;';
COMMENT ON COLUMN point3."y;z" IS U&'d\0061ta;';

CREATE FUNCTION add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT a + b; -- it''s; a comment';
CREATE FUNCTION atomic(a int) RETURNS TABLE (n int, what text) LANGUAGE sql
BEGIN ATOMIC
    SELECT 1, CASE WHEN a > 0 THEN 'a;b' ELSE CASE a WHEN 0 THEN 'zero' END END;
    SELECT a, 'end';
END;
CREATE OR REPLACE FUNCTION one() RETURNS int RETURN 1;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    q text := $q$SELECT $x$;$x$;$q$;
BEGIN
    -- commit; rollback;
    EXECUTE q;
    NEW.at := now(); /* ; */
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'it''s % ;', SQLERRM;
    RETURN NULL;
END;
$body$;
CREATE PROCEDURE in_pieces(INOUT n int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..3 LOOP
        n := n + i;
        COMMIT;
    END LOOP;
    ROLLBACK;
END $$;
CREATE PROCEDURE atomic_insert(what text) BEGIN ATOMIC
    INSERT INTO people (name) VALUES (what);
    DELETE FROM people WHERE name = what;
END;
CREATE FUNCTION "Odd; name$"("arg;" anyelement, VARIADIC rest anyarray) RETURNS text LANGUAGE sql AS $_$ SELECT $1::text || ';' || array_length($2, 1) $_$;
CREATE AGGREGATE sum_of_squares(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION same_mood(mood, mood) RETURNS bool LANGUAGE sql IMMUTABLE AS $é$ SELECT $1 = $2; $é$;
CREATE OPERATOR === (LEFTARG = mood, RIGHTARG = mood, FUNCTION = same_mood, COMMUTATOR = ===);
CREATE CAST (mood AS bigint) WITH INOUT AS ASSIGNMENT;
COMMENT ON FUNCTION add(int, int) IS 'adds;';
COMMENT ON OPERATOR === (mood, mood) IS NULL;
REVOKE ALL ON FUNCTION touch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION touch() TO pg_monitor;

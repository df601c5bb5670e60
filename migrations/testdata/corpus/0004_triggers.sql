CREATE TRIGGER "touch; always" BEFORE UPDATE OF name, mood ON people FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION touch('a;b', E'\'');
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON people DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE people DISABLE TRIGGER later;
CREATE RULE log_it AS ON INSERT TO "Strange; ""Table""" WHERE NEW."select" > 10
    DO ALSO (INSERT INTO people (name) VALUES ('rule;'); DELETE FROM people WHERE name = ');');
CREATE RULE never AS ON DELETE TO "Strange; ""Table""" DO INSTEAD NOTHING;
COMMENT ON RULE never ON "Strange; ""Table""" IS 'kept;';
COMMENT ON TRIGGER later ON people IS 'off';

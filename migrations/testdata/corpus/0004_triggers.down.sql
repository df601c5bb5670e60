DROP RULE never ON "Strange; ""Table""";
DROP RULE log_it ON "Strange; ""Table""";
DROP TRIGGER later ON people;
DROP TRIGGER "touch; always" ON people;

DROP TABLE scratch;
DROP TABLE "Strange; ""Table""";
ALTER TABLE people DROP COLUMN counted;
DROP TABLE people;

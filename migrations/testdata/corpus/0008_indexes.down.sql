DELETE FROM people WHERE name = 'new';
ALTER TABLE people DROP CONSTRAINT people_mail_unique;
DROP INDEX people_doc, people_lower;

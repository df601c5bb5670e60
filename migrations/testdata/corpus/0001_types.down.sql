DROP TYPE float_range;
DROP TYPE point3;
DROP DOMAIN email;
DROP TYPE mood;

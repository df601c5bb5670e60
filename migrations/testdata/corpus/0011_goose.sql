-- +goose Up
CREATE TABLE seeds (n int PRIMARY KEY, what text);
-- +goose StatementBegin
CREATE FUNCTION seed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seeds SELECT i, 'seed;' || i FROM generate_series(1, 3) i;
END;
$$;
-- +goose StatementEnd
SELECT seed();

-- +goose Down
DROP FUNCTION seed;
DROP TABLE seeds;

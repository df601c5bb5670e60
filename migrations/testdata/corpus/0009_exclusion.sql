BEGIN;

CREATE TABLE bookings (
    room int4range NOT NULL,
    during tstzrange NOT NULL,
    cancelled boolean NOT NULL DEFAULT false,
    CONSTRAINT "no; overlap" EXCLUDE USING gist (room WITH &&, during WITH &&) WHERE (NOT cancelled) DEFERRABLE
);
SAVEPOINT a;
CREATE TABLE not_kept ();
ROLLBACK TO SAVEPOINT a;
RELEASE a;

COMMIT;

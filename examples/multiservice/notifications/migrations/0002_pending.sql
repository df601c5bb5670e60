-- pgdbm:no-transaction
-- The table is in use: build its index without blocking those who write to it.
create index concurrently notifications_pending on {{tables.notifications}} (id) where sent_at is null;

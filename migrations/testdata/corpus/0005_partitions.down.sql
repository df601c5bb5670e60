DROP TABLE child, parent;
DROP TABLE events_old;
DROP TABLE events;

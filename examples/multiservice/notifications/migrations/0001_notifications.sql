create table {{tables.notifications}} (
    id         bigint generated always as identity primary key,
    recipient  text not null,
    message    text not null,
    created_at timestamptz not null default now(),
    sent_at    timestamptz
);

-- What was decided when this Central was installed.
CREATE TABLE settings (
    name        text        PRIMARY KEY,
    value       text        NOT NULL,
    changed     timestamptz NOT NULL DEFAULT now()
);

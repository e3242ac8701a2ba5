-- Who made which definitions active.
CREATE TABLE definitions_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time        timestamptz NOT NULL DEFAULT now(),
    action      text        NOT NULL,
    digest      text        NOT NULL,
    channel     text        NOT NULL,
    version     bigint      NOT NULL,
    previous    text        NOT NULL,
    unsigned    boolean     NOT NULL,
    by          text        NOT NULL
);

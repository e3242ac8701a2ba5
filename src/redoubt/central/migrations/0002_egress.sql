-- Connections that offline mode refused: a row for a host and who asked for it.
CREATE TABLE egress_refusals (
    host        text        NOT NULL,
    asked_by    text        NOT NULL,
    count       bigint      NOT NULL,
    first       timestamptz NOT NULL DEFAULT now(),
    last        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host, asked_by)
);
CREATE INDEX egress_refusals_last ON egress_refusals (last);

-- What node agents found on their hosts, and what definitions say of that. Kept by name: a report may be here before its node is.
CREATE TABLE node_reports (
    cluster     uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    node        text        NOT NULL,
    received    timestamptz NOT NULL,
    -- SHA-256 of `index`, which is zlib of the JSON of an IndexReport, as it came
    digest      bytea       NOT NULL,
    index       bytea       NOT NULL,
    -- when it is to be matched next, where its definitions are not the active ones
    due         timestamptz NOT NULL,
    tries       integer     NOT NULL DEFAULT 0,
    problem     text        NOT NULL DEFAULT '',
    -- when and with which definitions it was matched; null: not yet
    matched     timestamptz,
    definitions text,
    -- zstd of the MessagePack of a VulnerabilityReport
    report      bytea,
    components  integer     NOT NULL DEFAULT 0,
    cves        integer     NOT NULL DEFAULT 0,
    fixable     integer     NOT NULL DEFAULT 0,
    top_cvss    real,
    PRIMARY KEY (cluster, node)
);
ALTER TABLE node_reports ALTER COLUMN index SET STORAGE EXTERNAL, ALTER COLUMN report SET STORAGE EXTERNAL;
CREATE INDEX node_reports_due ON node_reports (due);

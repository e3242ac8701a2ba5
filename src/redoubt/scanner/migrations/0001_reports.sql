-- What is in images. A report never changes for an image's digest and what looked at it (`mark`).
CREATE TABLE index_reports (
    digest      text        NOT NULL,
    mark        text        NOT NULL,
    made        timestamptz NOT NULL DEFAULT now(),
    used        timestamptz NOT NULL DEFAULT now(),
    -- zstd of the MessagePack of an IndexReport
    report      bytea       NOT NULL,
    PRIMARY KEY (digest, mark)
);
CREATE INDEX index_reports_used ON index_reports (used);
ALTER TABLE index_reports ALTER COLUMN report SET STORAGE EXTERNAL;

-- What is in layers, so that images that share them share the work.
CREATE TABLE layer_reports (
    key         bytea       PRIMARY KEY,
    used        timestamptz NOT NULL DEFAULT now(),
    report      bytea       NOT NULL
);
CREATE INDEX layer_reports_used ON layer_reports (used);
ALTER TABLE layer_reports ALTER COLUMN report SET STORAGE EXTERNAL;

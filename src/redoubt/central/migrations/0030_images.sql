-- What was scanned, by the digest of its manifest. Both reports can be made again; the index needs the registry for it.
CREATE TABLE images (
    id          text        PRIMARY KEY CHECK (id ~ '^sha256:[0-9a-f]{64}$'),
    -- the name that it was scanned by last
    name        text        NOT NULL,
    -- when it was looked at last, and when it was matched last
    indexed     timestamptz NOT NULL,
    matched     timestamptz NOT NULL,
    -- the snapshot that `report` rests on
    definitions text        NOT NULL,
    system      text        NOT NULL,
    components  integer     NOT NULL,
    cves        integer     NOT NULL,
    fixable     integer     NOT NULL,
    top_cvss    real,
    -- through which integration its registry was reached; empty for none
    source      text        NOT NULL,
    -- zstd of the MessagePack of an IndexReport and of a VulnerabilityReport
    index       bytea       NOT NULL,
    report      bytea       NOT NULL
);
ALTER TABLE images ALTER COLUMN index SET STORAGE EXTERNAL, ALTER COLUMN report SET STORAGE EXTERNAL;

-- Names, which move from one image to another; an image may have many.
CREATE TABLE image_names (
    name        text        PRIMARY KEY,
    image       text        NOT NULL REFERENCES images ON DELETE CASCADE,
    seen        timestamptz NOT NULL
);
CREATE INDEX image_names_image ON image_names (image);

-- Kernel support packages' files, by the name that Collectors ask for. The contents are files in the data folder, named by
-- their SHA-256; a row whose file is not there counts for nothing.
CREATE TABLE probes (
    name      text        PRIMARY KEY COLLATE "C",
    size      bigint      NOT NULL,
    crc32     bigint      NOT NULL,
    sha256    text        NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    by        text        NOT NULL
);
CREATE INDEX probes_sha256 ON probes (sha256);

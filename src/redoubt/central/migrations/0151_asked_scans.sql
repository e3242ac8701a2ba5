-- What a cluster brought of the image that it was asked for, when, and whether that is kept.
ALTER TABLE asked_scans ADD COLUMN brought timestamptz, ADD COLUMN digest text NOT NULL DEFAULT '', ADD COLUMN kept boolean NOT NULL DEFAULT FALSE;

-- Images whose last scan failed: by name (with the digest where that is known), and by whose scan it was: a cluster's, or Central's ('').
CREATE TABLE scan_failures (
    reference   text        NOT NULL,
    cluster     text        NOT NULL,
    digest      text        NOT NULL,
    problem     text        NOT NULL,
    failed      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, cluster)
);
CREATE INDEX scan_failures_by_digest ON scan_failures (digest);

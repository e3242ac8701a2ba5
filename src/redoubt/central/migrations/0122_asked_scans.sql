-- Scans that somebody asked a cluster for: what its Indexer brings of the image is kept, whichever replica it is brought to.
CREATE TABLE asked_scans (
    cluster     uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    reference   text        NOT NULL,
    until       timestamptz NOT NULL,
    PRIMARY KEY (cluster, reference)
);

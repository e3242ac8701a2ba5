-- The definitions of all replicas, where they are kept here (definitions_store: database).

-- What every replica's shelf shall be. ``trusted`` counts changes of trust, ``generation`` all of them.
CREATE TABLE definitions_shelf (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    generation  bigint      NOT NULL DEFAULT 1,
    trusted     bigint      NOT NULL DEFAULT 1,
    state       text        NOT NULL
);

-- Files of snapshots on it. ``stamp``: their time of change in nanoseconds, the same on every replica.
CREATE TABLE definitions_files (
    digest      text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('stream', 'upstream')),
    content     oid         NOT NULL,
    size        bigint      NOT NULL,
    sha256      text        NOT NULL,
    stamp       bigint      NOT NULL,
    PRIMARY KEY (digest, kind)
);

-- Whose bundles are accepted: files below ``trust/``.
CREATE TABLE definitions_trust (
    path        text        PRIMARY KEY,
    data        bytea       NOT NULL
);

-- A large object goes with the row that names it, whoever removes that.
CREATE FUNCTION unlink_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lo_unlink(OLD.content);
    RETURN NULL;
END
$$;

CREATE TRIGGER definitions_files_content AFTER DELETE ON definitions_files
    FOR EACH ROW EXECUTE FUNCTION unlink_content();

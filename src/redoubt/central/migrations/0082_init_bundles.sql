-- Certificates for the services of clusters to come: what was issued, and whether it still counts. The certificates themselves
-- are nowhere but in the answer that made them.
CREATE TABLE init_bundles (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text        NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
-- A name is free again once its bundle is revoked.
CREATE UNIQUE INDEX init_bundles_name ON init_bundles (name) WHERE revoked_at IS NULL;

-- Registries that may be contacted. Names are compared as they are; one registry may have several, for parts of it.
CREATE TABLE image_integrations (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL UNIQUE,
    -- the pull secret that it was made of; empty: somebody made it
    pull_secret text        NOT NULL DEFAULT '',
    -- JSON of an ImageIntegration, without secrets
    record      text        NOT NULL,
    -- the secrets, sealed: JSON of path → text; null: there are none
    sealed      bytea,
    -- what became of it when it was used last: UNINITIALIZED, HEALTHY, UNHEALTHY
    status      text        NOT NULL DEFAULT 'UNINITIALIZED',
    problem     text        NOT NULL DEFAULT '',
    checked     timestamptz
);
CREATE INDEX image_integrations_pull_secret ON image_integrations (pull_secret) WHERE pull_secret <> '';

-- Images that are looked at again and again, by name: their tags move.
CREATE TABLE watched_images (
    name        text        PRIMARY KEY,
    added       timestamptz NOT NULL DEFAULT now(),
    -- when it was looked at last, and why not
    looked      timestamptz NOT NULL DEFAULT now(),
    problem     text        NOT NULL DEFAULT ''
);
CREATE INDEX watched_images_looked ON watched_images (looked);

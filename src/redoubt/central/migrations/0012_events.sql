-- What an administrator should know of; the same again is counted.
CREATE TABLE administration_events (
    id uuid PRIMARY KEY,
    level text NOT NULL,
    domain text NOT NULL,
    message text NOT NULL,
    -- Messages may be longer than an index takes.
    message_hash text GENERATED ALWAYS AS (md5(message)) STORED,
    hint text NOT NULL,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    resource_name text NOT NULL,
    occurrences bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (level, domain, resource_type, resource_id, message_hash)
);
CREATE INDEX administration_events_last ON administration_events (last_at);

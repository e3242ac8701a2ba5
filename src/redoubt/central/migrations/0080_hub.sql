-- One row for each cluster that had a Sensor: who has the stream to it now, and what came of it.
CREATE TABLE sensor_sessions (
    cluster        uuid        PRIMARY KEY REFERENCES clusters ON DELETE CASCADE,
    -- the connection that may write; another one that took its place has another
    holder         uuid        NOT NULL,
    connected      boolean     NOT NULL,
    since          timestamptz NOT NULL,
    -- when the Sensor was heard last
    heard          timestamptz NOT NULL,
    spool          text        NOT NULL,
    version        text        NOT NULL,
    capabilities   text        NOT NULL,
    -- the init bundle that its certificate came with; empty for none
    bundle         text        NOT NULL,
    -- JSON of model.cluster.Identification and Health
    identification text        NOT NULL,
    health         text,
    health_at      timestamptz,
    -- when all that there is was said last, and how many objects were gone then, by kind
    synced_at      timestamptz,
    reconciled     text        NOT NULL DEFAULT '{}',
    -- messages that could not be read, and records that were lost before they came here
    spoilt         bigint      NOT NULL DEFAULT 0,
    dropped        bigint      NOT NULL DEFAULT 0
);

-- How far each numbering of a Sensor has arrived.
CREATE TABLE sensor_spools (
    cluster        uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    spool          text        NOT NULL,
    acknowledged   bigint      NOT NULL,
    used           timestamptz NOT NULL,
    PRIMARY KEY (cluster, spool)
);

-- For Sensors that are connected to another replica. Whoever has the Sensor takes them; what is old is for nobody.
CREATE TABLE sensor_pushes (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster        uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    message        bytea       NOT NULL,
    created        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sensor_pushes_cluster ON sensor_pushes (cluster, id);

-- What Sensors answered to requests of another replica.
CREATE TABLE sensor_answers (
    id             text        PRIMARY KEY,
    cluster        uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    failure        text        NOT NULL,
    result         bytea       NOT NULL,
    created        timestamptz NOT NULL DEFAULT now()
);

-- Cluster registration secrets are kept with init bundles: a name is one or the other.
ALTER TABLE init_bundles
    -- INIT_BUNDLE or CRS
    ADD COLUMN kind              text    NOT NULL DEFAULT 'INIT_BUNDLE',
    -- how many clusters may come with a CRS; 0: any number
    ADD COLUMN max_registrations integer NOT NULL DEFAULT 0;

-- Clusters that came with a CRS.
CREATE TABLE cluster_registrations (
    crs          uuid        NOT NULL REFERENCES init_bundles ON DELETE CASCADE,
    name         text        NOT NULL,
    -- null once the cluster is deleted: that does not give its place to another
    cluster      uuid        REFERENCES clusters ON DELETE SET NULL,
    -- the UID of its kube-system namespace: the same cluster may ask again
    system       text        NOT NULL,
    initiated_at timestamptz NOT NULL DEFAULT now(),
    -- when its Sensor came with a certificate of its own; null: not yet
    completed_at timestamptz,
    PRIMARY KEY (crs, name)
);
CREATE INDEX cluster_registrations_cluster ON cluster_registrations (cluster);

ALTER TABLE sensor_sessions
    -- the init bundle that the cluster's Sensor came with before it had a certificate of its own: other services may still have that
    ADD COLUMN came_with          text        NOT NULL DEFAULT '',
    -- since when the Sensor's certificate counts
    ADD COLUMN certificate_begins timestamptz;
UPDATE sensor_sessions SET came_with = bundle;

-- What there is in clusters, as their Sensors tell of it. An identifier is a cluster's own: what another cluster says of the
-- same one is another row, and the one that was there first is the one that is meant by the identifier alone.
CREATE TABLE cluster_objects (
    cluster     uuid        NOT NULL REFERENCES clusters ON DELETE CASCADE,
    -- one of model.cluster.KINDS
    kind        text        NOT NULL,
    -- Kubernetes' UID
    id          text        NOT NULL,
    name        text        NOT NULL,
    namespace   text        NOT NULL,
    labels      jsonb       NOT NULL,
    -- names of images, of deployments
    images      text[]      NOT NULL,
    created     timestamptz,
    -- of what the Sensor sent
    hash        text        NOT NULL,
    -- the JSON of the kind's struct; text, since jsonb does not take all that a text may be
    object      text        NOT NULL,
    added       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cluster, kind, id)
);
CREATE INDEX cluster_objects_id ON cluster_objects (kind, id);
CREATE INDEX cluster_objects_name ON cluster_objects (kind, name, id);
CREATE INDEX cluster_objects_images ON cluster_objects USING gin (images);

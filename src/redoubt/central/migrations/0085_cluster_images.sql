-- Images that run in clusters and are to be scanned. A row goes when that is done, or nothing runs the image any more.
CREATE TABLE cluster_images (
    -- the name, with the digest where that is known
    reference   text        PRIMARY KEY,
    -- how the deployment says it: its name and its digest, as in cluster_objects.images
    name        text        NOT NULL,
    digest      text        NOT NULL,
    wanted      timestamptz NOT NULL DEFAULT now(),
    -- not before
    due         timestamptz NOT NULL DEFAULT now(),
    tries       integer     NOT NULL DEFAULT 0,
    problem     text        NOT NULL DEFAULT ''
);
CREATE INDEX cluster_images_due ON cluster_images (due);

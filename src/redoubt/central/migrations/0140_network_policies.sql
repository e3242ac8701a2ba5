-- How often what network policies come to may have changed in a cluster.
CREATE TABLE network_epochs (
    cluster uuid   PRIMARY KEY REFERENCES clusters ON DELETE CASCADE,
    epoch   bigint NOT NULL
);

-- What was applied last, and how it is undone: JSON of the original's NetworkPolicyApplicationUndoRecord. For a deployment where one
-- is named, else for the whole cluster.
CREATE TABLE network_policy_undos (
    cluster    uuid NOT NULL REFERENCES clusters ON DELETE CASCADE,
    deployment text NOT NULL,
    record     text NOT NULL,
    PRIMARY KEY (cluster, deployment)
);

-- What happens in clusters. ``key`` is a digest of what makes two tellings the same: a row is found and changed by it alone. Columns that
-- change are in no index, and pages have room left, so that a change writes no index.
CREATE TABLE processes (
    key bytea PRIMARY KEY,
    id text NOT NULL,
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    namespace text NOT NULL,
    container text NOT NULL,
    pod text NOT NULL,
    pod_uid text NOT NULL,
    image text NOT NULL,
    container_id text NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    args text NOT NULL,
    pid bigint NOT NULL,
    uid bigint NOT NULL,
    gid bigint NOT NULL,
    -- JSON of the processes above it, the nearest first
    lineage text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    times bigint NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX processes_by_deployment ON processes (deployment, container, path);

CREATE TABLE listening_endpoints (
    key bytea PRIMARY KEY,
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    pod text NOT NULL,
    pod_uid text NOT NULL,
    container text NOT NULL,
    port integer NOT NULL,
    protocol text NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    args text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    closed timestamptz
) WITH (fillfactor = 85);
CREATE INDEX listening_endpoints_by_deployment ON listening_endpoints (deployment);

-- A flow as it was told: an address outside stays an address, and which block it is in is found out when somebody asks.
CREATE TABLE network_flows (
    key bytea PRIMARY KEY,
    cluster uuid NOT NULL,
    source_type text NOT NULL,
    source text NOT NULL,
    target_type text NOT NULL,
    target text NOT NULL,
    port integer NOT NULL,
    protocol text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    -- of the latest telling
    closed timestamptz
) WITH (fillfactor = 70);
CREATE INDEX network_flows_by_source ON network_flows (cluster, source);
CREATE INDEX network_flows_by_target ON network_flows (cluster, target);

-- Networks outside that have a name; of all clusters where cluster is null.
CREATE SEQUENCE network_entity_revisions;
CREATE TABLE network_entities (
    id text PRIMARY KEY,
    cluster uuid REFERENCES clusters ON DELETE CASCADE,
    name text NOT NULL,
    block cidr NOT NULL,
    revision bigint NOT NULL DEFAULT nextval('network_entity_revisions')
);
CREATE UNIQUE INDEX network_entities_blocks ON network_entities (coalesce(cluster, '00000000-0000-0000-0000-000000000000'), block);

-- What programs a container is known to run. Learning ends at ``learned``, or as soon as somebody locks it.
CREATE TABLE process_baselines (
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    container text NOT NULL,
    namespace text NOT NULL,
    created timestamptz NOT NULL,
    learned timestamptz NOT NULL,
    locked timestamptz,
    changed timestamptz NOT NULL,
    PRIMARY KEY (cluster, deployment, container)
);
CREATE INDEX process_baselines_by_deployment ON process_baselines (deployment);
-- ``buried``: somebody removed it, and it is not learned again.
CREATE TABLE process_baseline_elements (
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    container text NOT NULL,
    path text NOT NULL,
    auto boolean NOT NULL,
    buried boolean NOT NULL DEFAULT FALSE,
    added timestamptz NOT NULL,
    PRIMARY KEY (cluster, deployment, container, path),
    FOREIGN KEY (cluster, deployment, container) REFERENCES process_baselines ON DELETE CASCADE
);

-- Whom a deployment is known to talk to.
CREATE TABLE network_baselines (
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    created timestamptz NOT NULL,
    learned timestamptz NOT NULL,
    locked boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (cluster, deployment)
);
CREATE INDEX network_baselines_by_deployment ON network_baselines (deployment);
CREATE TABLE network_baseline_peers (
    cluster uuid NOT NULL,
    deployment text NOT NULL,
    peer_type text NOT NULL,
    peer text NOT NULL,
    port integer NOT NULL,
    protocol text NOT NULL,
    ingress boolean NOT NULL,
    forbidden boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (cluster, deployment, peer_type, peer, port, protocol, ingress),
    FOREIGN KEY (cluster, deployment) REFERENCES network_baselines ON DELETE CASCADE
);

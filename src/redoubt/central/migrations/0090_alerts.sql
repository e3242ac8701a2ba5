-- Alerts. ``record`` is an alert's JSON without its policy and without what columns say of it; text, not jsonb, because an
-- argument of a process may have a NUL. ``entity`` is what it is about: together with policy and stage there is one that is
-- active, and one of what was refused.
CREATE TABLE alert_policies (
    digest bytea PRIMARY KEY,
    record text NOT NULL,
    added timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE alerts (
    id text PRIMARY KEY,
    cluster uuid NOT NULL,
    cluster_name text NOT NULL,
    namespace text NOT NULL,
    namespace_id text NOT NULL,
    entity text NOT NULL,
    entity_type text NOT NULL,
    entity_name text NOT NULL,
    deployment text NOT NULL,
    deployment_type text NOT NULL,
    resource_type text NOT NULL,
    policy text NOT NULL,
    policy_name text NOT NULL,
    policy_digest bytea NOT NULL REFERENCES alert_policies,
    categories text[] NOT NULL,
    severity smallint NOT NULL,
    stage text NOT NULL,
    state text NOT NULL,
    occurred timestamptz NOT NULL,
    first_occurred timestamptz NOT NULL,
    resolved timestamptz,
    enforcement text NOT NULL,
    enforced integer NOT NULL,
    inactive boolean NOT NULL,
    platform boolean NOT NULL,
    -- Identifiers of what was merged into it last: what is sent again counts once.
    taken text[] NOT NULL,
    record text NOT NULL
);
CREATE UNIQUE INDEX alerts_open ON alerts (cluster, entity, policy, stage, state) WHERE state <> 'RESOLVED';
CREATE INDEX alerts_by_time ON alerts (occurred, id) WHERE state <> 'RESOLVED';
CREATE INDEX alerts_by_severity ON alerts (severity, occurred, id) WHERE state <> 'RESOLVED';
CREATE INDEX alerts_by_policy ON alerts (policy_name, occurred, id) WHERE state <> 'RESOLVED';
CREATE INDEX alerts_by_deployment ON alerts (deployment) WHERE deployment <> '';
CREATE INDEX alerts_resolved ON alerts (resolved) WHERE state = 'RESOLVED';

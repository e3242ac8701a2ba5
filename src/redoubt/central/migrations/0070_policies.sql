-- Policies. ``record`` is text, not jsonb: what a policy says comes back as it was, also what jsonb does not take.
CREATE SEQUENCE policy_revisions;
CREATE TABLE policies (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    is_default boolean NOT NULL,
    record text NOT NULL,
    revision bigint NOT NULL DEFAULT nextval('policy_revisions')
);

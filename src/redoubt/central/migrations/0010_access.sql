-- Roles, permission sets and access scopes that people made; those that come with Central are in its code.
CREATE TABLE permission_sets (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL,
    resource_to_access jsonb NOT NULL
);

CREATE TABLE access_scopes (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    description text NOT NULL,
    rules jsonb NOT NULL
);

CREATE TABLE roles (
    name text PRIMARY KEY,
    description text NOT NULL,
    -- Of a default one or of a row above, so no foreign key.
    permission_set_id uuid NOT NULL,
    access_scope_id uuid NOT NULL
);

-- Accounts with a password: the administrator's.
CREATE TABLE accounts (
    name text PRIMARY KEY,
    hash text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Sources from which the right password came. Strangers' attempts do not stand in their way.
CREATE TABLE familiar_sources (
    account text NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    source text NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, source)
);

-- Keys that sign tokens; the private one is sealed with a key that is not in the database.
CREATE TABLE signing_keys (
    id text PRIMARY KEY,
    public bytea NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    roles text[] NOT NULL,
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL,
    expiration timestamptz NOT NULL,
    revoked boolean NOT NULL DEFAULT false,
    noticed boolean NOT NULL DEFAULT false
);
CREATE INDEX api_tokens_expiration ON api_tokens (expiration);

-- Every call of a known caller that may change something. Never a body, never a query.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    caller text NOT NULL,
    name text NOT NULL,
    roles text[] NOT NULL,
    source text NOT NULL,
    method text NOT NULL,
    route text NOT NULL,
    path text NOT NULL,
    status integer NOT NULL,
    request text NOT NULL
);
CREATE INDEX audit_log_at ON audit_log (at);

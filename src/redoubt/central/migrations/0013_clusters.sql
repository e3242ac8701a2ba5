-- Clusters that are, or will be, looked after. What a Sensor reports of them comes later.
CREATE TABLE clusters (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    record jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

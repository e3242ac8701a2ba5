-- Policies that are tried out in the background. ``state`` is ``pending``, ``done``, ``failed`` or ``cancelled``; ``result`` JSON.
CREATE TABLE dry_runs (
    id uuid PRIMARY KEY,
    owner text NOT NULL,
    state text NOT NULL,
    result text NOT NULL DEFAULT '',
    created timestamptz NOT NULL DEFAULT now()
);

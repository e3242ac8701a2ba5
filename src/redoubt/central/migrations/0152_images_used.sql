-- When a deployment ran the image last, or it was watched, to the day; the day of this migration for those that are here.
ALTER TABLE images ADD COLUMN used timestamptz NOT NULL DEFAULT now();

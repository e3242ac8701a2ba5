-- Since when somebody looks at it. Who is killed meanwhile is followed by another after a while.
ALTER TABLE watched_images ADD COLUMN taken timestamptz;

-- Of images that a cluster's own Indexer looked at: which cluster's; empty for Central's.
ALTER TABLE images ADD COLUMN cluster text NOT NULL DEFAULT '';

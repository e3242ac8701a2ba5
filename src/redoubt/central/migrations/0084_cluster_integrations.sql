-- Of integrations that were made of a cluster's pull secrets: which cluster's. They go with it.
ALTER TABLE image_integrations ADD COLUMN cluster uuid REFERENCES clusters ON DELETE CASCADE;
CREATE INDEX image_integrations_cluster ON image_integrations (cluster) WHERE cluster IS NOT NULL;

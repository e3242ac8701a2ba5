-- When the certificate ends that the Sensor last came with; null where it does not say.
ALTER TABLE sensor_sessions ADD COLUMN certificate_ends timestamptz;

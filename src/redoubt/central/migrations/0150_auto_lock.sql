-- Since when a cluster's process baselines are locked by themselves; null: they are not. It follows the record, whoever writes that.
ALTER TABLE clusters ADD COLUMN auto_lock_since timestamptz;
CREATE FUNCTION cluster_auto_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.auto_lock_since := CASE WHEN NEW.record #>> '{dynamicConfig,autoLockProcessBaselinesConfig,enabled}' = 'true'
        THEN coalesce(NEW.auto_lock_since, now()) END;
    RETURN NEW;
END
$$;
CREATE TRIGGER cluster_auto_lock BEFORE INSERT OR UPDATE OF record ON clusters FOR EACH ROW EXECUTE FUNCTION cluster_auto_lock();

-- Somebody unlocked it: it is not locked by itself again.
ALTER TABLE process_baselines ADD COLUMN unlocked boolean NOT NULL DEFAULT FALSE;
CREATE INDEX process_baselines_unlocked ON process_baselines (cluster, learned) WHERE locked IS NULL AND NOT unlocked;

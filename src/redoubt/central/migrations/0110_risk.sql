-- What is risky, and why. ``subject`` is a deployment's identifier, or an image's digest (of no cluster: all zeros).
CREATE TABLE risks (
    kind text NOT NULL,
    cluster uuid NOT NULL,
    subject text NOT NULL,
    namespace text NOT NULL,
    score double precision NOT NULL,
    -- 1 is the riskiest of its kind; those of the same score have the same
    priority bigint NOT NULL DEFAULT 0,
    -- JSON of the factors
    results text NOT NULL,
    -- of an image: which state of what is known of it was looked at
    basis text NOT NULL,
    computed timestamptz NOT NULL,
    PRIMARY KEY (kind, cluster, subject)
);
CREATE INDEX risks_by_subject ON risks (kind, subject);
CREATE INDEX risks_by_score ON risks (kind, score DESC);

-- Deployments of which something changed that their risk depends on; one may stand here several times. Nobody who writes here waits for
-- anybody else who does.
CREATE TABLE risk_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster uuid NOT NULL,
    deployment text NOT NULL
);

-- Whoever changes alerts need not think of risk.
CREATE FUNCTION risk_due_of_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO risk_due (cluster, deployment) VALUES (coalesce(NEW.cluster, OLD.cluster), coalesce(NEW.deployment, OLD.deployment));
    RETURN NULL;
END
$$;
CREATE TRIGGER risk_due_new AFTER INSERT ON alerts FOR EACH ROW
    WHEN (NEW.deployment <> '' AND NEW.state = 'ACTIVE') EXECUTE FUNCTION risk_due_of_alert();
CREATE TRIGGER risk_due_changed AFTER UPDATE ON alerts FOR EACH ROW
    WHEN (NEW.deployment <> '' AND (OLD.state, OLD.severity) IS DISTINCT FROM (NEW.state, NEW.severity))
    EXECUTE FUNCTION risk_due_of_alert();
CREATE TRIGGER risk_due_gone AFTER DELETE ON alerts FOR EACH ROW
    WHEN (OLD.deployment <> '' AND OLD.state = 'ACTIVE') EXECUTE FUNCTION risk_due_of_alert();

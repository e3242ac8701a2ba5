-- Which cluster scans which images: JSON of model.cluster.DelegatedRegistryConfig; one row at most.
CREATE TABLE delegation (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    config text    NOT NULL
);

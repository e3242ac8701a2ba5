-- Contents of kernel support packages' files, where they are kept here for all replicas (definitions_store: database).
CREATE TABLE probes_contents (
    sha256    text        PRIMARY KEY,
    content   oid         NOT NULL
);

CREATE TRIGGER probes_contents_content AFTER DELETE ON probes_contents
    FOR EACH ROW EXECUTE FUNCTION unlink_content();

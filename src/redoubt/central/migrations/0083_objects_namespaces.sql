-- Objects of a namespace.
CREATE INDEX cluster_objects_namespace ON cluster_objects (cluster, namespace, kind);

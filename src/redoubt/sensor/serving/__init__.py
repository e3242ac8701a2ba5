"""What the Sensor does for the cluster's other services: one gRPC service a module, listed by ``service``."""

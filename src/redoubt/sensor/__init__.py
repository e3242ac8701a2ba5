"""The Sensor of a cluster: watches what there is, asks policies of it, tells Central, and serves the cluster's other services."""

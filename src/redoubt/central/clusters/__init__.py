"""Clusters' records: what people set of a cluster, and what is known of how it does."""

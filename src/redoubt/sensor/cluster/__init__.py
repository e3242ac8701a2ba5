"""The cluster's API server: which objects it has, what changes, and what is changed there."""

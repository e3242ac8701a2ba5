"""Central: the API, who may use it, and what is kept of definitions, images and findings."""

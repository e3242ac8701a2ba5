"""Delegated scanning: images that a cluster looks at with its own Indexer, since Central cannot or should not reach them."""

"""Images: scanned, kept by digest, and told of in the original's form."""

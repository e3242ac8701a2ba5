"""The Indexer and Matcher as services, over ``indexer`` and ``matcher``. Meets Central over ``wire`` only."""

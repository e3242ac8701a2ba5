"""Central's tables, as numbered SQL files."""

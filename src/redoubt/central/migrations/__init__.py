"""Central's tables, as numbered SQL files: 0010s are who may do what."""

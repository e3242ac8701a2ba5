"""The Scanner's tables, as numbered SQL files."""

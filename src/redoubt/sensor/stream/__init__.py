"""What goes between this Sensor and Central: one stream, a spool for what has to arrive, and what Central said last."""

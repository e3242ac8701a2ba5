"""Central's end of the stream to each cluster's Sensor: what it tells is kept, and it is told what to decide by."""

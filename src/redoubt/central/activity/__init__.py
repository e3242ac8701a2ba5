"""Activity: processes, connections and listening ports as Sensors tell of them, and what is known to be usual."""

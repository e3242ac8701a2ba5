"""The node agent: what is installed on its host, and the API server's audit log there, told to the Sensor. Reads and never writes the host."""

"""Who this Sensor and its cluster's services are: certificates, where they lie, and how they are made anew."""

"""BUILD: turns the description of a network into tables and arrays; the only place that converts ms to steps."""

"""Several processes: reserved for the communicator and its serial default."""

"""Work divided among threads and ranks: ownership of neurons, and communication between ranks."""

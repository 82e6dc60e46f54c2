"""State that changes while a network runs: its arrays, reading and writing weights, checkpoints."""

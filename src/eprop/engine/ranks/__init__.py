"""Work divided among threads and ranks: who owns what, what ranks tell each other."""

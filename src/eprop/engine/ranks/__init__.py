"""RANKS: what several processes do that simulate one network together."""

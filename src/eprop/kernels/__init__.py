"""Compiled loops over arrays: advance neurons, deliver spikes, compose maps, go backward, draw connections."""

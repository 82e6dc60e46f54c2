"""Other simulators and formats. Each is optional and imported where it is used."""

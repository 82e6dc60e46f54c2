"""Other simulators and formats, each optional, imported where it is used."""

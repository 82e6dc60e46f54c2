"""BUILD: the description of a network becomes tables and arrays; the only place where ms become steps."""

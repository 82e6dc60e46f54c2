"""THE MATHS: one equation each, as compiled scalar functions, with its source."""

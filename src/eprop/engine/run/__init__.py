"""Running a built network: steps, samples, lanes and rollouts, with their inputs and results."""

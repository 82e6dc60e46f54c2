"""Running a built network: streams, samples and rollouts, with their inputs and results."""

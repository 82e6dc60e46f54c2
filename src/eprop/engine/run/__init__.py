"""Running a built network: continuous time, samples side by side, what is given to a run and what it leaves behind."""

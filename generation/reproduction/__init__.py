"""The paper's experiment at the size of a laptop: train, sample, measure, say what agrees. Worker code, loads torch."""

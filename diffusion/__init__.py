"""Torch core shared by training and generation: noise schedule, denoiser, time-dependent classifier, checkpoints."""

"""What detectors share: networks, training, memory, density estimates, defaults."""

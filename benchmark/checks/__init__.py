"""Conformance checks of detectors and datasets, each with a sentence that says how to fix what fails."""

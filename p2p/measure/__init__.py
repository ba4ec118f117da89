"""Measuring: samples, their summary, and the demo that runs a whole lab on one machine."""

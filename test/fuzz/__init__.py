"""Coverage-guided fuzzing of every parser: ``make fuzz MINUTES=1``, or ``python -m test.fuzz --help``."""

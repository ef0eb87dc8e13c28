"""For each exercise: CHECKS, the probes and what is expected; WRONG, named wrong answers; VALID, other right ones."""

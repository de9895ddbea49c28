"""What bench/compare, bench/scale and bench/endurance share. Python's standard library only."""

"""What bench/compare, bench/scale, bench/endurance and bench/proof share. Python's standard library only."""

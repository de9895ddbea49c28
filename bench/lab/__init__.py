"""What bench/compare, bench/change, bench/scale, bench/endurance and bench/proof share. Python's standard library only."""

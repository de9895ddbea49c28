"""What the scripts in bench/ share. Python's standard library only."""

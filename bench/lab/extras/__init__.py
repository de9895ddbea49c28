"""What presence, history, watchers and the page of operators cost, for bench/extras.

| file | what |
|---|---|
| `sides.py` | the servers that are compared: without any of it, with rules that concern nobody, with each in use |
| `jobs.py` | the loads, and which sides bear which |
| `instructions.py` | the same for one push, by callgrind |
| `page.js` | the page of operators in Chromium, with its live view paused |
| `table.py` | the rows and their targets, and their place on the page of benchmarks |
"""

"""The benchmarks: a file each command of `facefleet bench`, beside what it measures with; `group.py` lists them."""

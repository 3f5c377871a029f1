"""Random differential testing: every engine is held to Keras' loop over the cell.

`make fuzz SECONDS=600` draws layers, data and calls (drawing.py), runs each on the
planned engine and on all others that can run it (running.py), and compares outputs,
last states and gradients with those of the step engine (comparing.py). A case that
differs is shrunk (shrinking.py), and printed as a program that runs by itself
(case.py).
"""

"""`python -m keras_rnnx` is the command `keras-rnnx`."""

import sys

from keras_rnnx.cli import main

if __name__ == "__main__":
    sys.exit(main())

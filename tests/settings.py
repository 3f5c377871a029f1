"""What setup.cfg says."""

import configparser
from pathlib import Path


def setup_cfg():
    """Its sections, as `configparser` reads them."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(Path(__file__).parents[1] / "setup.cfg")
    return config

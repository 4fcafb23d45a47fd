"""Find synapses and their direction in electron-microscopy volumes."""

__version__ = "0.1.0"

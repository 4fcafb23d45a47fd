"""What the table of benchmarks measures, one module for each part of the chain."""

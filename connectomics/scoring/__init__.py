"""From label volumes to what metrics compare: truth, prediction, and where synapses are."""

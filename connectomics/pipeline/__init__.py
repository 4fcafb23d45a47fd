"""What a command does: stages, the results they make, and what these were made from."""

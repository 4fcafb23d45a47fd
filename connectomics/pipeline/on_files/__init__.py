"""`evaluate` and `decode` on files made anywhere, without a config."""

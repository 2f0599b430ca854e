"""From answers to the result and its files."""

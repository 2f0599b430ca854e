"""Whether answers and the result are what was asked for, and what has to be run again."""

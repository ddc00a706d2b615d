"""From X and y to arrays and back: containers, columns, levels, targets and classes."""

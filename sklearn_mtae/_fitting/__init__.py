"""From parameters and data to a fitted state."""

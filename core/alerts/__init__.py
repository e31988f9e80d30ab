"""Alert rules: their language, what they do to a market's state, and how it is told."""

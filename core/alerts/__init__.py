"""Alert rules: written in a small language, tested on history, judged at every bar."""

"""Seeing what goes on: logs, metrics, traces, errors; each off, or costing next to nothing, until wanted."""

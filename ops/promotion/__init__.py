"""Promotion of a model from one environment to the next, its way back, and what each environment serves."""

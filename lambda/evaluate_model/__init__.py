"""Measures a trained model on what batch transform made of the test and ranking rows, and judges it."""

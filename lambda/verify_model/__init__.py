"""Checks a model package before it is deployed, and the endpoint after."""

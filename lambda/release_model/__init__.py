"""Points the environment at a model package."""

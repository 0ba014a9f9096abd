"""AWS on one machine: MiniStack, and the SageMaker that it lacks."""

"""A CloudFormation custom resource, the first model: creating it trains one, deleting it removes all."""

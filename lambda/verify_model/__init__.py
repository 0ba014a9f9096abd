"""Two CloudFormation custom resources: a check of the model before its deployment, a test of it after."""

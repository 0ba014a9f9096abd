"""The recommender's HTTP API: a Lambda function between API Gateway and the SageMaker endpoint."""

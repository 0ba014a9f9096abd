"""What API Gateway lets through to the function: as much as lambda/recommend/schemas.py accepts."""

from typing import Final

from aws_cdk import aws_apigateway as apigateway

MAX_PAIRS: Final = 100

_IDENTIFIER: Final = apigateway.JsonSchema(
    type=apigateway.JsonSchemaType.STRING, min_length=1, max_length=128
)
PREDICTION_REQUEST: Final = apigateway.JsonSchema(
    schema=apigateway.JsonSchemaVersion.DRAFT4,
    title="PredictionRequest",
    type=apigateway.JsonSchemaType.OBJECT,
    required=["pairs"],
    additional_properties=False,
    properties={
        "pairs": apigateway.JsonSchema(
            type=apigateway.JsonSchemaType.ARRAY,
            min_items=1,
            max_items=MAX_PAIRS,
            items=apigateway.JsonSchema(
                type=apigateway.JsonSchemaType.OBJECT,
                required=["user", "movie"],
                additional_properties=False,
                properties={
                    "user": _IDENTIFIER,
                    "movie": _IDENTIFIER,
                },
            ),
        )
    },
)

"""A month's cost of an environment: by resource, before and after, from dated and sourced list prices."""

from ops.review.cost.review import CostLine, CostReview, review_cost
from ops.review.cost.traffic import Traffic, parse_traffic

__all__ = ["CostLine", "CostReview", "Traffic", "parse_traffic", "review_cost"]

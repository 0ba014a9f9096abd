"""Each estimator against amounts that were worked out by hand from the prices of us-east-1."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ops.review.cost import CostReview

Amounts = Callable[..., dict[str, Decimal | None]]
Cost = Callable[..., CostReview]


def endpoint(variant: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [{"VariantName": "All", **variant}]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": "movies",
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
            },
        },
        **more,
    }


def function(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def machine(states: dict[str, Any], **properties: Any) -> dict[str, Any]:
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"DefinitionString": definition, **properties},
    }


def job(action: str, key: str, cluster: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::sagemaker:{action}.sync",
        "Parameters": {key: cluster},
        "End": True,
    }


# -- SageMaker


def test_endpoint_instances_run_all_month(amounts: Amounts) -> None:
    found = amounts(
        endpoint({"InstanceType": "ml.m5.large", "InitialInstanceCount": 2, "VolumeSizeInGB": 10}),
        requests_per_month=1_000_000,
        endpoint_kb=100,
    )

    # 2 × (730 h × 0.115 + 10 GB × 0.14); 100 GB × 0.016
    assert found == {"Endpoint (All)": Decimal("170.70"), "Endpoint (data)": Decimal("1.60")}


def test_endpoint_without_a_volume_size_takes_the_assumed_one(amounts: Amounts) -> None:
    found = amounts(endpoint({"InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}), volume_gb=20)

    # 730 h × 0.056 + 20 GB × 0.14
    assert found["Endpoint (All)"] == Decimal("43.68")


@pytest.mark.parametrize(
    "resource_id",
    [
        "endpoint/movies/variant/All",
        {"Fn::Join": ["", ["endpoint/", {"Fn::GetAtt": ["Endpoint", "EndpointName"]}, "/variant/All"]]},
        {"Fn::Sub": "endpoint/${Endpoint.EndpointName}/variant/All"},
    ],
)
def test_autoscaling_is_floor_and_ceiling(cost: Cost, resource_id: Any) -> None:
    target = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {
            "MinCapacity": 2,
            "MaxCapacity": 6,
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource_id,
        },
    }
    review = cost(
        endpoint({"InstanceType": "ml.c5.large", "InitialInstanceCount": 1}, Target=target), volume_gb=0
    )

    # 730 h × 0.102 = 74.46 for each instance; fewer than the least never run
    line = next(line for line in review.lines if line.subject == "app/Endpoint (All)")
    assert (line.after, line.floor, line.ceiling) == (Decimal("148.92"), Decimal("148.92"), Decimal("446.76"))
    assert line.driver == "2 × ml.c5.large × 730 h, autoscaling 2 to 6, 0 GB volume each"


def test_autoscaling_of_another_variant_or_endpoint_is_not_this_ones(cost: Cost) -> None:
    targets = {
        name: {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "MinCapacity": 2,
                "MaxCapacity": 6,
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                "ResourceId": identity,
            },
        }
        for name, identity in (("T1", "endpoint/movies/variant/Other"), ("T2", "endpoint/books/variant/All"))
    }
    review = cost(endpoint({"InstanceType": "ml.c5.large", "InitialInstanceCount": 1}, **targets))

    assert all(line.ceiling is None for line in review.lines)


def test_managed_scaling_of_the_variant_itself(cost: Cost) -> None:
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
    variant = {
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 1,
        "ManagedInstanceScaling": scaling,
    }
    line = cost(endpoint(variant), volume_gb=0).lines[0]

    assert (line.floor, line.after, line.ceiling) == (Decimal("0.00"), Decimal("74.46"), Decimal("223.38"))


def test_serverless_endpoint_is_paid_by_request(amounts: Amounts) -> None:
    found = amounts(
        endpoint({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}),
        requests_per_month=1_000_000,
        endpoint_seconds="0.1",
        endpoint_kb=0,
    )

    # 1,000,000 × 0.1 s × 2 GB × 0.00002
    assert found["Endpoint (All)"] == Decimal("4.00")


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ({"InstanceType": "ml.p5.48xlarge"}, "no price for ml.p5.48xlarge in us-east-1"),
        ({}, "no price for an instance type that is not in the template in us-east-1"),
        (
            {"ServerlessConfig": {"MemorySizeInMB": 2048, "ProvisionedConcurrency": 1}},
            "no price for provisioned concurrency of a serverless endpoint",
        ),
        (
            {"InstanceType": "ml.m5.large", "InitialInstanceCount": {"Ref": "Count"}},
            "InitialInstanceCount is not known before deployment",
        ),
    ],
)
def test_a_variant_that_cannot_be_priced_is_named(cost: Cost, variant: dict[str, Any], reason: str) -> None:
    review = cost(endpoint(variant))

    assert review.unpriced == (f"app/Endpoint (All) (AWS::SageMaker::Endpoint): {reason}",)
    assert [line.subject for line in review.lines] == ["app/Endpoint (data)"]


def test_an_endpoint_of_a_configuration_from_elsewhere_is_named(cost: Cost) -> None:
    review = cost(
        {"E": {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": "elsewhere"}}}
    )

    assert review.unpriced == (
        "app/E (AWS::SageMaker::Endpoint): its endpoint configuration is not in the templates",
    )


def test_shadow_variants_cost_what_they_run_on(amounts: Amounts) -> None:
    resources = endpoint({"InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    resources["Config"]["Properties"]["ShadowProductionVariants"] = [
        {"VariantName": "Shadow", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    ]

    assert amounts(resources, volume_gb=0)["Endpoint (Shadow)"] == Decimal("83.95")


def test_training_jobs_by_runs_minutes_and_instances(cost: Cost) -> None:
    cluster = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 73}
    review = cost(
        {"M": machine({"Train": job("createTrainingJob", "ResourceConfig", cluster)})},
        manual_runs_per_month=10,
        training_minutes=30,
    )

    # 10 runs × 2 × 0.5 h = 10 h × 0.23 + 10 h × 73 GB ÷ 730 h × 0.14
    line = next(line for line in review.lines if line.type == "SageMaker training job")
    assert (line.subject, line.after) == ("app/M (Train)", Decimal("2.44"))
    assert line.driver == ("2 × ml.m5.xlarge × 30 min × 10 runs (10 runs by hand), 73 GB volume each")


def test_transform_jobs_have_their_own_minutes(amounts: Amounts) -> None:
    cluster = {"InstanceType": "ml.c5.9xlarge", "InstanceCount": 1}
    found = amounts(
        {"M": machine({"Score": job("createTransformJob", "TransformResources", cluster)})},
        manual_runs_per_month=4,
        transform_minutes=15,
        volume_gb=0,
    )

    assert found["M (Score)"] == Decimal("1.84")  # 4 × 0.25 h × 1.836, half up


def test_tuning_costs_all_its_training_jobs(amounts: Amounts) -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync",
        "Parameters": {
            "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 20}},
            "TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}},
        },
        "End": True,
    }
    found = amounts(
        {"M": machine({"Tune": state})}, manual_runs_per_month=1, training_minutes=60, volume_gb=0
    )

    assert found["M (Tune)"] == Decimal("4.60")  # 20 h × 0.23


def test_a_job_on_an_unknown_type_is_named_and_the_rest_priced(cost: Cost) -> None:
    cluster = {"InstanceType": "ml.trn9.xlarge", "InstanceCount": 1}
    review = cost({"M": machine({"Train": job("createTrainingJob", "ResourceConfig", cluster)})})

    assert review.unpriced == (
        "app/M (Train) (AWS::StepFunctions::StateMachine): no price for ml.trn9.xlarge in us-east-1",
    )
    assert [line.subject for line in review.lines] == ["app/M"]


# -- Lambda and Step Functions


def test_function_of_an_api_by_memory_time_and_requests(amounts: Amounts) -> None:
    integration = {"Integration": {"Uri": {"Fn::Sub": "arn:aws:apigateway:x/${F.Arn}/invocations"}}}
    found = amounts(
        {
            "F": function(MemorySize=2048, Architectures=["arm64"]),
            "Api": {"Type": "AWS::ApiGateway::RestApi"},
            "Get": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": "GET", **integration},
            },
            "Post": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": "POST", "Integration": {}},
            },
            "Preflight": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": "OPTIONS"},
            },
        },
        requests_per_month=2_000_000,
        request_seconds="0.1",
        response_kb=50,
    )

    # Half of the requests: 1,000,000 × 0.1 s × 2 GB × 0.0000133334 + 1,000,000 × 0.0000002
    assert found["F"] == Decimal("2.87")
    # 2,000,000 × 0.0000035 + 100 GB × 0.09
    assert found["Api"] == Decimal("16.00")


def test_function_of_a_workflow_by_its_steps(cost: Cost) -> None:
    arn = {"Fn::GetAtt": ["F", "Arn"]}
    parts = [
        '{"StartAt":"A","States":{"A":{"Type":"Task","Next":"B","Resource":"',
        arn,
        '"},"B":{"Type":"Task","End":true,"Resource":"',
        arn,
        '"}}}',
    ]
    workflow = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"DefinitionString": {"Fn::Join": ["", parts]}},
    }
    review = cost({"F": function(MemorySize=1024), "M": workflow}, manual_runs_per_month=500, task_seconds=60)

    # 500 × 2 × 60 s × 1 GB × 0.0000166667 + 1000 × 0.0000002; 500 × 2 × 0.000025
    assert {line.subject: line.after for line in review.lines} == {
        "app/F": Decimal("1.00"),
        "app/M": Decimal("0.03"),
    }
    assert review.lines[0].driver == "1,000 steps of workflows × 60 s × 1 GB, x86_64"


def test_function_that_nothing_calls_takes_the_assumed_invocations(cost: Cost) -> None:
    review = cost({"F": function()}, invocations_per_month=8_000_000, invocation_seconds=1)

    # 8,000,000 × 0.125 GB × 0.0000166667 + 8 × 0.20
    assert review.lines[0].after == Decimal("18.27")
    assert review.lines[0].driver == "8,000,000 invocations by others × 1 s × 0.125 GB, x86_64"


def test_function_on_a_schedule(cost: Cost) -> None:
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "ScheduleExpression": "rate(1 minute)",
            "Targets": [{"Arn": {"Fn::GetAtt": ["F", "Arn"]}}],
        },
    }
    review = cost({"F": function(MemorySize=1024), "Rule": rule}, invocation_seconds=10)

    # 43,800 × 10 s × 1 GB × 0.0000166667 + 43,800 × 0.0000002
    assert review.lines[0].after == Decimal("7.31")
    assert "rate(1 minute) = 43,800 runs" in review.lines[0].driver


def test_function_behind_an_alias_is_the_functions(cost: Cost) -> None:
    integration = {"Integration": {"Uri": {"Fn::Sub": "arn:aws:apigateway:x/${Live}/invocations"}}}
    review = cost(
        {
            "F": function(),
            "Live": {"Type": "AWS::Lambda::Alias", "Properties": {"FunctionName": {"Ref": "F"}}},
            "Api": {"Type": "AWS::ApiGateway::RestApi"},
            "Get": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": "GET", **integration},
            },
        }
    )

    assert any(line.driver.startswith("10,000 API requests") for line in review.lines)


def test_functions_of_custom_resources_run_in_deployments_only(cost: Cost) -> None:
    environment = {"Variables": {"HANDLER": {"Fn::GetAtt": ["Handler", "Arn"]}}}
    review = cost(
        {
            "Framework": function(Environment=environment),
            "Handler": function(),
            "Custom": {
                "Type": "Custom::Thing",
                "Properties": {"ServiceToken": {"Fn::GetAtt": ["Framework", "Arn"]}},
            },
        },
        deployments_per_month=3,
        deployment_seconds=7,
    )

    assert {line.driver for line in review.lines} == {"3 deployments × 7 s × 0.125 GB, x86_64"}


def test_what_lambda_charges_extra_is_named(cost: Cost) -> None:
    review = cost(
        {
            "F": function(EphemeralStorage={"Size": 2048}, SnapStart={"ApplyOn": "PublishedVersions"}),
            "Version": {
                "Type": "AWS::Lambda::Version",
                "Properties": {
                    "FunctionName": {"Ref": "F"},
                    "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 1},
                },
            },
        }
    )

    assert review.unpriced == (
        "app/F (SnapStart) (AWS::Lambda::Function): no price for SnapStart",
        "app/F (ephemeral storage) (AWS::Lambda::Function): no price for ephemeral storage above 512 MB",
        "app/Version (AWS::Lambda::Version): no price for provisioned concurrency",
    )


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"StateMachineType": "EXPRESS", "DefinitionString": "{}"}, "no price for Express workflows"),
        ({"DefinitionS3Location": {"Bucket": "b"}}, "its definition is not in the template"),
        ({"DefinitionString": "no JSON"}, "its definition is not in the template"),
    ],
)
def test_a_workflow_that_cannot_be_priced_is_named(
    cost: Cost, properties: dict[str, Any], reason: str
) -> None:
    review = cost({"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}})

    assert review.unpriced == (f"app/M (AWS::StepFunctions::StateMachine): {reason}",)
    assert review.lines == ()


def test_a_definition_as_a_table_is_read(amounts: Amounts) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    workflow = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"Definition": definition}}

    assert amounts({"M": workflow}, manual_runs_per_month=100_000)["M"] == Decimal("2.50")


@pytest.mark.parametrize(
    ("trigger", "driver"),
    [
        (
            {
                "Type": "AWS::Scheduler::Schedule",
                "Properties": {
                    "ScheduleExpression": "rate(1 hour)",
                    "Target": {"Arn": {"Ref": "M"}},
                },
            },
            "1 transition × 730 runs (rate(1 hour) = 730 runs)",
        ),
        (
            {
                "Type": "AWS::Scheduler::Schedule",
                "Properties": {
                    "ScheduleExpression": "rate(1 hour)",
                    "State": "DISABLED",
                    "Target": {"Arn": {"Ref": "M"}},
                },
            },
            "1 transition × 0 runs (rate(1 hour), disabled)",
        ),
        (
            {
                "Type": "AWS::Events::Rule",
                "Properties": {"EventPattern": {"source": ["aws.s3"]}, "Targets": [{"Arn": {"Ref": "M"}}]},
            },
            "1 transition × 4 runs (4 events)",
        ),
    ],
)
def test_runs_of_a_workflow_come_from_its_triggers(cost: Cost, trigger: dict[str, Any], driver: str) -> None:
    review = cost({"M": machine({"Done": {"Type": "Succeed"}}), "Trigger": trigger})

    assert review.lines[0].driver == driver


def test_a_schedule_that_cannot_be_read_is_named(cost: Cost) -> None:
    schedule = {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {"ScheduleExpression": {"Ref": "When"}, "Target": {"Arn": {"Ref": "M"}}},
    }
    review = cost({"M": machine({"Done": {"Type": "Succeed"}}), "Schedule": schedule})

    assert len(review.unpriced) == 1
    assert "its schedule {Ref: When} cannot be read" in review.unpriced[0]


# -- API Gateway, S3, KMS, CloudWatch


def test_detailed_metrics_of_a_stage_count_by_method(cost: Cost) -> None:
    methods = {
        verb: {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {"RestApiId": {"Ref": "Api"}, "HttpMethod": verb},
        }
        for verb in ("GET", "POST")
    }
    stage = {
        "Type": "AWS::ApiGateway::Stage",
        "Properties": {
            "RestApiId": {"Ref": "Api"},
            "MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "MetricsEnabled": True}],
            "CacheClusterEnabled": True,
        },
    }
    review = cost({"Api": {"Type": "AWS::ApiGateway::RestApi"}, "Stage": stage, **methods})

    # 2 methods × 5 metrics × 0.30
    assert next(line.after for line in review.lines if line.subject == "app/Stage") == Decimal("3.00")
    assert review.unpriced == ("app/Stage (cache) (AWS::ApiGateway::Stage): no price for a cache",)


def test_a_stage_without_detailed_metrics_costs_nothing(amounts: Amounts) -> None:
    stage = {"Type": "AWS::ApiGateway::Stage", "Properties": {"MethodSettings": [{"ResourcePath": "/*"}]}}

    assert amounts({"Stage": stage}) == {"Stage": Decimal("0.00")}


def test_bucket_by_size_requests_and_events(amounts: Amounts) -> None:
    plain = {"Type": "AWS::S3::Bucket"}
    telling = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
        },
    }
    found = amounts(
        {"Plain": plain, "Telling": telling}, bucket_gb=100, bucket_writes=1_000_000, bucket_reads=10_000_000
    )

    # 100 × 0.023 + 1,000 × 0.005 + 10,000 × 0.0004, and 1 × 1.00 for the events
    assert found == {"Plain": Decimal("11.30"), "Telling": Decimal("12.30")}


def test_bucket_is_priced_without_events_where_those_have_no_price(cost: Cost) -> None:
    telling = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"NotificationConfiguration": {"EventBridgeConfiguration": {}}},
    }
    review = cost({"B": telling}, region="eu-west-1", bucket_gb=100, bucket_writes=0, bucket_reads=0)

    assert review.unpriced == ("app/B (events) (AWS::S3::Bucket): no price for event in eu-west-1",)
    assert review.monthly_after == Decimal("2.30")


def test_key_by_month_and_requests(amounts: Amounts) -> None:
    assert amounts({"Key": {"Type": "AWS::KMS::Key"}}, key_requests=1_000_000) == {"Key": Decimal("4.00")}


def test_log_group_by_what_is_written_and_kept(amounts: Amounts) -> None:
    groups = {
        "Kept": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 365}},
        "Forever": {"Type": "AWS::Logs::LogGroup"},
        "Day": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 1}},
    }
    found = amounts(groups, log_mb=10_000)

    # 10 GB × 0.50, and 10 GB × 12 months × 0.03, or × 12/365 month
    assert found == {"Kept": Decimal("8.60"), "Forever": Decimal("8.60"), "Day": Decimal("5.01")}


def test_log_group_of_a_function_by_its_invocations(cost: Cost) -> None:
    review = cost(
        {
            "F": function(LoggingConfig={"LogGroup": {"Ref": "Logs"}}),
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        },
        invocations_per_month=10_000_000,
        log_kb=3,
    )

    # 30 GB × 0.50 + 30 GB × 30 ÷ (365 ÷ 12) × 0.03
    line = next(line for line in review.lines if line.subject == "app/Logs")
    assert (line.after, line.driver) == (Decimal("15.89"), "10,000,000 records × 3 KB, kept 30 days")


def test_log_group_of_a_stage_by_requests(cost: Cost) -> None:
    review = cost(
        {
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {"AccessLogSetting": {"DestinationArn": {"Fn::GetAtt": ["Logs", "Arn"]}}},
            },
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        },
        requests_per_month=500_000,
    )

    assert any(line.driver == "500,000 records × 2 KB, kept 30 days" for line in review.lines)


def test_log_group_of_infrequent_access_is_named(cost: Cost) -> None:
    group = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupClass": "INFREQUENT_ACCESS"}}

    assert cost({"G": group}).unpriced == (
        "app/G (AWS::Logs::LogGroup): no price for log groups of infrequent access",
    )


def test_alarms_by_metric_and_dashboards(cost: Cost) -> None:
    statistic = {"MetricStat": {"Period": 300}}
    review = cost(
        {
            "One": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors", "Period": 60}},
            "Three": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {"Metrics": [statistic, statistic, statistic, {"Expression": "m1+m2"}]},
            },
            "Fast": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors", "Period": 10}},
            "Dashboard": {"Type": "AWS::CloudWatch::Dashboard"},
            "Tracking": {
                "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
                "Properties": {"PolicyType": "TargetTrackingScaling"},
            },
            "Steps": {
                "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
                "Properties": {"PolicyType": "StepScaling"},
            },
        }
    )

    assert {line.subject.removeprefix("app/"): line.after for line in review.lines} == {
        "Dashboard": Decimal("3.00"),
        "Three": Decimal("0.30"),
        "Tracking": Decimal("0.20"),
        "One": Decimal("0.10"),
        "Steps": Decimal("0.00"),
    }
    assert review.unpriced == ("app/Fast (AWS::CloudWatch::Alarm): no price for high-resolution alarms",)

"""Data preparation in AWS Batch, for ratings that outgrow the function."""

from pathlib import Path
from typing import Final

from aws_cdk import ArnFormat, Duration, Fn, Size, Stack
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.acknowledgement import acknowledge
from infra.environment import BatchSettings, Environment
from infra.errors import ConfigurationError
from infra.log_group import log_group
from infra.permission import allow
from infra.storage import StorageStack

_ZONES: Final = 2
_ATTEMPTS: Final = 2
_STAGES: Final = 3
_LAUNCH_ALLOWANCE_MINUTES: Final = 15
"""What Fargate may take to find room and to fetch the image."""


class PreparationJobs(Construct):
    """A Fargate queue, and the job whose image carries `data_prep` and its command line.

    Nothing listens in the jobs' network, and nothing in it costs while no job runs: jobs have public
    addresses to reach AWS with, and a security group that lets nothing in.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Environment,
        job: BatchSettings,
        storage: StorageStack,
        image: Path,
    ) -> None:
        """Define the queue and the job.

        Args:
            scope: the stack.
            construct_id: its id there.
            settings: the environment.
            job: its `[training.batch]`.
            storage: where the data is.
            image: the folder that the image is built from, with a Dockerfile.

        Raises:
            ConfigurationError: the folder is not there.
        """
        super().__init__(scope, construct_id)
        if not (image / "Dockerfile").is_file():
            raise ConfigurationError(f"{image} is not an image's folder: run `recommender build`")
        self._settings = settings
        self._job = job
        self._name = f"{settings.prefix}-prepare-data"
        self.log_group_name = f"/aws/batch/{self._name}"
        network = self._network()
        environment = batch.FargateComputeEnvironment(
            self,
            "Environment",
            vpc=network,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            security_groups=[
                ec2.SecurityGroup(self, "Jobs", vpc=network, description="Data preparation: nothing comes in")
            ],
            maxv_cpus=max(1, round(job.vcpus * job.shards)),
        )
        self.queue = batch.JobQueue(
            self,
            "Queue",
            compute_environments=[batch.OrderedComputeEnvironment(compute_environment=environment, order=1)],
        )
        self.definition = batch.EcsJobDefinition(
            self,
            "PrepareData",
            job_definition_name=self._name,
            # An execution under way goes on with the revision that it began with.
            skip_deregister_on_update=True,
            container=self._container(storage, image),
            retry_attempts=_ATTEMPTS,
            timeout=Duration.minutes(job.max_runtime_minutes),
        )

    @property
    def longest(self) -> Duration:
        """The time that the jobs may take, one after the other, with every attempt."""
        minutes = self._job.max_runtime_minutes + _LAUNCH_ALLOWANCE_MINUTES
        return Duration.minutes(_STAGES * _ATTEMPTS * minutes)

    def allow_submission(self, role: iam.Role) -> None:
        """Let a state machine's role run the job and wait for its end.

        https://docs.aws.amazon.com/step-functions/latest/dg/connect-batch.html
        """
        stack = Stack.of(self)
        revisions = stack.format_arn(
            service="batch", resource="job-definition", resource_name=f"{self._name}:*"
        )
        allow(
            role,
            "batch:SubmitJob",
            on=[revisions, self.queue.job_queue_arn],
            because="An execution under way goes on with its revision when a deployment has made another",
        )
        allow(role, "batch:DescribeJobs", on="*", because="DescribeJobs acts on nothing that IAM can name")
        allow(
            role,
            "batch:TerminateJob",
            on=stack.format_arn(service="batch", resource="job", resource_name="*"),
            because="AWS Batch names a job when it is submitted",
        )
        allow(
            role,
            *("events:DescribeRule", "events:PutRule", "events:PutTargets"),
            on=stack.format_arn(
                service="events", resource="rule", resource_name="StepFunctionsGetEventsForBatchJobsRule"
            ),
        )
        allow(
            role,
            "logs:GetLogEvents",
            on=stack.format_arn(
                service="logs",
                resource="log-group",
                resource_name=f"{self.log_group_name}:log-stream:*",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            because="AWS Batch names a job's log stream",
        )

    def steps(self, workflow: Construct, *, prepare: sfn.IChainable, failure: sfn.IChainable) -> sfn.Chain:
        """Plan, encode in an array job, finish; then `prepare`, which finds the finished data set.

        The state's `$.ratings.commands` has the commands of the three jobs. A job that fails goes on to
        `failure`, the first with the last line of its log as the reason.
        """
        plan = self._submit(workflow, "PlanShards", "plan")
        plan.add_catch(self._reason(workflow, failure), result_path="$.failure")
        encode = self._submit(workflow, "EncodeShards", "encode", array_size=self._job.shards)
        finish = self._submit(workflow, "FinishShards", "finish")
        for state in (encode, finish):
            state.add_catch(failure, result_path="$.failure")
        return plan.next(encode).next(finish).next(prepare)

    def _submit(
        self, workflow: Construct, construct_id: str, stage: str, *, array_size: int | None = None
    ) -> tasks.BatchSubmitJob:
        submit = tasks.BatchSubmitJob(
            workflow,
            construct_id,
            job_name=f"{self._settings.prefix}-{stage}",
            job_definition_arn=self.definition.job_definition_arn,
            job_queue_arn=self.queue.job_queue_arn,
            array_size=array_size,
            container_overrides=tasks.BatchContainerOverrides(
                command=sfn.JsonPath.list_at(f"$.ratings.commands.{stage}")
            ),
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            result_path=sfn.JsonPath.DISCARD,
        )
        submit.add_retry(
            errors=["Batch.BatchException", "Batch.AWSBatchException"],
            interval=Duration.seconds(5),
            backoff_rate=2,
            max_attempts=3,
            jitter_strategy=sfn.JitterType.FULL,
        )
        return submit

    def _reason(self, workflow: Construct, failure: sfn.IChainable) -> sfn.IChainable:
        """Take what the job said last: AWS Batch itself only tells that its container has exited."""
        read_job = sfn.Pass(
            workflow,
            "ReadJob",
            parameters={"job": sfn.JsonPath.string_to_json(sfn.JsonPath.string_at("$.failure.Cause"))},
            result_path="$.failed",
        )
        read_log = tasks.CallAwsService(
            workflow,
            "ReadJobLog",
            service="cloudwatchlogs",
            action="getLogEvents",
            parameters={
                "LogGroupName": self.log_group_name,
                "LogStreamName": sfn.JsonPath.string_at("$.failed.job.Container.LogStreamName"),
                "Limit": 1,
                "StartFromHead": False,
            },
            iam_resources=[],
            result_selector={"message": sfn.JsonPath.string_at("$.Events[0].Message")},
            result_path="$.said",
        )
        read_log.add_catch(failure, result_path=sfn.JsonPath.DISCARD)
        described = sfn.Condition.string_matches("$.failure.Cause", '{*"LogStreamName":*}')
        return (
            sfn.Choice(workflow, "JobHasLog")
            .when(
                described,
                read_job.next(
                    sfn.Wait(workflow, "WaitForJobLog", time=sfn.WaitTime.duration(Duration.seconds(5)))
                )
                .next(read_log)
                .next(
                    sfn.Fail(workflow, "PreparationFailed", error="DataError", cause_path="$.said.message")
                ),
            )
            .otherwise(failure)
        )

    def _network(self) -> ec2.IVpc:
        network = ec2.CfnVPC(self, "Network", cidr_block="10.0.0.0/24")
        gateway = ec2.CfnInternetGateway(self, "Gateway")
        attachment = ec2.CfnVPCGatewayAttachment(
            self, "Attachment", vpc_id=network.ref, internet_gateway_id=gateway.ref
        )
        routes = ec2.CfnRouteTable(self, "Routes", vpc_id=network.ref)
        outwards = ec2.CfnRoute(
            self,
            "Outwards",
            route_table_id=routes.ref,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.ref,
        )
        outwards.add_resource_dependency(attachment)
        ec2.CfnVPCEndpoint(
            self,
            "ToS3",
            vpc_id=network.ref,
            service_name=f"com.amazonaws.{self._settings.region}.s3",
            route_table_ids=[routes.ref],
        )
        subnets = []
        for index in range(_ZONES):
            subnet = ec2.CfnSubnet(
                self,
                f"Subnet{index}",
                vpc_id=network.ref,
                # Which zones an account has is not looked up: the account's own list is asked at deployment.
                availability_zone=Fn.select(index, Fn.get_azs()),
                cidr_block=f"10.0.0.{index * 128}/25",
            )
            ec2.CfnSubnetRouteTableAssociation(
                self, f"SubnetRoutes{index}", subnet_id=subnet.ref, route_table_id=routes.ref
            )
            subnets.append(subnet)
        acknowledge(
            network,
            "AwsSolutions-VPC7",
            "Nothing listens in this network; what its jobs ask of AWS is in CloudTrail and in their logs",
        )
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=network.ref,
            availability_zones=[subnet.attr_availability_zone for subnet in subnets],
            public_subnet_ids=[subnet.ref for subnet in subnets],
            public_subnet_route_table_ids=[routes.ref] * _ZONES,
        )

    def _container(self, storage: StorageStack, image: Path) -> batch.EcsFargateContainerDefinition:
        self._logs = log_group(
            self, "Logs", name=self.log_group_name, retention_days=self._settings.logs.retention_days
        )
        role = iam.Role(
            self,
            "JobRole",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            description="What data preparation in AWS Batch may do",
        )
        storage.allow_to_read_ratings(role)
        allow(role, "s3:ListBucket", on=storage.prepared.bucket_arn)
        allow(
            role,
            *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
            on=storage.objects(storage.prepared, "*"),
            because="Prepared data lies under its digest, which each run decides; working files go again",
        )
        allow(role, "kms:GenerateDataKey", on=storage.key.key_arn)
        execution_role = iam.Role(
            self,
            "ExecutionRole",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            description="Fetches the image of data preparation and writes its log",
        )
        self._logs.grant_write(execution_role)
        container = batch.EcsFargateContainerDefinition(
            self,
            "Container",
            image=ecs.ContainerImage.from_docker_image_asset(
                ecr_assets.DockerImageAsset(
                    self, "Image", directory=str(image), platform=ecr_assets.Platform.LINUX_AMD64
                )
            ),
            cpu=self._job.vcpus,
            memory=Size.mebibytes(self._job.memory_mib),
            ephemeral_storage_size=Size.gibibytes(self._job.storage_gib),
            job_role=role,
            execution_role=execution_role,
            assign_public_ip=True,
            logging=ecs.LogDriver.aws_logs(log_group=self._logs, stream_prefix="prepare-data"),
        )
        acknowledge(
            execution_role.node.find_child("DefaultPolicy"),
            "AwsSolutions-IAM5[Resource::*]",
            "GetAuthorizationToken acts on no resource that IAM can name",
        )
        return container

"""Environments to promote between, made by hand in the local cloud: no synthesis, no training."""

import gzip
import hashlib
import io
import itertools
import json
import random
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.environment import Environment, load_environment
from infra.images import image_uri
from tests.local_cloud.conftest import ROOT, RunningCloud, wait_for


def archive(content: bytes) -> bytes:
    """A model's artifact: the same bytes for the same content."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        member = tarfile.TarInfo("model_algo-1")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


ARTIFACT = archive(random.Random(0).randbytes(3_000_000))
"""Larger than what is read at once."""
SHA256 = hashlib.sha256(ARTIFACT).hexdigest()

_accounts = itertools.count(500_000_000_001)
# As they are now: somebody may edit them while the tests run.
_SETTINGS = {path.name: path.read_text() for path in sorted((ROOT / "config").glob("*.toml"))}


def new_account() -> str:
    """An account that no other test uses."""
    return str(next(_accounts))


def evaluation(*, passed: bool = True, sha256: str = SHA256) -> bytes:
    reasons = [] if passed else ["accuracy 0.6999 is below the floor 0.7000"]
    document = {
        "format_version": 1,
        "model": {"artifact_sha256": sha256},
        "gate": {"passed": passed, "reasons": reasons, "cause": "…"},
    }
    return json.dumps(document).encode()


CATALOG, HISTORIES, REFERENCE = b'{"catalog": 1}', b"\0histories", b'{"rows": []}'


def copies(*, catalog: bytes = CATALOG) -> dict[str, str]:
    """The keys of a promoted model's files, by their names in the order in which they are copied."""
    companions = {
        "evaluation.json": evaluation(),
        "catalog.json": catalog,
        "histories.bin": HISTORIES,
        "reference.json": REFERENCE,
    }
    hashes = sorted(f"{hashlib.sha256(content).hexdigest()} {name}" for name, content in companions.items())
    folder = f"models/{SHA256}/{hashlib.sha256(chr(10).join(hashes).encode()).hexdigest()[:16]}"
    return {"model.tar.gz": f"models/{SHA256}/model.tar.gz"} | {
        name: f"{folder}/{name}" for name in companions
    }


COPIES = copies()


@dataclass
class Checkout:
    """A git checkout with settings: the repository's, in accounts of the test's own."""

    root: Path

    @classmethod
    def create(cls, root: Path, **accounts: str) -> "Checkout":
        """Make one; environments that are not named get new accounts."""
        (root / "config").mkdir(parents=True)
        checkout = cls(root)
        for name, text in _SETTINGS.items():
            account = accounts.get(Path(name).stem) or new_account()
            own = re.sub(r'^account = "\d+"', f'account = "{account}"', text, flags=re.MULTILINE)
            (root / "config" / name).write_text(own)
        checkout.git("init", "--quiet", "--initial-branch=main")
        checkout.commit("Begin")
        return checkout

    @property
    def config(self) -> Path:
        return self.root / "config"

    def path(self, name: str) -> Path:
        return self.config / f"{name}.toml"

    def environment(self, name: str) -> Environment:
        return load_environment(name, folder=self.config)

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")


@dataclass
class Place:
    """An environment's account in the cloud."""

    cloud: RunningCloud
    environment: Environment
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.cloud.client(
                service, account=self.environment.account, region=self.environment.region
            )
        return self._clients[service]

    @property
    def bucket(self) -> str:
        return f"models-{self.environment.account}"

    def deploy_storage(self) -> None:
        """Make a stack of what promotion needs of the storage stack."""
        group = {"ModelPackageGroupName": self.environment.model_package_group}
        versioning = {"VersioningConfiguration": {"Status": "Enabled"}}
        template = {
            "Resources": {
                "Models": {
                    "Type": "AWS::S3::Bucket",
                    "Properties": {"BucketName": self.bucket, **versioning},
                },
                "ModelRegistry": {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": group},
            },
            "Outputs": {"ModelBucketName": {"Value": {"Ref": "Models"}}},
        }
        name = f"{self.environment.prefix}-storage"
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
        wait_for(
            lambda: (
                cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
                == "CREATE_COMPLETE"
            )
        )

    def put(self, key: str, body: bytes) -> str:
        kind = "application/json" if key.endswith(".json") else "application/octet-stream"
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=kind)
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        return bytes(self.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def versions(self, prefix: str = "") -> list[str]:
        """The keys of all versions of objects, deletion markers not counted."""
        answer = self.client("s3").list_object_versions(Bucket=self.bucket, Prefix=prefix)
        return sorted(version["Key"] for version in answer.get("Versions", []))

    def object_keys(self) -> list[str]:
        answer = self.client("s3").list_objects_v2(Bucket=self.bucket)
        return sorted(entry["Key"] for entry in answer.get("Contents", []))

    def train(
        self,
        job: str = "run-1",
        *,
        artifact: bytes = ARTIFACT,
        without: tuple[str, ...] = (),
        catalog: bytes = CATALOG,
        verdict: bytes | None = None,
        approval: str = "Approved",
        **metadata: str,
    ) -> str:
        """Register a model as the workflow does, with its files; return the package's ARN."""
        folder, sha256 = f"models/{job}", hashlib.sha256(artifact).hexdigest()
        verdict = evaluation(sha256=sha256) if verdict is None else verdict
        uris = {
            "evaluation": self.put(f"{folder}/evaluation.json", verdict),
            "catalog_uri": self.put(f"{folder}/catalog.json", catalog),
            "histories_uri": self.put(f"{folder}/histories.bin", HISTORIES),
            "reference_uri": self.put(f"{folder}/reference.json", REFERENCE),
        }
        properties = {
            "artifact_sha256": sha256,
            "dataset_digest": "0123456789abcdef",
            "training_job": job,
            "source_key": "ratings/ml-100k.zip",
            "accuracy": "0.7164",
            "auc": "0.7823",
            "cross_entropy": "0.5602",
            **{key: uri for key, uri in uris.items() if key != "evaluation"},
            **metadata,
        }
        quality = {"Statistics": {"ContentType": "application/json", "S3Uri": uris["evaluation"]}}
        answer = self.client("sagemaker").create_model_package(
            ModelPackageGroupName=self.environment.model_package_group,
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [
                    {
                        "Image": image_uri(self.environment.region),
                        "ModelDataUrl": self.put(f"{folder}/output/model.tar.gz", artifact),
                    }
                ],
                "SupportedContentTypes": ["application/json", "application/x-recordio-protobuf"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelMetrics={"ModelQuality": quality},
            CustomerMetadataProperties={
                key: value for key, value in properties.items() if key not in without
            },
        )
        return str(answer["ModelPackageArn"])

    def release(self, arn: str) -> None:
        """Write the SSM parameter, as the workflow does."""
        self.client("ssm").put_parameter(
            Name=self.environment.model_package_parameter, Value=arn, Type="String", Overwrite=True
        )

    def serve(self, arn: str, role: str) -> str:
        """Make the endpoint serve a package, as the serving stack does; return its configuration's name."""
        sagemaker, name = self.client("sagemaker"), self.environment.endpoint_name
        version = f"{name}-{arn.rpartition('/')[2]}-{int(datetime.now(UTC).timestamp() * 1000)}"
        sagemaker.create_model(
            ModelName=version, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": arn}
        )
        variant = {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(
            EndpointConfigName=version, ProductionVariants=[variant | {"ModelName": version}]
        )
        if any(each["EndpointName"] == name for each in sagemaker.list_endpoints()["Endpoints"]):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=version)
        else:
            sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=version)

        def served() -> bool:
            endpoint = sagemaker.describe_endpoint(EndpointName=name)
            return endpoint["EndpointStatus"] == "InService" and endpoint["EndpointConfigName"] == version

        wait_for(served)
        return version

    def deploy_serving(self, arn: str, role: str) -> None:
        """Create or update a stack with what the serving stack has of SageMaker."""
        variant = {
            "VariantName": "AllTraffic",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1,
            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        }
        configuration = {"Fn::GetAtt": ["Configuration", "EndpointConfigName"]}
        resources = {
            "Model": (
                "AWS::SageMaker::Model",
                {"ExecutionRoleArn": role, "PrimaryContainer": {"ModelPackageName": arn}},
            ),
            "Configuration": ("AWS::SageMaker::EndpointConfig", {"ProductionVariants": [variant]}),
            "Endpoint": (
                "AWS::SageMaker::Endpoint",
                {"EndpointName": self.environment.endpoint_name, "EndpointConfigName": configuration},
            ),
        }
        template = {
            "Resources": {
                name: {"Type": kind, "Properties": properties}
                for name, (kind, properties) in resources.items()
            },
            "Outputs": {"ModelPackageArn": {"Value": arn}},
        }
        name = f"{self.environment.prefix}-serving"
        cloudformation = self.client("cloudformation")
        known = [each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]]
        change = cloudformation.update_stack if name in known else cloudformation.create_stack
        try:
            change(StackName=name, TemplateBody=json.dumps(template))
        except ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise

        def settled() -> str | None:
            status = str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
            return None if status.endswith("_IN_PROGRESS") else status

        status = wait_for(settled)
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), status

    def set_approval(self, arn: str, status: str, why: str = "") -> None:
        self.client("sagemaker").update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=status, **({"ApprovalDescription": why} if why else {})
        )

    def package(self, arn: str) -> dict[str, Any]:
        return dict(self.client("sagemaker").describe_model_package(ModelPackageName=arn))

    def packages(self) -> list[str]:
        group = self.environment.model_package_group
        answer = self.client("sagemaker").list_model_packages(ModelPackageGroupName=group)
        return sorted(entry["ModelPackageArn"] for entry in answer["ModelPackageSummaryList"])

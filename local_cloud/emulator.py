"""MiniStack with SageMaker added: the one module that touches MiniStack's internals.

MiniStack (https://github.com/ministackorg/ministack) serves the other services. It has no plug-in interface,
so this module registers SageMaker in its tables and corrects the few behaviours in which it departs from AWS
and the product notices. `require_extension_points` names everything that is touched: after an upgrade that
moved something, the local cloud says so in one line and does not start.
"""

import asyncio
import contextlib
import contextvars
import functools
import importlib.metadata
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

from ministack import app
from ministack.core import lambda_runtime, responses, router
from ministack.services import cloudformation as cloudformation_service
from ministack.services import (
    cloudwatch,
    cloudwatch_logs,
    ecr,
    eventbridge,
    iam,
    lambda_svc,
    s3,
    stepfunctions,
)
from ministack.services.cloudformation import custom_resource, provisioners, stacks
from ministack.services.cloudformation import handlers as stack_actions

from local_cloud.alarm_evaluation import AlarmRule
from local_cloud.batch import cloudformation as batch_cloudformation
from local_cloud.batch import states as batch_states
from local_cloud.batch.images import ASSET_REPOSITORY, Images
from local_cloud.batch.jobs import Runner
from local_cloud.batch.service import Batch
from local_cloud.gateway import Gateway
from local_cloud.sagemaker import cloudformation, states
from local_cloud.sagemaker.scope import Scope
from local_cloud.sagemaker.service import SageMaker
from local_cloud.settings import LAMBDA_SITE, LocalCloudError, Settings

application = app.app
"""The ASGI application that answers for every service."""

MINISTACK_VERSION = "1.5.33"
"""The version that this module was written against."""

_EXTENSION_POINTS: Mapping[Any, Sequence[str]] = {
    app: ("app", "SERVICE_HANDLERS"),
    router: ("SERVICE_PATTERNS",),
    responses: ("error_response_json", "get_account_id", "get_region", "json_response", "request_scope"),
    eventbridge: ("_put_events",),
    stepfunctions: (
        "_SERVICE_DISPATCH",
        "_AWS_SDK_SERVICE_MAP",
        "_AWS_SDK_ERROR_PREFIX",
        "_AWS_SDK_ERROR_CODE_OVERRIDES",
        "_ExecutionError",
        "_execute_task",
        "_fail_execution",
    ),
    provisioners: (
        "_RESOURCE_HANDLERS",
        "_REPLACING_PROPERTIES",
        "_STACK_TAG_PROPERTY",
        "_CUSTOM_NAME_REPLACEMENT",
    ),
    stacks: ("_runs_on_worker_thread",),
    stack_actions: ("_ACTION_HANDLERS",),
    cloudformation_service: ("_change_sets", "_stacks"),
    s3: ("_bucket_tags", "_delete_bucket"),
    iam: ("_create_oidc_provider", "_delete_oidc_provider"),
    custom_resource: ("deliver_response", "invoke_custom_resource", "_pending"),
    lambda_svc: (
        "_execute_function_with_config_scope",
        "_execute_function_warm",
        "_emit_lambda_logs",
        "acquire_worker",
    ),
    lambda_runtime: (
        "_LOCAL_MAX_WORKERS",
        "_PYTHON_WORKER_SCRIPT",
        "Worker",
        "invalidate_worker",
        "kill_workers",
        "reset",
    ),
    cloudwatch_logs: ("_log_groups",),
    ecr: ("_describe_images", "_find_image", "_repositories"),
    cloudwatch: (
        "_alarms",
        "_calc_stats",
        "_describe_alarms",
        "_describe_alarms_for_metric",
        "_dims_from_list",
        "_dims_key",
        "_dispatch_alarm_actions",
        "_evaluate_alarm",
        "_evaluate_all_alarms",
        "_evaluate_parent_alarms",
        "_evict_old_metrics",
        "_metrics",
        "_p",
        "_record_history",
        "_set_alarm_state",
        "_stat_value",
    ),
}
_WORKER_TIMEOUT_SECONDS = 60.0


def require_extension_points() -> None:
    """Check that MiniStack still has everything that this module touches.

    Raises:
        LocalCloudError: something is gone; the message names it and the version.
    """
    missing = [
        f"{module.__name__}.{name}"
        for module, names in _EXTENSION_POINTS.items()
        for name in names
        if not hasattr(module, name)
    ]
    if missing:
        installed = importlib.metadata.version("ministack")
        raise LocalCloudError(
            f"MiniStack {installed} no longer has {', '.join(missing)}: adapt local_cloud/emulator.py, "
            f"which was written for {MINISTACK_VERSION}"
        )


def _put_event(scope: Scope, entry: Mapping[str, Any]) -> None:
    # Only a service itself may use an `aws.` source, so this cannot go through PutEvents' front door.
    with responses.request_scope(scope.account, scope.region):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def _scope() -> Scope:
    return Scope(responses.get_account_id(), responses.get_region())


def install(settings: Settings) -> SageMaker:
    """Add SageMaker to MiniStack and return it.

    Raises:
        LocalCloudError: MiniStack has moved something.
    """
    require_extension_points()
    gateway = Gateway(settings.port, _put_event)
    sagemaker = SageMaker(gateway, settings.jobs)
    images = Images(settings.images, settings.assemblies)
    batch = Batch(Runner(gateway, images, sagemaker.containers, gateway.endpoint))
    _install_api(sagemaker)
    _install_batch_api(batch)
    _install_state_machine_integrations(sagemaker, batch)
    _install_resource_types(sagemaker)
    for resource_type in batch_cloudformation.TYPES:
        _install_resource_type(resource_type(batch))
    _install_identity_provider_type()
    _have_asset_images(images)
    _install_corrections()
    return sagemaker


# -- SageMaker's API -----------------------------------------------------------------------------------------


def _install_api(sagemaker: SageMaker) -> None:
    # A request may wait for a model's answer or call other services through the gateway: neither may block
    # the event loop, nor take a thread of the pool that those services need.
    threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="sagemaker")

    async def handle(
        method: str, path: str, headers: Mapping[str, str], body: bytes | str, _query: object
    ) -> tuple[int, dict[str, str], bytes]:
        content = body.encode() if isinstance(body, str) else body
        work = functools.partial(sagemaker.handle, method, path, headers, content, _scope())
        status, answered, content = await asyncio.get_running_loop().run_in_executor(threads, work)
        # MiniStack replaces the value of `Content-Type`, spelt so, by the control plane's; an endpoint has
        # its own.
        return status, {name.lower(): value for name, value in answered.items()}, content

    app.SERVICE_HANDLERS["sagemaker"] = handle
    router.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"(api|runtime)\.sagemaker\."],
    }


def _install_batch_api(batch: Batch) -> None:
    async def handle(
        _method: str, path: str, _headers: object, body: bytes | str, _query: object
    ) -> tuple[int, dict[str, str], bytes]:
        return batch.handle(path, body.encode() if isinstance(body, str) else body, _scope())

    app.SERVICE_HANDLERS["batch"] = handle


# -- Step Functions ------------------------------------------------------------------------------------------

_task: contextvars.ContextVar[tuple[Mapping[str, Any], float]] = contextvars.ContextVar("task")
"""The execution that the present thread carries out a task of, and the seconds that each attempt may take."""


def _integration(perform: Callable[..., dict[str, Any]], service: SageMaker | Batch) -> Callable[..., Any]:
    """Make MiniStack's form of an integration of a module `states`."""

    def dispatched(resource: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        execution, timeout = _task.get()
        deadline = time.monotonic() + timeout

        def abandoned() -> bool:
            return execution["status"] != "RUNNING" or time.monotonic() > deadline

        try:
            return perform(service, resource, parameters, _scope(), abandoned=abandoned)
        except states.TaskError as error:
            raise stepfunctions._ExecutionError(error.error, error.cause) from error

    return dispatched


def _install_state_machine_integrations(sagemaker: SageMaker, batch: Batch) -> None:
    perform = _integration(states.perform, sagemaker)
    submit = f"arn:aws:states:::batch:{batch_states.RESOURCE}"
    stepfunctions._SERVICE_DISPATCH[submit] = _integration(batch_states.perform, batch)

    # MiniStack takes the first entry that the resource starts with: createEndpointConfig before
    # createEndpoint.
    for name in sorted(states.RESOURCES, key=len, reverse=True):
        stepfunctions._SERVICE_DISPATCH[f"arn:aws:states:::sagemaker:{name}"] = perform
    stepfunctions._AWS_SDK_SERVICE_MAP["sagemaker"] = {"target_prefix": "SageMaker", "protocol": "json"}
    stepfunctions._AWS_SDK_ERROR_PREFIX["sagemaker"] = "SageMaker"
    stepfunctions._AWS_SDK_ERROR_CODE_OVERRIDES["sagemaker"] = {
        code: states.exception_name(code, "SageMakerException")
        for code in ("ValidationException", "ResourceInUse", "ResourceNotFound", "ResourceLimitExceeded")
    }

    execute_task = stepfunctions._execute_task

    @functools.wraps(execute_task)
    def execute_watched_task(state: Any, raw_input: Any, execution: Any, ctx: Any) -> Any:
        token = _task.set((execution, float(state.get("TimeoutSeconds", "inf"))))
        try:
            return execute_task(state, raw_input, execution, ctx)
        finally:
            _task.reset(token)

    stepfunctions._execute_task = execute_watched_task

    fail_execution = stepfunctions._fail_execution

    @functools.wraps(fail_execution)
    def fail_running_execution(execution: Any, error: str, cause: str) -> None:
        # A stopped execution stays ABORTED when its task then fails.
        if execution["status"] == "RUNNING":
            fail_execution(execution, error, cause)

    stepfunctions._fail_execution = fail_running_execution


# -- CloudFormation ------------------------------------------------------------------------------------------


def _install_resource_types(sagemaker: SageMaker) -> None:
    types = [resource_type(sagemaker) for resource_type in cloudformation.TYPES]
    for handler in types:
        _install_resource_type(handler)
        provisioners._STACK_TAG_PROPERTY[handler.type_name] = ("Tags", "list")

    # The handlers call the gateway and wait, which would block MiniStack's event loop.
    names = {handler.type_name for handler in types}
    runs_on_worker_thread = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda type_name: type_name in names or runs_on_worker_thread(type_name)


def _install_resource_type(handler: cloudformation.ResourceType | batch_cloudformation.ResourceType) -> None:
    provisioners._RESOURCE_HANDLERS[handler.type_name] = {
        "create": lambda logical_id, properties, _stack: handler.create(_scope(), logical_id, properties),
        "update": lambda arn, old, new, _stack: handler.update(_scope(), arn, old, new),
        "delete": lambda arn, _properties: handler.delete(_scope(), arn),
    }
    provisioners._REPLACING_PROPERTIES[handler.type_name] = tuple(handler.create_only)
    if handler.name_property is not None:
        provisioners._CUSTOM_NAME_REPLACEMENT[handler.type_name] = {"name": handler.name_property}


def _install_identity_provider_type() -> None:
    """Add AWS::IAM::OIDCProvider: MiniStack has identity providers in IAM, but not in CloudFormation."""
    kind = "AWS::IAM::OIDCProvider"

    def create(_logical_id: str, properties: Mapping[str, Any], _stack: str) -> tuple[str, dict[str, Any]]:
        request = {"Url": properties["Url"]} | {
            f"ClientIDList.member.{number}": client
            for number, client in enumerate(properties.get("ClientIdList", []), start=1)
        }
        status, _, answer = iam._create_oidc_provider(request)
        document = ElementTree.fromstring(answer)  # noqa: S314 - MiniStack's own answer
        if status != 200:
            raise ValueError(document.findtext(".//{*}Message"))
        arn = str(document.findtext(".//{*}OpenIDConnectProviderArn"))
        return arn, {"Arn": arn}

    def delete(arn: str, _properties: Mapping[str, Any]) -> None:
        iam._delete_oidc_provider({"OpenIDConnectProviderArn": arn})

    provisioners._RESOURCE_HANDLERS[kind] = {"create": create, "delete": delete}
    provisioners._REPLACING_PROPERTIES[kind] = ("Url",)
    provisioners._STACK_TAG_PROPERTY[kind] = ("Tags", "list")


def _have_asset_images(images: Images) -> None:
    """Let ECR say that an asset's image is there when its build context is: the CDK then builds nothing.

    Of images that are not there MiniStack tells nothing, where ECR answers with an error.
    """
    describe = ecr._describe_images

    def describe_with_assets(request: Mapping[str, Any]) -> Any:
        repository = request.get("repositoryName", "")
        if ASSET_REPOSITORY in repository and repository in ecr._repositories:
            wanted = [each.get("imageTag", "") for each in request.get("imageIds") or []]
            if wanted and all(images.has(tag) for tag in wanted):
                details = [
                    {"repositoryName": repository, "imageDigest": f"sha256:{tag}", "imageTags": [tag]}
                    for tag in wanted
                ]
                return responses.json_response({"imageDetails": details})
        answer = describe(request)
        if request.get("imageIds") and json.loads(answer[2]).get("imageDetails") == []:
            message = f"An image asked for does not exist in the repository with name '{repository}'"
            return responses.error_response_json("ImageNotFoundException", message, 400)
        return answer

    ecr._describe_images = describe_with_assets


# -- corrections ---------------------------------------------------------------------------------------------


def _install_corrections() -> None:
    """Correct what MiniStack does otherwise than AWS, where the product would notice."""
    _import_as_lambda_does()
    _name_function_errors()
    _limit_workers()
    _fail_silent_custom_resources()
    _undo_failed_custom_resources()
    _leave_deleted_log_groups()
    _end_workers_of_deleted_functions()
    _let_workers_answer()
    _tag_and_keep_buckets()
    _evaluate_alarms_by_period()
    _evict_metrics_rarely()
    _count_outputs_as_changes()


def _import_as_lambda_does() -> None:
    """Let the workers of Python functions import from the bundle and Lambda's runtime only."""
    lambda_runtime._PYTHON_WORKER_SCRIPT = (
        f"import sys\nsys.path.insert(0, {str(LAMBDA_SITE)!r})\nimport function_imports\ndel sys.path[0]\n"
        f"function_imports.install()\n{lambda_runtime._PYTHON_WORKER_SCRIPT}"
    )


_WORKER_REPORTS = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_WORKER_REPORTS_TYPE = (
    '{"status": "error", "error": str(e), "trace": traceback.format_exc(), '
    '"type": type(e).__name__, "stack": traceback.format_tb(e.__traceback__)[1:]}'
)
_INIT_FAILED = "Worker init failed: "


def _name_function_errors() -> None:
    """Report a Python function's failure by its exception's class, with a stack trace, as Lambda does.

    MiniStack calls every failure ``Runtime.HandlerError``, so a state machine's ``ErrorEquals`` never matches
    (https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html).
    """
    if lambda_runtime._PYTHON_WORKER_SCRIPT.count(_WORKER_REPORTS) != 1:
        raise LocalCloudError(
            f"MiniStack {importlib.metadata.version('ministack')} reports function errors differently: adapt "
            "_name_function_errors in local_cloud/emulator.py"
        )
    lambda_runtime._PYTHON_WORKER_SCRIPT = lambda_runtime._PYTHON_WORKER_SCRIPT.replace(
        _WORKER_REPORTS, _WORKER_REPORTS_TYPE
    )
    answered = threading.local()
    invoke = lambda_runtime.Worker.invoke

    @functools.wraps(invoke)
    def invoke_and_remember(self: Any, *args: Any, **kwargs: Any) -> Any:
        answered.last = invoke(self, *args, **kwargs)
        return answered.last

    lambda_runtime.Worker.invoke = invoke_and_remember
    execute = lambda_svc._execute_function_warm

    @functools.wraps(execute)
    def execute_with_error_type(func: Any, event: Any, request_id: str) -> Any:
        answered.last = {}
        result = execute(func, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict):
            message = str(body.get("errorMessage", ""))
            if "type" in answered.last:
                body |= {
                    "errorType": answered.last["type"],
                    "requestId": request_id,
                    "stackTrace": answered.last["stack"],
                }
            elif message.startswith(_INIT_FAILED):
                module = (func.get("config") or func).get("Handler", "").rpartition(".")[0]
                reason = message.removeprefix(_INIT_FAILED)
                body |= {
                    "errorType": "Runtime.ImportModuleError",
                    "errorMessage": f"Unable to import module '{module}': {reason}",
                }
        return result

    lambda_svc._execute_function_warm = execute_with_error_type


def _limit_workers() -> None:
    """Let requests beyond a few per function wait for a worker instead of starting one each.

    MiniStack starts a process for every concurrent request, as Lambda does; on a laptop a burst of requests
    then spends its time on starting interpreters.
    """
    lambda_runtime._LOCAL_MAX_WORKERS = max(4, 2 * (os.cpu_count() or 1))
    acquire = lambda_svc.acquire_worker

    @functools.wraps(acquire)
    def acquire_or_wait(*args: Any, **kwargs: Any) -> Any:
        deadline = time.monotonic() + _WORKER_TIMEOUT_SECONDS
        worker, outcome = acquire(*args, **kwargs)
        while worker is None and outcome == "func_cap" and time.monotonic() < deadline:
            time.sleep(0.01)
            worker, outcome = acquire(*args, **kwargs)
        return worker, outcome

    lambda_svc.acquire_worker = acquire_or_wait


def _fail_silent_custom_resources() -> None:
    """Fail a custom resource at once when its function failed before it could answer.

    MiniStack would wait for the answer until the resource's timeout, an hour by default. (So would AWS, after
    it has invoked the function three times; waiting serves nobody here.)
    """
    execute = lambda_svc._execute_function_with_config_scope

    @functools.wraps(execute)
    def execute_and_answer(func: Any, event: Any) -> Any:
        result = execute(func, event)
        # Only the function that CloudFormation itself calls: one behind it, such as the poll of CDK's
        # Provider framework, gets the same event and may fail to be called again.
        called = (func.get("config") or func).get("FunctionArn")
        properties = event.get("ResourceProperties", {}) if isinstance(event, dict) else {}
        if result.get("error") and properties.get("ServiceToken") == called:
            token = str(event["ResponseURL"]).rpartition("/")[2]
            if (custom_resource._pending.get(token) or {}).get("result", "unknown") is None:
                failure = result.get("body") or {}
                reason = f"{failure.get('errorType')}: {failure.get('errorMessage')}"
                custom_resource.deliver_response(token, {"Status": "FAILED", "Reason": reason})
        return result

    lambda_svc._execute_function_with_config_scope = execute_and_answer


def _undo_failed_custom_resources() -> None:
    """Send Delete to a custom resource whose creation failed after it had named itself, as the rollback does.

    (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html)
    """
    failed: dict[tuple[Any, Any], str] = {}
    deliver, invoke = custom_resource.deliver_response, custom_resource.invoke_custom_resource

    @functools.wraps(deliver)
    def deliver_and_remember(token: str, answer: Mapping[str, Any]) -> Any:
        if answer.get("Status") == "FAILED" and answer.get("PhysicalResourceId"):
            failed[answer.get("StackId"), answer.get("LogicalResourceId")] = answer["PhysicalResourceId"]
        return deliver(token, answer)

    @functools.wraps(invoke)
    def invoke_and_undo(
        request: str, logical_id: str, properties: Any, stack: str, stack_id: str, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            return invoke(request, logical_id, properties, stack, stack_id, *args, **kwargs)
        except RuntimeError:
            created = failed.pop((stack_id, logical_id), None)
            if request == "Create" and created is not None:
                kwargs["physical_id"] = created
                with contextlib.suppress(RuntimeError, TimeoutError):
                    invoke("Delete", logical_id, properties, stack, stack_id, *args, **kwargs)
            raise

    custom_resource.deliver_response = deliver_and_remember
    custom_resource.invoke_custom_resource = invoke_and_undo


def _leave_deleted_log_groups() -> None:
    """Drop a function's last lines when the log group that it was told to use has been deleted.

    A stack deletes the group while the function that answered for its custom resource still finishes.
    MiniStack would create the group again; Lambda cannot, for want of `logs:CreateLogGroup` in the role.
    """
    emit = lambda_svc._emit_lambda_logs

    @functools.wraps(emit)
    def emit_to_existing_group(func: Any, *args: Any, **kwargs: Any) -> None:
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup")
        own = f"/aws/lambda/{config.get('FunctionName')}"
        if group in (None, own) or group in cloudwatch_logs._log_groups:
            emit(func, *args, **kwargs)

    lambda_svc._emit_lambda_logs = emit_to_existing_group


def _end_workers_of_deleted_functions() -> None:
    """End the processes of a function that a stack deletes; MiniStack keeps them until it stops."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    delete = handlers["delete"]

    def delete_with_workers(name: str, properties: Any) -> None:
        delete(name, properties)
        scope = _scope()
        threading.Thread(
            target=lambda_runtime.invalidate_worker,
            args=(name,),
            kwargs={"account": scope.account, "region": scope.region},
            daemon=True,
        ).start()

    handlers["delete"] = delete_with_workers


def _let_workers_answer() -> None:
    """Let a function's processes answer what they have begun before an update of the function ends them.

    MiniStack ends them at once, and their requests fail. Lambda has the old configuration answer until an
    update is complete (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
    """
    kill, reset = lambda_runtime.kill_workers, lambda_runtime.reset

    def kill_once_answered(workers: Iterable[Any]) -> None:
        present = [worker for worker in workers if worker is not None]
        busy = [worker for worker in present if worker.in_use]
        kill([worker for worker in present if worker not in busy])
        for worker in busy:
            threading.Thread(target=answer_and_end, args=(worker,), daemon=True).start()

    def answer_and_end(worker: Any) -> None:
        deadline = time.monotonic() + worker.config.get("Timeout", 3)
        while worker.in_use and time.monotonic() < deadline:
            time.sleep(0.05)
        kill([worker])

    def reset_at_once() -> None:
        lambda_runtime.kill_workers = kill
        reset()
        lambda_runtime.kill_workers = kill_once_answered

    lambda_runtime.kill_workers = kill_once_answered
    lambda_runtime.reset = reset_at_once


def _tag_and_keep_buckets() -> None:
    """Give a stack's buckets their tags, and refuse to delete one that is not empty.

    MiniStack ignores the tags, so that CDK's auto-delete function, which looks for one, refuses its work; and
    it deletes a bucket with all that is in it, where CloudFormation fails.
    """
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    create, update = handlers["create"], handlers["update"]

    def tagged(created: Any, properties: Mapping[str, Any]) -> Any:
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags") or []}
        if tags:
            s3._bucket_tags[created[0]] = tags
        else:
            s3._bucket_tags.pop(created[0], None)
        return created

    def delete(name: str, _properties: object) -> None:
        status, _, body = s3._delete_bucket(name)
        if status >= 400 and b"<Code>NoSuchBucket</Code>" not in body:
            message = ElementTree.fromstring(body).findtext("Message")  # noqa: S314
            raise cloudformation.HandlerError(
                f"{message} (Service: S3, Status Code: {status}, bucket {name})"
            )

    handlers |= {
        "create": lambda logical_id, properties, stack: tagged(
            create(logical_id, properties, stack), properties
        ),
        "update": lambda name, old, new, stack: tagged(update(name, old, new, stack), new),
        "delete": delete,
    }
    provisioners._STACK_TAG_PROPERTY["AWS::S3::Bucket"] = ("Tags", "list")


_SECONDS_OF_A_STATE_SET_BY_HAND = 10.0
"""How long an alarm stays in a state that SetAlarmState gave it, before its metric decides again."""


_SECONDS_OF_DELAY = 60.0
"""How late a value may arrive."""


def _evaluate_alarms_by_period() -> None:
    """Evaluate alarms as CloudWatch does, and whenever somebody looks at them.

    MiniStack takes the metric's values of every dimension and of all evaluation periods together, passes over
    ``DatapointsToAlarm`` and ``TreatMissingData``, and evaluates only when a value arrives: an alarm would
    stay in ALARM when its endpoint gets no more requests, and roll the next deployment back.
    """
    set_by_hand: dict[str, float] = {}

    def evaluate(alarm: dict[str, Any]) -> None:
        if time.monotonic() - set_by_hand.get(alarm["AlarmArn"], -1e9) < _SECONDS_OF_A_STATE_SET_BY_HAND:
            return
        found = _evaluated(alarm)
        if found is None or found[0] == alarm["StateValue"]:
            return
        old, (state, reason) = alarm["StateValue"], found
        alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(time.time())}
        cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
        cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
        cloudwatch._evaluate_parent_alarms(alarm)

    cloudwatch._evaluate_alarm = evaluate
    for name in ("_describe_alarms", "_describe_alarms_for_metric"):
        setattr(cloudwatch, name, _after(cloudwatch._evaluate_all_alarms, getattr(cloudwatch, name)))

    set_alarm_state = cloudwatch._set_alarm_state

    @functools.wraps(set_alarm_state)
    def set_and_keep(params: Any, data: Any, *args: Any) -> Any:
        answer = set_alarm_state(params, data, *args)
        alarm = cloudwatch._alarms.get(data.get("AlarmName") or cloudwatch._p(params, "AlarmName"))
        if alarm is not None:
            set_by_hand[alarm["AlarmArn"]] = time.monotonic()
        return answer

    cloudwatch._set_alarm_state = set_and_keep


def _evaluated(alarm: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the state of an alarm and its reason, or None to leave it as it is."""
    if not alarm.get("MetricName") or not alarm.get("Namespace"):
        return None
    periods = alarm["EvaluationPeriods"]
    rule = AlarmRule(
        comparison=alarm["ComparisonOperator"],
        threshold=alarm["Threshold"],
        period=alarm["Period"],
        evaluation_periods=periods,
        datapoints_to_alarm=alarm.get("DatapointsToAlarm") or periods,
        treat_missing=alarm.get("TreatMissingData") or "missing",
    )
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
    stored = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or []
    # Values arrive nearly in the order of their time.
    oldest = time.time() - rule.period * (periods + 1) - _SECONDS_OF_DELAY
    points = list(itertools.takewhile(lambda point: point["Timestamp"] > oldest, reversed(stored)))
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"

    def value(start: float) -> float | None:
        within = [point for point in points if start <= point["Timestamp"] < start + rule.period]
        return cloudwatch._stat_value(cloudwatch._calc_stats(within), statistic, within) if within else None

    state, datapoints = rule.evaluate(time.time(), value)
    if state is None:
        return None
    shown = ", ".join("no data" if each is None else f"{each:g}" for each in datapoints)
    return state, f"Threshold Crossed: {statistic} of the last {periods} period(s) is [{shown}], {state}"


_NOTHING_CHANGED = "The submitted information didn't contain changes."


def _count_outputs_as_changes() -> None:
    """Let a change set that changes only a stack's outputs be executed.

    MiniStack compares resources alone: a stack that comes to export something for another stack would stay as
    it is, and the other one could not import it.
    """
    create = stack_actions._ACTION_HANDLERS["CreateChangeSet"]

    @functools.wraps(create)
    def create_with_outputs(parameters: Any) -> Any:
        before = set(cloudformation_service._change_sets)
        answer = create(parameters)
        for name in set(cloudformation_service._change_sets) - before:
            change_set = cloudformation_service._change_sets[name]
            stack = cloudformation_service._stacks.get(change_set["StackName"], {})
            outputs = [each.get("_template", {}).get("Outputs", {}) for each in (change_set, stack)]
            if change_set["StatusReason"].startswith(_NOTHING_CHANGED) and outputs[0] != outputs[1]:
                change_set |= {
                    "Status": "CREATE_COMPLETE",
                    "ExecutionStatus": "AVAILABLE",
                    "StatusReason": "",
                }
        return answer

    stack_actions._ACTION_HANDLERS["CreateChangeSet"] = create_with_outputs


_SECONDS_BETWEEN_EVICTIONS = 60.0


def _evict_metrics_rarely() -> None:
    """Look for metrics of more than two weeks ago once a minute, not at every request.

    MiniStack walks over all values that it keeps each time; every request to an endpoint adds some.
    """
    evict, due = cloudwatch._evict_old_metrics, 0.0

    def evict_when_due() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _SECONDS_BETWEEN_EVICTIONS
            evict()

    cloudwatch._evict_old_metrics = evict_when_due


def _after(first: Callable[[], object], then: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(then)
    def both(*args: Any, **kwargs: Any) -> Any:
        first()
        return then(*args, **kwargs)

    return both


def end_functions() -> None:
    """End every process of a Lambda function."""
    with contextlib.suppress(Exception):
        lambda_runtime.reset()

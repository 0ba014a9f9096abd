from typing import Any

from ops.review.cost.workflow import Job, read_workflow

SAGEMAKER = "arn:aws:states:::sagemaker"


def task(resource: str, **state: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, **state}


def test_jobs_are_found_with_their_instances() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Train",
            "States": {
                "Train": task(
                    f"{SAGEMAKER}:createTrainingJob.sync",
                    Parameters={
                        "ResourceConfig": {
                            "InstanceType": "ml.m5.large",
                            "InstanceCount": 3,
                            "VolumeSizeInGB": 30,
                        }
                    },
                    Next="Score",
                ),
                "Score": task(
                    f"{SAGEMAKER}:createTransformJob.sync",
                    Arguments={"TransformResources": {"InstanceType": "ml.c5.xlarge"}},
                    Next="Tune",
                ),
                "Tune": task(
                    f"{SAGEMAKER}:createHyperParameterTuningJob.sync",
                    Parameters={
                        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 20}},
                        "TrainingJobDefinition": {
                            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}
                        },
                    },
                    End=True,
                ),
            },
        }
    )

    assert workflow.jobs == (
        Job("Train", "training", "ml.m5.large", 3, 30),
        Job("Score", "transform", "ml.c5.xlarge", 1, None),
        Job("Tune", "tuning", "ml.m5.xlarge", 1, None, jobs=20),
    )
    assert workflow.transitions == 3


def test_branches_add_up_and_choices_take_the_longest_way() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Both",
            "States": {
                "Both": {
                    "Type": "Parallel",
                    "Branches": [
                        {"StartAt": "A", "States": {"A": task("${app/A.Arn}", End=True)}},
                        {
                            "StartAt": "B",
                            "States": {
                                "B": task("${app/B.Arn}", Next="C"),
                                "C": {"Type": "Wait", "Seconds": 1, "End": True},
                            },
                        },
                    ],
                    "Next": "Choose",
                },
                "Choose": {
                    "Type": "Choice",
                    "Choices": [{"Next": "Short"}, {"Next": "Long"}],
                    "Default": "Short",
                },
                "Short": {"Type": "Succeed"},
                "Long": {"Type": "Pass", "Next": "Short"},
            },
        }
    )

    assert workflow.transitions == 1 + 1 + 2 + 1 + 2
    assert workflow.functions == ("${app/A.Arn}", "${app/B.Arn}")


def test_what_only_a_failure_leads_to_is_left_out() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Try",
            "States": {
                "Try": task("${app/Try.Arn}", Catch=[{"Next": "Repair"}], End=True),
                "Repair": task("${app/Repair.Arn}", End=True),
            },
        }
    )

    assert workflow.functions == ("${app/Try.Arn}",)
    assert workflow.transitions == 1


def test_a_loop_ends() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Wait",
            "States": {
                "Wait": {"Type": "Wait", "Next": "Poll"},
                "Poll": task("${app/Poll.Arn}", Next="Done"),
                "Done": {"Type": "Choice", "Choices": [{"Next": "End"}], "Default": "Wait"},
                "End": {"Type": "Succeed"},
            },
        }
    )

    assert workflow.transitions == 4
    assert workflow.functions == ("${app/Poll.Arn}",)


def test_items_of_a_map_count_as_one() -> None:
    inner = {"StartAt": "Each", "States": {"Each": task("${app/Each.Arn}", End=True)}}
    for key in ("ItemProcessor", "Iterator"):
        workflow = read_workflow(
            {"StartAt": "All", "States": {"All": {"Type": "Map", key: inner, "End": True}}}
        )
        assert workflow.transitions == 2
        assert workflow.functions == ("${app/Each.Arn}",)


def test_the_invoke_integration_names_its_function() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Call",
            "States": {
                "Call": task(
                    "arn:aws:states:::lambda:invoke", Parameters={"FunctionName": "${app/F.Arn}"}, End=True
                )
            },
        }
    )

    assert workflow.functions == ("${app/F.Arn}",)


def test_other_integrations_are_named_unless_they_are_free() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Submit",
            "States": {
                "Submit": task("arn:aws:states:::batch:submitJob.sync", Next="Model"),
                "Model": task(f"{SAGEMAKER}:createModel", Next="Register"),
                "Register": task("arn:aws:states:::aws-sdk:sagemaker:createModelPackage", Next="Process"),
                "Process": task(f"{SAGEMAKER}:createProcessingJob.sync", End=True),
            },
        }
    )

    assert workflow.other == ("Submit: batch:submitJob", "Process: sagemaker:createProcessingJob")


def test_an_instance_type_from_the_input_is_said_so() -> None:
    workflow = read_workflow(
        {
            "StartAt": "Train",
            "States": {
                "Train": task(
                    f"{SAGEMAKER}:createTrainingJob.sync",
                    Parameters={"ResourceConfig": {"InstanceType.$": "$.type", "InstanceCount.$": "$.count"}},
                    End=True,
                )
            },
        }
    )

    assert workflow.jobs[0].instance_type == "an instance type that the input decides"


def test_a_broken_definition_is_empty() -> None:
    workflow = read_workflow({"StartAt": "Gone", "States": {"Other": "?"}})

    assert (workflow.transitions, workflow.jobs, workflow.functions, workflow.other) == (0, (), (), ())

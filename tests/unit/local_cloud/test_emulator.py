import pytest
from ministack.services import stepfunctions

from local_cloud import emulator
from local_cloud.settings import LocalCloudError


def test_installed_ministack_has_every_extension_point() -> None:
    emulator.require_extension_points()


def test_moved_extension_point_is_named_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stepfunctions, "_SERVICE_DISPATCH")
    with pytest.raises(LocalCloudError) as caught:
        emulator.require_extension_points()
    assert str(caught.value) == (
        "MiniStack 1.5.33 no longer has ministack.services.stepfunctions._SERVICE_DISPATCH: adapt "
        "local_cloud/emulator.py, which was written for 1.5.33"
    )

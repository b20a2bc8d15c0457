"""The package of ``tiny``, made once."""

import pytest

from hw.config import preset
from hw.package.write import write_package
from sim.simulator.generated import generated


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    """The folder that ``potvit package --config tiny`` writes."""
    folder = tmp_path_factory.mktemp("package") / "tiny"
    write_package(generated(preset("tiny")), preset("tiny"), folder, {})
    return folder

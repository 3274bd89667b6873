"""How the inputs of a step and the outputs of models that do the same fit together."""

import pytest
from pydantic import ValidationError

from app.errors import Permanent
from tasks.replicate.failover.alternatives import Alternative, adapted, picked


def test_an_adapter_says_what_it_cannot_do() -> None:
    with pytest.raises(Permanent) as unfit:
        adapted({"n": 1, "size": 2}, Alternative(model="a/b", rename={"size": "n.px"}))
    assert unfit.value.code == "inputs_unfit"
    assert picked({"images": ["x", "y"]}, "images.1") == "y"
    assert picked("x", None) == "x"
    with pytest.raises(Permanent) as missing:
        picked({"images": []}, "images.0")
    assert missing.value.code == "output_unfit"
    with pytest.raises(ValidationError, match="either a `model` or a `deployment`"):
        Alternative(model="a/b", deployment="a/c")

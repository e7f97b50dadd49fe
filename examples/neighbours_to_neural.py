"""From neighbours to neural networks: the ways to recommend, on one split of MovieLens 100k.

100,000 ratings of 943 users; the last film that each user rated is hidden, the rest is learned.
Each model then ranks *all* films that the user has not seen.  HR@10 is how often the hidden one is
among the first ten; NDCG@10 counts it more the higher it stands.  Of the
models that predict ratings, a second table has the errors, RMSE and MAE, for the hidden films.

What to look for: the models that predict ratings best rank badly, since a film that few have seen,
and those few liked, gets a high prediction.  To rank, a model has to learn from *what* was seen:
that is what EASE, ImplicitALS, BPR, WARP and the networks do.  And the order counts: SASRec and
GRU4Rec see what was watched last.  (MovieLens is kind to them: users rated films in the order in
which a web page showed them.)

Run:  python examples/neighbours_to_neural.py [--quick] [--picture FILE.png]
"""

import argparse

import rich

from minidl import recommend
from minidl.data import movielens_100k
from minidl.recommend import evaluation


def models(epochs: int | None) -> dict[str, recommend.Recommender]:
    """The recommenders, from the plainest on; with fewer epochs for a first look."""
    few = {} if epochs is None else {"epochs": epochs}
    return {
        # The films that most have seen, for everybody the same: what all others have to beat.
        "Popularity": recommend.Popularity(),
        # Neighbours: the ratings of users with a similar taste, or of films rated alike.
        "UserKNN": recommend.UserKNN(),
        "ItemKNN": recommend.ItemKNN(similarity="pearson_baseline"),
        # How much higher one film is rated than another, on average.
        "SlopeOne": recommend.SlopeOne(),
        # Factors: a taste for each user, a character for each film; their product is the rating.
        "MatrixFactorization": recommend.MatrixFactorization(),
        # The same, where what a user has rated at all says something of the taste.
        "SVDpp": recommend.SVDpp(**few),
        # Factors by least squares, in turns: of users, with the films fixed, then of films.
        "ALS": recommend.ALS(),
        # From here on what was seen counts, not how it was rated.  Least squares with weights.
        "ImplicitALS": recommend.ImplicitALS(),
        # Pairs: a film that was seen is to stand above one that was not.
        "BPR": recommend.BPR(),
        # The same, where the wrong film stands above: those errors count that the list shows.
        "WARP": recommend.WARP(),
        # A linear autoencoder: each film from all others, in closed form.  Hard to beat.
        "EASE": recommend.EASE(),
        # A network instead of the product of factors.
        "NeuMF": recommend.NeuMF(epochs=epochs or 10),
        # Two networks, whose unit vectors are near where user and film belong together.
        "TwoTower": recommend.TwoTower(epochs=epochs or 10),
        # What comes next?  A recurrent network over the films in their order, and a Transformer.
        "GRU4Rec": recommend.GRU4Rec(epochs=epochs or 15),
        "SASRec": recommend.SASRec(epochs=epochs or 30),
    }


def main() -> None:
    """Fit all of them, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one epoch only of what is trained in epochs"
    )
    parser.add_argument("--picture", help="draw the bars into this file; needs matplotlib")
    options = parser.parse_args()

    data = recommend.Interactions.of(movielens_100k())
    train, test = evaluation.leave_last_out(data)
    chosen = models(1 if options.quick else None)
    found = evaluation.compare(chosen, train, test, metrics=["hr", "ndcg", "mrr", "coverage"])
    rich.print(found)
    raters = {name: model for name, model in chosen.items() if model.RATES}  # fitted by now
    rich.print(evaluation.compare(raters, train, test, metrics=["rmse", "mae"]))
    best = found.best("ndcg@10")
    print(f"The hidden film stands highest with {best}.")
    if options.picture:
        found.plot(options.picture, ["hr@10", "ndcg@10"])
    if not options.quick:
        assert found["SASRec"]["ndcg@10"] > found["Popularity"]["ndcg@10"]


if __name__ == "__main__":
    main()

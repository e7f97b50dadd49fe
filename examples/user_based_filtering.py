"""User-based collaborative filtering: what users with a similar taste liked.

The founding documents, the notes that this project began from, sketch it (003, part 4, section 2):

    user_matrix = pd.pivot_table(df, index='user_id', columns='item_id', values='rating', fill_value=0)
    user_distance = cosine_similarity(user_matrix)
    user_similarity = 1 - user_distance
    user_similarity_mean = user_similarity.mean(axis=1)
    recommend_items = user_matrix.loc[user_id].sort_values(ascending=False).head(10)

It does not do what it says:

- `cosine_similarity` gives similarities (its comment even says Euclidean distances).  They are called
  distances and taken from 1, so that the most different users come out as the most similar.
- The mean of a user's similarities is computed and never used.
- The last line sorts the user's own ratings.  It "recommends" what the user has seen, and the other
  users, whom it is all about, play no part.
- An item without a rating counts as a rating of 0, worse than the worst.

Here the same steps do what was meant, by hand, and then by minidl.recommend, which also centres the
ratings and needs no dense matrix.

Run:  python examples/user_based_filtering.py
"""  # noqa: E501  (a line as the notes have it)

import numpy as np

from minidl.data import movielens_100k
from minidl.recommend import Interactions, UserKNN

USER = 42


def similarities(matrix: np.ndarray) -> np.ndarray:
    """The cosine of each row with each other: near 1 for users with the same taste."""
    unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def by_hand(data: Interactions, user: int, neighbours: int = 40) -> list:
    """The ten items that the most similar users liked best, among those that the user has not seen.

    The weighted mean of the neighbours' ratings, each less the mean of who gave it; an item that
    only few of them rated is drawn towards 0.
    """
    matrix = data.matrix.toarray()  # the pivot table: (users, items), 0 where there is no rating
    rated = matrix > 0
    means = matrix.sum(axis=1) / rated.sum(axis=1)
    centred = np.where(rated, matrix - means[:, None], 0)  # 0 is now "as usual", not "terrible"

    likeness = similarities(centred)[user].copy()
    likeness[user] = 0
    nearest = np.argsort(-likeness)[:neighbours]  # the most similar, not the least
    weights = likeness[nearest]
    sums = weights @ centred[nearest]
    scores = means[user] + sums / (weights @ rated[nearest] + 1)
    scores[rated[user]] = -np.inf  # what the user has seen is no news
    best = np.argsort(-scores)[:10]
    return data.items.decode(best[scores[best] > -np.inf])


def main() -> None:
    """Recommend films to a user in both ways."""
    ratings = movielens_100k()
    data = Interactions.of(ratings)
    titles = dict(zip(ratings.item_features.ids, ratings.item_features["title"], strict=True))
    code = data.users.codes([USER])[0]
    seen = set(data.items.decode(data.matrix[[code]].indices))

    found = by_hand(data, code)
    print(f"Users like user {USER} liked, computed by hand:")
    for item in found:
        print(f"    {titles[item]}")
    assert not seen & set(found)

    model = UserKNN().fit(data)
    print(f"\n{model} says:")
    for scored in model.recommend(USER):
        print(
            f"    {scored.score:.2f}  {titles[scored.id]}   ({model.explain(USER, scored.id, 2)})"
        )
    assert not seen & {scored.id for scored in model.recommend(USER)}


if __name__ == "__main__":
    main()

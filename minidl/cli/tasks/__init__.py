"""What can be trained: a file for each kind of data."""

from minidl.cli.tasks.characters import Characters
from minidl.cli.tasks.images import Images
from minidl.cli.tasks.sentiment import Sentiment
from minidl.cli.tasks.task import Classifier, Task, Writer

__all__ = ["DATA", "NETWORKS", "TASKS", "Classifier", "Task", "Writer"]

# The task of each network, what each is, and the names of all data.
_ALL: tuple[type[Task], ...] = (Images, Sentiment, Characters)
TASKS = {name: task for task in _ALL for name in task.NETWORKS}
NETWORKS = {name: about for task in _ALL for name, about in task.NETWORKS.items()}
DATA = [name for task in _ALL for name in task.DATA]

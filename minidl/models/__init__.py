"""Ready-made networks: an MLP, a CNN, and recurrent networks that classify and write texts."""

from minidl.models.cnn import CNN
from minidl.models.language_model import LanguageModel
from minidl.models.mlp import MLP
from minidl.models.text_classifier import TextClassifier

__all__ = ["CNN", "MLP", "LanguageModel", "TextClassifier"]

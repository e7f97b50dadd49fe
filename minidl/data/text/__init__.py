"""Text: tokens, vocabularies, and batches of sequences for recurrent networks."""

from minidl.data.text.batching import BucketBatchSampler, PadCollate
from minidl.data.text.stream import StreamBatches
from minidl.data.text.vocabulary import Vocabulary
from minidl.data.text.words import word_tokens

__all__ = ["BucketBatchSampler", "PadCollate", "StreamBatches", "Vocabulary", "word_tokens"]

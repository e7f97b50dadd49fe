"""The graph of symbolic tensors that calls of layers record, and the model that runs it."""

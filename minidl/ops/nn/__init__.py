"""Operations of neural networks: activations, linear maps, convolution, pooling, normalisation."""

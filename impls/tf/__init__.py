"""TensorFlow: raw variables and operations, one `tf.function` around the whole step; no Keras."""

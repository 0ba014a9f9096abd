"""What a model is worth: metrics, baselines, ranking quality and the gate. Pure: numpy in, numbers out."""

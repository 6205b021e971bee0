"""Training in stages with hard resets between them: merged weights, a new adapter, a new optimizer, a new reference."""

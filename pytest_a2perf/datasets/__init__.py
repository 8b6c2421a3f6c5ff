"""Data sets of episodes: phase ``collect`` writes them, phase ``train`` learns from them."""

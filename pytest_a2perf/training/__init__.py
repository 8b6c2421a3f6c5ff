"""Phase ``train``: what a training function gets, its curves, and what it leaves behind."""

"""Domain ``quadruped``: a legged robot imitates the gaits of a dog."""

"""Domain ``circuit``: chip floorplanning as plain Gymnasium environments."""

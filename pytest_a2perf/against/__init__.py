"""Side by side: the same trials on another version of the project, in turns on the same machine."""

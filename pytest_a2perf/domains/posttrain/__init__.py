"""Domain `posttrain`: an agent post-trains a model in a sandbox, and a grader scores it."""

#!/bin/bash
exec python3 "$(dirname "$0")/random_weights.py"

#!/bin/bash
exec python3 "$(dirname "$0")/submit_copies.py"

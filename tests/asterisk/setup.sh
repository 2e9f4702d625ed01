#!/bin/sh
# Build the Asterisk 22 tree of the demo and of tests/asterisk, once. Needs root. Prints the tree's path.
set -eu
cd "$(dirname "$0")/../.."
exec "${PYTHON:-python3}" -m qm_sip.demo.chroot

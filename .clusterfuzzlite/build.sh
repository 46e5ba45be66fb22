#!/bin/bash -eu
# The same build as OSS-Fuzz's.
source "$SRC/daxfuzz/ci/oss-fuzz/build.sh"

#!/bin/bash -eu
# Copyright 2026 Google LLC
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
################################################################################
# Builds the fuzz targets for OSS-Fuzz and ClusterFuzzLite into $OUT.  `ci/oss-fuzz-check` runs it without containers.
#
# Reads $SRC, $WORK, $OUT, $CC, $CXX, $CFLAGS, $CXXFLAGS and $LIB_FUZZING_ENGINE; every flag comes from there: build type
# None adds none, and DAXFS_FUZZ_SERVICE keeps our own instrumentation out.

source=$SRC/daxfuzz
build=$WORK/build

cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DDAXFS_FUZZ_SERVICE=ON \
  -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_FLAGS="$CFLAGS" -DCMAKE_CXX_FLAGS="$CXXFLAGS" \
  -DLIB_FUZZING_ENGINE="$LIB_FUZZING_ENGINE"
cmake --build "$build" --target syscalls_fuzzer xarray_fuzzer image_fuzzer corpus_files

# The targets, and what lies beside them. No tool goes to $OUT: whatever is executable there counts as a target.
for target in syscalls_fuzzer xarray_fuzzer image_fuzzer; do
  cp "$build/$target" "$OUT/"
  "$build/corpus_files" dict $target > "$OUT/$target.dict"
  "$build/corpus_files" options $target > "$OUT/$target.options"
  seeds=$WORK/seeds/$target
  rm -rf "$seeds"
  mkdir -p "$seeds"
  if [ $target = xarray_fuzzer ]; then  # takes text, too
    cp "$source"/corpus/xarray/*.txt "$seeds"
  elif [ $target = image_fuzzer ]; then  # so does this
    cp "$source"/corpus/images/*.txt "$seeds"
  else
    find "$source/corpus/seeds" "$source/corpus/regress" "$source/corpus/bugs" -name '*.txt' -print0 | sort -z |
      xargs -0 "$build/corpus_files" pack "$seeds"
    "$build/corpus_files" seeds "$seeds"
  fi
  rm -f "$OUT/${target}_seed_corpus.zip"
  (cd "$seeds" && find . -type f | sort | zip -X -q -@ "$OUT/${target}_seed_corpus.zip")
done

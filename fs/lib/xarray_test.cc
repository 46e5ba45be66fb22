// fs/lib/xarray_test.cc - being written.

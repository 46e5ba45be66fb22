// fs/lib/xarray_model_test.cc - being written.

"""Independent, content-addressed pieces of work, on the processors of this machine or on a Dask cluster."""

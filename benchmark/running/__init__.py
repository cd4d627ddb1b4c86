"""How trials run: the engine, the jobs it hands out, and where they are carried out (here, or on Dask)."""

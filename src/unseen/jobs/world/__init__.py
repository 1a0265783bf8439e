"""A prompt or a picture and a camera path become a 3D world: see `job.run_world` and `batch.run_batch`."""

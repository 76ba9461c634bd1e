"""Bytes in and out: files, compression, bundles, manifests. Knows nothing of pipelines."""

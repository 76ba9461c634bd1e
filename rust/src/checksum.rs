//! Fingerprints of bytes and of files.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use pyo3::prelude::*;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

// Small enough for memory that is reused: fresh pages would cost more than the hashing.
const BLOCK: usize = 1 << 16;

/// The XXH3-128 of some bytes.
#[pyfunction]
pub fn checksum_of(py: Python<'_>, data: &[u8]) -> u128 {
    py.detach(|| xxh3_128(data))
}

/// The XXH3-64 of a local file's content.
#[pyfunction]
pub fn checksum(py: Python<'_>, path: PathBuf) -> PyResult<u64> {
    Ok(py.detach(|| -> std::io::Result<u64> {
        let mut file = File::open(path)?;
        let mut hasher = Xxh3::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(hasher.digest()),
                read => hasher.update(&block[..read]),
            }
        }
    })?)
}

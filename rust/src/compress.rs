//! Frames that can be concatenated: zstd frames, gzip members, or plain bytes.

use std::io::{Result, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

pub enum Frames {
    Plain,
    Zstd(Box<Compressor<'static>>),
    Gzip(Compression),
}

impl Frames {
    /// `codec` is `none`, `zstd` or `gzip`.
    pub fn new(codec: &str, level: i32) -> PyResult<Self> {
        Ok(match codec {
            "none" => Frames::Plain,
            "zstd" => {
                let mut compressor = Compressor::new(level)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                Frames::Zstd(Box::new(compressor))
            }
            "gzip" => Frames::Gzip(Compression::new(level.cast_unsigned())),
            other => return Err(unknown_codec(other)),
        })
    }

    /// Appends `raw` as one frame.
    pub fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Frames::Plain => out.extend_from_slice(raw),
            Frames::Zstd(compressor) => {
                let done = out.len();
                out.resize(done + zstd::zstd_safe::compress_bound(raw.len()), 0);
                let size = compressor.compress_to_buffer(raw, &mut out[done..])?;
                out.truncate(done + size);
            }
            Frames::Gzip(level) => {
                let mut encoder = GzEncoder::new(out, *level);
                encoder.write_all(raw)?;
                encoder.finish()?;
            }
        }
        Ok(())
    }
}

#[cold]
pub fn unknown_codec(codec: &str) -> PyErr {
    PyValueError::new_err(format!("unknown codec `{codec}`"))
}

/// One frame of `raw`; of nothing, the content of a valid empty file.
#[pyfunction]
pub fn compress<'py>(
    py: Python<'py>,
    raw: &[u8],
    codec: &str,
    level: i32,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    Frames::new(codec, level)?.append(raw, &mut out)?;
    Ok(PyBytes::new(py, &out))
}
